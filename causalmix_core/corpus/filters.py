"""What of a snapshot is kept: conditions that a curator puts together, or an expert's predicate.

A filter says which documents are kept. It is compiled to one SQL expression over the view `documents`, so
that a preview, examples and the new snapshot all rest on the same words. Two things are decided here:

- Documents of domains that a filter does not apply to are kept.
- A document that cannot be judged is kept: where a value is unknown (NULL) and the other conditions do not
  decide, nobody knows that the document is bad, and what is thrown away is not looked at again.

Saved filters are `filters/<name>.json`, each with a revision; saving on an outdated one is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

import duckdb
import numpy as np
import pandas as pd
from filelock import FileLock
from numpy.typing import NDArray
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from causalmix_core.corpus.explore import SEARCH_SECONDS, SHOWN_CHARACTERS, document_rows, text_condition
from causalmix_core.corpus.selection import DUPLICATES_SQL, Columns, Number, Search, Words, columns_of
from causalmix_core.corpus.sql import identifier, literal, said, time_limit
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import Name, Workspace, check_name, write_atomic

if TYPE_CHECKING:
    from causalmix_core.corpus.snapshot import Snapshot

Operator = Literal["<", "<=", ">", ">=", "=", "!="]
# Functions that SQL calls without parentheses, so that they look like columns.
_CLOCKS = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}


class _Condition(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FeatureCondition(_Condition):
    """A feature is less, equal or greater than a value."""

    kind: Literal["feature"] = "feature"
    feature: Words
    op: Operator
    value: Number

    def sql(self) -> str:
        """The condition on the view `documents`."""
        return f"{identifier(self.feature)} {self.op} {_number(self.value)}"


class RuleCondition(_Condition):
    """A rule is broken, or it is not."""

    kind: Literal["rule"] = "rule"
    rule: Words
    broken: bool = False

    def sql(self) -> str:
        """The condition on the view `documents`."""
        return identifier(self.rule) if self.broken else f"NOT {identifier(self.rule)}"


class DuplicateCondition(_Condition):
    """Which copies are kept, as in a `Selection`."""

    kind: Literal["duplicates"] = "duplicates"
    which: Literal["without_near", "only_near", "without_exact"] = "without_near"

    def sql(self) -> str:
        """The condition on the view `documents`."""
        return DUPLICATES_SQL[self.which]


class LanguageCondition(_Condition):
    """The language is among some, or among none of them."""

    kind: Literal["language"] = "language"
    languages: Annotated[tuple[Words, ...], Field(min_length=1)]
    among: bool = True

    def sql(self) -> str:
        """The condition on the view `documents`."""
        return f"language {_among(self.among, self.languages)}"


class DomainCondition(_Condition):
    """The domain is among some, or among none of them."""

    kind: Literal["domain"] = "domain"
    domains: Annotated[tuple[Words, ...], Field(min_length=1)]
    among: bool = True

    def sql(self) -> str:
        """The condition on the view `documents`."""
        return f"domain {_among(self.among, self.domains)}"


class TextCondition(_Condition):
    """The text contains something, or does not."""

    kind: Literal["text"] = "text"
    search: Search
    contains: bool = True

    def sql(self) -> str:
        """The condition on the views `documents` and `texts`."""
        sought, option = literal(self.search.text), "" if self.search.case else ", 'i'"
        if self.search.kind == "text" and self.search.case:
            found = f"contains(text, {sought})"
        else:
            pattern = sought if self.search.kind == "regex" else f"regexp_escape({sought})"
            found = f"regexp_matches(text, {pattern}{option})"
        inside = "IN" if self.contains else "NOT IN"
        return f"(domain, document) {inside} (SELECT (domain, document) FROM texts WHERE {found})"


Condition = Annotated[
    FeatureCondition
    | RuleCondition
    | DuplicateCondition
    | LanguageCondition
    | DomainCondition
    | TextCondition,
    Field(discriminator="kind"),
]


class Filter(BaseModel):
    """Which documents are kept, and who says so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = "unsaved"
    note: str = ""
    match: Literal["all", "any"] = "all"
    """A document is kept where all conditions hold, or where any does."""
    conditions: tuple[Condition, ...] = ()
    sql: str | None = Field(default=None, max_length=10_000)
    """Instead of conditions: an expression over the view `documents`, true for what is kept."""
    domains: tuple[Words, ...] = ()
    """The domains that the filter applies to, all when empty; documents of the others are kept."""
    revision: int = Field(default=0, ge=0)
    """0: never saved."""
    saved_at: AwareDatetime | None = None
    by: str = ""

    @model_validator(mode="after")
    def _one_way(self) -> Filter:
        if bool(self.conditions) == (self.sql is not None and bool(self.sql.strip())):
            raise ValueError("a filter has either conditions or an SQL predicate, and one of them")
        return self


def predicate(chosen: Filter) -> str:
    """SQL over the view `documents` that is true for the documents that a filter keeps, and false else.

    A filter that reads texts (`reads_texts`) also needs the view `texts`, which `sql.add_texts` adds.

    Raises:
        CausalMixError: a text to look for holds a zero character, or the expert's predicate is not an
            expression of its own (see `check_filter`).
    """
    if chosen.sql is not None:
        with duckdb.connect() as con:
            _check_expression(con, chosen.sql)
        wanted = f"\n{chosen.sql}\n"  # a line of its own: it may end with a comment
    else:
        between = " AND " if chosen.match == "all" else " OR "
        wanted = between.join(f"({condition.sql()})" for condition in chosen.conditions)
    kept = f"coalesce(({wanted}), TRUE)"
    if chosen.domains:
        return f"(domain {_among(False, chosen.domains)} OR {kept})"
    return kept


def reads_texts(chosen: Filter) -> bool:
    """Whether a filter looks at the texts themselves, which takes seconds instead of milliseconds."""
    return any(isinstance(condition, TextCondition) for condition in chosen.conditions)


def check_filter(con: duckdb.DuckDBPyConnection, chosen: Filter) -> None:
    """Refuse a filter that does not fit the snapshot behind a connection.

    An expert's predicate must be one expression that is true or false for a document by itself: no
    subquery, window or aggregate, no function whose value changes from call to call.

    Raises:
        CausalMixError: names the domain, feature, rule or part of the predicate.
    """
    columns = columns_of(con)
    for domain in chosen.domains:
        columns.check_domain(domain)
    for condition in chosen.conditions:
        _check_condition(con, columns, condition)
    if chosen.sql is not None:
        _check_expression(con, chosen.sql)
        try:
            with time_limit(con, 5, "Write a simpler predicate."):
                # Once to learn its type, once where aggregates are refused.
                described = con.execute(
                    f"DESCRIBE SELECT (\n{chosen.sql}\n) FROM documents WHERE (\n{chosen.sql}\n)"
                ).fetchall()
        except duckdb.Error as error:
            raise CausalMixError(f"The predicate does not fit the snapshot: {said(error)}") from error
        if described[0][1] != "BOOLEAN":
            raise CausalMixError(
                f"The predicate gives a value of type {described[0][1]}, not true or false. Compare it with "
                "something, such as words > 50."
            )


def preview(con: duckdb.DuckDBPyConnection, chosen: Filter) -> pd.DataFrame:
    """What a filter keeps and throws away in each domain.

    Args:
        con: connection of the snapshot; with the view `texts` if the filter reads texts.
        chosen: the filter.

    Returns:
        One row per domain, sorted: domain, documents, kept, dropped, bytes_kept, bytes_dropped,
        tokens_kept, tokens_dropped.

    Raises:
        CausalMixError: the filter does not fit the snapshot, or takes too long.
    """
    check_filter(con, chosen)
    sums = ", ".join(
        f"coalesce(sum({unit}) FILTER (WHERE {test}), 0)::BIGINT AS {unit}_{name}"
        for unit in ("bytes", "tokens")
        for name, test in (("kept", "kept"), ("dropped", "NOT kept"))
    )
    return _asked(
        con,
        "SELECT domain, count(*) AS documents, count_if(kept)::BIGINT AS kept, "
        f"count_if(NOT kept)::BIGINT AS dropped, {sums} "
        f"FROM (SELECT domain, bytes, tokens, {predicate(chosen)} AS kept FROM documents) "
        "GROUP BY domain ORDER BY domain",
    ).df()


def examples(
    snapshot: Snapshot,
    con: duckdb.DuckDBPyConnection,
    chosen: Filter,
    kept: bool,
    n: int = 20,
    seed: int = 0,
    characters: int = SHOWN_CHARACTERS,
) -> pd.DataFrame:
    """Some documents that a filter keeps, or some that it throws away, in random order.

    Documents of domains that the filter does not apply to are not shown.

    Returns:
        At most `n` rows as `explore.page` has them; the same seed gives the same documents.

    Raises:
        CausalMixError: as `preview`, or a file of texts is damaged.
    """
    check_filter(con, chosen)
    if n < 0:
        raise CausalMixError(f"Cannot show {n} documents.")
    test = predicate(chosen) if kept else f"NOT {predicate(chosen)}"
    scope = f" AND domain {_among(True, chosen.domains)}" if chosen.domains else ""
    keys = _asked(
        con,
        f"SELECT domain, document FROM documents WHERE {test}{scope} "
        f"ORDER BY hash({int(seed)}, domain, document), domain, document LIMIT {int(n)}",
    ).df()
    return document_rows(snapshot, con, keys, characters)


def kept_documents(con: duckdb.DuckDBPyConnection, chosen: Filter, domain: str) -> NDArray[np.int64]:
    """Numbers of the documents of a domain that a filter keeps, ascending.

    Args:
        con: connection of the snapshot; with the view `texts` if the filter reads texts.
        chosen: the filter.
        domain: one of the snapshot's domains, whether or not the filter applies to it.

    Raises:
        CausalMixError: there is no such domain, or the filter does not fit the snapshot.
    """
    check_filter(con, chosen)
    columns_of(con).check_domain(domain)
    found = _asked(
        con,
        f"SELECT document FROM documents WHERE domain = {literal(domain)} AND {predicate(chosen)} "
        "ORDER BY document",
        seconds=None,
    ).fetchnumpy()["document"]
    return np.asarray(found, np.int64)


def filter_names(workspace: Workspace) -> list[str]:
    """Names of the saved filters, sorted."""
    return sorted(p.stem for p in workspace.filters.glob("*.json") if not p.name.startswith("."))


def load_filter(workspace: Workspace, name: str) -> Filter:
    """Read a saved filter.

    Raises:
        CausalMixError: there is none of this name, or its file is damaged.
    """
    path = workspace.filters / f"{_checked(name)}.json"
    try:
        return Filter.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        known = ", ".join(filter_names(workspace)) or "none yet"
        raise CausalMixError(f"There is no filter named {name}. Saved filters: {known}.") from error
    except OSError as error:
        raise CausalMixError(f"Cannot read {path}: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise CausalMixError(
            f"{path} is damaged: {where}: {first['msg']}. Restore the file from a backup, or remove it."
        ) from error


def save_filter(workspace: Workspace, chosen: Filter, *, parent: int | None, by: str) -> Filter:
    """Write a filter as the revision after `parent`.

    Args:
        workspace: where to save.
        chosen: what to save; revision, time and author are set here.
        parent: the revision that the user saw, None when the name is new to them.
        by: who saves.

    Returns:
        The filter as saved.

    Raises:
        CausalMixError: the name cannot be a file name, the predicate is no expression, or somebody saved
            another revision meanwhile; then nothing is overwritten.
    """
    predicate(chosen)
    path = workspace.filters / f"{_checked(chosen.name)}.json"
    with FileLock(workspace.filters / ".lock", timeout=10):
        current = load_filter(workspace, chosen.name).revision if path.exists() else None
        if current != parent:
            seen = f"revision {parent}" if parent else "no filter of this name"
            there = f"is at revision {current} now" if current else "is not saved any more"
            raise CausalMixError(
                f"Filter {chosen.name} {there}, but you worked from {seen}. Nothing was overwritten: save "
                "under another name, or reload to see what there is."
            )
        saved = chosen.model_copy(
            update={"revision": (current or 0) + 1, "saved_at": datetime.now(UTC), "by": by}
        )
        write_atomic(path, saved.model_dump_json(indent=2))
    return saved


def _checked(name: str) -> str:
    try:
        return check_name(name)
    except ValueError as error:
        raise CausalMixError(f"{error}.") from error


def _number(value: float) -> str:
    """A number as SQL reads it in the precision of the column it is compared with: 0.3, not 0.3::DOUBLE.

    A ratio stored as FLOAT would never equal the DOUBLE of the same digits.
    """
    if value == 0 or 1e-9 <= abs(value) < 1e15:
        return format(Decimal(repr(value)), "f")
    return f"{value!r}::DOUBLE"


def _among(among: bool, values: tuple[str, ...]) -> str:
    return f"{'IN' if among else 'NOT IN'} ({', '.join(map(literal, values))})"


def _asked(
    con: duckdb.DuckDBPyConnection, sql: str, seconds: float | None = SEARCH_SECONDS
) -> duckdb.DuckDBPyConnection:
    """Run a query with a filter in it; what fails now depends on values, such as a cast."""
    try:
        if seconds is None:
            return con.execute(sql)
        with time_limit(con, seconds, "Apply the filter to fewer domains, or make it simpler."):
            return con.execute(sql)
    except duckdb.CatalogException:
        raise
    except duckdb.Error as error:
        raise CausalMixError(f"The filter cannot be applied: {said(error)}") from error


def _check_condition(con: duckdb.DuckDBPyConnection, columns: Columns, condition: Condition) -> None:
    if isinstance(condition, FeatureCondition):
        columns.check_feature(condition.feature)
    elif isinstance(condition, RuleCondition):
        columns.check_rule(condition.rule)
    elif isinstance(condition, DomainCondition):
        for domain in condition.domains:
            columns.check_domain(domain)
    elif isinstance(condition, TextCondition):
        text_condition(con, condition.search)


def _check_expression(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Refuse what is not exactly one expression, by the tree that DuckDB's parser makes of it."""
    # Without parentheses around it, so that none can be closed inside.
    query = f"SELECT count(*) FROM documents WHERE\n{sql}\n"
    try:
        query.encode()
        row = con.execute("SELECT json_serialize_sql(?)", [query]).fetchone()
    except (duckdb.Error, UnicodeEncodeError) as error:
        raise CausalMixError("The predicate is no text that SQL can hold.") from error
    tree: dict[str, Any] = json.loads(row[0]) if row else {"error": True}
    if tree["error"]:
        raise CausalMixError(
            f"The predicate is not an SQL expression: {tree.get('error_message', 'it cannot be read')}. "
            "Write what is kept, such as words > 50 AND NOT near_duplicate."
        )
    node = tree["statements"][0]["node"]
    extra = [
        key for key in ("modifiers", "group_expressions", "having", "sample", "qualify") if node.get(key)
    ]
    if (
        len(tree["statements"]) != 1
        or node.get("type") != "SELECT_NODE"
        or extra
        or node["from_table"].get("table_name") != "documents"
        or not node.get("where_clause")
    ):
        raise CausalMixError("The predicate is more than one expression. Write only what follows WHERE.")
    changing = _changing_functions(con)
    for part in _parts(node["where_clause"]):
        if part.get("class") in ("SUBQUERY", "WINDOW", "PARAMETER"):
            raise CausalMixError(
                f"The predicate holds a {part['class'].lower()}. It must decide about each document by the "
                "document's own columns."
            )
        name = str(part.get("function_name") or (part.get("column_names") or [""])[-1]).lower()
        if name in (changing if part.get("class") == "FUNCTION" else _CLOCKS):
            raise CausalMixError(
                f"The predicate calls {name}, which gives another value every time, so nobody could repeat "
                "the filter. Use the columns of the documents only."
            )


def _changing_functions(con: duckdb.DuckDBPyConnection) -> set[str]:
    rows = con.execute(
        "SELECT DISTINCT lower(function_name) FROM duckdb_functions() "
        "WHERE stability IN ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')"
    ).fetchall()
    return {row[0] for row in rows}


def _parts(tree: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401  # whatever JSON holds
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _parts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _parts(value)

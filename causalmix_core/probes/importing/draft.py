"""From tables and a mapping to rows of our run table, and everything that is wrong, before writing.

Rules of a row (its weights, its outcomes, its twin in the other file) make it bad and name file and line;
rules of the whole table (no weights, an outcome without a direction) refuse the import. What was changed or
looks odd is a notice. Nothing is left out silently.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from causalmix_core.errors import CausalMixError
from causalmix_core.probes.importing.checking import RowChecker, listed
from causalmix_core.probes.importing.files import RowProblem
from causalmix_core.probes.importing.joining import join
from causalmix_core.probes.importing.mapping import ColumnMapping, kind_of
from causalmix_core.probes.importing.names import UNKNOWN
from causalmix_core.probes.importing.protocol import FormatName, Tables
from causalmix_core.probes.runs import STATE, WEIGHT

SOURCE_RUN = "source_run"
"""Column with the name that a run had where it came from."""
_MOST_NAMED = 5


@dataclass(frozen=True)
class ImportDraft:
    """Runs from elsewhere, read and checked, not saved.

    Attributes:
        format: of the files.
        mapping: what their columns were taken for.
        frame: the rows without a problem: `source_run`, weights that sum to one, states, outcomes.
        preview: every row that could be read, in the order of the files, with `line` and what is wrong with
            it in `problem`.
        problems: what is wrong with single rows; they may be skipped.
        refusals: what is wrong with the whole; it must be mended.
        notices: what was changed or looks odd.
    """

    format: FormatName
    mapping: ColumnMapping
    frame: pd.DataFrame = field(repr=False)
    preview: pd.DataFrame = field(repr=False)
    problems: tuple[RowProblem, ...] = ()
    refusals: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def domains(self) -> list[str]:
        """Names of the domains, sorted."""
        return sorted(c.removeprefix(WEIGHT) for c in self.frame.columns if c.startswith(WEIGHT))

    @property
    def outcomes(self) -> list[str]:
        """Outcome columns."""
        return [c for c in self.frame.columns if kind_of(c) == "outcome"]

    @property
    def bad_rows(self) -> int:
        """How many rows have a problem."""
        return len({(p.file, p.line) for p in self.problems})

    def content(self) -> str:
        """A hash of the weights, states and outcomes, whatever the order of rows and columns."""
        columns = sorted(c for c in self.frame.columns if c != SOURCE_RUN)
        rows = sorted(map(repr, self.frame[columns].astype(float).to_numpy().tolist()))
        return hashlib.sha256("\n".join([*columns, *rows]).encode()).hexdigest()

    def usable(self, *, skip_bad_rows: bool = False) -> ImportDraft:
        """The draft as it may be saved.

        Args:
            skip_bad_rows: leave rows with a problem out, and count them in a notice.

        Raises:
            CausalMixError: the whole is refused, a row has a problem and is not to be skipped, or no row
                is left.
        """
        if self.refusals:
            raise CausalMixError(" ".join(self.refusals))
        if self.problems and not skip_bad_rows:
            raise CausalMixError(
                f"{self.bad_rows} rows cannot be used. {_first(self.problems)} Mend them, or skip bad rows."
            )
        if self.frame.empty:
            raise CausalMixError(f"No row is left to import. {_first(self.problems)}")
        if not self.problems:
            return self
        skipped = f"{self.bad_rows} bad rows were skipped. {_first(self.problems)}"
        return replace(self, notices=(*self.notices, skipped.strip()))


def make_draft(format: FormatName, tables: Tables, mapping: ColumnMapping) -> ImportDraft:
    """Apply a mapping to tables and check every row.

    Args:
        format: of the files, for the record.
        tables: as an importer read them.
        mapping: what their columns mean.
    """
    refusals = _refusals(tables, mapping)
    joined = join(tables, mapping)
    problems = [p for table in tables.values() for p in table.problems] + list(joined.problems)
    checker = RowChecker(tables, mapping)
    rows = [checker.check(row) for row in joined.rows]
    problems += checker.problems
    columns = [SOURCE_RUN, *checker.weights, *checker.states, *checker.outcomes]
    every = pd.DataFrame([r.values for r in rows], columns=pd.Index(columns))
    every = every.astype({c: float for c in columns if c != SOURCE_RUN})
    good = np.array([not row.words for row in rows], dtype=bool)
    preview = every.assign(line=[row.line for row in rows], problem=[" ".join(row.words) for row in rows])
    frame = every[good].reset_index(drop=True) if len(every) else every
    notices = [n for table in tables.values() for n in table.notices]
    notices += [*checker.notices(), *_unused(tables, mapping), *_oddities(frame, checker)]
    if checker.disagree and not mapping.missing_is_zero:
        notices.append(
            f"The runs disagree on domains: {listed(checker.disagree)} has no weight in some. If a missing "
            "domain means that a run read nothing of it, say that missing is zero."
        )
    return ImportDraft(
        format=format,
        mapping=mapping,
        frame=frame,
        preview=preview[["line", "problem", *columns]],
        problems=tuple(sorted(problems, key=lambda p: (p.file, p.line))),
        refusals=tuple(refusals),
        notices=tuple(notices),
    )


def _refusals(tables: Tables, mapping: ColumnMapping) -> list[str]:
    found = []
    kinds: dict[str | None, list[str]] = defaultdict(list)
    for role, targets in mapping.columns.items():
        if role not in tables:
            found.append(f"The mapping speaks of the {role}, but no such file was given.")
            continue
        absent = [h for h in targets if h not in tables[role].columns]
        if absent:
            found.append(f"{tables[role].file} has no column {', '.join(absent[:_MOST_NAMED])}.")
        for header, target in targets.items():
            if header not in absent:
                kinds[kind_of(target)].append(target)
    every = [t for kind, group in kinds.items() if kind is not None for t in group]
    twice = sorted(t for t, n in Counter(every).items() if n > 1)
    if twice:
        found.append(f"{', '.join(twice)} is in both files. Leave it out of one.")
    if len(kinds["weight"]) < 2:
        found.append(
            "No mixtures were found: name at least two columns that are weights, such as weight/code."
        )
    if not kinds["outcome"] and not kinds["unknown"]:
        found.append("No outcome was found: name a column, such as loss/code or benchmark/arc.")
    if kinds["unknown"]:
        names = [t.removeprefix(UNKNOWN) for t in kinds["unknown"]]
        found.append(
            f"It is not known whether {listed(names)} should be high or low. Say which is better when "
            "lower and which when higher, or leave it out."
        )
    return found


def _unused(tables: Tables, mapping: ColumnMapping) -> list[str]:
    found = []
    for role, table in tables.items():
        rest = [c for c in table.columns if c not in mapping.columns.get(role, {})]
        if rest:
            found.append(f"{table.file}: {len(rest)} columns are not used: {listed(rest)}.")
    return found


def _oddities(frame: pd.DataFrame, checker: RowChecker) -> list[str]:
    """What is allowed but will disappoint."""
    if frame.empty:
        return []
    found = []
    values = frame.drop(columns=SOURCE_RUN)
    same = [c for c in values.columns if values[c].notna().any() and values[c].nunique(dropna=True) == 1]
    if len(frame) > 1:
        for words, prefixes in (
            ("is the same in every run, so nothing can be learned of it", (STATE,)),
            ("is the same in every run, so no effect on it can be seen", tuple(checker.outcomes)),
            ("has the same weight in every run, so no effect of it can be seen", (WEIGHT,)),
        ):
            named = [c for c in same if c.startswith(prefixes)] if prefixes else []
            if named:
                found.append(f"{listed(named)} {words}.")
    features = len(checker.weights) + len(checker.states)
    if len(frame) <= features:
        found.append(
            f"{len(frame)} runs are no more than the {features} weights and pool states; effects need more."
        )
    return found


def _first(problems: Iterable[RowProblem]) -> str:
    every = list(problems)
    more = f" And {len(every) - _MOST_NAMED} more." if len(every) > _MOST_NAMED else ""
    return " ".join(map(str, every[:_MOST_NAMED])) + more

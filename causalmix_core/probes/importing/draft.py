"""From tables and a mapping to rows of our run table, with everything that is wrong, before anything is written.

Rules of a row (its weights, its outcomes, its twin in the other file) make it bad and name file and line; rules of
the whole table (no weights, an outcome without a direction) refuse the import. What was changed or looks odd is a
notice. Nothing is left out silently.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from causalmix_core.errors import CausalMixError
from causalmix_core.probes.importing.files import FileRole, RowProblem, SourceTable
from causalmix_core.probes.importing.joining import Joined, Row, join
from causalmix_core.probes.importing.mapping import RUN, STATUS, ColumnMapping, kind_of
from causalmix_core.probes.importing.names import UNKNOWN
from causalmix_core.probes.importing.protocol import FormatName, Tables
from causalmix_core.probes.outcomes import LOSS
from causalmix_core.probes.runs import STATE, WEIGHT

SUM_TOLERANCE = 0.005
"""How far the weights of a row may be from summing to one; so much is rounding and is divided out."""
EXACT = 1e-9
SOURCE_RUN = "source_run"
"""Column with the name that a run had where it came from."""
ENDED_WELL = frozenset({"finished", "completed", "complete", "success", "succeeded", "ok", "done"})
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
                f"{self.bad_rows} rows cannot be used. {_listed(self.problems)} Mend them, or skip bad rows."
            )
        if self.frame.empty:
            raise CausalMixError(f"No row is left to import. {_listed(self.problems)}")
        if not self.problems:
            return self
        skipped = f"{self.bad_rows} bad rows were skipped. {_listed(self.problems)}"
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
    checker = _Checker(tables, mapping)
    rows = [checker.check(row) for row in joined.rows]
    problems += checker.problems
    columns = [SOURCE_RUN, *checker.weights, *checker.states, *checker.outcomes]
    every = pd.DataFrame([r.values for r in rows], columns=pd.Index(columns))
    every = every.astype({c: float for c in columns if c != SOURCE_RUN})
    words = {row.line: " ".join(row.words) for row in rows}
    good = np.array([not row.words for row in rows], dtype=bool)
    preview = every.assign(line=[row.line for row in rows], problem=[words[row.line] for row in rows])
    frame = every[good].reset_index(drop=True) if len(every) else every
    notices = [n for table in tables.values() for n in table.notices]
    notices += [*checker.notices(), *_unused(tables, mapping), *_oddities(frame, checker)]
    if checker.disagree and not mapping.missing_is_zero:
        notices.append(
            f"The runs disagree on domains: {_names(checker.disagree)} has no weight in some. If a missing "
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


@dataclass
class _Checked:
    line: int
    values: list[object]
    words: list[str]


class _Checker:
    """Turns rows into values of the run table; remembers what it changed and what is wrong."""

    def __init__(self, tables: Tables, mapping: ColumnMapping) -> None:
        self.mapping = mapping
        self.where: dict[str, tuple[FileRole, str]] = {}
        for role, table in tables.items():
            for header, target in mapping.columns.get(role, {}).items():
                if header in table.columns:
                    self.where[target if target not in (RUN, STATUS) else f"{role}:{target}"] = (role, header)
        self.files = {role: table.file for role, table in tables.items()}
        self.weights = sorted(t for t in self.where if kind_of(t) == "weight")
        self.states = sorted(t for t in self.where if kind_of(t) == "state")
        self.outcomes = sorted(t for t in self.where if kind_of(t) in ("outcome", "unknown"))
        self.problems: list[RowProblem] = []
        self.divided: list[float] = []
        self.filled = 0
        self.disagree: set[str] = set()
        self.absent: Counter[str] = Counter()
        self._seen: dict[tuple[float, ...], str] = {}

    def check(self, row: Row) -> _Checked:
        """One row: its values, NaN where one is wrong, and what is wrong."""
        words: dict[FileRole, list[str]] = defaultdict(list)
        ended = [row.text(role, header) for t, (role, header) in self.where.items() if t.endswith(f":{STATUS}")]
        if bad := next((e for e in ended if e and e.lower() not in ENDED_WELL), None):
            words[next(iter(row.lines))].append(f"the run is {bad}.")
        values = {t: self._weight(t, row, words) for t in self.weights}
        values |= {t: self._state(t, row, words) for t in self.states}
        values |= {t: self._outcome(t, row, words) for t in self.outcomes}
        if not words and self.weights:
            self._sum(row, values, words)
        if not words:
            self._twin(row, values, words)
        for role, several in words.items():
            self.problems.append(RowProblem(self.files[role], row.lines[role], " ".join(several)))
        said = [w for several in words.values() for w in several]
        first = next(iter(row.lines.values()))
        return _Checked(first, [row.name, *values.values()], said)

    def _weight(self, target: str, row: Row, words: dict[FileRole, list[str]]) -> float:
        role, header = self.where[target]
        value = row.number(role, header)
        if value is None:
            self.disagree.add(target.removeprefix(WEIGHT))
            if self.mapping.missing_is_zero:
                self.filled += 1
                return 0.0
            words[role].append(f"{header} is empty: no weight of {target.removeprefix(WEIGHT)}.")
            return math.nan
        if not math.isfinite(value) or value < 0:
            words[role].append(f"{header} is {row.text(role, header)}; a weight is a number from 0 to 1.")
        return value

    def _state(self, target: str, row: Row, words: dict[FileRole, list[str]]) -> float:
        role, header = self.where[target]
        value = row.number(role, header)
        if value is None or not math.isfinite(value):
            shown = "empty" if value is None else row.text(role, header)
            words[role].append(f"{header} is {shown}; a pool state is a finite number.")
        return math.nan if value is None else value

    def _outcome(self, target: str, row: Row, words: dict[FileRole, list[str]]) -> float:
        role, header = self.where[target]
        value = row.number(role, header)
        if value is None and not target.startswith(LOSS):
            self.absent[target] += 1
            return math.nan
        if value is None or not math.isfinite(value):
            shown = "empty" if value is None else row.text(role, header)
            words[role].append(f"{header} is {shown}; an outcome is a finite number.")
        return math.nan if value is None else value

    def _sum(self, row: Row, values: dict[str, float], words: dict[FileRole, list[str]]) -> None:
        total = math.fsum(values[t] for t in self.weights)
        role = self.where[self.weights[0]][0]
        if abs(total - 1) > SUM_TOLERANCE + EXACT:
            percent = " Give weights from 0 to 1, not percent." if abs(total - 100) <= 1 else ""
            words[role].append(f"the weights sum to {total:.4f}, not to 1.{percent}")
        elif abs(total - 1) > EXACT:
            self.divided.append(total)
            for t in self.weights:
                values[t] /= total

    def _twin(self, row: Row, values: dict[str, float], words: dict[FileRole, list[str]]) -> None:
        key = tuple(-1.0 if math.isnan(v) else round(v, 12) for v in values.values())
        role, line = next(reversed(row.lines.items()))
        first = self._seen.setdefault(key, f"line {line}")
        if first != f"line {line}":
            words[role].append(f"repeats {first}: the same mixture, pool state and outcomes.")

    def notices(self) -> list[str]:
        """What was changed, in words."""
        found = []
        if self.divided:
            found.append(
                f"The weights of {len(self.divided)} rows summed to {min(self.divided):.4f} to "
                f"{max(self.divided):.4f} and were divided by their sums."
            )
        if self.filled:
            found.append(f"{self.filled} empty weights of {_names(self.disagree)} were read as zero.")
        found += [
            f"{target} is empty in {count} rows; effects use an outcome only if all runs have it."
            for target, count in self.absent.items()
        ]
        return found


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
    every = [t for group in kinds.values() for t in group]
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
            f"It is not known whether {_names(names)} should be high or low. Say which is lower-is-better and "
            "which higher-is-better, or leave it out."
        )
    return found


def _unused(tables: Tables, mapping: ColumnMapping) -> list[str]:
    found = []
    for role, table in tables.items():
        rest = [c for c in table.columns if c not in mapping.columns.get(role, {})]
        if rest:
            found.append(f"{table.file}: {len(rest)} columns are not used: {_names(rest)}.")
    return found


def _oddities(frame: pd.DataFrame, checker: _Checker) -> list[str]:
    """What is allowed but will disappoint."""
    if frame.empty:
        return []
    found = []
    values = frame.drop(columns=SOURCE_RUN)
    same = [c for c in values if values[c].notna().any() and values[c].nunique(dropna=True) == 1]
    if len(frame) > 1:
        for words, prefixes in (
            ("is the same in every run, so nothing can be learned of it", (STATE,)),
            ("is the same in every run, so no effect on it can be seen", tuple(checker.outcomes)),
            ("has the same weight in every run, so no effect of it can be seen", (WEIGHT,)),
        ):
            named = [c for c in same if c.startswith(prefixes)] if prefixes else []
            if named:
                found.append(f"{_names(named)} {words}.")
    features = len(checker.weights) + len(checker.states)
    if len(frame) <= features:
        found.append(
            f"{len(frame)} runs are fewer than the {features} weights and pool states; effects need more runs."
        )
    return found


def _listed(problems: Iterable[RowProblem]) -> str:
    every = list(problems)
    more = f" And {len(every) - _MOST_NAMED} more." if len(every) > _MOST_NAMED else ""
    return " ".join(map(str, every[:_MOST_NAMED])) + more


def _names(names: Iterable[str]) -> str:
    every = list(names) if not isinstance(names, (set, frozenset)) else sorted(names)
    more = f" and {len(every) - _MOST_NAMED} more" if len(every) > _MOST_NAMED else ""
    return ", ".join(every[:_MOST_NAMED]) + more

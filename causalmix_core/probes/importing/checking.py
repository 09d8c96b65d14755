"""The rules that every row of an import must keep, whatever format it came from.

A row whose weights do not sum to one, whose outcome is no number, or that repeats another is bad, and what is
said of it names file and line. What is only rounding is divided out, and counted.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from causalmix_core.probes.importing.files import FileRole, RowProblem
from causalmix_core.probes.importing.joining import Row
from causalmix_core.probes.importing.mapping import RUN, STATUS, ColumnMapping, kind_of
from causalmix_core.probes.importing.protocol import Tables
from causalmix_core.probes.outcomes import LOSS
from causalmix_core.probes.runs import WEIGHT

SUM_TOLERANCE = 0.005
"""How far the weights of a row may be from summing to one; so much is rounding and is divided out."""
EXACT = 1e-9
ENDED_WELL = frozenset({"finished", "completed", "complete", "success", "succeeded", "ok", "done"})
_MOST_NAMED = 5


@dataclass
class CheckedRow:
    """A row as values of the run table.

    Attributes:
        line: where it stands in the first file.
        values: the run's own name, weights, states, outcomes; NaN where one is wrong.
        words: what is wrong with it.
    """

    line: int
    values: list[object]
    words: list[str]


class RowChecker:
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

    def check(self, row: Row) -> CheckedRow:
        """One row: its values, NaN where one is wrong, and what is wrong."""
        words: dict[FileRole, list[str]] = defaultdict(list)
        ended = [
            row.text(role, header) for t, (role, header) in self.where.items() if t.endswith(f":{STATUS}")
        ]
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
        return CheckedRow(first, [row.name, *values.values()], said)

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
            found.append(f"{self.filled} empty weights of {listed(self.disagree)} were read as zero.")
        found += [
            f"{target} is empty in {count} rows; effects use an outcome only if all runs have it."
            for target, count in self.absent.items()
        ]
        return found


def listed(names: Iterable[str]) -> str:
    """Names in a sentence; of many, the first few and how many more."""
    every = list(names) if not isinstance(names, (set, frozenset)) else sorted(names)
    more = f" and {len(every) - _MOST_NAMED} more" if len(every) > _MOST_NAMED else ""
    return ", ".join(every[:_MOST_NAMED]) + more

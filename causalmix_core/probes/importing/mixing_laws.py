"""The text files of Data Mixing Laws: one line per checkpoint and validation set, the mixture in the path.

A line is `<folder>/<model>_<number>-<weight>-<weight>-.../<step>`, a tab, the path of a validation set
(`.../pythia-pile.valid.Github.bin`), a tab, and the loss (Ye et al. 2024, arXiv 2403.16952,
github.com/yegcjs/mixinglaws). The weights have an order but no names, so the domains are called `domain-1`,
`domain-2`, ... until somebody names them. Lines come in any order and may be repeated.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass

import pandas as pd

from causalmix_core.errors import CausalMixError
from causalmix_core.probes.importing.files import FileRole, RowProblem, SourceFile, SourceTable, as_number
from causalmix_core.probes.importing.guessing import label_targets
from causalmix_core.probes.importing.mapping import ColumnMapping
from causalmix_core.probes.importing.names import clean_name
from causalmix_core.probes.importing.protocol import Files, Tables
from causalmix_core.probes.outcomes import LOSS
from causalmix_core.probes.runs import WEIGHT, Assignment

_NUMBER = r"\d+(?:\.\d+)?"
_MIXTURE = re.compile(rf"(?:^|_)\d+((?:-{_NUMBER}){{2,}})$")
"""The end of a run's folder: its number, then its weights."""
WEIGHT_HEADER = "weight {}"
DOMAIN = "domain-{}"


@dataclass(frozen=True)
class _Point:
    run: str
    weights: tuple[float, ...]
    step: int
    measured: str
    loss: float
    line: int


class MixingLaws:
    """Reads the text files of Data Mixing Laws."""

    label = "Data Mixing Laws"
    summary = "A text file of lines `<run with its mixture>/<step>`, tab, validation set, tab, loss."
    roles: tuple[tuple[FileRole, ...], ...] = (("outcomes",),)
    assignment: Assignment = "observational"
    has_steps = True

    def read(self, files: Files, step: int | None = None) -> Tables:
        """One row per run, at one step: its name, its weights in order, and a column per validation set."""
        return {"outcomes": _table(files["outcomes"], step)}

    def guess(self, tables: Tables) -> ColumnMapping:
        """Weights by their place in the path; a loss per validation set."""
        table = tables["outcomes"]
        targets = label_targets(table, "run")
        count = sum(c.startswith("weight ") for c in table.columns)
        targets |= {WEIGHT_HEADER.format(i): WEIGHT + DOMAIN.format(i) for i in range(1, count + 1)}
        targets |= {c: LOSS + clean_name(c) for c in table.columns if c not in targets}
        return ColumnMapping(columns={"outcomes": targets}, assignment=self.assignment)


def _table(file: SourceFile, step: int | None) -> SourceTable:
    points, problems = _points(file)
    if not points:
        shown = f" {problems[0]}" if problems else ""
        raise CausalMixError(
            f"{file.name} holds no line of the form `<run>_<number>-<weight>-<weight>/<step>`, tab, "
            f"validation set, tab, loss.{shown}"
        )
    sizes = Counter(len(p.weights) for p in points)
    if len(sizes) > 1:
        odd = next(p for p in points if len(p.weights) == min(sizes, key=lambda k: sizes[k]))
        raise CausalMixError(
            f"{file.name}, line {odd.line}: {odd.run} has {len(odd.weights)} weights, but most runs have "
            f"{sizes.most_common(1)[0][0]}. Give runs over the same domains in one file."
        )
    chosen, notices = _chosen_step(file.name, points, step)
    sets = list(dict.fromkeys(p.measured for p in points))
    cells: dict[str, dict[str, object]] = {}
    lines: dict[str, int] = {}
    for p in points:
        if p.step != chosen:
            continue
        row = cells.setdefault(p.run, {"run": p.run, **_weight_cells(p)})
        lines.setdefault(p.run, p.line)
        if p.measured in row and row[p.measured] != p.loss:
            words = (
                f"{p.measured}: another line says {row[p.measured]} of this run and step, this one {p.loss}."
            )
            problems.append(RowProblem(file.name, p.line, words))
            row[p.measured] = math.nan
        row.setdefault(p.measured, p.loss)
    header = ["run", *(WEIGHT_HEADER.format(i) for i in range(1, max(sizes) + 1)), *sets]
    frame = pd.DataFrame(list(cells.values()), columns=pd.Index(header), dtype=object)
    frame = frame.where(frame.notna() | frame.map(lambda v: isinstance(v, float)), None)
    absent = len({p.run for p in points} - set(cells))
    if absent:
        notices.append(f"{file.name}: {absent} runs have no step {chosen} and are left out.")
    return SourceTable(file.name, frame, tuple(lines.values()), tuple(problems), tuple(notices))


def _weight_cells(point: _Point) -> dict[str, object]:
    return {WEIGHT_HEADER.format(i): w for i, w in enumerate(point.weights, start=1)}


def _points(file: SourceFile) -> tuple[list[_Point], list[RowProblem]]:
    points: list[_Point] = []
    problems: list[RowProblem] = []
    for number, line in enumerate(file.text().splitlines(), start=1):
        if not line.strip():
            continue
        found = _point(line, number)
        if isinstance(found, str):
            problems.append(RowProblem(file.name, number, found))
        else:
            points.append(found)
    return points, problems


def _point(line: str, number: int) -> _Point | str:
    """A line as a point, or what is wrong with it."""
    fields = line.split()
    if len(fields) != 3:
        return f"{len(fields)} fields, but a line has three: run and step, validation set, loss."
    path, measured, loss = fields
    folders = [part for part in path.split("/") if part]
    if len(folders) < 2 or not folders[-1].isdigit():
        return f"{path} does not end in `<run>/<step>`."
    mixture = _MIXTURE.search(folders[-2])
    if mixture is None:
        return f"{folders[-2]} holds no mixture: it does not end in `_<number>-<weight>-<weight>...`."
    weights = tuple(float(w) for w in mixture.group(1)[1:].split("-"))
    value = as_number(loss)
    file = measured.rstrip("/").split("/")[-1].split(".")
    name = file[-2] if len(file) > 1 else file[0]
    return _Point(folders[-2], weights, int(folders[-1]), name, math.nan if value is None else value, number)


def _chosen_step(file: str, points: list[_Point], wanted: int | None) -> tuple[int, list[str]]:
    """The step to read: the wanted one, else the last that the most runs have."""
    runs: dict[int, set[str]] = defaultdict(set)
    for p in points:
        runs[p.step].add(p.run)
    if wanted is not None:
        if wanted not in runs:
            near = ", ".join(map(str, sorted(runs, key=lambda s: abs(s - wanted))[:5]))
            raise CausalMixError(f"{file} has no step {wanted}. Nearest steps: {near}.")
        return wanted, []
    chosen = max(runs, key=lambda s: (len(runs[s]), s))
    return chosen, [
        f"{file}: step {chosen} is read, the last that the most runs have; choose another if needed."
    ]

"""What each column of somebody else's table means, as a person or a guess has said it.

A mapping is a small YAML or JSON file, so that an import can be repeated and reviewed:

    columns:
      table:
        run_name: run
        mix.code: weight/code
        mix.web: weight/web
        dup_rate: state/dup_rate
        eval/loss_code: loss/code
        eval/arc: benchmark/arc
    assignment: observational

Targets are columns of the run table; the prefix of an outcome says in which direction it is better.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from causalmix_core.errors import CausalMixError
from causalmix_core.probes.importing.files import FileRole
from causalmix_core.probes.importing.names import UNKNOWN
from causalmix_core.probes.outcomes import direction_of
from causalmix_core.probes.runs import STATE, WEIGHT, Assignment
from causalmix_core.workspace import check_name

RUN = "run"
"""Target of the column that names the runs, by which two files are joined."""
STATUS = "status"
"""Target of the column that says how a run ended."""


class ColumnMapping(BaseModel):
    """What the columns of the files mean, and how their mixtures came about.

    Attributes:
        columns: for each file: header -> column of the run table, `run` or `status`. Headers that are
            not named are not used. `outcome/<name>` is an outcome whose direction is not known yet.
        assignment: how the mixtures were chosen.
        missing_is_zero: whether an empty weight means that the run read nothing of that domain.
        proxy: the model that was trained, in words; empty: the name of the import.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: dict[FileRole, dict[str, str]]
    assignment: Assignment = "observational"
    missing_is_zero: bool = False
    proxy: str = ""

    @field_validator("columns")
    @classmethod
    def _targets_fit(cls, columns: dict[FileRole, dict[str, str]]) -> dict[FileRole, dict[str, str]]:
        for role, targets in columns.items():
            for header, target in targets.items():
                if target not in (RUN, STATUS) and kind_of(target) is None:
                    raise ValueError(
                        f"{header!r} cannot become {target!r}: use run, status, weight/<domain>, "
                        "state/<feature>, loss/<name>, benchmark/<name> or benchmark-loss/<name>"
                    )
                if target not in (RUN, STATUS):
                    check_name(target.partition("/")[2])
            twice = [t for t, count in Counter(targets.values()).items() if count > 1]
            if twice:
                names = [h for h, t in targets.items() if t == twice[0]]
                raise ValueError(f"{' and '.join(names)} of the {role} cannot both become {twice[0]}")
        return columns

    def target(self, target: str, role: FileRole) -> str | None:
        """The header that becomes `target`; None where no column does."""
        return next((h for h, t in self.columns.get(role, {}).items() if t == target), None)

    def headers(self) -> dict[str, str]:
        """Header -> column of the run table, over all files, without run and status."""
        every = [item for targets in self.columns.values() for item in targets.items()]
        return {header: target for header, target in every if target not in (RUN, STATUS)}

    def with_targets(self, changed: dict[str, str]) -> ColumnMapping:
        """The same mapping with other targets for some columns of the run table.

        Raises:
            CausalMixError: two headers would get one target, or a target is none.
        """
        columns = {
            role: {header: changed.get(target, target) for header, target in targets.items()}
            for role, targets in self.columns.items()
        }
        return checked(self.model_dump() | {"columns": columns})


def kind_of(target: str) -> str | None:
    """`weight`, `state`, `outcome`, or `unknown` for an outcome without a direction; None: no such column."""
    if target.startswith(WEIGHT):
        return "weight"
    if target.startswith(STATE):
        return "state"
    if target.startswith(UNKNOWN):
        return "unknown"
    return "outcome" if direction_of(target) and not target.startswith("bpb/") else None


def checked(fields: object, source: str = "The mapping") -> ColumnMapping:
    """A mapping from what a file or a page holds.

    Raises:
        CausalMixError: a field is wrong; the message names it.
    """
    try:
        return ColumnMapping.model_validate(fields)
    except ValidationError as error:
        lines = [
            ": ".join(filter(None, (".".join(map(str, e["loc"])), e["msg"].removeprefix("Value error, "))))
            for e in error.errors()
        ]
        raise CausalMixError(f"{source} does not fit: {'; '.join(lines)}.") from error


def read_mapping(path: Path) -> ColumnMapping:
    """Read a mapping from a YAML or JSON file.

    Raises:
        CausalMixError: it cannot be read, or a field is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
        fields = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise CausalMixError(f"{path} cannot be read: {error.strerror}. Check the path.") from error
    except (ValueError, yaml.YAMLError) as error:
        raise CausalMixError(f"{path} is neither YAML nor JSON: {' '.join(str(error).split())}.") from error
    return checked(fields, str(path))


def mapping_yaml(mapping: ColumnMapping) -> str:
    """A mapping as YAML, to be edited and given back."""
    return yaml.safe_dump(mapping.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

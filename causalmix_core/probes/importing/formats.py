"""The formats that can be imported, and which of them some files are."""

from __future__ import annotations

from collections.abc import Sequence

from causalmix_core.errors import CausalMixError
from causalmix_core.probes.importing.files import FileRole, SourceFile, read_table
from causalmix_core.probes.importing.mixing_laws import MixingLaws
from causalmix_core.probes.importing.mlflow import MLflow
from causalmix_core.probes.importing.names import direction_in
from causalmix_core.probes.importing.olmix import Olmix
from causalmix_core.probes.importing.protocol import Files, FormatName, Importer, Tables
from causalmix_core.probes.importing.regmix import RegMix
from causalmix_core.probes.importing.table import AnyTable
from causalmix_core.probes.importing.wandb import WandB

IMPORTERS: dict[FormatName, Importer] = {
    "regmix": RegMix(),
    "olmix": Olmix(),
    "mixing-laws": MixingLaws(),
    "wandb": WandB(),
    "mlflow": MLflow(),
    "table": AnyTable(),
}
_WORDS: dict[FileRole, str] = {
    "mixtures": "the mixtures",
    "outcomes": "the outcomes",
    "table": "one table of both",
}


def read_files(format: FormatName, files: Files, step: int | None = None) -> Tables:
    """Read the files of a format as tables.

    Args:
        format: of the files.
        files: by role.
        step: as `Importer.read` takes it.

    Raises:
        CausalMixError: files are missing or not of this format, or a step is given where there is none.
    """
    importer = IMPORTERS[format]
    if set(files) not in [set(roles) for roles in importer.roles]:
        ways = " or ".join(" and ".join(_WORDS[r] for r in roles) for roles in importer.roles)
        given = " and ".join(_WORDS[r] for r in files) or "nothing"
        raise CausalMixError(f"{importer.label} needs {ways}; given is {given}. {importer.summary}")
    if step is not None and not importer.has_steps:
        raise CausalMixError(f"{importer.label} files hold one step of each run; leave the step out.")
    ordered = {role: files[role] for roles in importer.roles for role in roles if role in files}
    return importer.read(ordered, step)


def guess_format(files: Sequence[SourceFile]) -> tuple[FormatName, dict[FileRole, SourceFile]]:
    """Which format some files are of, and which file is what; `table` where nothing else fits.

    Args:
        files: one or two.

    Raises:
        CausalMixError: there are none or more than two, or one cannot be read.
    """
    if not 1 <= len(files) <= 2:
        raise CausalMixError("Give one file, or two: the mixtures and the outcomes.")
    if len(files) == 1:
        (file,) = files
        if file.name.lower().endswith(".txt"):
            return "mixing-laws", {"outcomes": file}
        headers = [c.lower() for c in read_table(file).columns]
        if any(h.startswith("params.") for h in headers):
            return "mlflow", {"table": file}
        tracked = any(h.startswith(("config.", "summary.")) for h in headers)
        if tracked or {"config", "summary"} <= set(headers) or {"name", "state", "sweep"} <= set(headers):
            return "wandb", {"table": file}
        return "table", {"table": file}
    columns = [read_table(file).columns for file in files]
    first, second = (_looks_like_outcomes(f.name, c) for f, c in zip(files, columns, strict=True))
    mixtures, outcomes = files if second >= first else files[::-1]
    roles: dict[FileRole, SourceFile] = {"mixtures": mixtures, "outcomes": outcomes}
    if any(h.startswith(("train_the_pile_", "metric/")) for found in columns for h in found):
        return "regmix", roles
    if all({h.lower() for h in found} & {"run", "run_id"} for found in columns):
        return "olmix", roles
    return "table", roles


def _looks_like_outcomes(name: str, headers: Sequence[str]) -> float:
    """How much a file looks like the one with the outcomes."""
    told = sum(direction_in(h) is not None for h in headers) / max(1, len(headers))
    words = ("metric", "loss", "outcome", "result", "eval")
    return told + 0.5 * any(w in name.lower() for w in words)

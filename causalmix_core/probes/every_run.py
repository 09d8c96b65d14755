"""Every probe of a workspace, whatever its snapshot, proxy or fate, with what a person wants to know of it.

Effects read `RunTable`, which holds only what compares. Here nothing is left out; each row says what effects
do with it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2s
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from causalmix_core.errors import CausalMixError
from causalmix_core.probes.exclusions import read_exclusions
from causalmix_core.probes.outcomes import BITS, LOSS, direction_of
from causalmix_core.probes.runs import STATE, TRAJECTORY, WEIGHT, read_rows, uses_of
from causalmix_core.proxy.spec import ProxySpec
from causalmix_core.workspace import write_atomic

OBJECTIVE = "objective"
PROXY_NAME = "proxy_name"
IDENTITY = (
    "run", "job", "probe", "status", "use", "excluded", "reason", "excluded_by", "excluded_at", PROXY_NAME,
    "assignment", "seed", "snapshot", "tokens", "finished_at", "version", "proxy", OBJECTIVE,
)  # fmt: skip
"""The first columns of `all_runs`; a row of another origin may have nothing in most of them."""
_LONGEST_NAME = 40
_Points = TypeAdapter(list[dict[str, float | None]])


def all_runs(
    runs_dir: Path,
    *,
    objective: Mapping[str, float] | None = None,
    snapshot: str | None = None,
    trajectories: bool = False,
) -> pd.DataFrame:
    """Every probe of a workspace as a table.

    Args:
        runs_dir: the workspace's `runs/`.
        objective: outcome -> importance; empty: all losses count the same.
        snapshot: the pool that effects are wanted for, which decides the column `use`; None: any.
        trajectories: whether to keep the column `trajectory` (see `read_rows`).

    Returns:
        One row per run, sorted by name. First the columns of `IDENTITY`: `use` is a `Use`, `excluded` and
        the columns after it say what a curator has said, `proxy_name` is the proxy in words, and `objective`
        the weighted mean of the losses, empty for a failed probe and where a loss that counts was not
        measured. Then the weights, the pool state, the losses and whatever else the files hold.

    Raises:
        CausalMixError: a run file or the file of exclusions is damaged.
    """
    frame = read_rows(runs_dir, trajectories=trajectories)
    marks = read_exclusions(runs_dir)
    own = [marks.get(run) for run in frame["run"]]
    names = proxy_names(frame["proxy"].dropna().unique()) if "proxy" in frame else {}
    derived: dict[str, Any] = {
        "use": uses_of(frame, snapshot, marks),
        "excluded": [mark is not None for mark in own],
        "reason": pd.Series([mark.reason if mark else None for mark in own], frame.index, "str"),
        "excluded_by": pd.Series([mark.by if mark else None for mark in own], frame.index, "str"),
        "excluded_at": pd.to_datetime(pd.Series([m.at if m else None for m in own], frame.index), utc=True),
        OBJECTIVE: objective_values(frame, objective or {}),
    }
    if "proxy" in frame:
        derived[PROXY_NAME] = frame["proxy"].map(names).astype("str")
    missing = {c: None for c in IDENTITY if c not in frame and c not in derived}
    frame = frame.assign(**derived, **missing)
    kinds = [sorted(c for c in frame.columns if c.startswith(kind)) for kind in (WEIGHT, STATE, LOSS)]
    known = [*IDENTITY, *(c for kind in kinds for c in kind)]
    return frame[[*known, *(c for c in frame.columns if c not in known)]]


def runs_csv(frame: pd.DataFrame) -> str:
    """A table of runs as CSV, without the trajectories, which are made for programs."""
    return frame.drop(columns=TRAJECTORY, errors="ignore").to_csv(index=False)


def runs_parquet(frame: pd.DataFrame) -> bytes:
    """A table of runs as Parquet."""
    return bytes(frame.to_parquet(index=False))


def write_runs(frame: pd.DataFrame, path: Path) -> None:
    """Write a table of runs as the file's ending says.

    Args:
        frame: as `all_runs` gives it.
        path: a `.csv` or a `.parquet`.

    Raises:
        CausalMixError: another ending, or the file system refuses.
    """
    kinds: dict[str, Callable[[pd.DataFrame], str | bytes]] = {".csv": runs_csv, ".parquet": runs_parquet}
    if path.suffix not in kinds:
        raise CausalMixError(f"{path}: runs are written as .csv or .parquet.")
    write_atomic(path, kinds[path.suffix](frame))


def objective_values(frame: pd.DataFrame, objective: Mapping[str, float]) -> pd.Series[float]:
    """The objective of each probe: the mean of its outcomes, weighted by their importance; lower is better.

    An outcome that is better when higher counts with a minus sign.

    Args:
        frame: rows of the run table.
        objective: outcome -> importance; empty: all losses that a probe has count the same.

    Returns:
        On the index of `frame`; NaN for a failed probe and where a loss that counts is missing.
    """
    shares = {o: share for o, share in objective.items() if share > 0}
    if shares:
        columns = frame.reindex(columns=list(shares)).astype(float)
        signs = {o: -share if direction_of(o) == "higher" else share for o, share in shares.items()}
        values = columns.mul(pd.Series(signs)).sum(axis=1, skipna=False) / sum(shares.values())
    else:
        values = frame[[c for c in frame.columns if c.startswith(LOSS)]].astype(float).mean(axis=1)
    finished = (frame["status"] == "finished") & np.isfinite(values.astype(float))
    return values.astype(float).where(finished).rename(OBJECTIVE)


def trajectories(runs_dir: Path, runs: Sequence[str]) -> pd.DataFrame:
    """How the held-out losses of some probes fell while they trained.

    Points before the last are measured on fewer held-out windows, the same for all probes of a swarm: they
    compare across probes, not with the last point.

    Args:
        runs_dir: the workspace's `runs/`.
        runs: names of runs; those without a trajectory, such as imported ones, are passed over.

    Returns:
        Columns run, tokens, domain, loss (nats per token), bpb (bits per byte; NaN where unknown); in the
        order of `runs`, by domain and growing tokens.

    Raises:
        CausalMixError: a run file is damaged, or a trajectory in it cannot be read.
    """
    rows = read_rows(runs_dir, runs, trajectories=True)
    found: list[tuple[str, int, str, float, float]] = []
    written = rows[TRAJECTORY] if TRAJECTORY in rows else pd.Series(None, rows.index, "object")
    for run, text in zip(rows["run"], written, strict=True):
        if not isinstance(text, str):
            continue
        try:
            points = _Points.validate_json(text)
            for point in points:
                for outcome in (c for c in point if c.startswith(LOSS)):
                    domain = outcome.removeprefix(LOSS)
                    loss, bits = point[outcome], point.get(BITS + domain)
                    found.append((str(run), int(point["tokens"] or 0), domain, _number(loss), _number(bits)))
        except (ValidationError, KeyError) as error:
            raise CausalMixError(
                f"The run files in {runs_dir} hold a trajectory of run {run} that cannot be read. Its losses "
                "stand; move its file away, and resuming its job trains it again."
            ) from error
    table = pd.DataFrame(found, columns=["run", "tokens", "domain", "loss", "bpb"])
    place = {run: i for i, run in enumerate(runs)}
    order = table.assign(place=table["run"].map(place)).sort_values(["place", "domain", "tokens"]).index
    return table.loc[order].reset_index(drop=True)


def proxy_names(specs: Iterable[str]) -> dict[str, str]:
    """Proxies in words, such as `llama 24k · 250k tokens`, no two alike.

    Args:
        specs: proxies as the run table keeps them: a `ProxySpec` as JSON, or what an importer wrote.

    Returns:
        Words of each. Where proxies of one size differ in something else, that is added.
    """
    alike: dict[str, dict[str, dict[str, object]]] = defaultdict(dict)
    for spec in dict.fromkeys(specs):
        words, fields = _words_of(spec)
        alike[words][spec] = fields
    names = {}
    for words, group in alike.items():
        every = list(group.values())
        differ = [f for f in every[0] if any(fields.get(f) != every[0][f] for fields in every)]
        for spec, fields in group.items():
            apart = [f"{f.replace('_', ' ')} {fields.get(f)}" for f in differ]
            names[spec] = " · ".join([words, *apart])
    # Proxies that are not ours may differ in what was cut off.
    taken = pd.Series(names, dtype="str")
    for spec in taken.index[taken.duplicated(keep=False)]:
        names[spec] += " · " + blake2s(spec.encode(), digest_size=2).hexdigest()
    return names


def _words_of(spec: str) -> tuple[str, dict[str, object]]:
    """A proxy in words, and the fields that tell it from others of the same words."""
    try:
        proxy = ProxySpec.model_validate_json(spec)
    except ValidationError:
        return _foreign(spec), {}
    size = "" if proxy.pretrained else f" {short(proxy.parameters, 2)}"  # the model's files may be gone
    words = f"{proxy.base}{size} · {short(proxy.tokens)} tokens"
    return words, {f: getattr(proxy, f) for f in ProxySpec.model_fields if f not in ("family", "tokens")}


def _foreign(spec: str) -> str:
    try:
        fields = json.loads(spec)
    except ValueError:
        fields = None
    if isinstance(fields, dict):
        spec = str(fields.get("name") or fields.get("family") or "unknown proxy")
    return spec if len(spec) <= _LONGEST_NAME else spec[: _LONGEST_NAME - 1] + "…"


def short(number: float, digits: int = 3) -> str:
    """A large number in a few digits and a unit: `24k`, `1.25M`."""
    rounded = float(f"{number:.{digits}g}")
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if rounded >= size:
            return f"{rounded / size:g}{unit}"
    return f"{rounded:g}"


def _number(value: float | None) -> float:
    return float("nan") if value is None else value

"""The run table: one row per probe, columns named after the nodes of the causal graph.

A column is `weight/<domain>`, `state/<feature>` or an outcome (`loss/<domain>`, `benchmark/<task>`, ...); the
remaining columns say where the row came from. Rows live in `runs/*.parquet`, one immutable file per finished
shard or import, and DuckDB reads them as one table by column name. What effects use of them is decided here,
once: `read_runs` gives those rows, and `uses_of` says of every other row why it is not among them.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import duckdb
import numpy as np
import pandas as pd

from causalmix_core.errors import CausalMixError
from causalmix_core.probes.exclusions import read_exclusions
from causalmix_core.probes.outcomes import BENCHMARK, BENCHMARK_LOSS, LOSS, Direction, direction_of

WEIGHT = "weight/"
STATE = "state/"
IMPORT = "import-"
"""What the name of a pool begins with that is known only from imported runs, and of the runs' job."""
TRAJECTORY = "trajectory"
"""Column with what a probe knew on the way, as JSON: a list of points, each with the tokens read,
`loss/<domain>` in nats per token and `bpb/<domain>` in bits per byte; null where a loss is not finite. Points
before the last are means over fewer windows: they compare across probes, not with the last point."""

Assignment = Literal["randomised", "adaptive", "observational"]
Use = Literal["used", "failed", "excluded", "other snapshot", "other proxy", "other state", "repeat"]
"""What effects do with a probe: use it, or why not. `other state`: other features made up its pool state;
`repeat`: another probe had the same mixture, state and seed."""


@dataclass(frozen=True)
class RunTable:
    """Finished probes as a table that knows which of its columns are what.

    Attributes:
        frame: one row per probe; weights and states complete and finite.
        domains: domain names, sorted; column `weight/<domain>` holds the weight.
        states: pool-state columns (`state/<feature>`), sorted; may be empty.
        outcomes: outcome columns that every run has: `loss/<domain>`, then `benchmark/<task>` and
            `benchmark-loss/<task>`, each sorted. `direction` says which way each is better.
        left_out: finished probes that were not read: another proxy trained them, other features made up
            their pool state, or they repeat one.
        excluded: finished probes that a curator has excluded.
        notes: what the table holds and leaves out, in words, such as a benchmark that some runs lack.
        pool: what the runs are of: the id of a snapshot, or `import-<name>`; None where they do not say.
    """

    frame: pd.DataFrame
    domains: list[str]
    states: list[str]
    outcomes: list[str]
    left_out: int = 0
    excluded: int = 0
    notes: tuple[str, ...] = ()
    pool: str | None = None

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def weight_columns(self) -> list[str]:
        """`weight/<domain>` for each domain, in the order of `domains`."""
        return [WEIGHT + d for d in self.domains]

    def weights(self) -> np.ndarray:
        """Mixtures, shape (n, K), rows sum to one, columns in the order of `domains`."""
        return self.frame[self.weight_columns].to_numpy(float)

    def state(self, columns: list[str] | None = None) -> np.ndarray:
        """Pool states, shape (n, p), in the order of `columns` (default: `states`)."""
        return self.frame[self.states if columns is None else columns].to_numpy(float)

    def direction(self, outcome: str) -> Direction:
        """In which direction an outcome of this table is better.

        Raises:
            CausalMixError: the table has no such outcome.
        """
        found = direction_of(outcome)
        if found is None or outcome not in self.outcomes:
            raise CausalMixError(
                f"{outcome} is no outcome of these runs. Outcomes: {', '.join(self.outcomes)}."
            )
        return found

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> RunTable:
        """Read a table by its column names and check it.

        A benchmark that some runs did not answer is no outcome of the table, and a note says so: runs
        may differ in the benchmarks they were asked. A loss that is missing is an error.

        Raises:
            CausalMixError: no weight or no outcome column, a value missing or not finite, a row whose
                weights do not sum to one within 1e-3 (the rows are named).
        """
        domains = sorted(c.removeprefix(WEIGHT) for c in frame.columns if c.startswith(WEIGHT))
        states = sorted(c for c in frame.columns if c.startswith(STATE))
        losses = sorted(c for c in frame.columns if c.startswith(LOSS))
        kinds = (BENCHMARK, BENCHMARK_LOSS)
        answers = [c for kind in kinds for c in sorted(frame.columns) if c.startswith(kind)]
        whole = [c for c in answers if np.isfinite(frame[c].to_numpy(float)).all()]
        notes = tuple(
            f"{c} is left out: only {np.isfinite(frame[c].to_numpy(float)).sum()} of {len(frame)} runs have "
            "it."
            for c in answers
            if c not in whole
        )
        outcomes = [*losses, *whole]
        if not domains or not outcomes:
            raise CausalMixError(
                "The run table needs columns 'weight/<domain>' and 'loss/<domain>' or another outcome that "
                "every run has; it has: " + (", ".join(map(str, frame.columns)) or "none") + "."
            )
        used = [WEIGHT + d for d in domains] + states + outcomes
        bad = [c for c in used if not np.isfinite(frame[c].to_numpy(float)).all()]
        if bad:
            raise CausalMixError(
                f"The runs do not agree: {', '.join(bad)} is missing or not finite in some rows. "
                "Use runs of one snapshot and one set of domains."
            )
        sums = frame[[WEIGHT + d for d in domains]].to_numpy(float).sum(1)
        off = np.flatnonzero(np.abs(sums - 1) > 1e-3)
        if len(off):
            raise CausalMixError(
                f"The weights of row {', '.join(map(str, off[:5]))} do not sum to 1 "
                f"(row {off[0]}: {sums[off[0]]:.4f})."
            )
        return cls(frame.reset_index(drop=True), domains, states, outcomes, notes=notes)


def read_runs(runs_dir: Path, snapshot: str | None = None) -> RunTable:
    """Read the finished probes of a workspace that count, of one pool where given.

    Only probes that compare are read: those of the proxy that finished last, each once, without those that
    a curator has excluded.

    Args:
        runs_dir: the workspace's `runs/`.
        snapshot: keep only the runs of this pool: the id of a snapshot, or `import-<name>`.

    Raises:
        CausalMixError: there is no probe to read, a file is damaged, the rows do not fit together, or they
            are of several pools and none was named.
    """
    frame = read_rows(runs_dir)
    uses = uses_of(frame, snapshot, read_exclusions(runs_dir))
    excluded = int((uses == "excluded").sum())
    used = frame[uses == "used"]
    if used.empty:
        of = f" of {pool_words(snapshot)}" if snapshot else ""
        if excluded:
            raise CausalMixError(
                f"All {excluded} finished probes{of} are excluded. Include some again on the probes page or "
                "with `causalmix runs include`."
            )
        raise CausalMixError(
            f"There are no finished probes{of} yet. Launch a swarm on the probes page "
            "or run `causalmix probe`."
        )
    pools = sorted(used["snapshot"].dropna().astype(str).unique())
    if len(pools) > 1:
        raise CausalMixError(
            f"The runs do not agree: they are of {len(pools)} pools ({', '.join(map(pool_words, pools))}), "
            "and what was measured in one says nothing about another. Name one pool."
        )
    left_out = int(uses.isin(["other proxy", "other state", "repeat"]).sum())
    table = RunTable.from_frame(used.dropna(axis="columns", how="all"))
    return replace(table, left_out=left_out, excluded=excluded, pool=pools[0] if pools else None)


def pool_words(pool: str) -> str:
    """A pool in words: `snapshot <id>`, or `import <name>` for runs from elsewhere."""
    return f"import {pool.removeprefix(IMPORT)}" if pool.startswith(IMPORT) else f"snapshot {pool}"


def read_rows(
    runs_dir: Path, only: Sequence[str] | None = None, *, trajectories: bool = False
) -> pd.DataFrame:
    """Every probe on record, finished or not, as it lies on disk.

    Where a run was written twice (a failed probe was trained again), the finished row is read, of several
    the newest; nothing is removed on disk.

    Args:
        runs_dir: the workspace's `runs/`.
        only: names of the runs to read; default: all.
        trajectories: whether to read the column `trajectory`, which is larger than all others together.

    Returns:
        One row per run, sorted by name, with at least the columns run, status and snapshot. Empty where
        there is none.

    Raises:
        CausalMixError: a file is damaged or is no run table; the message names it.
    """
    files = _run_files(runs_dir)
    if not files:
        return pd.DataFrame({"run": [], "status": [], "snapshot": []}, dtype="str")
    columns = "*" if trajectories else f"COLUMNS(lambda c: c <> '{TRAJECTORY}')"
    chosen = "" if only is None else "WHERE list_contains(?, run)"
    with _damage_in_words(runs_dir), duckdb.connect() as con:
        frame = con.execute(
            f"SELECT {columns} FROM read_parquet(?, union_by_name = true) {chosen} ORDER BY run, status",
            [files] if only is None else [files, list(only)],
        ).df()
    if "snapshot" not in frame:
        frame["snapshot"] = None
    return _one_row_per_run(frame)


def columns_on_disk(runs_dir: Path) -> set[str]:
    """The columns that any run file has.

    Raises:
        CausalMixError: a file is damaged.
    """
    files = _run_files(runs_dir)
    if not files:
        return set()
    with _damage_in_words(runs_dir), duckdb.connect() as con:
        empty = con.execute("SELECT * FROM read_parquet(?, union_by_name = true) LIMIT 0", [files]).df()
    return set(empty.columns)


def uses_of(frame: pd.DataFrame, snapshot: str | None, excluded: Container[str]) -> pd.Series[str]:
    """What effects do with each probe.

    Losses of proxies of another size or another number of tokens are on another level and would read
    as effects; so only the proxy that finished last counts. A swarm launched twice with the same seed
    trains the same probes again: counting them twice would narrow intervals without having learnt anything.

    Args:
        frame: rows as `read_rows` gives them.
        snapshot: the pool that effects are wanted for; None: any.
        excluded: names of runs that a curator has excluded.

    Returns:
        A `Use` per row, on the index of `frame`.
    """
    uses = pd.Series("used", index=frame.index, dtype="str", name="use")
    uses[frame["status"] != "finished"] = "failed"
    if snapshot is not None:
        uses[(uses == "used") & (frame["snapshot"] != snapshot)] = "other snapshot"
    uses[(uses == "used") & frame["run"].map(lambda run: run in excluded).astype(bool)] = "excluded"
    left = frame[uses == "used"]
    if left.empty:
        return uses
    if "proxy" in left and "finished_at" in left and left["finished_at"].notna().any():
        newest = left[left["finished_at"] == left["finished_at"].max()].iloc[-1]
        uses[left.index[left["proxy"] != newest["proxy"]]] = "other proxy"
        # Swarms that varied other features of the pool's state have nothing in its columns.
        states = [c for c in left.columns if c.startswith(STATE)]
        other = left.index[(left[states].notna() != newest[states].notna()).any(axis=1)]
        uses[other.intersection(uses.index[uses == "used"])] = "other state"
    left = left[uses[left.index] == "used"]
    if "seed" in left:
        seeded = left[left["seed"].notna()]
        decides = ["seed", *(c for c in left.columns if c.startswith((WEIGHT, STATE)))]
        uses[seeded.index[seeded.duplicated(decides)]] = "repeat"
    return uses


def _run_files(runs_dir: Path) -> list[str]:
    return sorted(str(p) for p in runs_dir.glob("*.parquet") if not p.name.startswith("."))


@contextmanager
def _damage_in_words(runs_dir: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise CausalMixError(
            f"A run file in {runs_dir} cannot be read: {str(error).splitlines()[0]}. "
            "Move the file away; resuming its job trains those probes again, and an import is imported again."
        ) from error


def _one_row_per_run(frame: pd.DataFrame) -> pd.DataFrame:
    """The finished row of each run, the newest where there are several."""
    twice = frame.duplicated("run", keep=False)
    if not twice.any():
        return frame
    order = pd.DataFrame({"run": frame["run"], "finished": frame["status"] == "finished"})
    order["at"] = frame.get("finished_at", pd.NaT)
    order = order.sort_values(["run", "finished", "at"], na_position="first", kind="stable")
    return frame.loc[order.index[~order.duplicated("run", keep="last")]].reset_index(drop=True)

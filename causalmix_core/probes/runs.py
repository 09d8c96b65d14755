"""The run table: one row per finished probe, columns named after the nodes of the causal graph.

A column is `weight/<domain>`, `state/<feature>` or an outcome (`loss/<domain>`, ...); the remaining
columns say where the row came from. Rows live in `runs/*.parquet`, one immutable file per finished
shard, and DuckDB reads them as one table by column name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import duckdb
import numpy as np
import pandas as pd

from causalmix_core.errors import CausalMixError

WEIGHT = "weight/"
STATE = "state/"
LOSS = "loss/"

Assignment = Literal["randomised", "adaptive", "observational"]


@dataclass(frozen=True)
class RunTable:
    """Finished probes as a table that knows which of its columns are what.

    Attributes:
        frame: one row per probe; weights and states complete and finite.
        domains: domain names, sorted; column `weight/<domain>` holds the weight.
        states: pool-state columns (`state/<feature>`), sorted; may be empty.
        outcomes: outcome columns (`loss/<domain>`), sorted; lower is better.
        left_out: finished probes that were not read: another proxy trained them, other features made up
            their pool state, or they repeat one.
    """

    frame: pd.DataFrame
    domains: list[str]
    states: list[str]
    outcomes: list[str]
    left_out: int = 0

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

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> RunTable:
        """Read a table by its column names and check it.

        Raises:
            CausalMixError: no weight or no outcome column, a value missing or not finite, a row whose
                weights do not sum to one within 1e-3 (the rows are named).
        """
        domains = sorted(c.removeprefix(WEIGHT) for c in frame.columns if c.startswith(WEIGHT))
        states = sorted(c for c in frame.columns if c.startswith(STATE))
        outcomes = sorted(c for c in frame.columns if c.startswith(LOSS))
        if not domains or not outcomes:
            raise CausalMixError(
                "The run table needs columns 'weight/<domain>' and 'loss/<domain>'; it has: "
                + (", ".join(map(str, frame.columns)) or "none")
                + "."
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
        return cls(frame.reset_index(drop=True), domains, states, outcomes)


def read_runs(runs_dir: Path, snapshot: str | None = None) -> RunTable:
    """Read the finished probes of a workspace, of one snapshot where given.

    Only probes that compare are read: those of the proxy that finished last, each once.

    Args:
        runs_dir: the workspace's `runs/`.
        snapshot: keep only the runs of this snapshot id.

    Raises:
        CausalMixError: there is no finished probe to read, a file is damaged, or the rows do not fit
            together.
    """
    files = sorted(str(p) for p in runs_dir.glob("*.parquet") if not p.name.startswith("."))
    frame = pd.DataFrame()
    if files:
        try:
            with duckdb.connect() as con:
                frame = con.execute(
                    "SELECT * FROM read_parquet(?, union_by_name = true) "
                    "WHERE status = 'finished' ORDER BY run",
                    [files],
                ).df()
        except duckdb.Error as error:
            raise CausalMixError(
                f"A run file in {runs_dir} cannot be read: {str(error).splitlines()[0]}. "
                "Move the file away; resuming its job trains those probes again."
            ) from error
    if snapshot is not None and len(frame):
        frame = frame[frame["snapshot"] == snapshot]
        frame = frame.dropna(axis="columns", how="all")
    if frame.empty:
        of = f" of snapshot {snapshot}" if snapshot else ""
        raise CausalMixError(
            f"There are no finished probes{of} yet. Launch a swarm on the probes page "
            "or run `causalmix probe`."
        )
    comparable = _comparable(frame)
    table = RunTable.from_frame(comparable)
    return replace(table, left_out=len(frame) - len(comparable))


def _comparable(frame: pd.DataFrame) -> pd.DataFrame:
    """The probes of the proxy that finished last, with the same state features, each once.

    Losses of proxies of another size or another number of tokens are on another level and would read
    as effects. A swarm launched twice with the same seed trains the same probes again: counting them
    twice would narrow intervals without having learnt anything.
    """
    if "proxy" in frame and "finished_at" in frame:
        newest = frame.sort_values("finished_at").index[-1]
        # Swarms that varied other features of the pool's state have nothing in its columns.
        varied = frame[[c for c in frame.columns if c.startswith(STATE)]].notna()
        same = (frame["proxy"] == frame.loc[newest, "proxy"]) & (varied == varied.loc[newest]).all(axis=1)
        frame = frame[same].dropna(axis="columns", how="all")
    decides = [c for c in frame.columns if c == "seed" or c.startswith((WEIGHT, STATE))]
    return frame.drop_duplicates(decides) if "seed" in decides else frame

"""One shard of a swarm: the probes that one worker trains together, from snapshot to run-table rows.

Every engine runs this same function, so a probe's record does not depend on where it was trained.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from causalmix_core import __version__
from causalmix_core.corpus import Snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.probes.design import Probe, SwarmSpec, assignment_of
from causalmix_core.probes.runs import LOSS, STATE, WEIGHT
from causalmix_core.proxy import (
    DomainTokens,
    TokenPool,
    Trained,
    bits_per_byte,
    heldout_windows,
    train_proxies,
)
from causalmix_core.proxy.training import Progress, spread_windows

BITS = "bpb/"
TRAJECTORY = "trajectory"
"""Column with what a probe knew on the way, as JSON: a list of points, each with the tokens read,
`loss/<domain>` in nats per token and `bpb/<domain>` in bits per byte; null where a loss is not finite. Points
before the last are means over fewer windows: they compare across probes, not with the last point."""


def load_token_pool(snapshot: Snapshot, swarm: SwarmSpec) -> TokenPool:
    """Read a snapshot as tokens for the swarm's proxy.

    Raises:
        CausalMixError: a domain has fewer training or held-out tokens than one sequence, or a state
            feature was not measured on the snapshot.
    """
    length = swarm.proxy.sequence_length
    train, heldout = {}, {}
    for domain in snapshot.domains:
        train[domain] = DomainTokens.from_frame(
            snapshot.texts(domain, "train", swarm.state_features), swarm.state_features
        )
        if len(train[domain].tokens) < length:
            raise CausalMixError(
                f"Domain {domain} has {len(train[domain].tokens)} training tokens, fewer than one "
                f"sequence of {length}. Add documents or choose a proxy with shorter sequences."
            )
        try:
            heldout[domain] = heldout_windows(
                snapshot.texts(domain, "heldout"), length, swarm.heldout_windows
            )
        except CausalMixError as error:
            raise CausalMixError(f"Domain {domain}: {error}") from error
    return TokenPool(train, heldout, swarm.state_features, swarm.seed)


def run_shard(
    pool: TokenPool,
    snapshot_id: str,
    swarm: SwarmSpec,
    probes: Sequence[Probe],
    *,
    job: str,
    device: str,
    progress: Progress | None = None,
    progress_every: int = 20,
) -> pd.DataFrame:
    """Train the probes of a shard together and return their rows of the run table.

    A probe whose loss is not finite is kept with status `failed`, so that it is neither lost nor ever
    used as data.
    """
    sub_pools = [pool.sub_pool(p.tilt) for p in probes]
    count, length = swarm.proxy.sequences, swarm.proxy.sequence_length
    sequences = np.empty((len(probes), count, length), np.uint16)
    for row, sub_pool, probe in zip(sequences, sub_pools, probes, strict=True):
        row[:] = pool.sequences(sub_pool, probe.mixture, count, length)
    trained = train_proxies(
        swarm.proxy,
        sequences,
        pool.heldout,
        seed=swarm.seed,
        device=device,
        progress=progress,
        progress_every=progress_every,
    )
    rows = []
    for i, (probe, sub_pool) in enumerate(zip(probes, sub_pools, strict=True)):
        losses = {LOSS + d: float(v[i]) for d, v in sorted(trained.losses.items())}
        rows.append(
            {
                "run": f"{job}-{probe.number:04d}",
                "job": job,
                "probe": probe.number,
                "status": "finished" if np.isfinite(list(losses.values())).all() else "failed",
                "snapshot": snapshot_id,
                "assignment": assignment_of(swarm),
                "seed": swarm.seed,
                "proxy": swarm.proxy.model_dump_json(),
                "tokens": swarm.proxy.sequences * swarm.proxy.sequence_length,
                "finished_at": datetime.now(UTC),
                "version": __version__,
                **{WEIGHT + d: w for d, w in sorted(probe.mixture.items())},
                **{STATE + f: v for f, v in sorted(sub_pool.state.items())},
                **losses,
                TRAJECTORY: trajectory_of(trained, pool, i),
            }
        )
    return pd.DataFrame(rows)


def trajectory_of(trained: Trained, pool: TokenPool, proxy: int) -> str:
    """The trajectory of one proxy of a shard, as the run table keeps it."""
    points = []
    for point in trained.trajectory:
        written: dict[str, float | None] = {"tokens": point.tokens}
        for domain, values in sorted(point.losses.items()):
            loss = float(values[proxy])
            finite = bool(np.isfinite(loss))
            read = spread_windows(pool.heldout[domain], point.windows[domain])
            written[LOSS + domain] = loss if finite else None
            written[BITS + domain] = bits_per_byte(loss, read) if finite else None
        points.append(written)
    return json.dumps(points, allow_nan=False)

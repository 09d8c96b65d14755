"""One shard of a swarm: the probes that one worker trains together, from snapshot to run-table rows.

Every engine runs this same function, so a probe's record does not depend on where it was trained.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causalmix_core import __version__
from causalmix_core.corpus import Snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.probes.design import Probe, SwarmSpec, assignment_of
from causalmix_core.probes.outcomes import BITS, LOSS, benchmark_column
from causalmix_core.probes.runs import STATE, TRAJECTORY, WEIGHT
from causalmix_core.proxy import DomainTokens, TokenPool, Trained, bits_per_byte, stack_size, train_proxies
from causalmix_core.proxy.pool import cut_windows
from causalmix_core.proxy.token_files import tokenised, tokens_of
from causalmix_core.proxy.training import (
    Keep,
    Progress,
    TrainingState,
    TrajectoryPoint,
    Visit,
    spread_windows,
)

if TYPE_CHECKING:
    from causalmix_core.proxy.stack import Reader


def load_token_pool(snapshot: Snapshot, swarm: SwarmSpec) -> TokenPool:
    """Read a snapshot as tokens for the swarm's proxy.

    Raises:
        CausalMixError: a domain has fewer training or held-out tokens than one sequence, or a state
            feature was not measured on the snapshot.
    """
    length = swarm.proxy.sequence_length
    tokens = tokens_of(snapshot, swarm.proxy)
    train, heldout, sizes = {}, {}, {}
    for domain in snapshot.domains:
        rows = snapshot.rows(domain, "train", swarm.state_features)
        train[domain] = DomainTokens.of(
            tokenised(snapshot, domain, "train", tokens), rows, swarm.state_features
        )
        if len(train[domain].tokens) < length:
            raise CausalMixError(
                f"Domain {domain} has {len(train[domain].tokens)} training tokens, fewer than one "
                f"sequence of {length}. Add documents or choose a proxy with shorter sequences."
            )
        try:
            heldout[domain], sizes[domain] = cut_windows(
                tokenised(snapshot, domain, "heldout", tokens), length, swarm.heldout_windows
            )
        except CausalMixError as error:
            raise CausalMixError(f"Domain {domain}: {error}") from error
    return TokenPool(train, heldout, swarm.state_features, swarm.seed, sizes, tokens)


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
    start: TrainingState | None = None,
    keep: Keep | None = None,
) -> pd.DataFrame:
    """Train the probes of a shard together and return their rows of the run table.

    A probe whose loss is not finite is kept with status `failed`, so that it is neither lost nor ever
    used as data. Where the swarm has tasks, every other probe answers them before its row is written.

    Raises:
        CausalMixError: the probes do not fit into memory, the pretrained model or a task cannot be loaded,
            or a task fails.
    """
    sub_pools = [pool.sub_pool(p.tilt) for p in probes]
    count, length = swarm.proxy.sequences, swarm.proxy.sequence_length
    sequences = np.empty((len(probes), count, length), pool.tokens.dtype)
    for row, sub_pool, probe in zip(sequences, sub_pools, probes, strict=True):
        row[:] = pool.sequences(sub_pool, probe.mixture, count, length)
    examined = _Examination(swarm, pool, device, progress)
    trained = _trained(
        swarm,
        sequences,
        pool,
        device,
        examined.watch if progress else None,
        progress_every,
        start,
        keep,
        examined.visit if swarm.tasks else None,
    )
    rows = []
    for i, (probe, sub_pool) in enumerate(zip(probes, sub_pools, strict=True)):
        losses = {LOSS + d: float(v[i]) for d, v in sorted(trained.losses.items())}
        bits = {BITS + d: bits_per_byte(losses[LOSS + d], s) for d, s in sorted(pool.sizes.items())}
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
                **bits,
                **examined.scores.get(i, {}),
                TRAJECTORY: trajectory_of(trained, pool, i),
            }
        )
    return pd.DataFrame(rows)


class _Examination:
    """Lets trained probes answer the swarm's tasks.

    Attributes:
        scores: by number of the probe in its shard, its columns.
    """

    def __init__(self, swarm: SwarmSpec, pool: TokenPool, device: str, progress: Progress | None) -> None:
        self.scores: dict[int, dict[str, float]] = {}
        self._swarm, self._pool, self._device, self._progress = swarm, pool, device, progress
        self._told: tuple[int, np.ndarray] | None = None
        self._benchmarks = None
        if swarm.tasks:
            from causalmix_core.proxy.benchmarks import load_benchmarks

            # Before the training: a task that cannot be asked must not cost one.
            self._benchmarks = load_benchmarks(Path(str(swarm.tasks_folder)), swarm.tasks)

    def watch(self, step: int, losses: np.ndarray) -> None:
        """Pass on the progress of the training, and remember it."""
        self._told = step, losses
        if self._progress:
            self._progress(step, losses)

    def visit(self, number: int, read: Reader) -> None:
        """Ask one probe. The progress is told again before, so that a job can be stopped here too."""
        from causalmix_core.proxy.benchmarks import answer

        assert self._benchmarks is not None
        if self._told is not None:
            self.watch(*self._told)
        context = self._swarm.proxy.sequence_length
        found = answer(self._benchmarks, read, self._pool.tokens, context=context, device=self._device)
        self.scores[number] = {
            benchmark_column(name, task.higher_is_better): found[name]
            for name, task in self._benchmarks.tasks.items()
        }


def _trained(
    swarm: SwarmSpec,
    sequences: np.ndarray,
    pool: TokenPool,
    device: str,
    progress: Progress | None,
    progress_every: int,
    start: TrainingState | None,
    keep: Keep | None,
    visit: Visit | None,
) -> Trained:
    """Train all proxies of a shard at once or, where they are large copies of a model, as many as fit."""
    proxy, count = swarm.proxy, len(sequences)
    fits = count if proxy.pretrained is None or start is not None else stack_size(proxy, device)
    if fits >= count:
        return train_proxies(
            proxy,
            sequences,
            pool.heldout,
            seed=swarm.seed,
            device=device,
            progress=progress,
            progress_every=progress_every,
            start=start,
            keep=keep,
            visit=visit,
        )
    parts = []
    for first in range(0, count, fits):
        own = slice(first, min(first + fits, count))

        def told(step: int, losses: np.ndarray, own: slice = own) -> None:
            """A part of the shard is so far; the others have nothing to tell."""
            everyone = np.full(count, np.nan)
            everyone[own] = losses
            if progress:
                progress((own.start * proxy.steps + len(losses) * step) // count, everyone)

        def visited(number: int, read: Reader, first: int = first) -> None:
            if visit:
                visit(first + number, read)

        parts.append(
            train_proxies(
                proxy,
                sequences[own],
                pool.heldout,
                seed=swarm.seed,
                device=device,
                progress=told,
                progress_every=progress_every,
                visit=visited if visit else None,
            )
        )
    return _joined(parts)


def _joined(parts: Sequence[Trained]) -> Trained:
    """What was trained in parts, as if it had been at once."""

    def joined(losses: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        return {d: np.concatenate([part[d] for part in losses]) for d in losses[0]}

    points = [
        TrajectoryPoint(same[0].tokens, joined([p.losses for p in same]), same[0].windows)
        for same in zip(*(p.trajectory for p in parts), strict=True)
    ]
    return Trained(points[-1].losses, points, np.concatenate([p.failed_at for p in parts]))


def trajectory_of(trained: Trained, pool: TokenPool, proxy: int) -> str:
    """The trajectory of one proxy of a shard, as the run table keeps it."""
    points = []
    for point in trained.trajectory:
        written: dict[str, float | None] = {"tokens": point.tokens}
        for domain, values in sorted(point.losses.items()):
            loss = float(values[proxy])
            finite = bool(np.isfinite(loss))
            read = spread_windows(pool.sizes[domain], point.windows[domain])
            written[LOSS + domain] = loss if finite else None
            written[BITS + domain] = bits_per_byte(loss, read) if finite else None
        points.append(written)
    return json.dumps(points, allow_nan=False)

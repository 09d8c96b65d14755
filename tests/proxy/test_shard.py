"""A shard from snapshot to rows: outcomes as ever, and the trajectory beside them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from causalmix_core.corpus import open_snapshot
from causalmix_core.probes import RunTable, SwarmSpec, design_swarm
from causalmix_core.probes.shard import load_token_pool, run_shard
from causalmix_core.proxy import training
from causalmix_core.proxy.spec import END_OF_DOCUMENT
from causalmix_core.workspace import Workspace

DOMAINS = ("code", "prose", "sums")


def test_rows_hold_the_trajectory_and_no_new_outcome(
    workspace: Workspace, tiny_swarm: Callable[..., SwarmSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    swarm = tiny_swarm(probes=3)
    snapshot = open_snapshot(workspace)
    pool = load_token_pool(snapshot, swarm)
    probes = design_swarm(swarm, snapshot.tokens())
    build = training.new_stacks
    stacks: list[training.Stack] = []
    monkeypatch.setattr(training, "new_stacks", lambda *a: stacks.extend(build(*a)) or list(stacks))

    def break_the_second(step: int, losses: np.ndarray) -> None:
        if step == 20:
            with torch.no_grad():
                next(iter(stacks[0].parameters.values()))[1].fill_(float("nan"))

    rows = run_shard(
        pool, snapshot.id, swarm, probes, job="j", device="cpu", progress=break_the_second, progress_every=1
    )
    assert rows["status"].tolist() == ["finished", "failed", "finished"]
    table = RunTable.from_frame(rows[rows["status"] == "finished"])
    assert table.outcomes == [f"loss/{d}" for d in DOMAINS]

    for number, row in rows.iterrows():
        points = json.loads(row["trajectory"])
        assert [p["tokens"] for p in points] == [512, 1024, 2048, 4096]
        assert all(
            set(p) == {"tokens", *(f"{k}/{d}" for k in ("loss", "bpb") for d in DOMAINS)} for p in points
        )
        if number == 1:
            assert points[1]["loss/code"] > 0
            assert {v for k, v in points[3].items() if k != "tokens"} == {None}
            continue
        for domain in DOMAINS:
            assert points[3][f"loss/{domain}"] == row[f"loss/{domain}"]
            # nats per predicted token, over the bytes of text among these tokens
            predicted = pool.heldout[domain][:, 1:]
            nats = row[f"loss/{domain}"] * predicted.size
            bits = nats / math.log(2) / (predicted != END_OF_DOCUMENT).sum()
            assert points[3][f"bpb/{domain}"] == row[f"bpb/{domain}"] == pytest.approx(bits, rel=1e-12)
            assert points[3][f"loss/{domain}"] < points[0][f"loss/{domain}"]

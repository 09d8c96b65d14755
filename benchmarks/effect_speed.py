"""How long a curator waits for effects: the first answer, the full comparison, and a cached result.

    python -m benchmarks.effect_speed [--runs 512] [--domains 17] [--outcomes 13] [--quick]

The runs are simulated (a power law of `worlds.laws`, mixtures drawn at random), as many and as wide as
RegMix's tables, with four pool states. `OMP_NUM_THREADS` is left as it is set; the leaderboard starts a
process per core.

- first answer: reading the graph, fitting the default estimator to all outcomes and the objective,
  calibrating its intervals and giving the effects at one mixture in one pool state, once everything is
  imported;
- leaderboard: every estimator by cross-validation on the same runs;
- reopened: naming the question by its content and reading the saved comparison.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path

from benchmarks.worlds import draw_law_world, named
from causalmix_core import __version__
from causalmix_core.effects import fit_effects, objective_shares
from causalmix_core.effects.effect_store import load_leaderboard, question_key, save_leaderboard
from causalmix_core.effects.leaderboard import leaderboard
from causalmix_core.worker_pool import cores
from causalmix_core.workspace import Workspace, WorkspaceConfig, write_atomic

RESULTS = Path(__file__).parent / "results"
STATES = 4
GOALS = {"first answer": 10.0, "leaderboard": 180.0, "reopened": 0.3}


def measure(runs: int, domains: int, outcomes: int) -> dict[str, float]:
    """Seconds of each step."""
    world = draw_law_world(0, law="power", domains=domains, states=STATES, outcomes=outcomes)
    table = world.runs(runs, 0)
    graph = world.graph(table)
    reference = named(table.weights().mean(axis=0), world.domains)
    # A page has imported all of this before somebody asks.
    small = draw_law_world(1, domains=3, states=1, outcomes=1)
    few = small.runs(24, 0)
    fit_effects(few, small.graph(few))

    seconds = {}
    started = time.perf_counter()
    model = fit_effects(table, graph)
    model.effects(named([0.0] * STATES, world.states), reference)
    seconds["first answer"] = time.perf_counter() - started
    started = time.perf_counter()
    board = leaderboard(table, graph, reference=reference)
    seconds["leaderboard"] = time.perf_counter() - started
    objective = objective_shares({}, table.outcomes)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.create(Path(folder) / "workspace", WorkspaceConfig(name="benchmark"))
        save_leaderboard(workspace, question_key(table, graph, objective, reference), board)
        started = time.perf_counter()
        kept = load_leaderboard(workspace, question_key(table, graph, objective, reference))
        seconds["reopened"] = time.perf_counter() - started
    if kept.value != board:
        raise RuntimeError("the comparison that was reopened is not the one that was saved")
    return seconds


def markdown(seconds: dict[str, float], size: str, command: str) -> str:
    """The result as a page."""
    rows = "\n".join(
        f"| {name} | {found:.2f} | {GOALS[name]:g} | {'reached' if found <= GOALS[name] else 'MISSED'} |"
        for name, found in seconds.items()
    )
    text = (__doc__ or "").split("\n\n", 2)[2]
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    return f"""# How long a curator waits for effects

Measured with `{command}` on {platform.machine()}, {cores()} cores, OMP_NUM_THREADS {threads},
causalmix {__version__}: {size}.

{text}
| step | seconds | goal | |
|---|---|---|---|
{rows}
"""


def main() -> None:
    """Run from the command line; writes `results/effect_speed.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=512)
    parser.add_argument("--domains", type=int, default=17)
    parser.add_argument("--outcomes", type=int, default=13)
    parser.add_argument(
        "--quick", action="store_true", help="64 runs, 4 domains, 2 outcomes; nothing written"
    )
    options = parser.parse_args()
    size = (64, 4, 2) if options.quick else (options.runs, options.domains, options.outcomes)
    runs, domains, outcomes = size
    words = f"{runs} runs, {domains} domains, {outcomes} outcomes, {STATES} pool states"
    page = markdown(measure(*size), words, "python -m benchmarks.effect_speed")
    print(page)
    if not options.quick:
        RESULTS.mkdir(exist_ok=True)
        write_atomic(RESULTS / "effect_speed.md", page)


if __name__ == "__main__":
    main()

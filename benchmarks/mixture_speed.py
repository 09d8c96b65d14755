"""How long a curator waits on the mixture page: after letting go of a slider, and for the table of policies.

    python -m benchmarks.mixture_speed [--repeats 5] [--quick]

512 simulated runs of 17 domains, 3 pool states and 13 outcomes; the fitted Gaussian process, as on the page.
What the page computes after a slider is released is the predicted change of every outcome, the effect of
every domain on every outcome, and the allowed range of every weight with what ends it, under a group,
repetition and a reach. The table asks every policy that is not marked slow; RegMix is, because its trees have
to be fitted, once per set of runs.

Medians of wall-clock time on an otherwise idle machine, after one call that is not counted; `cpu` is
processor time.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.worlds import draw_law_world, named
from causalmix_core import __version__
from causalmix_core.effects import fit_effects
from causalmix_core.effects.reweighting import with_objective
from causalmix_core.mixture import (
    POLICIES,
    POLICY_NAMES,
    Constraints,
    Group,
    allowed_ranges,
    ask,
    exchange_effect,
    pareto_front,
    policy_table,
    pose,
)
from causalmix_core.workspace import write_atomic

RESULTS = Path(__file__).parent / "results"
DOMAINS, STATES, OUTCOMES, RUNS = 17, 3, 13, 512
WANTED = {
    "slider released": 0.150,
    "table of policies": 2.0,
    "another objective": 1.5,
    "allowed ranges": 0.250,
}


def tasks(runs: int) -> dict[str, Callable[[], object]]:
    """What is timed, by name, on a fresh fit."""
    world = draw_law_world(3, law="power", domains=DOMAINS, states=STATES, outcomes=OUTCOMES)
    table = world.runs(runs, 0)
    model = fit_effects(table, world.graph(table))
    state = named(table.state().mean(axis=0), table.states)
    reference = named(table.weights().mean(axis=0), table.domains)
    asked = Constraints(
        radius=0.3,
        groups=(Group(name="code", domains=tuple(table.domains[2:5]), highest=0.25),),
        token_budget=10**9,
        max_epochs=4.0,
    )
    problem = pose(model, state, reference, constraints=asked, tokens=dict.fromkeys(table.domains, 10**8))
    moved = ask(problem, "trust_region").mixture
    first, second = table.outcomes[:2]
    quick = [p for p in POLICY_NAMES if not POLICIES[p].slow]

    def released() -> None:
        model.change(state, reference, moved)
        model.effects(state, moved)
        allowed_ranges(problem.limits)

    return {
        "slider released": released,
        "predicted changes": lambda: model.change(state, reference, moved),
        "effects": lambda: model.effects(state, moved),
        "allowed ranges": lambda: allowed_ranges(problem.limits),
        "table of policies": lambda: policy_table(problem, quick),
        **{f"policy {p}": partial(ask, problem, p) for p in quick},
        "policy regmix, kept": lambda: ask(problem, "regmix"),
        "another objective": lambda: with_objective(model, {first: 1.0, second: 2.0}),
        "one point from a to b": lambda: exchange_effect(model, state, moved, *table.domains[:2]),
        "two outcomes at once": lambda: pareto_front(model, state, problem.limits, first, second, moved),
    }


def measure(runs: int, repeats: int) -> pd.DataFrame:
    """Median seconds per task."""
    rows = []
    for name, task in tasks(runs).items():
        task()
        walls, cpus = [], []
        for _ in range(repeats):
            wall, cpu = time.perf_counter(), time.process_time()
            task()
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
        rows.append({"what": name, "wall": np.median(walls), "cpu": np.median(cpus)})
        print(f"{name}: {rows[-1]['wall']:.3f} s", flush=True)
    return pd.DataFrame(rows)


def markdown(rows: pd.DataFrame, command: str) -> str:
    """The result as a page."""
    lines = []
    for what, wall, cpu in zip(rows["what"], rows["wall"], rows["cpu"], strict=True):
        wanted = WANTED.get(what)
        verdict = "" if wanted is None else f"{wanted:.2f} s: {'reached' if wall <= wanted else 'MISSED'}"
        lines.append(f"| {what} | {wall:.3f} | {cpu:.3f} | {verdict} |")
    text = (__doc__ or "").split("\n\n", 2)[2]
    load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    return f"""# How long a curator waits on the mixture page

Measured with `{command}` on {platform.machine()}, {load}, causalmix {__version__}.

{text}
| what | wall, s | cpu, s | wanted |
|---|---|---|---|
{chr(10).join(lines)}
"""


def main() -> None:
    """Run from the command line; writes `results/mixture_speed.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="64 runs, one repeat, nothing written")
    options = parser.parse_args()
    runs, repeats = (64, 1) if options.quick else (RUNS, options.repeats)
    page = markdown(measure(runs, repeats), "python -m benchmarks.mixture_speed")
    print(page)
    if not options.quick:
        RESULTS.mkdir(exist_ok=True)
        write_atomic(RESULTS / "mixture_speed.md", page)


if __name__ == "__main__":
    main()

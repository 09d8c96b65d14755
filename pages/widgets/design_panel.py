"""Choosing the design of a swarm, and looking at what it would train."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import streamlit as st

from causalmix_core.errors import CausalMixError
from causalmix_core.probes import Probe, SwarmSpec, design_swarm, reference_of
from causalmix_core.probes.design import Design
from causalmix_core.probes.design_summary import DesignSummary, describe_design
from causalmix_core.probes.mixture_list import MOST_ROWS, fit_mixtures, parse_mixtures
from causalmix_core.probes.runs import Assignment
from causalmix_core.probes.sampling import grid_size
from pages.widgets import charts, design_charts

DESIGNS: dict[Design, str] = {
    "dirichlet": "Random around the weights by size",
    "sobol": "Even over all mixtures",
    "grid": "Grid",
    "list": "My own mixtures",
}
MEANING: dict[Design, str] = {
    "dirichlet": "Some mixtures are close to the weights by size, some far out. A good start.",
    "sobol": "Every kind of mixture is tried, with no gaps and no clumps. For when the best mixture may be "
    "anywhere.",
    "grid": "Mixtures in equal steps, from the even one outwards. For three to five domains.",
    "list": "Mixtures from a file: those of another swarm, or ones that you want compared.",
}
ASSIGNED: dict[Assignment, str] = {
    "observational": "By hand or by habit",
    "randomised": "At random",
    "adaptive": "From results of earlier probes",
}
STRENGTHS = [0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 20.0]
COLLINEAR = 30
"""Condition number above which collinearity is harmful (Belsley, Kuh and Welsch 1980)."""


def choose_design(domains: list[str]) -> dict[str, Any] | None:
    """Ask for the design and how many probes it has.

    Returns:
        Fields of a SwarmSpec; None while there is no list to train.
    """
    design = st.selectbox(
        "Design",
        list(DESIGNS),
        format_func=DESIGNS.__getitem__,
        help="How the mixtures of the probes are chosen. "
        + " ".join(f"**{DESIGNS[d]}**: {MEANING[d]}" for d in DESIGNS),
    )
    st.caption(MEANING[design])
    if design == "list":
        return _list(domains)
    if design == "grid":
        return _grid(len(domains))
    probes = st.slider(
        "Probes", 8, 256, 48, step=8,
        help="Proxies to train, each on a mixture of its own. More give narrower intervals; about "
        "8 per domain are a start, 50 to 100 per domain show how effects depend on the pool's state.",
    )  # fmt: skip
    return {"design": design, "probes": probes}


def _grid(domains: int) -> dict[str, Any]:
    most = 2
    while most < 12 and grid_size(domains, most + 1) <= MOST_ROWS:
        most += 1
    steps = st.slider(
        "Steps", 1, most, min(4, most),
        help="Into how many parts a probe is shared out among the domains. The number of mixtures grows "
        "steeply with it.",
    )  # fmt: skip
    size = grid_size(domains, steps)
    st.caption(f"{size:,} mixtures of {domains} domains.")
    return {"design": "grid", "grid_steps": steps, "probes": min(MOST_ROWS, size * _times())}


def _list(domains: list[str]) -> dict[str, Any] | None:
    file = st.file_uploader(
        "File of mixtures",
        type=["csv", "parquet", "json", "jsonl", "yaml", "yml"],
        help="One mixture per row, one column per domain, weights from 0 to 1 that sum to 1. Columns may be "
        "called train_the_pile_<domain> as in RegMix's tables, or weight/<domain> as in the run table.",
    )
    if file is None:
        st.caption("Columns: " + ", ".join(f"`{d}`" for d in domains))
        return None
    try:
        fitted = fit_mixtures(parse_mixtures(file.name, file.getvalue()), domains, file.name)
    except CausalMixError as error:
        st.error(str(error), icon=":material/error:")
        return None
    for notice in fitted.notices:
        st.info(notice, icon=":material/info:")
    assignment = st.selectbox(
        "How were they chosen?",
        list(ASSIGNED),
        format_func=ASSIGNED.__getitem__,
        help="Goes on record with each probe. Effects from mixtures that were not drawn at random may mix up "
        "with whatever guided the choice, and the estimate then has to adjust for it.",
    )
    return {
        "design": "list",
        "mixtures": tuple(fitted.mixtures),
        "assignment": assignment,
        "probes": min(MOST_ROWS, len(fitted.mixtures) * _times()),
    }


def _times() -> int:
    times = st.number_input(
        "Probes per mixture", 1, 16, 1,
        help="Each of them reads another tilted half of the pool.",
    )  # fmt: skip
    return int(times)


def advanced(design: Design) -> dict[str, Any]:
    """Ask for what most swarms leave as it is; fields of a SwarmSpec."""
    normal = SwarmSpec()
    fields: dict[str, Any] = {}
    with st.expander("Advanced settings", icon=":material/tune:"):
        if design == "dirichlet":
            fields["temperature"] = st.slider(
                "Temperature", 0.1, 1.0, normal.temperature, step=0.1,
                help="At 1, mixtures surround the weights by size. Lower values even out large and small "
                "domains, so that small ones are tried with weights that matter.",
            )  # fmt: skip
            fields["strength"] = st.select_slider(
                "Strength", STRENGTHS, value=normal.strength,
                help="How firmly mixtures are held to their centre. Each probe draws its own strength from "
                "this range. Low values give lopsided mixtures, high ones stay close.",
            )  # fmt: skip
        if design != "list":
            fields["minimum_weight"] = (
                st.number_input(
                    "Minimum weight (%)", 0.0, 50.0, 100 * normal.minimum_weight, step=0.5,
                    help="No probe gives a domain less. Where a domain is left out entirely, its loss says "
                    "little about small changes.",
                )
                / 100
            )  # fmt: skip
        fields["max_epochs"] = st.number_input(
            "Maximum epochs", min_value=0.1, value=None, step=1.0, placeholder="no limit",
            help="How often a probe may read the same documents of a domain. Text that is read too often "
            "teaches less each time, which would look like an effect of the domain. A probe can read 45% of "
            "a domain: its half of what is not held out.",
        )  # fmt: skip
        fields["tilt"] = st.slider(
            "Tilt", 0.0, 3.0, normal.tilt, step=0.25,
            help="How far the halves of the pool differ that probes read, in features such as text length. "
            "Without any tilt, effects cannot be told apart by the state of the pool.",
        )  # fmt: skip
    return fields


@st.cache_data(show_spinner=False, max_entries=32)
def plan(swarm: SwarmSpec, tokens: dict[str, int]) -> list[Probe]:
    """The probes of a swarm.

    Raises:
        CausalMixError: it cannot be laid out.
    """
    return design_swarm(swarm, tokens)


@st.cache_data(show_spinner=False, max_entries=32)
def _described(swarm: SwarmSpec, tokens: dict[str, int]) -> DesignSummary:
    return describe_design(plan(swarm, tokens), reference_of(swarm, tokens), tokens, budget=swarm.budget)


def show_plan(swarm: SwarmSpec, probes: list[Probe], tokens: dict[str, int]) -> None:
    """The planned mixtures as charts, and what can be learnt from them.

    Args:
        swarm: the design.
        probes: its probes.
        tokens: by domain, as the proxy counts them.
    """
    domains = sorted(tokens)
    reference = reference_of(swarm, tokens)
    mixtures = pd.DataFrame([p.mixture for p in probes])
    strips, pairs = st.tabs(["By domain", "Triangle" if len(domains) == 3 else "In pairs"])
    with strips:
        charts.show(
            design_charts.design_strips(mixtures, reference),
            key="design",
            height=106 + 48 * len(domains),
            top=44,
        )
    with pairs:
        if len(domains) == 3:
            charts.show(
                design_charts.design_triangle(mixtures, reference), key="triangle", height=400, top=40
            )
        else:
            panels = min(len(domains), design_charts.MOST_PAIRS)
            charts.show(
                design_charts.design_pairs(mixtures, reference), key="pairs", height=120 + 80 * panels
            )
            if panels < len(domains):
                st.caption(f"The {panels} domains with the most text.")
    st.caption(
        "Each dot is one planned probe; the line or cross is the weights by size. Each probe also reads its "
        "own random, tilted half of the pool, so that effects can be told apart by the state of the pool."
    )
    if len(probes) > 1:
        _show_summary(_described(swarm, tokens), swarm)


def _show_summary(found: DesignSummary, swarm: SwarmSpec) -> None:
    first, second = st.columns(3), st.columns(3)
    first[0].metric(
        "Count as", f"{found.effective_probes:.0f} of {found.probes}",
        help="As many probes with weights that vary independently would measure the domains' effects as "
        "precisely. Weights sum to one, so it is always below the number of probes.",
    )  # fmt: skip
    first[1].metric(
        "Near the reference", f"{found.near_reference:.0%}",
        help=f"Probes that differ from the weights by size by at most {100 * found.near:.0f} percentage "
        "points in all: as far as a suggestion moves unless told otherwise.",
    )  # fmt: skip
    first[2].metric(
        "Evenness", f"{found.coverage:.2f}",
        help="Distance between neighbouring mixtures, against the same number drawn at random from all "
        "mixtures. Above 1: more evenly spread; below 1: closer together.",
    )  # fmt: skip
    second[0].metric(
        "Condition number", f"{found.condition:.1f}" if math.isfinite(found.condition) else "infinite",
        help=f"How entangled the weights are. 1 is best; above {COLLINEAR}, effects of domains that move "
        "together cannot be told apart.",
    )  # fmt: skip
    second[1].metric(
        "Tilt and weights", f"{found.tilt_correlation:.2f}",
        help="Largest correlation between a domain's weight and a tilt of the pool. By chance it stays below "
        f"{found.tilt_correlation_limit:.2f} in 19 of 20 designs of this size.",
    )  # fmt: skip
    second[2].metric(
        "Most epochs", f"{found.epochs:.1f}",
        help="How often the same documents are read at most, in the probe that gives their domain the "
        "largest weight.",
    )  # fmt: skip
    if found.mixtures < found.probes:
        st.caption(f"{found.probes} probes of {found.mixtures} different mixtures, on different pool states.")
    for words in _warnings(found, swarm):
        st.warning(words, icon=":material/warning:")
    with st.expander("Weights by domain", icon=":material/table:"):
        table = pd.DataFrame(
            {
                "Least": [d.minimum for d in found.domains.values()],
                "Median": [d.median for d in found.domains.values()],
                "Most": [d.maximum for d in found.domains.values()],
                "Epochs at most": [d.epochs for d in found.domains.values()],
                "Inflation": [v if math.isfinite(v) else None for v in found.inflation.values()],
            },
            index=list(found.domains),
        )
        percent = st.column_config.NumberColumn(format="percent")
        st.dataframe(
            table,
            column_config={
                "_index": st.column_config.TextColumn("Domain"),
                **dict.fromkeys(("Least", "Median", "Most"), percent),
                "Epochs at most": st.column_config.NumberColumn(format="%.2f"),
                "Inflation": st.column_config.NumberColumn(
                    format="%.2f",
                    help="How much wider the interval of this domain's effect gets because its weight moves "
                    "with those of the others; 1 is best, empty where it cannot be told apart.",
                ),
            },
        )


def _warnings(found: DesignSummary, swarm: SwarmSpec) -> list[str]:
    """What makes a design hard to learn from, in words."""
    words = []
    if found.constant:
        words.append(
            f"The weight of {', '.join(found.constant)} is the same in all probes: nothing can be learnt "
            "about it."
        )
    elif found.mixtures <= len(found.domains):
        words.append(
            f"{found.mixtures} mixtures cannot tell {len(found.domains)} domains apart. Plan more, about 8 "
            "per domain to start with."
        )
    elif found.condition > COLLINEAR:
        words.append("Some domains move together in these mixtures: their effects cannot be told apart.")
    if swarm.tilt > 0 and found.tilt_correlation > found.tilt_correlation_limit:
        words.append(
            "The pool states follow the mixtures more than chance would have it. Another seed draws others."
        )
    return words

"""Why an effect is what it is: where it bends, which pool state moves it, what others do to it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from causalmix_core.effects.explanation import (
    Contributions,
    EffectCurve,
    InterpreterTree,
    PairSurface,
    ResponseCurve,
    TriangleSurface,
    changing_states,
    contributions,
    effect_curves,
    interactions,
    interpreter_tree,
    pair_surface,
    response_curve,
    triangle_surface,
    why_none,
)
from causalmix_core.errors import CausalMixError
from pages.effect_views.asked import Asked, Key, effects_of, outcome_name, refutation_of
from pages.effect_views.lights import badge
from pages.graph_views.plain import plain
from pages.widgets import effect_charts, interaction_charts, tree_chart
from pages.widgets.charts import show as show_chart

DOMAIN, OUTCOME, SECOND, THIRD = "explain_domain", "explain_outcome", "explain_second", "explain_third"
ROW = 34


def show(asked: Asked) -> None:
    """Lay out the view."""
    domains = asked.question.runs.domains
    with st.container(horizontal=True, vertical_alignment="bottom"):
        domain = st.selectbox("Effect of", domains, key=DOMAIN, width=300, persist_state="session")
        outcome = st.selectbox(
            "on", asked.outcomes, format_func=outcome_name, key=OUTCOME, width=300, persist_state="session"
        )
    _in_a_sentence(asked, domain, outcome)
    if not asked.model.identifications[outcome].treatments:
        st.info(plain(why_none(asked.model, outcome)), icon=":material/info:")
        return
    if changing_states(asked.model, outcome):
        weight, rules = st.columns(2, gap="large")
        with weight:
            _weight(asked, domain, outcome)
        with rules:
            _tree(asked, domain, outcome)
        _curves(asked, domain, outcome)
        _contributions(asked, domain, outcome)
    else:
        _weight(asked, domain, outcome)
        st.caption(f":material/info: {plain(why_none(asked.model, outcome))}")
    _together(asked, domain, outcome)


def _in_a_sentence(asked: Asked, domain: str, outcome: str) -> None:
    effects = effects_of(asked)
    row = effects[(effects["domain"] == domain) & (effects["outcome"] == outcome)].iloc[0]
    kept = refutation_of(asked).value
    light = next(
        (e for e in (kept.effects if kept else ()) if (e.domain, e.outcome) == (domain, outcome)), None
    )
    st.markdown(f"{plain(row['sentence'])} {badge(light) if row['distinguishable'] else ''}")


def _weight(asked: Asked, domain: str, outcome: str) -> None:
    st.markdown("**The outcome as the weight moves**")
    curve = _response(asked.key, asked, domain, outcome)
    show_chart(effect_charts.response_figure(curve), key="explain_weight", height=330, top=36)
    st.caption(
        "Change from the present mixture, the other domains sharing the rest in proportion. Ticks at the "
        "bottom are runs: where there are none, the curve is a guess."
    )


def _tree(asked: Asked, domain: str, outcome: str) -> None:
    st.markdown("**Rules on the pool state**")
    tree = _rules(asked.key, asked, domain, outcome)
    st.markdown(plain(tree.words))
    if tree.root is None:
        return
    show_chart(
        tree_chart.tree_figure(tree, asked.question.state),
        key="explain_tree",
        height=tree_chart.tree_height(tree),
        top=8,
    )
    st.caption(
        f"Fidelity {tree.fidelity:.0%}: so much of how the effect differs between pool states these rules "
        "reproduce, on states that they were not grown from. The thick way is that of this pool."
    )


def _curves(asked: Asked, domain: str, outcome: str) -> None:
    st.markdown("**The effect against each pool state**")
    curves = _effect_curves(asked.key, asked, domain, outcome)
    show_chart(
        effect_charts.effect_curves_figure(curves),
        key="explain_curves",
        height=effect_charts.curves_height(len(curves)),
        top=36,
    )
    st.caption("All other states are as they are in this pool.")


def _contributions(asked: Asked, domain: str, outcome: str) -> None:
    st.markdown(
        "**Which pool state moves which effect**",
        help="Shapley values (SHAP): how far each pool state moves an effect away from what it is at the "
        "mean of the runs' states, shared out fairly among the states.",
    )
    found = _shared(asked.key, asked, outcome)
    if not found.states:
        st.caption("No pool state moves these effects.")
        return
    all_domains, one = st.columns(2, gap="large")
    with all_domains:
        table = found.table()
        show_chart(
            effect_charts.contribution_heatmap(table),
            key="explain_contributions",
            height=100 + ROW * len(found.domains),
            top=64,
        )
        st.caption(
            "Mean size of the contribution. ↗ the effect rises with the state, ↘ falls, ~ has no steady "
            "direction."
        )
    with one:
        show_chart(
            effect_charts.contribution_strips(found, domain),
            key="explain_strips",
            height=100 + ROW * max(len(found.domains), 2 * len(found.states)),
            top=64,
        )
    if found.left_out:
        st.caption(f"Left out, since they move effects least: {plain(', '.join(found.left_out))}.")


def _together(asked: Asked, domain: str, outcome: str) -> None:
    """Two domains at once, and three."""
    domains = asked.question.runs.domains
    others = [d for d in domains if d != domain]
    st.markdown(
        "**Domains together**",
        help="What two domains do together beyond the sum of what each does alone. Where it makes the "
        "outcome better they help each other; where worse, they do the same work.",
    )
    table = _pairs(asked.key, asked, outcome)
    pairs, surface = st.columns(2, gap="large")
    with pairs:
        show_chart(
            interaction_charts.interaction_heatmap(table, outcome),
            key="explain_pairs",
            height=130 + ROW * (len(domains) - 1),
            top=10,
        )
        st.caption("Colour only where it can be told from zero; point at a cell for its interval.")
    with surface:
        second = st.selectbox(f"{domain} together with", others, key=SECOND, width=300)
        show_chart(
            interaction_charts.pair_figure(_pair(asked.key, asked, domain, second, outcome)),
            key="explain_pair",
            height=420,
            top=36,
        )
    thirds = [d for d in others if d != second]
    if not thirds:
        return
    left, right = st.columns([1, 2], gap="large")
    with left:
        third = st.selectbox(f"{domain}, {second} and", thirds, key=THIRD, width=300)
        st.caption(
            "How the three share the weight that they have together, all other domains held where they are. "
            "Corners: one of them has all of it. Blank: no run was near."
        )
    with right:
        try:
            triangle = _triangle(asked.key, asked, (domain, second, third), outcome)
        except CausalMixError as error:
            st.caption(plain(str(error)))
            return
        show_chart(
            interaction_charts.triangle_figure(triangle),
            key="explain_triangle",
            height=interaction_charts.TRIANGLE_HEIGHT,
            top=36,
        )


@st.cache_data(show_spinner="Drawing the effect ...", max_entries=64)
def _response(key: Key, _asked: Asked, domain: str, outcome: str) -> ResponseCurve:
    question = _asked.question
    return response_curve(_asked.model, domain, outcome, question.state, question.reference)


@st.cache_data(show_spinner="Growing rules ...", max_entries=64)
def _rules(key: Key, _asked: Asked, domain: str, outcome: str) -> InterpreterTree:
    return interpreter_tree(_asked.model, domain, outcome, _asked.question.reference)


@st.cache_data(show_spinner="Drawing the effect against pool states ...", max_entries=64)
def _effect_curves(key: Key, _asked: Asked, domain: str, outcome: str) -> list[EffectCurve]:
    question = _asked.question
    return effect_curves(_asked.model, domain, outcome, question.state, question.reference)


@st.cache_data(show_spinner="Sharing the effects out among pool states ...", max_entries=32)
def _shared(key: Key, _asked: Asked, outcome: str) -> Contributions:
    return contributions(_asked.model, outcome, _asked.question.reference)


@st.cache_data(show_spinner="Looking at pairs of domains ...", max_entries=32)
def _pairs(key: Key, _asked: Asked, outcome: str) -> pd.DataFrame:
    question = _asked.question
    return interactions(_asked.model, outcome, question.state, question.reference)


@st.cache_data(show_spinner="Drawing two domains together ...", max_entries=64)
def _pair(key: Key, _asked: Asked, first: str, second: str, outcome: str) -> PairSurface:
    question = _asked.question
    return pair_surface(_asked.model, first, second, outcome, question.state, question.reference)


@st.cache_data(show_spinner="Drawing three domains together ...", max_entries=64)
def _triangle(key: Key, _asked: Asked, domains: tuple[str, str, str], outcome: str) -> TriangleSurface:
    question = _asked.question
    return triangle_surface(_asked.model, domains, outcome, question.state, question.reference)

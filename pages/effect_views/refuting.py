"""Which effects withstood what: traffic lights with numbers, and how strong a hidden cause must be."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from causalmix_core.effects.estimators import ESTIMATORS
from causalmix_core.effects.explanation import state_name
from causalmix_core.effects.refutation import REFUTERS, Check, Refutation, RefutedEffect, RefuterName
from causalmix_core.effects.sensitivity import EffectSensitivity, Standing
from jobs import RefuteTask
from pages.effect_views.asked import Asked, outcome_name, refutation_of, sensitivity_of
from pages.effect_views.lights import LIGHTS, colour_of, sign_of
from pages.graph_views.plain import plain
from pages.widgets import task_panel
from pages.widgets.actions import action, outcome
from pages.widgets.tables import table_height

ALONE = ["Effect of", "Per +1 point", "Robustness", "Hidden by", "Standing"]
BESIDE = ["Strongest state", "Would take"]
"""Columns of the sensitivity table: always there, and where a measured state can be compared with."""
STANDINGS: dict[Standing, str] = {
    "robust": "robust",
    "fragile": "fragile",
    "safe by design": "safe by design",
    "not shown": "not told from zero",
}
TABLE, ONLY_CLEAR, OF = "refuted_effects", "refuted_only_clear", "sensitivity_of"


def show(asked: Asked) -> None:
    """Lay out the view."""
    kept = refutation_of(asked)
    if kept.problem:
        st.warning(plain(kept.problem), icon=":material/warning:")
    running = task_panel.running(asked.workspace)
    busy = running is not None and running.task.kind == "refute"
    label = ESTIMATORS[asked.estimator].label
    if kept.value is None:
        st.markdown(
            f"The effects by {plain(label)} **have not been refuted yet**. Each of them is put to "
            f"{len(REFUTERS)} tests that try to break it; what breaks should not move a mixture."
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        action(
            "Refute the effects again" if kept.value else "Refute the effects", _begin, asked, key="refute",
            type="secondary" if kept.value else "primary", icon=":material/gavel:", disabled=busy,
            help="It runs beside the page, with its progress above, and is kept in the workspace.",
        )  # fmt: skip
        with st.popover("What the tests do", icon=":material/help:", type="tertiary"):
            for info in REFUTERS.values():
                st.markdown(f"**{info.label}.** {info.does} {info.expects}")
    outcome("refute")
    if kept.value is not None:
        _lights(kept.value)
    st.divider()
    _sensitivity(asked)


def _begin(asked: Asked) -> None:
    reference = asked.question.graph_reference
    task_panel.begin(
        asked.workspace,
        RefuteTask(
            pool=asked.question.pool,
            graph=reference.name if reference.revision else None,
            revision=reference.revision,
            estimator=asked.estimator,
        ),
    )


def _lights(found: Refutation) -> None:
    """One row per effect, one column per refuter; a row that is picked says why."""
    st.markdown(f"**{plain(found.summary())}**")
    for note in found.notes:
        st.caption(plain(note))
    only = st.toggle("Only effects that can be told from zero", value=True, key=ONLY_CLEAR)
    effects = [e for e in found.effects if e.verdict != "not shown"] if only else list(found.effects)
    if not effects:
        st.info("No effect can be told from zero, so there is nothing to refute.", icon=":material/info:")
        return
    order = ("failed", "weak", "passed")
    effects.sort(key=lambda e: order.index(e.verdict) if e.verdict in order else len(order))
    table = pd.DataFrame(
        {
            "Effect of": [e.domain for e in effects],
            "on": [outcome_name(e.outcome) for e in effects],
            "Per +1 point": [f"{e.effect:+.4f} ({e.lower:+.4f} to {e.upper:+.4f})" for e in effects],
            "Verdict": [f"{sign_of(e.verdict)} {LIGHTS[e.verdict][0]}" for e in effects],
            **{HEADS[name]: [_cell(e.check(name)) for e in effects] for name in REFUTERS},
        }
    )
    verdicts = [["", "", "", e.verdict, *(e.check(name).verdict for name in REFUTERS)] for e in effects]
    styles = pd.DataFrame(verdicts, columns=table.columns).map(colour_of)
    picked = st.dataframe(
        table.style.apply(lambda _: styles, axis=None),
        hide_index=True,
        key=TABLE,
        height=table_height(len(effects)),
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "Effect of": st.column_config.TextColumn(width=100, pinned=True),
            "on": st.column_config.TextColumn(width=90, pinned=True),
            "Per +1 point": st.column_config.TextColumn(
                width=190, help="Change of the outcome, with its 95% interval."
            ),
            "Verdict": st.column_config.TextColumn(width=90, help="The worst of all tests."),
            **{
                HEADS[name]: st.column_config.TextColumn(
                    width=84, help=f"**{info.label}.** {info.does} {info.expects} {NUMBERS[name]}"
                )
                for name, info in REFUTERS.items()
            },
        },
    )
    st.caption("✓ survived, ~ weak, ✗ failed. Pick a row to read why.")
    rows = picked["selection"]["rows"]
    _why(effects[rows[0] if rows and rows[0] < len(effects) else 0])


HEADS: dict[RefuterName, str] = {
    "placebo": "Placebo",
    "dummy_outcome": "Dummy",
    "random_common_cause": "Noise",
    "subset": "Subsets",
    "bootstrap": "Bootstrap",
    "unobserved_confounder": "Hidden",
}
"""Heads of columns; the whole names stand in their help."""
NUMBERS: dict[RefuterName, str] = {
    "placebo": "The number is the share of effects in shuffled runs that are as sure.",
    "dummy_outcome": "The number is the share of effects on made-up outcomes that are as sure.",
    "random_common_cause": "The number is how far the effect moves, in its standard errors (SE).",
    "subset": "The number is how far the effect moves, in its standard errors (SE).",
    "bootstrap": "The number is how much it varies, against what its interval says.",
    "unobserved_confounder": "The number is what is left of the effect.",
}
"""What the number in each column is."""


def _cell(check: Check) -> str:
    """The light and the number that it rests on."""
    if check.verdict in ("not shown", "does not apply"):
        return sign_of(check.verdict)
    number = ""
    if check.refuter in ("placebo", "dummy_outcome"):
        number = "" if check.p_value is None else f"p {check.p_value:.2f}"
    elif check.ratio is not None:
        number = {
            "random_common_cause": f"{check.ratio:.1f} SE",
            "subset": f"{check.ratio:.1f} SE",
            "bootstrap": f"× {check.ratio:.1f}",
            "unobserved_confounder": f"{check.ratio:.0%} left",
        }[check.refuter]
    return f"{sign_of(check.verdict)} {number}"


def _why(effect: RefutedEffect) -> None:
    """Every test of one effect, in words."""
    with st.container(border=True):
        st.markdown(
            f"**{plain(effect.domain)} on {plain(outcome_name(effect.outcome))}:** {plain(effect.words)}"
        )
        lines = []
        for check in effect.checks:
            word, colour, icon = LIGHTS[check.verdict]
            lines.append(
                f"- :{colour}[{icon}] **{REFUTERS[check.refuter].label}**, {word}: {plain(check.words)}"
            )
        st.markdown("\n".join(lines))


def _sensitivity(asked: Asked) -> None:
    """How strong a cause that nobody measured would have to be."""
    st.subheader("Sensitivity to hidden causes", anchor=False)
    found = sensitivity_of(asked)
    for sentence in found.sentences:
        st.markdown(plain(sentence))
    if not found.effects:
        return
    of = st.selectbox("Effects on", asked.outcomes, format_func=outcome_name, key=OF, width=320)
    effects = sorted(found.of(of), key=lambda e: e.robustness)
    if not effects:
        st.caption("No mixture changes this outcome under the graph.")
        return
    _sensitivity_table(effects)


def _sensitivity_table(effects: list[EffectSensitivity]) -> None:
    worst = [e.benchmarks[0] if e.benchmarks and e.benchmarks[0].bias > 0 else None for e in effects]
    picked = st.dataframe(
        pd.DataFrame(
            {
                "Effect of": [e.domain for e in effects],
                "Per +1 point": [e.effect for e in effects],
                "Robustness": [100 * e.robustness for e in effects],
                "Hidden by": [100 * e.robustness_distinguishable for e in effects],
                "Standing": [STANDINGS[e.standing] for e in effects],
                "Strongest state": ["none" if b is None else state_name(b.state) for b in worst],
                "Would take": [0.0 if b is None else b.bias for b in worst],
            }
        ),
        hide_index=True,
        key="sensitivity",
        column_order=ALONE + (BESIDE if any(worst) else []),
        height=table_height(len(effects)),
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "Effect of": st.column_config.TextColumn(pinned=True),
            "Per +1 point": st.column_config.NumberColumn(format="%+.5f"),
            "Robustness": st.column_config.ProgressColumn(
                format="%.0f%%", min_value=0, max_value=100,
                help="The robustness value: a hidden cause that explains at least so much of what is left of "
                "both the weight and the outcome could bring the effect to zero. Near 0: anything could.",
            ),
            "Hidden by": st.column_config.ProgressColumn(
                format="%.0f%%", min_value=0, max_value=100,
                help="The same for making the effect indistinguishable from zero; 0 where it is already.",
            ),
            "Standing": st.column_config.TextColumn(
                help="Robust: no hidden cause as strong as a measured state would overturn or hide it. "
                "Fragile: one would. Safe by design: mixtures drawn at random have no hidden cause.",
            ),
            "Strongest state": st.column_config.TextColumn(
                help="The benchmark: the measured state that would do most harm if it had been hidden."
            ),
            "Would take": st.column_config.NumberColumn(
                format="%.5f",
                help="What a hidden cause as strong as that state would take from the effect or add to it.",
            ),
        },
    )  # fmt: skip
    rows = picked["selection"]["rows"]
    st.caption(plain(effects[rows[0] if rows and rows[0] < len(effects) else 0].words))

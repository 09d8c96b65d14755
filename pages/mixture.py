"""The mixture: sliders that always sum to 100%, effects that move them, predictions, and the export."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd
import streamlit as st

from causalmix_core.effects import OBJECTIVE, EffectModel
from causalmix_core.effects.effect_store import default_estimator
from causalmix_core.mixture import (
    POLICIES,
    Constraints,
    Mixture,
    PolicyName,
    Suggestion,
    export_saved,
    load_mixture,
    mixture_names,
    mixture_record,
    save_mixture,
    suggest,
    total_variation,
)
from causalmix_core.mixture.store import Asked
from causalmix_core.probes import LOSS
from causalmix_core.question import Question
from causalmix_core.workspace import Workspace
from pages.widgets import charts
from pages.widgets.actions import action, outcome
from pages.widgets.interval_charts import intervals
from pages.widgets.mixture_sliders import (
    SliderRow,
    Tone,
    from_units,
    last_released,
    mixture_sliders,
    to_units,
)
from pages.widgets.shell import (
    choose_estimator,
    fitted,
    question_of,
    run_page,
    title,
    user,
)

SLIDERS = "sliders"
NAME = "mixture-name"


@dataclass(frozen=True)
class Held:
    """The weights on the sliders and where they came from.

    Attributes:
        weights: the mixture.
        revision: counts how often the program, not the curator, has set the sliders.
        policy: what set them last; `manual` after a curator has moved one.
        radius: trust region of the policy.
    """

    weights: Mixture
    revision: int
    policy: PolicyName | Literal["manual"]
    radius: float | None


def held_mixture(question: Question) -> Held:
    """What is on the sliders; the reference at first, and when the domains are others than before."""
    held: Held | None = st.session_state.get("mixture")
    if held is None or set(held.weights) != set(question.runs.domains):
        held = set_mixture(question.reference, "manual", None)
    released = last_released(question.runs.domains, key=SLIDERS, revision=held.revision)
    if released is not None and released.units != to_units(held.weights):
        held = replace(held, weights=from_units(released.units), policy="manual", radius=None)
        st.session_state["mixture"] = held
    return held


def set_mixture(weights: Mixture, policy: PolicyName | Literal["manual"], radius: float | None) -> Held:
    """Put weights on the sliders from the program's side."""
    before: Held | None = st.session_state.get("mixture")
    held = Held(weights, before.revision + 1 if before else 1, policy, radius)
    st.session_state["mixture"] = held
    return held


def policy_controls(model: EffectModel, question: Question) -> None:
    """Let the effects move the sliders."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        radius = st.slider(
            "How far to go", 1, 60, 20, format="%d points", width=260,
            help="The trust region: at most this much weight moves away from the reference. Predictions "
            "are best close to what the probes covered.",
        )  # fmt: skip
        policy = st.selectbox(
            "Policy", list(POLICIES), format_func=lambda p: POLICIES[p].label, width=260,
            help=" ".join(f"**{p.label}**: {p.summary}" for p in POLICIES.values()),
        )  # fmt: skip
        if st.button("Apply effects", type="primary", icon=":material/auto_fix_high:"):
            with st.spinner("Looking for a better mixture ..."):
                found = suggest(
                    model, question.state, question.reference,
                    policy=policy, constraints=Constraints(radius=radius / 100),
                    tokens=question.snapshot.tokens() if question.snapshot else None,
                )  # fmt: skip
            set_mixture(found.mixture, policy, radius / 100)
            st.session_state["suggestion"] = found
            st.rerun()
    last: Suggestion | None = st.session_state.get("suggestion")
    if last is not None:
        for note in last.notes:
            if last.stay:
                st.info(note, icon=":material/info:")
            else:
                st.caption(f":material/info: {note}")


def sliders(model: EffectModel, question: Question, budget: int) -> Mixture:
    """One slider per domain; returns the mixture on them."""
    held = held_mixture(question)
    effects = model.effects(question.state, held.weights)
    mine = effects[effects["outcome"] == OBJECTIVE].set_index("domain")
    units, reference = to_units(held.weights), to_units(question.reference)
    pool = question.snapshot.tokens() if question.snapshot else None
    rows = []
    for domain in question.runs.domains:
        row = mine.loc[domain]
        tone: Tone = "better" if row["effect"] < 0 else "worse"
        rows.append(
            SliderRow(
                domain=domain,
                units=units[domain],
                reference_units=reference[domain],
                effect=f"{row['effect']:+.4f}",
                interval=f"{row['lower']:+.4f} to {row['upper']:+.4f}",
                tone=tone if row["distinguishable"] else "unclear",
                note=f"{held.weights[domain] * budget / pool[domain]:.1f} epochs" if pool else "",
            )
        )
    st.caption(
        "With each weight: what +1 point of the domain, taken from the others in proportion, does to the "
        "objective at this mixture, with its 95% interval. The mark under a track is the reference."
    )
    mixture_sliders(rows, key=SLIDERS, revision=held.revision)
    return held.weights


def predictions(model: EffectModel, question: Question, mixture: Mixture) -> None:
    """Predicted change of each outcome from the reference."""
    st.subheader("Predicted change", anchor=False)
    change = model.change(question.state, question.reference, mixture)
    goal = change[change["outcome"] == OBJECTIVE].iloc[0]
    moved = total_variation(question.reference, mixture)
    nats = " nats" if all(o.startswith(LOSS) for o in question.objective) else ""
    st.metric(
        "Objective",
        f"{goal['change']:+.4f}{nats}",
        help="Predicted change of the mean of the outcomes that count; lower is better.",
    )
    if moved < 1e-9:
        st.caption("The sliders stand at the reference. Move one, or apply the effects.")
    else:
        sure = "" if goal["upper"] < 0 or goal["lower"] > 0 else " · cannot be told from zero"
        st.caption(
            f"95%: {goal['lower']:+.4f} to {goal['upper']:+.4f}{sure} · {100 * moved:.1f} points moved"
        )
    rows = change[change["outcome"] != OBJECTIVE]
    charts.show(
        intervals(
            [o.removeprefix(LOSS) for o in rows["outcome"]],
            rows["change"].tolist(),
            rows["lower"].tolist(),
            rows["upper"].tolist(),
            "change of the outcome",
            rows["outcome"].tolist(),
        ),
        key="predictions",
        height=110 + 40 * len(rows),
    )
    st.caption("Against the reference, for proxies of this size; green is better. Bars are 95% intervals.")
    outside = [
        d
        for d, row in model.domain_box.iterrows()
        if not row["lower"] - 1e-9 <= mixture[str(d)] <= row["upper"] + 1e-9
    ]
    if outside:
        st.warning(
            f"The probes hardly tried weights like these for {', '.join(map(str, outside))}: the prediction "
            "is an extrapolation.",
            icon=":material/warning:",
        )


def saving(
    workspace: Workspace, model: EffectModel, question: Question, mixture: Mixture, budget: int
) -> None:
    """Save the mixture with its provenance and export it."""
    st.subheader("Save and export", anchor=False)
    seen = _seen()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Name", value="suggested", width=260, key=NAME)
        action(
            "Save the mixture", _save, workspace, model, question,
            key="save", type="primary", icon=":material/save:",
        )  # fmt: skip
    outcome("save")
    if name not in mixture_names(workspace):
        st.caption("Save the mixture to export it.")
        return
    saved = load_mixture(workspace, name)
    seen.setdefault(name, saved.revision)  # what this curator knows of; a later one is not overwritten
    current = total_variation(saved.weights, mixture) < 1e-9
    if st.session_state.pop("saved-mixture", None) == name:
        st.success(f"Saved {name}, revision {saved.revision}.", icon=":material/check:")
    if not current:
        st.caption(f"The saved {name} (revision {saved.revision}) differs from the sliders.")
    text = export_saved(workspace, name, budget)
    st.download_button(
        "Download the YAML",
        text,
        file_name=f"{name}.yaml",
        mime="application/yaml",
        icon=":material/download:",
        on_click="ignore",
    )
    with st.expander("What the file says", icon=":material/description:"):
        st.code(text, language="yaml")


def _seen() -> dict[str, int]:
    """The revisions that this curator knows of, by the name of the mixture."""
    seen: dict[str, int] = st.session_state.setdefault("mixture-revisions", {})
    return seen


def _save(workspace: Workspace, model: EffectModel, question: Question) -> None:
    """Save what is on the sliders, on top of the revision that this curator has seen."""
    held, name, seen = held_mixture(question), str(st.session_state[NAME]), _seen()
    record = mixture_record(
        question, model, held.weights, name=name, by=user(),
        asked=Asked(policy=held.policy, constraints=Constraints(radius=held.radius)),
    )
    saved = save_mixture(workspace, record, seen.get(name))
    seen[name] = saved.revision
    st.session_state["saved-mixture"] = saved.name


def token_budget(workspace: Workspace) -> int:
    """Tokens of the training run, kept in the workspace."""
    config = workspace.config()
    millions = st.number_input(
        "Token budget (millions)",
        min_value=0.001,
        value=config.token_budget / 1e6,
        step=1.0,
        format="%.3f",
        width=220,
        help="Tokens of the training run this mixture is for. It decides how often a domain is repeated "
        "(epochs) and the token counts in the export.",
    )
    budget = max(1, round(millions * 1e6))
    if budget != config.token_budget:
        workspace.save_config(config.model_copy(update={"token_budget": budget}))
    return budget


def show_table(question: Question, mixture: Mixture) -> None:
    """The same weights as a table, to copy."""
    with st.expander("As a table", icon=":material/table:"):
        st.dataframe(
            pd.DataFrame(
                {
                    "domain": question.runs.domains,
                    "weight": [mixture[d] for d in question.runs.domains],
                    "reference": [question.reference[d] for d in question.runs.domains],
                }
            ),
            hide_index=True,
            column_config={
                "weight": st.column_config.NumberColumn("Weight", format="percent"),
                "reference": st.column_config.NumberColumn("Reference", format="percent"),
            },
        )


def render(workspace: Workspace) -> None:
    """Lay out the page."""
    title(
        "Mixture",
        "Set the weights; the effects say what each move does.",
    )
    question = question_of(workspace)
    st.caption(f"The reference is {question.reference_is}.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        estimator = choose_estimator(default_estimator(workspace, question)[0])
        budget = token_budget(workspace)
    model = fitted(workspace, question, estimator)
    policy_controls(model, question)
    left, right = st.columns([2, 1], gap="large")
    with left:
        mixture = sliders(model, question, budget)
        show_table(question, mixture)
    with right:
        predictions(model, question, mixture)
    saving(workspace, model, question, mixture, budget)


run_page("mixture", render)

"""What one more percentage point of a domain does to each loss, with its interval and what it rests on."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from causalmix_core.effects import OBJECTIVE, EffectModel, EstimatorName
from causalmix_core.probes import LOSS
from causalmix_core.question import Question
from causalmix_core.workspace import Workspace
from pages.widgets import charts
from pages.widgets.shell import (
    ESTIMATORS,
    choose_estimator,
    fitted,
    next_step,
    question_of,
    run_page,
    title,
)


def matrix(effects: pd.DataFrame) -> None:
    """All domains against all outcomes."""
    rows = effects[effects["outcome"] != OBJECTIVE]
    table = rows.pivot(index="domain", columns="outcome", values="effect")
    clear = rows.pivot(index="domain", columns="outcome", values="distinguishable").astype(bool)
    charts.show(charts.effect_heatmap(table, clear), key="matrix", height=120 + 42 * len(table))
    st.caption(
        "Change of a held-out loss (nats per token) per +1 percentage point of a domain, taken from the "
        "others in proportion. Green lowers the loss, red raises it; without colour the effect cannot be "
        "told from zero."
    )


def one_outcome(effects: pd.DataFrame, question: Question) -> None:
    """Effects on one outcome with their intervals, and the statement each rests on."""
    outcomes = [OBJECTIVE, *question.runs.outcomes]
    outcome = st.selectbox(
        "Outcome",
        outcomes,
        format_func=lambda o: "objective (weighted mean)" if o == OBJECTIVE else o.removeprefix(LOSS),
        width=320,
    )
    rows = effects[effects["outcome"] == outcome].sort_values("effect")
    charts.show(
        charts.intervals(
            rows["domain"].tolist(),
            rows["effect"].tolist(),
            rows["lower"].tolist(),
            rows["upper"].tolist(),
            "change of the loss per +1 point (nats per token), 95% interval",
        ),
        key="one-outcome",
        height=110 + 42 * len(rows),
    )
    st.dataframe(
        rows[["domain", "effect", "lower", "upper", "distinguishable", "basis"]],
        hide_index=True,
        column_config={
            "domain": "Domain",
            "effect": st.column_config.NumberColumn("Per +1 point", format="%+.5f"),
            "lower": st.column_config.NumberColumn("95% from", format="%+.5f"),
            "upper": st.column_config.NumberColumn("to", format="%+.5f"),
            "distinguishable": st.column_config.CheckboxColumn("Differs from zero"),
            "basis": st.column_config.TextColumn("Rests on", width="large"),
        },
    )


def trust(model: EffectModel, question: Question) -> None:
    """How well held-out probes were predicted, and what to know before believing any of it."""
    st.subheader("How far to trust this", anchor=False)
    for note in model.notes:
        st.markdown(f"- {note}")
    if warning := model.extrapolation(question.state):
        st.warning(warning, icon=":material/warning:")
    scores = model.scores.copy()
    scores["outcome"] = [o.removeprefix(LOSS) for o in scores["outcome"]]
    st.dataframe(
        scores[["outcome", "spearman", "r2", "n"]],
        hide_index=True,
        column_config={
            "outcome": "Outcome",
            "spearman": st.column_config.NumberColumn(
                "Rank correlation", format="%.2f",
                help="Between predicted and measured losses of probes that the fit had not seen "
                "(5 folds). 1 is a perfect ranking.",
            ),
            "r2": st.column_config.NumberColumn(
                "R²", format="%.2f",
                help="Part of the variation of held-out probes that is predicted; 0 is no better than "
                "always predicting the mean.",
            ),
            "n": "Probes",
        },
    )  # fmt: skip


def objective(workspace: Workspace, question: Question) -> None:
    """Which outcomes count, kept in the workspace."""
    chosen = st.multiselect(
        "Outcomes that count in the objective",
        question.runs.outcomes,
        default=list(question.objective),
        format_func=lambda o: o.removeprefix(LOSS),
        help="The objective is the mean of these losses. The suggestion lowers it; what you leave out "
        "may get worse.",
    )
    if chosen and set(chosen) != set(question.objective):
        config = workspace.config()
        workspace.save_config(config.model_copy(update={"objective": dict.fromkeys(chosen, 1.0)}))
        st.rerun()


def render(workspace: Workspace) -> None:
    """Lay out the page."""
    title("Effects", "What one more percentage point of a domain does to each loss, in this pool.")
    question = question_of(workspace)
    left, right = st.columns([1, 2], gap="large", vertical_alignment="bottom")
    with left:
        estimator: EstimatorName = choose_estimator()
    with right:
        objective(workspace, question)
    graph = question.graph_reference
    st.caption(
        f"{len(question.runs)} probes · graph "
        + (f"{graph.name}, revision {graph.revision}" if graph.revision else "assumed (none saved)")
        + f" · {ESTIMATORS[estimator]} · at the weights by size"
    )
    model = fitted(workspace, question, estimator)
    effects = model.effects(question.state, question.reference)
    matrix(effects)
    one_outcome(effects, question)
    trust(model, question)
    next_step("mixture", "let the effects move the mixture")


run_page("effects", render)

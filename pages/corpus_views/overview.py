"""The pool at a glance: its domains, their sizes, and what deserves a second look."""

from __future__ import annotations

from contextlib import suppress

import pandas as pd
import streamlit as st

from causalmix_core.corpus import FEATURES, Selection, Snapshot, explore
from causalmix_core.corpus.pool_warnings import epochs, warnings_of
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture import Mixture, load_mixture, mixture_names
from causalmix_core.workspace import Workspace
from pages.corpus_views import model_features, reading
from pages.widgets import charts, corpus_charts
from pages.widgets.views import turn_to

SPARK_BINS = 24


def show(workspace: Workspace, snapshot: Snapshot) -> None:
    """Lay out the view."""
    table = reading.domain_table(str(snapshot.database), snapshot)
    _totals(snapshot, table)
    left, right, _ = st.columns([2, 2, 3])
    budget = left.number_input(
        "Token budget of the training run",
        min_value=1_000,
        # Kept by hand: the browser then draws the field with the chosen budget from the start when the
        # curator comes back, instead of drawing the default and being told better afterwards.
        value=st.session_state.get("chosen_budget", workspace.config().token_budget),
        step=1_000_000,
        key="budget",
        help="Decides how often each domain is read (epochs), and which warnings apply. The default is "
        "token_budget in workspace.yaml.",
    )
    st.session_state["chosen_budget"] = budget
    mixtures = _mixtures(workspace, snapshot)
    names = list(mixtures)
    before = st.session_state.get("chosen_mixture", names[0])
    chosen = right.selectbox(
        "Mixture",
        names,
        index=names.index(before) if before in names else 0,
        key="overview_mixture",
        help="The weights that the epochs in the table are computed for.",
    )
    st.session_state["chosen_mixture"] = chosen
    _domains(snapshot, table, int(budget), mixtures[chosen])
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.markdown("**Sizes**", help="Area: tokens of the domain.")
        charts.show(corpus_charts.treemap(table), key="treemap", height=300, top=4)
    with right:
        _warnings(snapshot, int(budget))
    model_features.show(workspace, snapshot)


def _totals(snapshot: Snapshot, table: pd.DataFrame) -> None:
    documents = int(table["documents"].sum())
    columns = st.columns(5)
    columns[0].metric("Domains", len(table))
    columns[1].metric("Documents", f"{documents:,}")
    columns[2].metric("Size", corpus_charts.number(float(table["bytes"].sum())) + "B")
    tokenizer = snapshot.manifest.tokenizer
    columns[3].metric(
        "Tokens",
        corpus_charts.number(float(table["tokens"].sum())),
        help="Every byte is a token, and one more ends a document."
        if tokenizer == "bytes"
        else f"Counted by the workspace's tokenizer, {tokenizer}.",
    )
    columns[4].metric(
        "Near-duplicates",
        f"{table['near_duplicates'].sum() / documents:.0%}",
        help="Documents that repeat another one almost word for word (MinHash, Jaccard similarity of "
        "about 0.8 or more on runs of five words). The first of each group is not counted.",
    )


def _mixtures(workspace: Workspace, snapshot: Snapshot) -> dict[str, Mixture]:
    """By size, even, and every saved mixture of these domains."""
    even = dict.fromkeys(snapshot.domains, 1 / len(snapshot.domains))
    mixtures = {"by size": snapshot.weights_by_size(), "even": even}
    for name in mixture_names(workspace):
        with suppress(CausalMixError):  # the mixture page names a damaged file
            saved = load_mixture(workspace, name).weights
            if set(saved) == set(snapshot.domains):
                mixtures[name] = saved
    return mixtures


def _domains(snapshot: Snapshot, table: pd.DataFrame, budget: int, mixture: Mixture) -> None:
    lengths = reading.ask(snapshot, explore.histogram, "bytes", Selection(), SPARK_BINS)
    shapes = {d: own["documents"].tolist() for d, own in lengths.groupby("domain")}
    share = 100 * table["weight"]
    repeats = epochs(table, mixture, budget)
    show = pd.DataFrame(
        {
            "domain": table["domain"],
            "documents": table["documents"],
            "bytes": table["bytes"] / 1e6,
            "weight": share,
            "epochs": [repeats[d] for d in table["domain"]],
            "lengths": [shapes[d] for d in table["domain"]],
            "near": 100 * table["near_duplicate_fraction"],
            "language": [
                f"{name} {part:.0%}"
                for name, part in zip(table["language"], table["language_fraction"], strict=True)
            ],
            "compression": table["median_compression_ratio"],
            "exact": 100 * table["exact_duplicate_fraction"],
        }
    )
    event = st.dataframe(
        show,
        hide_index=True,
        key="domain_table",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "domain": st.column_config.TextColumn("Domain", pinned=True, width=110),
            "documents": st.column_config.NumberColumn("Documents", format="localized", width=80),
            "bytes": st.column_config.NumberColumn("MB", format="%.1f", width=50),
            "weight": st.column_config.ProgressColumn(
                "By size",
                width=105,
                format="%.1f%%",
                min_value=0,
                max_value=float(share.max()),
                help="The domain's part of all tokens: what you train on if you do not choose.",
            ),
            "epochs": st.column_config.NumberColumn(
                "Epochs",
                format="%.2f",
                width=60,
                help="How often the domain is read at the budget and the mixture above.",
            ),
            "lengths": st.column_config.BarChartColumn(
                "Lengths", width=110, help="How long the documents are, from short to long (logarithmic)."
            ),
            "near": st.column_config.ProgressColumn(
                "Near-copies", width=100, format="%.0f%%", min_value=0, max_value=100
            ),
            "exact": st.column_config.NumberColumn("Exact copies", format="%.0f%%"),
            "language": st.column_config.TextColumn("Language", width=75, help="The most frequent one."),
            "compression": st.column_config.NumberColumn(
                "Compression", width=90, format="%.2f", help="Median. " + FEATURES["compression_ratio"].help
            ),
        },
    )
    rows = event["selection"]["rows"] if event else []
    if rows:
        chosen = str(show["domain"].iloc[rows[0]])
        st.session_state["only_domains"] = [chosen]
        turn_to("explore")
        st.rerun()
    st.caption("Select a row to explore the domain.")


def _warnings(snapshot: Snapshot, budget: int) -> None:
    st.markdown("**Worth a second look**")
    found = reading.ask(snapshot, warnings_of, budget)
    if not found:
        st.success("Nothing stands out.", icon=":material/check:")
    with st.container(height=300 if len(found) > 3 else "content", border=False):
        for warning in found:
            st.markdown(f":orange[:material/warning:] **{warning.domain}** {warning.text}")

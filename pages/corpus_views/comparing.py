"""Domains against domains, and this snapshot against another one."""

from __future__ import annotations

import numpy as np
import streamlit as st

from causalmix_core.corpus import Snapshot, compare, explore, list_snapshots, open_snapshot
from causalmix_core.corpus.compare import SnapshotComparison
from causalmix_core.corpus.comparisons import compared
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import Workspace
from pages.corpus_views import documents, exploring, reading
from pages.widgets import charts, corpus_charts
from pages.widgets.shell import guard


def show(workspace: Workspace, snapshot: Snapshot) -> None:
    """Lay out the view."""
    what = st.segmented_control(
        "Compare", ["Domains", "Snapshots"], default="Domains", required=True, key="compare",
        bind="query-params", label_visibility="collapsed",
    )  # fmt: skip
    if what == "Domains":
        _domains(snapshot)
    else:
        _snapshots(workspace, snapshot)


def _domains(snapshot: Snapshot) -> None:
    if len(snapshot.domains) < 2:
        st.info("There is one domain only; add another source to compare.", icon=":material/info:")
        return
    st.subheader("How different their words are", anchor=False)
    st.caption(
        "Jensen-Shannon divergence (base 2) between the words and word pairs of two domains, hashed into "
        "10,000 buckets as in DSIR (Xie et al. 2023): 0 means the same words equally often, 1 no word in "
        "common. Darker is more alike. It is too high for domains of few words."
    )
    table = reading.ask(snapshot, compare.similarity)
    apart = float(table.to_numpy()[~np.eye(len(table), dtype=bool)].max())
    charts.show(
        corpus_charts.square(table, "divergence", 0, apart), "similarity", 110 + max(220, 34 * len(table))
    )
    st.subheader("How their features are distributed", anchor=False)
    left, right = st.columns([1, 3], gap="large")
    with left:
        name = exploring.choose_feature(snapshot, "Feature", "compared", "compression_ratio")
        shown = st.multiselect(
            "Domains",
            snapshot.domains,
            key="compared_domains",
            placeholder="all domains",
            persist_state="session",
        )
        st.caption(reading.features_of(snapshot)[name].help)
    with right:
        chosen = exploring.of_domains(shown)
        shares = reading.ask(snapshot, explore.histogram, name, chosen, exploring.BINS)
        if shares.empty:
            st.info("No document has a value of this feature.", icon=":material/info:")
            return
        charts.show(
            corpus_charts.by_domain(shares, exploring.axis_label(snapshot, name)), "overlay", height=380
        )


def _snapshots(workspace: Workspace, snapshot: Snapshot) -> None:
    others = {
        s.id: f"{s.id} · {s.manifest.created_at:%Y-%m-%d %H:%M} · {s.documents:,} documents"
        + (f" · filter {s.manifest.derived.filter}" if s.manifest.derived else "")
        for s in list_snapshots(workspace)
        if s.id != snapshot.id
    }
    if not others:
        st.info(
            "There is one snapshot only. Read changed sources, or apply a filter; then what came, what went "
            "and how far the features have drifted is shown here.",
            icon=":material/info:",
        )
        return
    chosen = st.selectbox(
        f"Snapshot to compare {snapshot.id} with", list(others), format_func=others.__getitem__,
        key="against", bind="query-params",
    )  # fmt: skip
    other = open_snapshot(workspace, chosen)
    old, new = sorted((other, snapshot), key=lambda s: s.manifest.created_at)
    with guard(), st.spinner("Comparing ...", show_time=True):
        found = _compared(str(old.database), str(new.database), workspace, old, new)
    _came_and_went(found)
    _drift(snapshot, found)
    _overlay(old, new, found)
    left, right = st.columns(2, gap="large")
    for column, title, rows, side in ((left, "Went", found.went, old), (right, "Came", found.came, new)):
        with column:
            st.markdown(f"**{title}**: examples")
            if rows.empty:
                st.caption("No document.")
            else:
                documents.show(side, rows, None, None, prefix=title)


@st.cache_data(show_spinner=False, max_entries=8)
def _compared(
    old_database: str, new_database: str, _workspace: Workspace, _old: Snapshot, _new: Snapshot
) -> SnapshotComparison:
    return compared(_workspace, _old, _new)


def _came_and_went(found: SnapshotComparison) -> None:
    st.caption(f"From the older snapshot {found.old} to the newer {found.new}.")
    if found.only_old:
        st.warning(f"No longer there: {', '.join(found.only_old)}.", icon=":material/remove:")
    if found.only_new:
        st.info(f"New domains: {', '.join(found.only_new)}.", icon=":material/add:")
    columns = {
        name: st.column_config.NumberColumn(label, format="localized")
        for name, label in (
            ("old", f"In {found.old}"), ("new", f"In {found.new}"), ("kept", "In both"), ("came", "Came"),
            ("went", "Went"),
        )
    }  # fmt: skip
    st.dataframe(found.documents, hide_index=True, column_config={"domain": "Domain", **columns})


def _overlay(old: Snapshot, new: Snapshot, found: SnapshotComparison) -> None:
    """One feature of one domain in both snapshots."""
    if found.drift.empty:
        return
    st.markdown("**One feature in both**")
    left, right = st.columns([1, 3], gap="large")
    with left:
        name = exploring.choose_feature(
            new, "Feature", "drifted", str(found.drift["feature"].iloc[0]), bind=False
        )
        shared = sorted(set(found.drift["domain"]))
        domain = st.selectbox("Domain", shared, index=shared.index(str(found.drift["domain"].iloc[0])))
    with right:
        try:
            table = compare.overlay_snapshots(
                reading.cursor(old), reading.cursor(new), name, domain, exploring.BINS
            )
        except CausalMixError as error:
            st.info(str(error), icon=":material/info:")
            return
        table["domain"] = table["side"].map({"old": f"older, {old.id}", "new": f"newer, {new.id}"})
        table["selected"] = table["documents"]
        charts.show(
            corpus_charts.by_domain(table, exploring.axis_label(new, name)), "both_snapshots", height=340
        )


def _drift(snapshot: Snapshot, found: SnapshotComparison) -> None:
    st.markdown(
        "**Drift of the features**",
        help="Population stability index (PSI) of each feature: below 0.1 stable, 0.1 to 0.25 some drift, "
        "above 0.25 drifted. Jensen-Shannon divergence and the Wasserstein distance, in standard deviations "
        "of the older snapshot, are in the table.",
    )
    if found.drift.empty:
        st.caption("The snapshots share no domain.")
        return
    features = reading.features_of(snapshot)
    strongest = found.drift.groupby("feature")["psi"].max().nlargest(12).index
    wide = found.drift[found.drift["feature"].isin(strongest)].pivot(
        index="feature", columns="domain", values="psi"
    )
    wide = wide.loc[strongest].set_axis([features[f].label for f in strongest], axis=0)
    charts.show(corpus_charts.drift(wide), "drift", 110 + 26 * len(wide))
    if found.sampled:
        st.caption(f"On a sample of the documents in {', '.join(found.sampled)}.")
    with st.expander("Every feature and domain", icon=":material/table:"):
        st.dataframe(
            found.drift,
            hide_index=True,
            column_config={
                c: st.column_config.NumberColumn(c, format="%.3f")
                for c in ("psi", "jensen_shannon", "wasserstein")
            },
        )

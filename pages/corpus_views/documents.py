"""Documents to read: with what breaks a rule marked, and near-copies side by side."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from causalmix_core.corpus import RULES, Search, Snapshot, broken_spans, explore
from causalmix_core.corpus.differences import diff_spans
from pages.corpus_views import reading
from pages.widgets.corpus_charts import number
from pages.widgets.shell import is_dark

MARKED_CHARACTERS = 5_000
"""Of a text are shown, and searched for what breaks a rule."""
MOST_SPANS = 400
_LEAD = 400
"""Characters before the first place that a search found."""

Span = tuple[int, int, str]


def show(
    snapshot: Snapshot,
    rows: pd.DataFrame,
    search: Search | None,
    measure: str | None,
    prefix: str = "page",
) -> None:
    """Documents of `explore.page`, one below another.

    Args:
        snapshot: where they lie.
        rows: what `explore.page` gave.
        search: what was looked for, to mark it.
        measure: a feature whose value stands in the heading.
        prefix: of the keys of widgets, where two lists stand on one page.
    """
    features = reading.features_of(snapshot)
    for position, record in enumerate(rows.to_dict("records")):
        row = {str(k): v for k, v in record.items()}
        value = (
            f" · {features[measure].label} {number(row[measure])}" if measure and _known(row, measure) else ""
        )
        with st.expander(
            f"**{row['domain']}** · {row['origin']} · {row['bytes']:,} bytes{value}{_marks(row)}",
            expanded=position == 0,
        ):
            _document(snapshot, row, search, prefix)


def _known(row: dict[str, Any], feature: str) -> bool:
    return row.get(feature) is not None and row[feature] == row[feature]


def _marks(row: dict[str, Any]) -> str:
    marks = [
        ":orange-badge[near-duplicate]" if row["near_duplicate"] else "",
        ":gray-badge[held out]" if row["split"] == "heldout" else "",
        f":red-badge[breaks {len(row['rules'])}]" if len(row["rules"]) else "",
    ]
    return "".join(" " + mark for mark in marks if mark)


def _document(snapshot: Snapshot, row: dict[str, Any], search: Search | None, prefix: str) -> None:
    text, before = _shown(snapshot, row, search)
    spans = found(text, search)
    if len(row["rules"]):
        chosen = st.pills(
            "Rules that it breaks",
            list(row["rules"]),
            format_func=lambda r: RULES[r].label,
            key=f"{prefix}-rule-{row['domain']}-{row['document']}",
            help="Choose one to see what it means and where the text breaks it.",
        )
        if chosen:
            own = [(a, b, RULES[chosen].label) for a, b in broken_spans(text, chosen)]
            st.caption(
                f"{RULES[chosen].help} Source: {RULES[chosen].source}."
                + ("" if own else " It is about the whole document, so nothing is marked.")
            )
            spans += own
    st.html(marked(text, spans, height=260))
    note = (
        f"{row['language']} ({row['language_score']:.2f}) · {row['words']:,} words · {row['lines']:,} lines"
    )
    if len(text) < row["characters"]:
        note += f" · {len(text):,} of {row['characters']:,} characters, from number {before + 1:,} on"
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(note, width="content")
        pressed = st.button(
            "Near-copies",
            key=f"{prefix}-copies-{row['domain']}-{row['document']}",
            icon=":material/content_copy:",
            help="Documents of the same near-duplicate cluster, side by side with this one.",
        )
    if pressed:
        _copies(snapshot, row)


def _shown(snapshot: Snapshot, row: dict[str, Any], search: Search | None) -> tuple[str, int]:
    """The part of a text that is shown, and how many characters come before it: where something was found."""
    text = str(row["text"])
    if search is None:
        return text, 0
    if row["cut"]:
        text = reading.ask_document(snapshot, str(row["domain"]), int(row["document"]))
    hits = found(text, search)
    start = 0
    if hits and hits[0][0] > _LEAD:
        start = text.rfind("\n", 0, hits[0][0] - _LEAD // 2) + 1
        start = max(start, hits[0][0] - _LEAD)
    return text[start : start + MARKED_CHARACTERS], start


@st.dialog("Near-copies", width="large")
def _copies(snapshot: Snapshot, row: dict[str, Any]) -> None:
    found_rows = reading.ask_texts(snapshot, explore.siblings, str(row["domain"]), int(row["document"]))
    if found_rows.empty:
        st.info("No other document repeats this one.", icon=":material/info:")
        return
    names = [f"{s.domain} · {s.origin}{' · exact copy' if s.exact else ''}" for s in found_rows.itertuples()]
    index = st.selectbox("Compare with", range(len(names)), format_func=names.__getitem__)
    other = found_rows.iloc[index]
    mine, theirs = str(row["text"]), str(other["text"])
    difference = diff_spans(mine, theirs)
    own = f"{row['domain']} · {row['origin']}"
    for column, name, text, parts in zip(
        st.columns(2),
        (own, names[index]),
        (mine, theirs),
        (difference.left, difference.right),
        strict=True,
    ):
        column.caption(name)
        column.html(marked(text, [(a, b, "only here") for a, b in parts], height=420))
    if not difference.complete:
        st.caption("The texts are long; whole lines are compared, not words.")
    st.caption(
        f"{len(found_rows):,} near-cop{'y' if len(found_rows) == 1 else 'ies'} shown. "
        "The first document of a group is the one that counts as the original."
    )


def found(text: str, search: Search | None) -> list[Span]:
    """Where a search finds something in a text."""
    if search is None:
        return []
    pattern = search.text if search.kind == "regex" else re.escape(search.text)
    try:
        compiled = re.compile(pattern, 0 if search.case else re.IGNORECASE)
    except re.error:  # RE2 knows a few forms that Python does not
        return []
    return [
        (m.start(), m.end(), "found")
        for _, m in zip(range(MOST_SPANS), compiled.finditer(text), strict=False)
    ]


def marked(text: str, spans: Sequence[Span], height: int) -> str:
    """A text as HTML, with spans marked and named; overlapping spans are joined."""
    dark = is_dark()
    colour, edge = ("#5a4a12", "#b5b124") if dark else ("#ffe9a8", "#cc7200")
    pieces: list[str] = []
    at = 0
    for start, stop, name in _joined(spans):
        start, stop = max(start, at), min(stop, len(text))
        if start >= stop:
            continue
        pieces.append(html.escape(text[at:start]))
        pieces.append(
            f'<mark title="{html.escape(name)}" style="background:{colour};color:inherit;'
            f'border-bottom:1px solid {edge}">{html.escape(text[start:stop])}</mark>'
        )
        at = stop
    pieces.append(html.escape(text[at:]))
    ground, line = ("#1a242c", "#36444f") if dark else ("#f7f9fa", "#ced7dd")
    return (
        f'<pre tabindex="0" style="white-space:pre-wrap;overflow-wrap:anywhere;margin:0;padding:10px 12px;'
        f"max-height:{height}px;overflow:auto;background:{ground};border:1px solid {line};border-radius:6px;"
        f'font-size:13px;line-height:1.5">{"".join(pieces)}</pre>'
    )


def _joined(spans: Sequence[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, stop, name in sorted(spans)[: 4 * MOST_SPANS]:
        if joined and start <= joined[-1][1] and name == joined[-1][2]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]), name)
        else:
            joined.append((start, stop, name))
    return joined

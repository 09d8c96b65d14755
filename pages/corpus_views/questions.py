"""A box for SQL on the read-only snapshot, for those who want to ask what no view shows."""

from __future__ import annotations

import streamlit as st

from causalmix_core.corpus import Snapshot, SqlResult, run_sql
from causalmix_core.errors import CausalMixError

MAX_ROWS = 1_000
SECONDS = 10
EXAMPLES = {
    "Documents per language": "SELECT domain, language, count(*) AS documents\nFROM documents\n"
    "GROUP BY ALL\nORDER BY documents DESC\nLIMIT 50",
    "Longest documents that break no rule": "SELECT domain, document, origin, bytes\nFROM documents\n"
    "WHERE NOT gopher_short_doc AND NOT near_duplicate\nORDER BY bytes DESC\nLIMIT 20",
    "Largest groups of near-copies": "SELECT cluster, count(*) AS copies, any_value(origin) AS example\n"
    "FROM documents\nGROUP BY cluster\nORDER BY copies DESC\nLIMIT 20",
    "A look at some texts": "SELECT d.domain, d.bytes, t.text[:200] AS beginning\nFROM documents d\n"
    "JOIN texts t USING (domain, document)\nWHERE d.bytes BETWEEN 200 AND 400\nLIMIT 20",
    "What the columns are": "DESCRIBE documents",
}


def show(snapshot: Snapshot) -> None:
    """Lay out the view."""
    st.caption(
        "Tables: `documents` (every feature and rule), `domains`, `files`, `skipped`, `ngrams` and `texts`. "
        f"Nothing can be changed; an answer has at most {MAX_ROWS:,} rows and {SECONDS} seconds."
    )
    # Kept by hand, as the budget of the overview is: fields are drawn with what they held from the start.
    names = list(EXAMPLES)
    example = st.selectbox(
        "Start from", names, index=names.index(st.session_state.get("sql_from", names[0])), key="sql_example"
    )
    if st.session_state.get("sql_from") != example:
        st.session_state["sql_from"] = example
        st.session_state["sql_typed"] = EXAMPLES[example]
    query = st.text_area("SQL", st.session_state["sql_typed"], height=150, key=f"sql_{names.index(example)}")
    st.session_state["sql_typed"] = query
    if st.button("Run", type="primary", icon=":material/play_arrow:", key="run_sql"):
        st.session_state["sql_asked"] = query
    if asked := st.session_state.get("sql_asked"):
        _answer(snapshot, asked)


def _answer(snapshot: Snapshot, query: str) -> None:
    try:
        with st.spinner("Asking ...", show_time=True):
            result = _ask(str(snapshot.database), query, snapshot)
    except CausalMixError as error:
        st.error(str(error), icon=":material/error:")
        return
    more = f", the first {MAX_ROWS:,}" if result.truncated else ""
    st.caption(f"{len(result.frame):,} rows{more}, {1000 * result.seconds:,.0f} ms.")
    st.dataframe(result.frame, hide_index=True)
    st.download_button(
        "Download as CSV",
        data=lambda: result.frame.to_csv(index=False).encode(),
        file_name="answer.csv",
        mime="text/csv",
        on_click="ignore",
    )


@st.cache_data(show_spinner=False, max_entries=16)
def _ask(database: str, query: str, _snapshot: Snapshot) -> SqlResult:
    return run_sql(_snapshot, query, max_rows=MAX_ROWS, timeout_seconds=SECONDS)

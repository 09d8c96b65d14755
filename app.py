"""Navigation and the open workspace; nothing else.

Start it with `causalmix ui`, or with `streamlit run app.py` and the workspace in CAUSALMIX_WORKSPACE.
"""

from pathlib import Path

import streamlit as st

from pages.widgets.shell import follow_wanted_page, guard, open_workspace, sidebar, warm_imports

ICON = Path(__file__).parent / "pages" / "widgets" / "icon.svg"

st.set_page_config(page_title="CausalMix", page_icon=str(ICON), layout="wide")
page = st.navigation(
    [
        st.Page("pages/corpus.py", title="Corpus", icon=":material/library_books:", default=True),
        st.Page("pages/probes.py", title="Probes", icon=":material/science:"),
        st.Page("pages/graph.py", title="Graph", icon=":material/account_tree:"),
        st.Page("pages/effects.py", title="Effects", icon=":material/insights:"),
        st.Page("pages/mixture.py", title="Mixture", icon=":material/tune:"),
    ]
)
follow_wanted_page()
with guard():
    sidebar(open_workspace())
    page.run()
warm_imports()

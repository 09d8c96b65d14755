"""Starts Streamlit with what every page stands on imported already, so that nobody waits for it.

    python -m pages.widgets.server run app.py [Streamlit's options]

Streamlit runs app.py for the first time when somebody opens it; a second of that would be imports.
"""

import importlib

from streamlit.web.cli import main

if __name__ == "__main__":
    importlib.import_module("pages.widgets.shell")
    importlib.import_module("pages.widgets.corpus_charts")
    main()

"""The views of a page: segments below its title. The one in use stands in the address, to be shared."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st


def choose_view(words: Mapping[str, str], default: str, key: str = "view") -> str:
    """Which view of a page is looked at.

    Args:
        words: view -> its name on the page, in the order of the segments.
        default: the view of an address that names none.
        key: the name of the view in the address.
    """
    if wanted := st.session_state.pop(f"wanted_{key}", None):
        st.session_state[key] = wanted
    chosen = st.segmented_control(
        "View",
        list(words),
        default=None if key in st.session_state else default,
        required=True,
        key=key,
        bind="query-params",
        format_func=words.__getitem__,
        label_visibility="collapsed",
    )
    return chosen or default


def turn_to(view: str, key: str = "view") -> None:
    """Show another view of the page in its next run; widgets cannot be set once they are drawn."""
    st.session_state[f"wanted_{key}"] = view

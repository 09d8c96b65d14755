"""Buttons that do something: done in their callback, because a press must never be lost.

Streamlit runs a callback before anything else in a run. What stands after `if st.button(...)` is reached
only if no other rerun cuts the run short, and on a busy machine one does: a live panel that refreshes, a
slider that was let go of a moment before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from causalmix_core.errors import CausalMixError

_LAST = "last_action"


@dataclass(frozen=True)
class _Outcome:
    """What came of a press: what was said, or why it failed."""

    key: str
    words: str
    failed: bool = False


def action(
    label: str,
    do: Callable[..., object],
    *args: object,
    key: str,
    said: str = "",
    icon: str | None = None,
    type: Literal["primary", "secondary", "tertiary"] = "secondary",
    help: str | None = None,
    disabled: bool = False,
) -> None:
    """A button that calls `do(*args)` when it is pressed.

    Args:
        label: of the button.
        do: what to do; a CausalMixError is shown by `outcome`. What other widgets hold it reads from the
            session: a field may have been changed in the same moment in which the button was pressed.
        args: its arguments, as they are when the button is drawn.
        key: of the button.
        said: shown by `outcome` for a few seconds once it is done.
        icon: of the button.
        type: of the button.
        help: of the button.
        disabled: whether it cannot be pressed now.
    """
    st.button(
        label, key=key, on_click=_do, args=(key, do, args, said), icon=icon, type=type, help=help,
        disabled=disabled,
    )  # fmt: skip


def outcome(*keys: str) -> None:
    """Show what came of the last press of one of these buttons, once.

    The page does it, not the callback: what the callback of a fragment shows replaces the top of the page.
    """
    last: _Outcome | None = st.session_state.get(_LAST)
    if last is None or last.key not in keys:
        return
    del st.session_state[_LAST]
    if last.failed:
        st.error(last.words, icon=":material/error:")
    elif last.words:
        st.toast(last.words)


def _do(key: str, do: Callable[..., object], args: tuple[object, ...], said: str) -> None:
    try:
        do(*args)
        st.session_state[_LAST] = _Outcome(key, said)
    except CausalMixError as error:
        st.session_state[_LAST] = _Outcome(key, str(error), failed=True)

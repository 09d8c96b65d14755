"""Saved mixtures: keep what is on the sliders with all it rests on, open one again, and replay it."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import streamlit as st

from causalmix_core.effects import OBJECTIVE
from causalmix_core.effects.estimators import ESTIMATORS
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture import (
    POLICIES,
    SavedMixture,
    load_mixture,
    mixture_names,
    mixture_record,
    save_mixture,
    total_variation,
)
from causalmix_core.mixture.comparison import provenance_words
from causalmix_core.mixture.replay import Replay, replay
from causalmix_core.mixture.store import Asked, weights_for
from causalmix_core.probes.runs import pool_words
from causalmix_core.workspace import Workspace
from pages.graph_views.plain import plain
from pages.mixture_views import comparing, held
from pages.mixture_views.desk import Desk
from pages.mixture_views.held import Held
from pages.widgets.actions import action, outcome
from pages.widgets.shell import runs_key, user
from pages.widgets.tables import table_height
from pages.widgets.views import turn_to

NAME, CHOSEN = "mixture-name", "saved_chosen"
_SEEN, _SAVED, _REPLAY = "mixture-revisions", "saved-mixture", "replay_wanted"


def show(desk: Desk) -> None:
    """Lay out the view."""
    _save_box(desk)
    names = mixture_names(desk.workspace)
    if not names:
        st.info(
            "Nothing is saved yet. Give what is on the sliders a name and save it.", icon=":material/info:"
        )
        return
    kept, damaged = _read_all(desk.workspace, names)
    for words in damaged:
        st.warning(plain(words), icon=":material/warning:")
    if not kept:
        return
    _list(kept)
    chosen = comparing.choose(kept, "Saved mixture", CHOSEN)
    _one(desk, chosen)
    comparing.show(desk, kept, chosen)


def read_all(workspace: Workspace) -> dict[str, SavedMixture]:
    """The saved mixtures that can be read, by name."""
    return _read_all(workspace, mixture_names(workspace))[0]


def _read_all(workspace: Workspace, names: list[str]) -> tuple[dict[str, SavedMixture], list[str]]:
    kept, damaged = {}, []
    for name in names:
        try:
            kept[name] = load_mixture(workspace, name)
        except CausalMixError as error:
            damaged.append(str(error))
    return dict(sorted(kept.items(), key=lambda item: item[1].saved_at, reverse=True)), damaged


def _save_box(desk: Desk) -> None:
    """Save what is on the sliders, on top of the revision that this curator has seen."""
    now = held.stack_of(desk.question).now
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            name = st.text_input("Name", value="suggested", width=260, key=NAME, persist_state="session")
            action(
                "Save the mixture",
                _save,
                desk,
                key="save",
                type="primary",
                icon=":material/save:",
                help="With everything it rests on: runs, graph revision, estimator, policy, constraints.",
            )
            action(
                "Export it",
                turn_to,
                "export",
                "mix",
                key="to_export",
                icon=":material/upload_file:",
                type="tertiary",
            )
        outcome("save")
        saved = _known(desk.workspace, name)
        if saved is not None:
            seen().setdefault(
                name, saved.revision
            )  # what this curator knows of; a later one is not overwritten
            if st.session_state.pop(_SAVED, None) == name:
                st.success(f"Saved {plain(name)}, revision {saved.revision}.", icon=":material/check:")
            elif (
                set(saved.weights) == set(now.weights) and total_variation(saved.weights, now.weights) < 1e-9
            ):
                st.caption(f"The sliders stand at {plain(name)}, revision {saved.revision}.")
            else:
                st.caption(f"The saved {plain(name)} (revision {saved.revision}) differs from the sliders.")


def _known(workspace: Workspace, name: str) -> SavedMixture | None:
    try:
        return load_mixture(workspace, name) if name in mixture_names(workspace) else None
    except CausalMixError:
        return None  # named below, in the list


def seen() -> dict[str, int]:
    """The revisions that this curator knows of, by the name of the mixture."""
    known: dict[str, int] = st.session_state.setdefault(_SEEN, {})
    return known


def _save(desk: Desk) -> None:
    now, name = held.now(), str(st.session_state[NAME])
    asked = now.asked if now.asked.policy != "manual" else held.asked_by_hand(desk.budget, now)
    record = mixture_record(desk.question, desk.model, now.weights, name=name, by=user(), asked=asked)
    saved = save_mixture(desk.workspace, record, seen().get(name))
    seen()[name] = saved.revision
    st.session_state[_SAVED] = saved.name
    st.session_state[CHOSEN] = saved.name


def _list(kept: dict[str, SavedMixture]) -> None:
    st.subheader("Saved mixtures", anchor=False)
    rows = [
        {
            "Name": m.name,
            "Revision": m.revision,
            "Saved": _when(m.saved_at),
            "By": m.by,
            "For": pool_words(m.snapshot),
            "Found by": "hand" if m.policy == "manual" else POLICIES[m.policy].label,
            "Objective": f"{m.predicted[OBJECTIVE].change:+.4f}",
            "95%": f"{m.predicted[OBJECTIVE].lower:+.4f} to {m.predicted[OBJECTIVE].upper:+.4f}",
            "Moved": 100 * total_variation(m.weights, m.reference),
        }
        for m in kept.values()
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height=table_height(len(rows)),
        column_config={
            "Objective": st.column_config.TextColumn(help="Predicted change from its own reference."),
            "Moved": st.column_config.NumberColumn(format="%.1f points"),
        },
    )


def _when(at: datetime) -> str:
    return f"{at:%d %b %Y, %H:%M}"


def _one(desk: Desk, chosen: SavedMixture) -> None:
    """Open, replay, and where it comes from."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        action("Put on the sliders", _open, desk, chosen, key="open_saved", icon=":material/tune:")
        action(
            "Replay",
            _want_replay,
            chosen,
            key="replay",
            icon=":material/replay:",
            help="Asks again exactly what was recorded: the same runs, graph, estimator and policy. The "
            "numbers must "
            "come out the same.",
        )
    outcome("open_saved", "replay")
    if st.session_state.get(_REPLAY) == (chosen.name, chosen.revision):
        _replayed(desk, chosen)
    with st.expander("Where it comes from", icon=":material/history:"):
        words = provenance_words(chosen)
        st.dataframe(
            pd.DataFrame({"What": list(words), "": list(words.values())}),
            hide_index=True,
            column_config={"What": st.column_config.TextColumn(width=150)},
        )


def _open(desk: Desk, chosen: SavedMixture) -> None:
    where = pool_words(desk.question.pool)
    weights = weights_for(chosen, desk.model.domains, where)
    other = (
        f" It was saved for {pool_words(chosen.snapshot)}." if chosen.snapshot != desk.question.pool else ""
    )
    source = f"Opened {chosen.name}, revision {chosen.revision}.{other}"
    held.put(Held(weights, chosen.asked if not other else Asked(), source=source))
    turn_to("sliders", "mix")


def _want_replay(chosen: SavedMixture) -> None:
    st.session_state[_REPLAY] = (chosen.name, chosen.revision)


def _replayed(desk: Desk, chosen: SavedMixture) -> None:
    try:
        with st.spinner(f"Asking {chosen.name} again ({_estimator_label(chosen)}) ..."):
            found = _replay(
                (str(desk.workspace.root), runs_key(desk.workspace), chosen.model_dump_json()), desk, chosen
            )
    except CausalMixError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    if found.differences:
        st.warning(
            "\n".join(
                ["The numbers differ from those recorded:", "", *(f"- {plain(d)}" for d in found.differences)]
            )
        )
    else:
        st.success(
            f"Replayed: all weights and {len(found.predicted)} predictions came out the same.",
            icon=":material/check:",
        )
    for note in found.notes:
        st.caption(plain(note))


def _estimator_label(chosen: SavedMixture) -> str:
    return next((i.label for n, i in ESTIMATORS.items() if n == chosen.estimator), chosen.estimator)


@st.cache_resource(show_spinner=False, max_entries=4)
def _replay(key: tuple[object, ...], _desk: Desk, _chosen: SavedMixture) -> Replay:
    return replay(_desk.workspace, _chosen)

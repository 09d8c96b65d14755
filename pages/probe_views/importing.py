"""Runs from elsewhere: give the files, see what each column was taken for, correct it, look, and import."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import get_args

import pandas as pd
import streamlit as st

from causalmix_core.corpus import Snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.probes.importing import (
    IMPORTERS,
    FileRole,
    FormatName,
    ImportDraft,
    SourceFile,
    SourceTable,
    default_name,
    guess_format,
    make_draft,
    read_files,
    save_import,
)
from causalmix_core.probes.runs import Assignment
from causalmix_core.workspace import Workspace
from pages.probe_views import column_table
from pages.widgets.actions import action, outcome
from pages.widgets.shell import POOL, user
from pages.widgets.views import turn_to

ASSIGNMENTS: dict[Assignment, str] = {
    "randomised": "drawn at random",
    "adaptive": "after results of earlier runs",
    "observational": "by somebody, or not known",
}
MOST_ROWS, ROW = 12, 35
MOST_SHOWN = 200
_GENERATION = "import_generation"


@dataclass(frozen=True)
class Asked:
    """What is being imported, as far as the files say.

    Attributes:
        format: of the files.
        files: by role.
        tables: as they were read.
        columns: one row per column of the files: role, file, column, example, meaning, name.
        key: of the files, for the widgets that belong to them.
    """

    format: FormatName
    files: dict[FileRole, SourceFile]
    tables: dict[FileRole, SourceTable]
    columns: pd.DataFrame
    key: str


def show(workspace: Workspace, snapshot: Snapshot | None) -> None:
    """Lay out the view."""
    outcome("do_import")
    uploaded = st.file_uploader(
        "Files with runs", accept_multiple_files=True, type=["csv", "tsv", "parquet", "txt"],
        key=f"import_files-{st.session_state.get(_GENERATION, 0)}",
        help="One file, or two: the mixtures and the outcomes. Nothing leaves this machine.",
    )  # fmt: skip
    if not uploaded:
        _formats()
        return
    try:
        asked = _ask([SourceFile(f.name, f.getvalue()) for f in uploaded])
    except CausalMixError as error:
        st.error(str(error), icon=":material/error:")
        return
    column_table.edit(asked.columns, f"import_columns-{asked.key}")
    _choose(asked, snapshot)
    try:
        draft = _draft(asked)
    except CausalMixError as error:
        st.error(str(error), icon=":material/error:")
        return
    _say(draft)
    clean = not draft.problems or bool(_held("import_skip", asked))
    action(
        f"Import {len(draft.frame):,} runs", _import, workspace, asked, snapshot,
        key="do_import", type="primary", icon=":material/download:",
        disabled=not clean or bool(draft.refusals) or draft.frame.empty,
    )  # fmt: skip
    _preview(draft)


def _formats() -> None:
    """What can be read."""
    st.caption("Runs that were trained elsewhere count like probes once it is known what their columns mean.")
    st.dataframe(
        pd.DataFrame(
            {
                "Format": [i.label for i in IMPORTERS.values()],
                "Files": [i.summary for i in IMPORTERS.values()],
            }
        ),
        hide_index=True,
        column_config={"Files": st.column_config.TextColumn(width="large")},
    )


def _ask(files: list[SourceFile]) -> Asked:
    """The format and the role of each file, guessed and open to correction."""
    guessed, roles = guess_format(files)
    key = hashlib.blake2s("".join(f.sha256 for f in files).encode(), digest_size=6).hexdigest()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        format = st.selectbox(
            "Format", list(IMPORTERS), index=list(IMPORTERS).index(guessed),
            format_func=lambda f: IMPORTERS[f].label, key=f"import_format-{key}", width=220,
        )  # fmt: skip
        importer = IMPORTERS[format]
        if len(files) == 2:
            names = [f.name for f in files]
            first = st.selectbox(
                "File with the mixtures", names, index=names.index(roles["mixtures"].name),
                key=f"import_mixtures-{key}", width=280,
            )  # fmt: skip
            mixtures = files[names.index(first)]
            given: dict[FileRole, SourceFile] = {
                "mixtures": mixtures,
                "outcomes": next(f for f in files if f is not mixtures),
            }
        else:
            given = {next(r[0] for r in importer.roles if len(r) == 1): files[0]} if _single(format) else {}
        step = None
        if importer.has_steps:
            step = st.number_input(
                "Step", min_value=0, value=None, step=1, key=f"import_step-{key}", width=180,
                placeholder="the last one", help="Which step of each run is read.",
            )  # fmt: skip
    tables = _read(format, tuple((role, f.name, f.data) for role, f in given.items()), step)
    return Asked(
        format,
        given,
        tables,
        column_table.table_of_columns(tables, importer.guess(tables)),
        f"{key}-{format}-{step}",
    )


def _single(format: FormatName) -> bool:
    return any(len(roles) == 1 for roles in IMPORTERS[format].roles)


@st.cache_data(show_spinner=False, max_entries=4)
def _read(
    format: FormatName, files: tuple[tuple[FileRole, str, bytes], ...], step: int | None
) -> dict[FileRole, SourceTable]:
    return read_files(format, {role: SourceFile(name, data) for role, name, data in files}, step)


def _choose(asked: Asked, snapshot: Snapshot | None) -> None:
    """What the files do not say."""
    importer = IMPORTERS[asked.format]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Mixtures were chosen", list(get_args(Assignment)),
            index=list(get_args(Assignment)).index(importer.assignment),
            format_func=ASSIGNMENTS.__getitem__, key=f"import_assignment-{asked.key}", width=240,
            help="At random: nothing can have moved both a mixture and a result. Otherwise effects are as "
            "good as what the graph holds fixed.",
        )  # fmt: skip
        st.text_input(
            "Name", value=default_name(asked.files, asked.format), key=f"import_name-{asked.key}", width=240,
            help="Of this import; its runs are named after it.",
        )  # fmt: skip
        st.text_input(
            "Proxy", key=f"import_proxy-{asked.key}", width=200, placeholder="such as 1M llama, 1B tokens",
            help="The model that was trained, in words. Runs of different proxies are never mixed.",
        )  # fmt: skip
        if snapshot is not None:
            st.selectbox(
                "Count as runs of", ["own", "snapshot"], key=f"import_as-{asked.key}", width=240,
                format_func={"own": "a pool of their own", "snapshot": "this workspace's text"}.__getitem__,
                help="This workspace's text only if they were trained on it; the domains must be the same.",
            )  # fmt: skip
    with st.container(horizontal=True):
        st.checkbox(
            "An empty weight is zero", key=f"import_zero-{asked.key}",
            help="The run read nothing of that domain. Otherwise such a row cannot be used.",
        )  # fmt: skip
        st.checkbox(
            "Skip bad rows", key=f"import_skip-{asked.key}",
            help="Leaves rows with a problem out; how many is kept with the import.",
        )  # fmt: skip


def _held(field: str, asked: Asked) -> object:
    """What a widget of these files holds."""
    return st.session_state.get(f"{field}-{asked.key}")


def _draft(asked: Asked) -> ImportDraft:
    """The files as they are understood now.

    Raises:
        CausalMixError: the columns are said to mean something impossible.
    """
    columns = column_table.with_edits(asked.columns, st.session_state.get(f"import_columns-{asked.key}"))
    mapping = column_table.mapping_of(
        columns,
        assignment=_held("import_assignment", asked) or IMPORTERS[asked.format].assignment,
        missing_is_zero=bool(_held("import_zero", asked)),
        proxy=str(_held("import_proxy", asked) or ""),
    )
    return make_draft(asked.format, asked.tables, mapping)


def _say(draft: ImportDraft) -> None:
    """What would be imported, and what is in the way."""
    bad = f", **{draft.bad_rows:,} have a problem**" if draft.problems else ""
    st.markdown(
        f"**{len(draft.frame):,} rows can be used**{bad}: {len(draft.domains)} domains, "
        f"{len(draft.outcomes)} results."
    )
    for refusal in draft.refusals:
        st.error(refusal, icon=":material/block:")
    if draft.problems:
        with st.expander(f"Problems of {draft.bad_rows:,} rows", icon=":material/warning:", expanded=True):
            st.dataframe(
                pd.DataFrame(
                    {
                        "File": [p.file for p in draft.problems],
                        "Line": [p.line for p in draft.problems],
                        "Problem": [p.words for p in draft.problems],
                    }
                ),
                hide_index=True,
                height="content" if len(draft.problems) <= MOST_ROWS else (1 + MOST_ROWS) * ROW + 3,
                column_config={"Problem": st.column_config.TextColumn(width="large")},
            )
    for notice in draft.notices:
        st.caption(f":material/info: {notice}")


def _preview(draft: ImportDraft) -> None:
    """The rows as they would be written, those with a problem first."""
    preview = draft.preview.sort_values("problem", ascending=False, kind="stable").head(MOST_SHOWN)
    if not draft.problems:
        preview = preview.drop(columns="problem")
    st.dataframe(
        preview,
        hide_index=True,
        height=(1 + min(len(preview), MOST_ROWS)) * ROW + 3,
        column_config={
            "line": st.column_config.NumberColumn("Line", pinned=True),
            "problem": st.column_config.TextColumn("Problem", pinned=True, width="medium"),
            "source_run": "Run",
        },
    )
    if len(draft.preview) > MOST_SHOWN:
        st.caption(f"{MOST_SHOWN} of {len(draft.preview):,} rows, those with a problem before others.")


def _import(workspace: Workspace, asked: Asked, snapshot: Snapshot | None) -> None:
    """Import what the widgets say at this moment, and show the runs."""
    own = snapshot is None or _held("import_as", asked) != "snapshot"
    record = save_import(
        workspace,
        _draft(asked),
        str(_held("import_name", asked) or ""),
        files=asked.files,
        by=user(),
        skip_bad_rows=bool(_held("import_skip", asked)),
        snapshot=None if own or snapshot is None else snapshot.id,
    )
    st.session_state[_GENERATION] = st.session_state.get(_GENERATION, 0) + 1
    st.session_state[POOL] = record.pool
    turn_to("runs", "shown")

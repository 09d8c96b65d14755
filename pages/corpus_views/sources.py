"""Where documents are read from: list, add, upload, remove, read again, and what could not be used."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from causalmix_core.corpus import (
    FILE_TYPES,
    REASON_LABELS,
    Fields,
    Preview,
    Snapshot,
    add_source,
    list_snapshots,
    preview_source,
    remove_source,
    save_upload,
    use_snapshot,
)
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import Workspace
from jobs import IngestTask
from pages.corpus_views import reading
from pages.widgets import task_panel
from pages.widgets.shell import guard

_UPLOAD_TYPES = sorted({t.rsplit(".", 1)[-1] for t in FILE_TYPES})


def show(workspace: Workspace, snapshot: Snapshot | None) -> None:
    """Lay out the view."""
    _list(workspace)
    _read_button(workspace, snapshot)
    left, right = st.columns(2, gap="large")
    with left:
        _add(workspace)
    with right:
        _upload(workspace)
    if snapshot is not None:
        _account(snapshot)
        _snapshots(workspace, snapshot)


def _list(workspace: Workspace) -> None:
    config = workspace.config()
    rows = [
        {"Domain": name, "Path": s.path, "Text field": s.text_field, "Split": s.split or ""}
        for name, s in config.domains.items()
    ]
    rows += [
        {
            "Domain": f"by field {m.domain_field}",
            "Path": m.path,
            "Text field": m.text_field,
            "Split": m.split or "",
        }
        for m in config.mixed_sources
    ]
    st.subheader("Sources", anchor=False)
    if not rows:
        st.info("There are no sources yet. Add a path or upload a file below.", icon=":material/info:")
        return
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    names = [*config.domains, *(m.path for m in config.mixed_sources)]
    with st.popover("Remove a source", icon=":material/remove:"):
        name = st.selectbox("Source", names, key="remove_source")
        st.caption("Its files stay where they are, and so does every snapshot made from them.")
        if st.button("Remove it from the workspace", key="remove_confirm"):
            with guard():
                remove_source(workspace, name)
            st.rerun()


def _read_button(workspace: Workspace, snapshot: Snapshot | None) -> None:
    config = workspace.config()
    if not (config.domains or config.mixed_sources):
        return
    busy = task_panel.running(workspace) is not None
    if st.button(
        "Read the sources",
        type="primary" if snapshot is None else "secondary",
        icon=":material/refresh:",
        disabled=busy,
        help="Makes a new snapshot in the background. Files that have not changed are not read again; the "
        "present snapshot stays in place until the new one is complete.",
    ):
        task_panel.start(workspace, IngestTask())


def _add(workspace: Workspace) -> None:
    st.markdown("**Add a path on this server**")
    roots = [str(workspace.root), *workspace.config().allowed_roots]
    path = st.text_input(
        "Path",
        key="source_path",
        placeholder="data/web-*.jsonl.zst",
        help="A file, a folder, or a pattern, inside of: " + ", ".join(roots) + ". More folders can be "
        "allowed in workspace.yaml under allowed_roots.",
    ).strip()
    if not path:
        st.caption(f"Types: {', '.join(FILE_TYPES)}, and folders that `datasets` saved.")
        return
    try:
        seen = preview_source(workspace.resolve(path), Fields(), within=workspace)
    except CausalMixError as error:
        st.error(str(error), icon=":material/error:")
        return
    fields = seen.fields or ["text"]
    text_field = st.selectbox(
        "Field with the text",
        fields,
        index=fields.index("text") if "text" in fields else 0,
        key="source_text",
    )
    kind = st.segmented_control(
        "Domain",
        ["one domain", "named in each document"],
        default="one domain",
        required=True,
        key="source_kind",
    )
    name, domain_field = None, None
    if kind == "one domain":
        name = st.text_input("Name of the domain", key="source_name").strip()
    else:
        domain_field = st.selectbox("Field with the domain", fields, key="source_domain_field")
    if text_field != "text":
        with guard():
            fields_meant = Fields(text=text_field, domain=domain_field)
            seen = preview_source(workspace.resolve(path), fields_meant, within=workspace)
    _preview(seen)
    if st.button("Add the source", type="primary", key="add_source", disabled=name == ""):
        with guard():
            add_source(
                workspace, name, path, restricted=True, text_field=text_field, domain_field=domain_field
            )
        st.toast("Added. Read the sources to make a snapshot with it.")
        st.rerun()


def _preview(seen: Preview) -> None:
    st.caption(f"{seen.files:,} files, {seen.bytes / 1e6:.1f} MB on disk. The first documents:")
    for document in seen.documents[:3]:
        st.code(document.text[:300], language=None, wrap_lines=True, height=90)
    if seen.skipped:
        words = ", ".join(f"{n} {REASON_LABELS[r]}" for r, n in seen.skipped.items())
        st.caption(f":material/warning: Skipped while looking: {words}.")


def _upload(workspace: Workspace) -> None:
    st.markdown("**Upload a file**")
    domain = st.text_input("Name of the domain", key="upload_domain").strip()
    file = st.file_uploader("File", type=_UPLOAD_TYPES, key="upload_file")
    if file is None:
        st.caption("It is kept in the workspace under sources/.")
        return
    text_field = st.text_input("Field with the text", "text", key="upload_text")
    if st.button("Keep the upload", type="primary", key="keep_upload", disabled=not domain):
        with guard():
            save_upload(workspace, domain, file.name, file, text_field=text_field)
        st.toast(f"Kept {file.name}. Read the sources to make a snapshot with it.")
        st.rerun()


def _account(snapshot: Snapshot) -> None:
    st.subheader("What was read", anchor=False)
    if snapshot.manifest.derived:
        made = snapshot.manifest.derived
        st.caption(
            f"This snapshot was made from snapshot {made.snapshot} by the filter {made.filter} "
            f"(revision {made.revision}); what was read is listed there."
        )
        return
    sources = snapshot.manifest.sources
    reasons = sorted({r for s in sources.values() for r in s.skipped})
    table = pd.DataFrame(
        [
            {
                "Source": name,
                "Files": s.files,
                "Read": s.read,
                "Kept": s.kept,
                **{REASON_LABELS[r]: s.skipped.get(r, 0) for r in reasons},
            }
            for name, s in sources.items()
        ]
    )
    st.dataframe(table, hide_index=True)
    st.caption(
        "Lines, rows and whole files that should have been documents: read = kept + skipped, by reason."
    )
    if reasons:
        with st.expander("Lines that were skipped", icon=":material/warning:"):
            lines = reading.skipped_lines(snapshot)
            st.dataframe(lines, hide_index=True, height=min(400, 38 + 35 * len(lines)))
            total = sum(sum(s.skipped.values()) for s in sources.values())
            if total > len(lines):
                st.caption(f"The first {len(lines):,} of {total:,}; the table `skipped` has all.")


def _snapshots(workspace: Workspace, current: Snapshot) -> None:
    st.subheader("Snapshots", anchor=False)
    found = list_snapshots(workspace)
    rows = [
        {
            "Snapshot": s.id,
            "Made": s.manifest.created_at,
            "Domains": len(s.domains),
            "Documents": s.documents,
            "From": f"filter {s.manifest.derived.filter}" if s.manifest.derived else "sources",
            "In use": s.id == current.id,
        }
        for s in found
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "Made": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            "Documents": st.column_config.NumberColumn(format="localized"),
            "In use": st.column_config.CheckboxColumn(),
        },
    )
    others = [s.id for s in found if s.id != current.id]
    if others:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            chosen = st.selectbox("Another snapshot", others, key="other_snapshot", width=220)
            if st.button("Use it", key="use_snapshot", help="Pages, probes and effects then read it."):
                with guard():
                    use_snapshot(workspace, chosen)
                st.rerun()

"""Exports: a saved mixture as a file that a trainer takes as it is, and such a file taken back."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Literal

import streamlit as st

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.exporting import (
    FORMATS,
    Count,
    ExportedFile,
    ExportFormat,
    FormatName,
    blend_of,
    cautions,
    read_export,
    readable_formats,
)
from causalmix_core.mixture.exporting.building import config_paths
from causalmix_core.mixture.store import SavedMixture
from causalmix_core.workspace import Workspace
from pages.graph_views.plain import plain
from pages.mixture_views import held
from pages.mixture_views.comparing import choose
from pages.mixture_views.desk import Desk
from pages.mixture_views.held import Held
from pages.mixture_views.saving import CHOSEN, read_all
from pages.widgets.actions import action, outcome
from pages.widgets.views import turn_to

FORMAT, PATHS, COUNTS, FILE, FILE_FORMAT = (
    "export_format",
    "export_paths",
    "export_counts",
    "import_file",
    "import_format",
)
MEANINGS: dict[str, str] = {
    "part of the tokens": "Its numbers are **parts of the training tokens**, as on the sliders.",
    "part of the "
    "rows": "Its numbers are **parts of the rows** (documents) that are drawn: converted from parts of "
    "the tokens by each domain's mean length.",
    "part of a domain that is "
    "kept": "Its numbers say **which part of a domain is kept**: converted from the tokens "
    "that the training run wants of what the domain has.",
}
LANGUAGES: dict[str, Literal["yaml", "json", "python", "bash", "text"]] = {
    "yaml": "yaml",
    "yml": "yaml",
    "json": "json",
    "py": "python",
    "sh": "bash",
}


def show(desk: Desk) -> None:
    """Lay out the view."""
    kept = read_all(desk.workspace)
    if kept:
        _write(desk, kept)
    else:
        with st.container(border=True):
            st.markdown("A mixture is exported once it is saved, so that the file can name what it rests on.")
            action(
                "Save what is on the sliders", turn_to, "saved", "mix", key="to_saved", icon=":material/save:"
            )
    st.divider()
    _take_back(desk)


def _write(desk: Desk, kept: dict[str, SavedMixture]) -> None:
    """Choose a trainer and take the file."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = choose(kept, "Saved mixture", CHOSEN)
        name: FormatName = st.selectbox(
            "For",
            list(FORMATS),
            format_func=lambda f: FORMATS[f].label,
            key=FORMAT,
            width=320,
            persist_state="session",
        )
    format = FORMATS[name]
    st.markdown(f"{MEANINGS[format.meaning]} {plain(format.summary)}")
    try:
        paths, counts = _mapping(desk, format, sorted(chosen.weights))
        blend = blend_of(desk.workspace, chosen.name, token_budget=desk.budget, paths=paths, counts=counts)
        files = format.write(blend)
    except CausalMixError as error:
        st.warning(plain(str(error)), icon=":material/edit_location_alt:")
        return
    for said in cautions(blend, format):
        st.caption(f":material/info: {plain(said)}")
    _download(chosen.name, name, files)
    for tab, file in zip(st.tabs([f.name for f in files]), files, strict=True):
        tab.code(file.text, language=LANGUAGES.get(file.name.rpartition(".")[2], "text"), height=420)


def _download(mixture: str, format: FormatName, files: Sequence[ExportedFile]) -> None:
    if len(files) == 1:
        st.download_button(
            f"Download {files[0].name}",
            files[0].text,
            file_name=files[0].name,
            key="download",
            type="primary",
            mime="text/plain",
            icon=":material/download:",
            on_click="ignore",
        )
        return
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.writestr(file.name, file.text)
    st.download_button(
        f"Download {len(files)} files (.zip)",
        packed.getvalue(),
        file_name=f"{mixture}.{format}.zip",
        key="download",
        type="primary",
        mime="application/zip",
        icon=":material/download:",
        on_click="ignore",
    )


def _mapping(
    desk: Desk, format: ExportFormat, domains: Sequence[str]
) -> tuple[dict[str, tuple[str, ...]] | None, dict[str, Count] | None]:
    """Where the trainer finds the domains, and what it counted of them.

    Raises:
        CausalMixError: a line that is not understood.
    """
    if format.reads == "nothing" and not format.needs_counts:
        return None, None
    needed = format.reads == "tokens" or (format.needs_counts and desk.tokens is None)
    paths, counts = None, None
    with st.expander(
        "Where the trainer finds each domain",
        icon=":material/folder_open:",
        expanded=needed,
        key=f"map-{needed}",
    ):
        if format.reads != "nothing":
            kept = config_paths(desk.workspace.config())
            lines = "\n".join(f"{d} = {p}" for d in domains for p in kept.get(d, ("",)))
            what = (
                "documents" if format.reads == "documents" else "tokens, prepared by the trainer's own tool"
            )
            text = st.text_area(
                f"Paths of {what}",
                lines,
                key=f"{PATHS}-{len(domains)}",
                height=38 + 24 * min(len(domains), 12),
                help="One line per path: domain = path. Several lines for a domain are several paths. They "
                "are kept "
                "in workspace.yaml as they stand.",
            )
            action(
                "Keep the paths",
                _keep,
                desk.workspace,
                f"{PATHS}-{len(domains)}",
                domains,
                key="keep_paths",
                said="Kept in workspace.yaml",
                icon=":material/save:",
            )
            outcome("keep_paths")
            paths = _paths_of(text, domains)
        if format.needs_counts:
            text = st.text_area(
                "Counts by the trainer's tokenizer (optional)" if desk.tokens else "Counts of the pool",
                key=COUNTS,
                placeholder="code = 1200000000 / 350000",
                height=90,
                help="One line per domain: domain = tokens / documents. Without them, those of the "
                "snapshot are used.",
            )
            counts = _counts_of(text, domains)
    return paths, counts


def _keep(workspace: Workspace, key: str, domains: Sequence[str]) -> None:
    found = _paths_of(str(st.session_state[key]), domains)
    config = workspace.config()
    others = {d: p for d, p in config.export_paths.items() if d not in domains}
    mapped = {d: list(p) if len(p) > 1 else p[0] for d, p in found.items()}
    workspace.save_config(config.model_copy(update={"export_paths": others | mapped}))


def _lines(text: str, domains: Sequence[str], what: str) -> list[tuple[str, str]]:
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        domain, sign, value = (part.strip() for part in line.partition("="))
        if not sign:
            raise CausalMixError(f"The line “{line}” is no {what}: write domain = {what}.")
        if domain not in domains:
            raise CausalMixError(
                f"There is no domain {domain} in this mixture; it has: {', '.join(domains)}."
            )
        if value:
            found.append((domain, value))
    return found


def _paths_of(text: str, domains: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for domain, path in _lines(text, domains, "path"):
        found[domain] = (*found.get(domain, ()), path)
    return found


def _counts_of(text: str, domains: Sequence[str]) -> dict[str, Count]:
    found = {}
    for domain, value in _lines(text, domains, "tokens / documents"):
        tokens, _, documents = (
            part.strip().replace(",", "").replace("_", "") for part in value.partition("/")
        )
        if not tokens.isdigit() or not documents.isdigit() or not int(tokens) or not int(documents):
            raise CausalMixError(
                f"The counts of {domain} are “{value}”; write two whole numbers: tokens / documents."
            )
        found[domain] = Count(int(tokens), int(documents))
    return found


def _take_back(desk: Desk) -> None:
    """Load an export and put its weights on the sliders."""
    st.subheader("Load an export", anchor=False)
    with st.container(horizontal=True, vertical_alignment="top"):
        with st.container(width=420):
            file = st.file_uploader("Its first file", key=FILE)
        name: FormatName = st.selectbox(
            "Written for",
            readable_formats(),
            format_func=lambda f: FORMATS[f].label,
            key=FILE_FORMAT,
            width=260,
            index=_guess(file.name if file else ""),
        )
    if file is None:
        st.caption(
            "Nothing is renormalised: a file whose domains or weights do not fit is refused, in words."
        )
        return
    try:
        found = read_export(file.getvalue().decode("utf-8"), name, desk.model.domains)
    except UnicodeDecodeError:
        st.error(f"{plain(file.name)} is no text file.", icon=":material/error:")
        return
    except CausalMixError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    if found.absent:
        st.caption(f":material/info: It does not name {plain(', '.join(found.absent))}: weight 0.")
    st.success(
        f"{plain(file.name)} holds a mixture of these {len(found.weights)} domains.", icon=":material/check:"
    )
    action(
        "Put on the sliders",
        _put,
        found.weights,
        file.name,
        key="put_import",
        type="primary",
        icon=":material/tune:",
    )


def _guess(name: str) -> int:
    formats = readable_formats()
    ending = {"yml": "yaml"}.get(name.rpartition(".")[2].lower(), name.rpartition(".")[2].lower())
    return next((i for i, f in enumerate(formats) if f == ending), 0)


def _put(weights: dict[str, float], name: str) -> None:
    held.put(Held(weights, source=f"Loaded from {name}."))
    turn_to("sliders", "mix")

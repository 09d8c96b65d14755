"""The sources of a workspace, as a curator changes them: add, remove, upload, look before adding.

Every change is made under one lock on `workspace.yaml`, so that two curators who add at once both keep what
they added. What the page may name is bounded: its users need not be the owner of the machine, so they reach
only the workspace and the folders that its owner allowed.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from causalmix_core.corpus.readers import (
    DEFAULT_MAX_BYTES,
    TYPES_IN_WORDS,
    Document,
    Fields,
    Reason,
    Skipped,
    SourceFile,
    describe_counts,
    read_field_names,
    read_file,
    source_files,
)
from causalmix_core.corpus.source_files import file_type, has_pattern, pattern_base
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import (
    DomainSource,
    MixedSource,
    Workspace,
    WorkspaceConfig,
    check_name,
    scratch_path,
)

_LOCK_NAME = ".workspace.lock"
_LOCK_SECONDS = 30
_PEEK_ITEMS = 300
_COPY = 1 << 20
_MOST_NAME_BYTES = 200


@dataclass(frozen=True)
class Preview:
    """A look at a source before it is added.

    Attributes:
        files: how many files would be read.
        bytes: their size on disk, compressed where they are.
        documents: the first documents.
        skipped: what was skipped so far, by reason; files that are not read at all count whole.
        fields: the fields of the first file that has any, to choose the text field from.
    """

    files: int
    bytes: int
    documents: list[Document]
    skipped: dict[Reason, int]
    fields: list[str]


def preview_source(
    path: str | Path,
    fields: Fields,
    split: str | None = None,
    n: int = 5,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    within: Workspace | None = None,
) -> Preview:
    """Read a source until `n` documents have come, or a few hundred lines that are none.

    A source without any document is no error here: its `fields` may show what the text field should have
    been.

    Args:
        path: absolute path of a file, a folder, or a pattern.
        fields: where text and domain are.
        split: as in `source_files`.
        n: how many documents to show.
        max_bytes: longer lines and texts are skipped.
        within: for the page, whose users must not look anywhere else: the source must lie in this workspace
            or its `allowed_roots`, as in `add_source` with `restricted`.

    Raises:
        CausalMixError: what `source_files` raises, or the source lies outside of what is allowed.
    """
    if within is None:
        files, passed_over = source_files(path, split)
    else:
        files, passed_over = _reachable_files(within, within.config(), Path(path), split, restricted=True)
    documents: list[Document] = []
    skipped: Counter[Reason] = Counter(item.reason for item in passed_over)
    for item in islice(_read(files, fields, max_bytes), _PEEK_ITEMS + n):
        if isinstance(item, Skipped):
            skipped[item.reason] += 1
        else:
            documents.append(item)
        if len(documents) == n:
            break
    return Preview(len(files), sum(map(_size, files)), documents, dict(skipped), _field_names(files))


def add_source(
    workspace: Workspace,
    name: str | None,
    path: str,
    *,
    restricted: bool,
    text_field: str = "text",
    split: str | None = None,
    domain_field: str | None = None,
) -> WorkspaceConfig:
    """Add a domain, or with `domain_field` a source whose documents name their domains.

    Args:
        workspace: the workspace whose `workspace.yaml` is changed.
        name: the domain; None for a source of several domains.
        path: a file, a folder, or a pattern; relative paths start at the workspace.
        restricted: True for the page: the source, links followed, must lie in the workspace or in one of
            `allowed_roots`. False for the command line: only `allowed_roots`, where given, bound it.
        text_field: the field or column that holds the text.
        split: which split is read, as in `source_files`.
        domain_field: the field or column that names the document's domain.

    Returns:
        The settings as saved.

    Raises:
        CausalMixError: the name is bad or taken (upper and lower case do not tell names apart), the source is
            there already, missing, not allowed, or none of its first lines is a document, or the disk
            refuses.
    """
    if (name is None) == (domain_field is None):
        raise CausalMixError(
            "Give either the name of a domain, or the field in which documents name their domains."
        )
    if not path.strip() or not _is_utf8(path):
        raise CausalMixError("Give the path of a file or folder with texts, spelled in UTF-8.")
    config = workspace.config()
    _check_free(config, name, path)
    where = workspace.resolve(path)
    files, passed_over = _reachable_files(workspace, config, where, split, restricted)
    _check_yields(where, files, passed_over, Fields(text_field, domain_field), config.max_document_bytes)
    with _locked(workspace):
        config = workspace.config()
        _check_free(config, name, path)
        if name is not None:
            source = DomainSource(path=path, text_field=text_field, split=split)
            changed = config.model_copy(update={"domains": {**config.domains, name: source}})
        else:
            mixed = MixedSource(path=path, text_field=text_field, split=split, domain_field=str(domain_field))
            changed = config.model_copy(update={"mixed_sources": [*config.mixed_sources, mixed]})
        workspace.save_config(changed)
    return changed


def remove_source(workspace: Workspace, name: str) -> WorkspaceConfig:
    """Take a domain, or a source of several domains by its path, out of `workspace.yaml`. Its files stay.

    Raises:
        CausalMixError: there is none of that name, or the disk refuses.
    """
    with _locked(workspace):
        config = workspace.config()
        domains = {domain: source for domain, source in config.domains.items() if domain != name}
        mixed = config.mixed_sources
        if len(domains) == len(config.domains):
            mixed = [source for source in mixed if source.path != name]
            if len(mixed) == len(config.mixed_sources):
                has = ", ".join([*config.domains, *(source.path for source in mixed)]) or "none"
                raise CausalMixError(f"There is no source {name!r}. The workspace has: {has}.")
        changed = config.model_copy(update={"domains": domains, "mixed_sources": mixed})
        workspace.save_config(changed)
    return changed


def save_upload(
    workspace: Workspace, domain: str, filename: str, data: BinaryIO, *, text_field: str = "text"
) -> DomainSource:
    """Store an uploaded file as `sources/<domain>/<filename>` and register the domain when it is new.

    The name is reduced to its last part and to harmless characters. Nothing is overwritten, and a file
    without one document is refused; then no part of it stays.

    Args:
        workspace: where the file goes.
        domain: a new domain, or one that was made by uploading.
        filename: as the browser says it.
        data: the content, read from where it stands to its end.
        text_field: the field of a new domain that holds the text; a domain at hand keeps its own.

    Returns:
        The source of the domain.

    Raises:
        CausalMixError: the domain's name is bad or taken by files elsewhere, the type is unknown, there is
            such a file already, no document is in its first lines, or the disk refuses.
    """
    safe = _safe_filename(filename)
    with _locked(workspace):  # another upload may have stored its file and not registered its domain yet
        config = workspace.config()
        source = _upload_source(workspace, config, domain, text_field)
    folder = workspace.uploads / domain
    # Beside the folder, so that opening the workspace sweeps what a killed process left.
    scratch = scratch_path(workspace.uploads / safe)
    try:
        try:
            workspace.uploads.mkdir(exist_ok=True)
            _copy(data, scratch)
        except OSError as error:
            raise CausalMixError(
                f"Cannot store the upload {safe}: {error.strerror}. Nothing was changed; make room or change "
                f"the permissions of {workspace.uploads}."
            ) from error
        fields = Fields(source.text_field)
        _check_yields(safe, [SourceFile(scratch, safe)], [], fields, config.max_document_bytes)
        with _locked(workspace):
            config = workspace.config()
            source = _upload_source(workspace, config, domain, text_field)
            _publish(scratch, folder, safe)
            if domain not in config.domains:
                domains = {**config.domains, domain: source}
                try:
                    workspace.save_config(config.model_copy(update={"domains": domains}))
                except CausalMixError:
                    (folder / safe).unlink(missing_ok=True)
                    _remove_if_empty(folder)
                    raise
    finally:
        scratch.unlink(missing_ok=True)
    return source


def check_allowed(workspace: Workspace, path: Path, config: WorkspaceConfig | None = None) -> None:
    """Make sure that a file may be read: where `allowed_roots` is given, in one of them or the workspace.

    Links are followed first. Without `allowed_roots`, any file may be read.

    Args:
        workspace: the workspace that reads.
        path: the file or folder.
        config: the settings, where many files are checked, so that they are not read for each.

    Raises:
        CausalMixError: the path lies outside; the message names the allowed folders.
    """
    _check_reach(workspace, config or workspace.config(), path, restricted=False)


def _reachable_files(
    workspace: Workspace, config: WorkspaceConfig, path: Path, split: str | None, restricted: bool
) -> tuple[list[SourceFile], list[Skipped]]:
    """The files of a source; none, nor the source itself, may lead outside by a link."""
    _check_reach(workspace, config, path, restricted)
    files, passed_over = source_files(path, split)
    for file in files:
        _check_reach(workspace, config, file.path, restricted)
    return files, passed_over


def _check_reach(workspace: Workspace, config: WorkspaceConfig, path: Path, restricted: bool) -> None:
    if not (restricted or config.allowed_roots):
        return
    allowed = [workspace.root, *(workspace.resolve(root) for root in config.allowed_roots)]
    try:
        pattern = has_pattern(str(path)) and not path.exists()
        real = (pattern_base(path) if pattern else path).resolve()
        if any(real.is_relative_to(root.resolve()) for root in allowed):
            return
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, or a NUL in the path
        raise CausalMixError(f"Cannot look at {str(path)!r}. Correct the path.") from error
    raise CausalMixError(
        f"{path} lies outside of the folders that sources may be read from: {', '.join(map(str, allowed))}. "
        f"Move the texts there, or add their folder to 'allowed_roots' in {workspace.config_path}."
    )


def _check_free(config: WorkspaceConfig, name: str | None, path: str) -> None:
    """A name that is good and not taken; or a mixed source that is not there yet."""
    if name is None:
        if any(source.path == path for source in config.mixed_sources):
            raise CausalMixError(f"{path} is a source of the workspace already.")
        return
    try:
        check_name(name)
    except ValueError as error:
        raise CausalMixError(f"{error}.") from error
    for other in config.domains:
        if other.casefold() == name.casefold():
            raise CausalMixError(
                f"There is a domain {other} already. Choose another name, or remove that domain first."
            )


def _check_yields(
    source: str | Path, files: list[SourceFile], passed_over: list[Skipped], fields: Fields, max_bytes: int
) -> None:
    """At least one document among the first few hundred items."""
    skipped: Counter[Reason] = Counter(item.reason for item in passed_over)
    for item in islice(_read(files, fields, max_bytes), _PEEK_ITEMS):
        if isinstance(item, Document):
            return
        skipped[item.reason] += 1
    names = _field_names(files)
    has = f" Its fields are {', '.join(names)}." if names else ""
    why = f" (skipped: {describe_counts(skipped)})" if skipped else ""
    raise CausalMixError(
        f"No document was found at the beginning of {source}{why}.{has} Choose the field of the text, or "
        f"another source ({TYPES_IN_WORDS})."
    )


def _read(files: list[SourceFile], fields: Fields, max_bytes: int) -> Iterator[Document | Skipped]:
    for file in files:
        yield from read_file(file, fields, max_bytes)


def _field_names(files: list[SourceFile]) -> list[str]:
    return next(filter(None, (read_field_names(file) for file in files[:_PEEK_ITEMS])), [])


def _size(file: SourceFile) -> int:
    try:
        return file.path.stat().st_size
    except OSError:
        return 0


@contextmanager
def _locked(workspace: Workspace) -> Iterator[None]:
    try:
        with FileLock(workspace.root / _LOCK_NAME, timeout=_LOCK_SECONDS):
            yield
    except Timeout as error:
        raise CausalMixError(
            f"Another process has been changing {workspace.config_path} for {_LOCK_SECONDS} s. Try again."
        ) from error
    except OSError as error:
        raise CausalMixError(
            f"Cannot change {workspace.config_path}: {error.strerror}. Check its permissions."
        ) from error


def _safe_filename(filename: str) -> str:
    """The last part of a name from a browser, without what could lead elsewhere or hide the file."""
    last = re.split(r"[/\\]", filename)[-1]
    safe = re.sub(r"[^\w.\- ]", "_", last).strip(" .")
    kind = file_type(Path(safe))
    if kind is None:
        raise CausalMixError(f"{last!r} is of a type that cannot be read. Upload one of {TYPES_IN_WORDS}.")
    stem, suffix = safe[: -len(kind)], safe[-len(kind) :]
    stem = stem.encode()[: _MOST_NAME_BYTES - len(suffix)].decode("utf-8", "ignore")
    return stem + suffix


def _upload_source(
    workspace: Workspace, config: WorkspaceConfig, domain: str, text_field: str
) -> DomainSource:
    """The source of a domain that uploads go to, whether it is registered already or not."""
    folder = workspace.uploads / domain
    if domain in config.domains:
        source = config.domains[domain]
        if workspace.resolve(source.path).resolve() != folder.resolve():
            raise CausalMixError(
                f"The domain {domain} reads {source.path}, not uploads. Put the file there, or upload it "
                "into a domain of another name."
            )
        return source
    _check_free(config, domain, "")
    if _has_files(folder):
        raise CausalMixError(
            f"{folder} holds files of a domain that was removed. Add that folder as the source of {domain}, "
            "or empty it."
        )
    return DomainSource(path=folder.relative_to(workspace.root).as_posix(), text_field=text_field)


def _has_files(folder: Path) -> bool:
    try:
        return any(not path.name.startswith(".") for path in folder.iterdir())
    except OSError:  # not there, or closed to us, and then storing will say so
        return False


def _is_utf8(path: str) -> bool:
    try:
        return bool(path.encode("utf-8"))
    except UnicodeEncodeError:
        return False


def _copy(data: BinaryIO, target: Path) -> None:
    with target.open("xb") as file:
        while piece := data.read(_COPY):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def _publish(scratch: Path, folder: Path, name: str) -> None:
    """Move a finished file to its name unless another has it; the caller holds the lock."""
    try:
        folder.mkdir(exist_ok=True)
        os.link(scratch, folder / name)  # unlike a rename, it fails where a file is
    except FileExistsError as error:
        raise CausalMixError(
            f"There is a file {name} in {folder} already. Rename yours, or delete that one."
        ) from error
    except OSError as error:
        _remove_if_empty(folder)
        raise CausalMixError(f"Cannot store {folder / name}: {error.strerror}. Nothing changed.") from error


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # it holds files, or was never made
        return

"""Where a trainer finds the domains: what was mapped, what the workspace knows, and what cannot be carried.

Trainers that read documents may be pointed at the snapshot's own Parquet files, which hold exactly the
documents that were counted. Trainers that read prepared tokens (Megatron prefixes, NumPy arrays, MDS)
cannot: a path of raw text there would fail hours later on a cluster, so somebody has to say where the
tokens lie.
"""

from __future__ import annotations

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.exporting.blend import Blend, Documents

_RAW = (".jsonl", ".ndjson", ".json", ".parquet", ".txt", ".csv", ".gz", ".zst", ".arrow")
_BUILDERS = {
    ".parquet": "parquet", ".jsonl": "json", ".ndjson": "json", ".json": "json",
    ".csv": "csv", ".arrow": "arrow", ".txt": "text",
}  # fmt: skip
_COMPRESSED = (".gz", ".zst")


def token_paths(blend: Blend, domain: str, reader: str, what: str) -> tuple[str, ...]:
    """Where a domain's prepared tokens lie.

    Args:
        blend: what is exported.
        domain: one of its domains.
        reader: the trainer.
        what: it reads, such as `arrays of tokens (.npy)`.

    Raises:
        CausalMixError: nobody has said where, or a path is one of raw text.
    """
    found = blend.pool[domain].mapped
    if not found:
        raise CausalMixError(
            f"{reader} reads {what}, and nobody has said where those of {domain} lie. Give the path with the "
            f"export (command line: `--path {domain}=...`), or in export_paths of workspace.yaml."
        )
    for path in found:
        check_path(path, domain)
        if path.lower().endswith(_RAW):
            raise CausalMixError(
                f"{path} of {domain} is a file of documents, but {reader} reads {what}. Prepare the tokens "
                f"with the trainer's own tool and give their path (command line: `--path {domain}=...`)."
            )
    return found


def token_path(blend: Blend, domain: str, reader: str, what: str) -> str:
    """The one place of a domain's prepared tokens.

    Raises:
        CausalMixError: as `token_paths`, or there are several: nobody knows how a weight is shared out among
            them.
    """
    return only(token_paths(blend, domain, reader, what), domain, reader)


def only(paths: tuple[str, ...], domain: str, reader: str) -> str:
    """The only one of several paths.

    Raises:
        CausalMixError: there are several.
    """
    if len(paths) > 1:
        raise CausalMixError(
            f"{domain} has {len(paths)} paths, but {reader} weights each path by itself and nobody has "
            "said how "
            "large each is. Merge them, or make each a domain of its own."
        )
    return paths[0]


def documents_of(blend: Blend, domain: str) -> Documents:
    """Where a domain's documents lie: as mapped, else the snapshot's own file.

    Raises:
        CausalMixError: neither is known.
    """
    pool = blend.pool[domain]
    if pool.mapped:
        for path in pool.mapped:
            check_path(path, domain)
        return Documents(pool.mapped, pool.text_field)
    if pool.stored is None:
        raise CausalMixError(
            f"The workspace does not hold the documents of {domain}, and nobody has said where the trainer "
            f"finds them. Give the path with the export (command line: `--path {domain}=...`), or in "
            "export_paths of workspace.yaml."
        )
    return Documents((pool.stored,), "text")


def check_path(path: str, domain: str) -> None:
    """Refuse a path that no format can carry.

    Raises:
        CausalMixError: it is empty, or holds a line break or another control character.
    """
    if not path.strip() or any(ord(c) < 32 or ord(c) == 127 for c in path):
        raise CausalMixError(
            f"The path {path!r} of {domain} is empty or holds a control character. Correct it."
        )


def builder_of(documents: Documents, domain: str) -> str | None:
    """The builder of `datasets` that reads these files; None for one folder or a dataset of the hub.

    Raises:
        CausalMixError: the files are of several kinds, or there are several folders.
    """
    kinds = {_kind(path) for path in documents.paths}
    if len(kinds) > 1 or (None in kinds and len(documents.paths) > 1):
        raise CausalMixError(
            f"The paths of {domain} are of several kinds or several folders "
            f"({', '.join(documents.paths)}). Give "
            "files of one kind, or one folder."
        )
    return kinds.pop()


def _kind(path: str) -> str | None:
    name = path.lower()
    for ending in _COMPRESSED:
        name = name.removesuffix(ending)
    return next((builder for ending, builder in _BUILDERS.items() if name.endswith(ending)), None)


def flat_field(documents: Documents, domain: str, reader: str) -> str:
    """The column of the text.

    Raises:
        CausalMixError: the text lies inside an object, where the trainer does not reach.
    """
    if "." in documents.text_field:
        raise CausalMixError(
            f"The text of {domain} is in {documents.text_field}, inside an object, where {reader} does not "
            "look. "
            "Leave out the mapped path: then the snapshot's own file is named, whose column is text."
        )
    return documents.text_field

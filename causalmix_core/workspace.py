"""The workspace: one folder of plain files that the pages, the command line and every job share.

    workspace.yaml        name, domains and their sources, the objective, settings
    snapshots/<id>/       one immutable version of the pool; `snapshots/current` names the newest
    runs/*.parquet        the run table, append-only
    jobs/<id>/            background jobs
    graphs/<name>/        every revision of a causal graph
    mixtures/<name>.json  saved mixtures
    filters/<name>.json   saved rules of what is kept
    models/<name>/        reference proxies that measure documents
    measurements/<id>/    what models measured on the documents of a snapshot
    effects/<key>/        what was found out about estimates of one question: comparison, refutation
    sources/<domain>/     files that were uploaded from the page

Everything is written beside its place under a name that starts with `.tmp-<pid>-` and moved in by one
atomic rename, so a reader never sees half a file. What a dead process left behind is swept on opening.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any, Literal

import psutil
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from causalmix_core.errors import CausalMixError

CONFIG_NAME = "workspace.yaml"
FOLDERS = (
    "snapshots", "runs", "jobs", "graphs", "mixtures", "filters", "models", "measurements", "sources",
    "effects",
)  # fmt: skip
_TMP = re.compile(r"\.tmp-(\d+)-")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(name: str) -> str:
    """Return `name` if it can name a domain, a graph or a mixture: it becomes a file and a column.

    Raises:
        ValueError: the name is empty, too long or holds other characters than `A-Z a-z 0-9 . _ -`.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot be a name: use 1 to 64 letters, digits, '.', '_' or '-', "
            "starting with a letter or digit"
        )
    return name


Name = Annotated[str, AfterValidator(check_name)]


class DomainSource(BaseModel):
    """Where the documents of one domain are read from."""

    model_config = ConfigDict(extra="forbid")

    path: str
    """A file, a folder, or a pattern such as `web-*.jsonl`; relative to the workspace unless absolute."""
    text_field: str = "text"
    """The field or column that holds the text, where documents have fields."""
    split: str | None = None
    """Which split of a Hugging Face dataset is read; by default `train` where there is one, else all."""


class MixedSource(DomainSource):
    """Documents of several domains, each of which names its own."""

    domain_field: str
    """The field or column that holds the name of the document's domain."""


DEFAULT_STATE_FEATURES = ("log_bytes", "compression_ratio", "alpha_ratio")
BYTES: Literal["bytes"] = "bytes"
"""The tokenizer that makes every byte a token."""


class WorkspaceConfig(BaseModel):
    """What `workspace.yaml` holds."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)
    domains: dict[Name, DomainSource] = {}
    mixed_sources: list[MixedSource] = []
    """Sources whose documents say themselves which domain they belong to."""
    allowed_roots: list[str] = []
    """Folders that sources may lie in, besides the workspace. Empty: the page adds sources only from inside
    the workspace, and `workspace.yaml` may name any. Given: nothing outside of them is read at all."""
    tokenizer: str = BYTES
    """What counts tokens: `bytes`, or the path of a `tokenizer.json` or of a folder that holds one."""
    max_document_bytes: int = Field(default=32 << 20, ge=1 << 10, le=1 << 30)
    """Longer documents are skipped: one broken line must not fill the memory."""
    state_features: list[str] = list(DEFAULT_STATE_FEATURES)
    """The features whose token-weighted means are the pool state."""
    objective: dict[str, Annotated[float, Field(ge=0)]] = {}
    """Outcome -> importance of lowering it; empty means every outcome counts the same."""
    token_budget: int = Field(default=1_000_000_000, gt=0)
    """Tokens of the training run that the mixture is for; decides how often domains repeat."""
    export_paths: dict[Name, str | list[str]] = {}
    """Domain -> where the trainer finds it: files, folders or prefixes, written into exports as is."""
    ray_address: str | None = Field(default=None, min_length=1)
    """Where the Ray cluster is that swarms can train on: `host:port` or `ray://host:port`."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML's own loader keeps the last of two equal keys, which would lose a domain silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the name {key!r} stands here twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write `data` to `path` so that a reader sees the old content or the new, never a part.

    Raises:
        CausalMixError: the file system refuses (read-only, full); `path` keeps its old content.
    """
    scratch = scratch_path(path)
    try:
        with scratch.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise CausalMixError(f"Cannot write {path}: {error.strerror}. Nothing was changed.") from error


def create_exclusive(path: Path, data: str | bytes) -> bool:
    """Write `data` to `path` unless it exists; False if it does, and then nothing is touched.

    The check and the write are one step (a hard link), so of two writers exactly one wins.
    """
    scratch = scratch_path(path)
    write_atomic(scratch, data)
    try:
        os.link(scratch, path)
    except FileExistsError:
        return False
    finally:
        scratch.unlink(missing_ok=True)
    return True


def scratch_path(path: Path) -> Path:
    """A hidden name beside `path` that says which process is writing it."""
    return path.with_name(f".tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}-{path.name}")


def sweep(folder: Path) -> None:
    """Remove what dead processes left half-written in `folder` and in the folders inside."""
    for leftover in [*folder.glob(".tmp-*"), *folder.glob("[!.]*/.tmp-*")]:
        match = _TMP.match(leftover.name)
        if match and not _runs(int(match.group(1))):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    """Whether a process is there and has not ended; one that nobody has waited for yet has."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


class Workspace:
    """An open workspace folder.

    Attributes:
        root: absolute path of the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def config_path(self) -> Path:
        """`workspace.yaml`."""
        return self.root / CONFIG_NAME

    @property
    def snapshots(self) -> Path:
        """Folder of published snapshots."""
        return self.root / "snapshots"

    @property
    def runs(self) -> Path:
        """Folder of run-table files."""
        return self.root / "runs"

    @property
    def jobs(self) -> Path:
        """Folder of background jobs."""
        return self.root / "jobs"

    @property
    def graphs(self) -> Path:
        """Folder of graphs, one folder per name."""
        return self.root / "graphs"

    @property
    def mixtures(self) -> Path:
        """Folder of saved mixtures."""
        return self.root / "mixtures"

    @property
    def filters(self) -> Path:
        """Folder of saved filters."""
        return self.root / "filters"

    @property
    def models(self) -> Path:
        """Folder of reference proxies."""
        return self.root / "models"

    @property
    def measurements(self) -> Path:
        """Folder of model-based features, one folder per measurement."""
        return self.root / "measurements"

    @property
    def effects(self) -> Path:
        """Folder of what was found out about estimates, one folder per question."""
        return self.root / "effects"

    @property
    def uploads(self) -> Path:
        """Folder of uploaded source files, one folder per domain."""
        return self.root / "sources"

    @classmethod
    def create(cls, root: Path, config: WorkspaceConfig) -> Workspace:
        """Make a new workspace at `root`.

        Raises:
            CausalMixError: `root` is a file, already holds a workspace, or cannot be written.
        """
        root = root.expanduser().absolute()
        _refuse_file(root)
        if (root / CONFIG_NAME).exists():
            raise CausalMixError(f"{root} already holds a workspace. Open it, or choose another folder.")
        try:
            root.mkdir(parents=True, exist_ok=True)
            for folder in FOLDERS:
                (root / folder).mkdir(exist_ok=True)
        except OSError as error:
            raise CausalMixError(
                f"Cannot make a workspace at {root}: {error.strerror}. Choose a folder that you may write to."
            ) from error
        workspace = cls(root)
        workspace.save_config(config)
        return workspace

    @classmethod
    def open(cls, root: Path) -> Workspace:
        """Open the workspace at `root` and sweep what a crash left half-written.

        Raises:
            CausalMixError: there is no workspace, `workspace.yaml` is not valid, or the folder cannot
                be written.
        """
        root = root.expanduser().absolute()
        _refuse_file(root)
        if not (root / CONFIG_NAME).is_file():
            raise CausalMixError(
                f"There is no workspace at {root} (no {CONFIG_NAME}). "
                "Make one with `causalmix init` or `causalmix demo`."
            )
        if not os.access(root, os.W_OK | os.X_OK):
            raise CausalMixError(
                f"The workspace {root} is not writable for you. "
                "Change its permissions, or copy it to a folder of yours."
            )
        workspace = cls(root)
        workspace.config()
        for folder in FOLDERS:
            (root / folder).mkdir(exist_ok=True)
            sweep(root / folder)
        return workspace

    def config(self) -> WorkspaceConfig:
        """Read and validate `workspace.yaml`.

        Raises:
            CausalMixError: not YAML, a name twice, or a field that does not fit; the message names it.
        """
        try:
            text = self.config_path.read_text(encoding="utf-8")
            raw = yaml.load(text, Loader=_UniqueKeyLoader)
            return WorkspaceConfig.model_validate(raw if raw is not None else {})
        except (OSError, UnicodeDecodeError) as error:
            raise CausalMixError(f"Cannot read {self.config_path}: {error}.") from error
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f" line {mark.line + 1}" if mark else ""
            problem = getattr(error, "problem", None) or str(error)
            raise CausalMixError(f"{self.config_path}{line}: {problem}. Correct the file.") from error
        except ValidationError as error:
            lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
            raise CausalMixError(
                f"{self.config_path} is not valid: {'; '.join(lines)}. Correct the file."
            ) from error

    def save_config(self, config: WorkspaceConfig) -> None:
        """Replace `workspace.yaml`."""
        write_atomic(
            self.config_path,
            yaml.safe_dump(config.model_dump(), sort_keys=False, allow_unicode=True),
        )

    def resolve(self, path: str) -> Path:
        """The absolute path of a source: relative paths start at the workspace."""
        return (self.root / Path(path).expanduser()).absolute()


def _refuse_file(root: Path) -> None:
    try:
        is_file = root.exists() and not root.is_dir()
    except OSError as error:
        raise CausalMixError(f"Cannot look at {root}: {error.strerror}. Choose another folder.") from error
    if is_file:
        raise CausalMixError(f"{root} is a file, but a workspace is a folder. Choose a folder.")
    if "?" in str(root):  # DuckDB takes what follows for options
        raise CausalMixError(
            f"The path {root} holds a '?', which the database cannot open. Rename the folder."
        )

"""A pool of real text that every installation already has, so that the first visit needs no download.

Six domains of different worth: source code, prose, a junk domain and one full of near-duplicates. The
texts are read from the standard library and from the packages that causalmix itself depends on, never from
whatever else is installed, so one installation always gives the same pool.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import re
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import zstandard

from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import DomainSource, write_atomic

DEMO_DESCRIPTIONS: dict[str, str] = {
    "python": "Source code of the Python standard library.",
    "docstrings": "Documentation of functions and classes of numpy, pandas, scipy and scikit-learn: careful "
    "technical prose.",
    "cpp": "C++ headers of PyTorch: code in another language.",
    "readmes": "Project descriptions and notes of the installed packages: prose with examples and links.",
    "licences": "Licence texts of the installed packages: the same few texts over and over, nearly alike.",
    "minified": "Minified JavaScript from Streamlit's web pages: code that no person reads, the junk domain.",
}
"""One sentence per demo domain."""

MAX_DOCUMENT_BYTES = 32 << 10
_MAX_MINIFIED_BYTES = 16 << 10
_MIN_DOCSTRING = 200
# Read this many times the cap at most, so that a small demo does not read everything.
_READ_FACTOR = 4
_DOCSTRING_READ_FACTOR = 3  # parsing is what takes the time, and a third of this source is docstrings
_DOCSTRING_PACKAGES = ("numpy", "pandas", "scipy", "sklearn")
_LICENCE_NAME = re.compile(r"licen[cs]e|copying|copyright|notice", re.IGNORECASE)
_NOT_PROSE = {".py", ".pyc", ".pyi", ".so", ".h", ".hpp", ".c", ".json", ".js", ".html", ".png"}

_T = TypeVar("_T")
_Text = tuple[str, str]
"""(origin, text)."""


def write_demo_corpus(folder: Path, max_bytes: int = 4_000_000) -> dict[str, DomainSource]:
    """Write the demo domains as `<folder>/<domain>/part-0000.jsonl.zst` with fields text and origin.

    Args:
        folder: where to write; made when missing. Earlier demo files in it are replaced.
        max_bytes: bytes of text per domain at most; more is thinned evenly, so that a domain stays diverse.

    Returns:
        The domains as `workspace.yaml` names them, with absolute paths.

    Raises:
        CausalMixError: the installation lacks one of the sources, or the folder cannot be written.
    """
    closure = _dependency_closure()
    readers: dict[str, Callable[[], Iterator[_Text]]] = {
        "python": lambda: _standard_library(max_bytes),
        "docstrings": lambda: _docstrings(max_bytes),
        "cpp": lambda: _headers(max_bytes),
        "readmes": lambda: _descriptions(closure),
        "licences": lambda: _licences(closure),
        "minified": _minified,
    }
    sources = {}
    for domain in DEMO_DESCRIPTIONS:
        texts = _thin(list(readers[domain]()), lambda item: len(item[1].encode("utf-8")), max_bytes)
        if not texts:
            raise CausalMixError(
                f"This installation has no text for the demo domain {domain}: {DEMO_DESCRIPTIONS[domain]} "
                f"Raise the limit of {max_bytes} bytes, or reinstall causalmix."
            )
        target = folder / domain / "part-0000.jsonl.zst"
        lines = (json.dumps({"text": text, "origin": origin}, ensure_ascii=False) for origin, text in texts)
        data = "".join(line + "\n" for line in lines).encode("utf-8")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CausalMixError(f"Cannot write the demo to {target.parent}: {error.strerror}.") from error
        write_atomic(target, zstandard.ZstdCompressor(level=3).compress(data))
        sources[domain] = DomainSource(path=str(target.parent.absolute()))
    return sources


def _standard_library(max_bytes: int) -> Iterator[_Text]:
    root = Path(sysconfig.get_path("stdlib"))
    return _file_texts(root, "*.py", max_bytes, exclude={"site-packages", "dist-packages"})


def _headers(max_bytes: int) -> Iterator[_Text]:
    return _file_texts(_package_folder("torch") / "include", "*.h", max_bytes)


def _minified() -> Iterator[_Text]:
    root = _package_folder("streamlit") / "static"
    for file in _files(root, "*.js"):
        text = _read(file)
        # Statements end at semicolons; a file as one document would be megabytes on a single line.
        pieces = re.findall(r"[^;\n]*[;\n]|[^;\n]+", text)
        yield from _join(pieces, _MAX_MINIFIED_BYTES, file.relative_to(root).as_posix())


def _docstrings(max_bytes: int) -> Iterator[_Text]:
    files = [
        (file, f"{package}/{file.relative_to(root).as_posix()}")
        for package in _DOCSTRING_PACKAGES
        for root in (_package_folder(package),)
        for file in _files(root, "*.py")
    ]
    for file, origin in _thin(files, lambda item: _file_size(item[0]), _DOCSTRING_READ_FACTOR * max_bytes):
        try:
            tree = ast.parse(_read(file))
        except SyntaxError:
            continue
        for name, text in _documented(tree, "module"):
            if len(text) >= _MIN_DOCSTRING:
                yield from _cut(text, f"{origin}:{name}")


def _documented(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str
) -> Iterator[tuple[str, str]]:
    """(name, docstring) of a definition and of those directly in it; a walk of every node takes seconds."""
    yield name, ast.get_docstring(node) or ""
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _documented(child, child.name)


def _descriptions(closure: list[importlib.metadata.Distribution]) -> Iterator[_Text]:
    for distribution in closure:
        name = _canonical(distribution.metadata["Name"])
        if "Description" in distribution.metadata:
            yield from _cut(distribution.metadata["Description"], f"{name}:description")
        for path in distribution.files or ():
            if path.suffix in {".md", ".rst"} and not _LICENCE_NAME.search(str(path)):
                yield from _cut(_read(Path(str(path.locate()))), f"{name}:{path}")


def _licences(closure: list[importlib.metadata.Distribution]) -> Iterator[_Text]:
    for distribution in closure:
        name = _canonical(distribution.metadata["Name"])
        for path in distribution.files or ():
            if _LICENCE_NAME.search(path.name) and path.suffix not in _NOT_PROSE:
                yield from _cut(_read(Path(str(path.locate()))), f"{name}:{path}")


def _dependency_closure() -> list[importlib.metadata.Distribution]:
    """What causalmix needs, directly or not, without extras and without causalmix itself; by name."""
    # Every causalmix installation has it: streamlit and transformers require it.
    from packaging.requirements import Requirement

    found: dict[str, importlib.metadata.Distribution] = {}
    queue = ["causalmix"]
    seen = set(queue)
    while queue:
        name = queue.pop()
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError as error:
            raise CausalMixError(
                f"The package {name} is not installed, so the demo has nothing to read. Install causalmix "
                "with its dependencies (`pip install causalmix`)."
            ) from error
        found[name] = distribution
        for line in distribution.requires or ():
            requirement = Requirement(line)
            required = _canonical(requirement.name)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                continue
            if required not in seen:
                seen.add(required)
                queue.append(required)
    del found["causalmix"]
    return [found[name] for name in sorted(found)]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _package_folder(package: str) -> Path:
    """Where a package lies, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise CausalMixError(f"The package {package} is not installed. Reinstall causalmix.")
    return Path(spec.origin).parent


def _file_texts(root: Path, pattern: str, max_bytes: int, exclude: Iterable[str] = ()) -> Iterator[_Text]:
    for file in _thin(_files(root, pattern, exclude), _file_size, _READ_FACTOR * max_bytes):
        yield from _cut(_read(file), file.relative_to(root).as_posix())


def _files(root: Path, pattern: str, exclude: Iterable[str] = ()) -> list[Path]:
    """Files below a folder, sorted, without tests and caches."""
    left_out = {"test", "tests", "idle_test", "testing", "__pycache__", *exclude}
    found = [file for file in root.rglob(pattern) if left_out.isdisjoint(file.relative_to(root).parts)]
    return sorted(found, key=lambda file: file.relative_to(root).parts)


def _file_size(file: Path) -> int:
    return file.stat().st_size


def _read(file: Path) -> str:
    """The text of a file; empty when it is gone or not UTF-8, which a demo can do without."""
    try:
        return file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _cut(text: str, origin: str) -> Iterator[_Text]:
    """A text as documents of at most 32 KB, cut at line ends."""
    return _join(text.splitlines(keepends=True), MAX_DOCUMENT_BYTES, origin)


def _join(pieces: Iterable[str], limit: int, origin: str) -> Iterator[_Text]:
    """Documents of at most `limit` bytes from consecutive pieces; a longer piece is cut anywhere."""
    # A character has at most four bytes, so pieces of a quarter of the limit always fit.
    step = limit // 4
    document: list[str] = []
    size = number = 0
    for piece in pieces:
        whole = len(piece.encode("utf-8")) <= limit
        for part in [piece] if whole else [piece[i : i + step] for i in range(0, len(piece), step)]:
            length = len(part.encode("utf-8"))
            if size + length > limit:
                yield f"{origin}#{number}", "".join(document)
                document, size, number = [], 0, number + 1
            document.append(part)
            size += length
    if "".join(document).strip():
        yield (f"{origin}#{number}" if number else origin), "".join(document)


def _thin(items: list[_T], size: Callable[[_T], int], limit: int) -> list[_T]:
    """Every so-manieth item, evenly over the list, so that their sizes stay within the limit."""
    sizes = [size(item) for item in items]
    share = min(1.0, limit / max(sum(sizes), 1))
    while True:
        kept = [i for i in range(len(items)) if int((i + 1) * share) > int(i * share)]
        if sum(sizes[i] for i in kept) <= limit:
            return [items[i] for i in kept]
        # Large items may have been met more often than their share; small steps lose little.
        share *= 0.98

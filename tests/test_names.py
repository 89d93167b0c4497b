"""What is named in a text is there: functions for workers, modules, files.

A move or a new name is seen by Python where code names code, but not where a text does.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = ("balto", "experiments", "benchmarks", "tests")
#: What speaks of code. Tests speak of made-up names too.
WORDS = sorted(
    path
    for folder in ("", *CODE[:-1], "docs", "pools", ".ci")
    for path in (ROOT / folder).glob("**/*" if folder else "*")
    if path.suffix in {".py", ".md", ".toml", ".yml"} or path.name in {"Makefile", "run"}
)
#: Groups of entry points, and an example of a module that somebody adds.
NO_MODULES = {"balto.selectors", "balto.models", "balto.select.greedy"}
#: The same example, and files of TenSet's.
NO_FILES = {"greedy.py", "make_dataset.py", "feature.py"}
PYTHON = {path.name for folder in (*CODE, "docs") for path in (ROOT / folder).rglob("*.py")}


def find(dotted: str) -> tuple[Path, list[str]] | None:
    """The file of the longest module in a dotted name, and what is named in it."""
    path, parts = ROOT, dotted.split(".")
    while parts and (path / parts[0]).is_dir():
        path /= parts.pop(0)
    if parts and (file := path / f"{parts[0]}.py").exists():
        return file, parts[1:]
    file = path / "__init__.py"
    return (file, parts) if file.exists() else None


@cache
def defined(path: Path) -> set[str]:
    """The functions and classes at the head of a module."""
    kinds = ast.FunctionDef | ast.ClassDef
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, kinds)}


@cache
def said(path: Path) -> set[str]:
    """Every name and text of a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        values = (getattr(node, name, None) for name in ("id", "name", "asname", "attr", "value"))
        found |= {value for value in values if isinstance(value, str)}
    return found


def calls() -> Iterator[tuple[str, str]]:
    """Each ``package.module:function`` that is a text in the code, and where it is."""
    form = re.compile(rf"({'|'.join(CODE)})(\.\w+)+:\w+")
    for path in sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and form.fullmatch(text):
                yield text, f"{path.relative_to(ROOT)}:{node.lineno}"


def test_every_function_that_a_worker_is_asked_for_by_name_is_there() -> None:
    asked = list(calls())
    missing = []
    for text, where in asked:
        module, _, name = text.partition(":")
        file, rest = find(module) or (None, [])
        names = said if file and file.name == "__init__.py" else defined
        if file is None or rest or name not in names(file):
            missing.append(f"{where}: {text}")
    assert not missing, "\n".join(missing)
    assert sum(where.startswith("balto/") for _, where in asked) > 20  # they are seen


@pytest.mark.parametrize(
    ("form", "exists"),
    [
        (
            rf"(?<![\w/.:-])(?:{'|'.join(CODE)}|docs|pools)/[\w./*-]*[\w*]",
            lambda name: name.endswith("/NAME") or any(ROOT.glob(name)),
        ),
        (r"(?<![\w/.*-])\w+\.py\b", lambda name: name in PYTHON | NO_FILES),
        (
            rf"(?<![\w/.@-])(?:{'|'.join(CODE)})(?:\.[a-zA-Z]\w*)+",
            lambda name: name in NO_MODULES or there(name),
        ),
    ],
    ids=["path", "script", "module"],
)
def test_every_file_and_module_that_is_spoken_of_is_there(
    form: str, exists: Callable[[str], bool]
) -> None:
    spoken = {
        name: path.relative_to(ROOT)
        for path in WORDS
        for name in re.findall(form, path.read_text())
    }
    missing = [f"{where}: {name}" for name, where in spoken.items() if not exists(name)]
    assert not missing, "\n".join(missing)
    assert len(spoken) > 20  # they are seen


def there(dotted: str) -> bool:
    """Whether it is a module, or the module before it says the next name."""
    found = find(dotted)
    return found is not None and (not found[1] or found[1][0] in said(found[0]))


def test_what_is_not_there_is_not_found() -> None:
    assert there("balto.data.pool.Pool")
    assert there("balto.read_pool")
    assert there("balto.models")
    assert not there("balto.data.pool.Lake")
    assert not there("balto.data.lake")
    assert not there("balto.lake.pool")

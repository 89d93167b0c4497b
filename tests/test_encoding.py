"""Every text file is written and read as UTF-8, whatever the locale says: the sources name it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path for name in ("balto", "experiments") for path in ROOT.glob(f"{name}/**/*.py"))


def opens_text(call: ast.Call) -> bool:
    """Whether a call opens, reads or writes a file as text, as far as can be told without types."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in ("read_text", "write_text", "TextIOWrapper"):
        return True
    if name not in ("open", "fdopen"):
        return False
    place = 0 if isinstance(call.func, ast.Attribute) and name == "open" else 1
    modes = [word.value for word in call.keywords if word.arg == "mode"] + call.args[place:][:1]
    if not modes:
        return place == 1 or not call.args
    mode = modes[0]
    # `Journal.open(path)` and `os.open(path, flags)` have no mode.
    return isinstance(mode, ast.Constant) and isinstance(mode.value, str) and "b" not in mode.value


def without_encoding(source: str) -> list[int]:
    """The lines of such calls that name no encoding."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and opens_text(node)
        and "encoding" not in {word.arg for word in node.keywords}
    ]


def test_whoever_opens_text_names_the_encoding() -> None:
    found = {path: without_encoding(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert len(found) > 150
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "call",
    [
        "open(p)",
        "open(p, 'w')",
        "open(p, mode='a')",
        "p.open()",
        "p.open('w')",
        "p.read_text()",
        "p.write_text('')",
        "os.fdopen(1, 'w')",
    ],
)
def test_such_calls_are_found(call: str) -> None:
    assert without_encoding(call) == [1]
    assert without_encoding(f"{call[:-1]}{', ' * (call[-2] != '(')}encoding='utf-8')") == []


@pytest.mark.parametrize("call", ["open(p, 'rb')", "p.open('wb')", "Journal.open(p)", "p.read()"])
def test_others_are_left_alone(call: str) -> None:
    assert without_encoding(call) == []

"""What messages advise can be done: options, commands and variables that they name are there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import balto
from balto.cli import cli
from balto.cli.settings import settings_of

ROOT = Path(balto.__file__).parent
#: Options of TVM's RPC server, which we start; colours of a page have such names too.
OF_TVM = {"--tracker", "--key", "--port-end", "--silent"}
NO_COMMANDS = {"and", "makes", "reads"}  # what stands behind balto in sentences about it
PAGE = ROOT / "report" / "drawing.py"


def texts() -> Iterator[tuple[str, str]]:
    """Every text in the code, docstrings and the parts of f-strings included, and where it is."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())) if path != PAGE else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value, f"{path.relative_to(ROOT)}:{node.lineno}"


def commands(group: click.Group = cli) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from commands(command)


def named(form: str) -> dict[Any, str]:
    """What the texts name, and where it is said last."""
    return {name: where for text, where in texts() for name in re.findall(form, text)}


def test_every_option_that_is_named_exists() -> None:
    there = {"--help"} | OF_TVM
    for command in [cli, *(each for _, each in commands())]:
        there |= {text for each in command.params for text in (*each.opts, *each.secondary_opts)}
    said = named(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*")
    assert len(said) > 20
    assert {name: where for name, where in said.items() if name not in there} == {}


def test_every_command_that_is_named_with_its_arguments_exists() -> None:
    said = named(r"\bbalto ([a-z]+)(?= (?:[A-Z_]{2,}\b|--|$))")
    assert len(said) > 3
    there = {*dict(commands()), *NO_COMMANDS}
    assert {name: where for name, where in said.items() if name not in there} == {}


def test_every_variable_that_a_sentence_names_is_read_or_set_here() -> None:
    """Such as an environment variable; the arguments of commands are written so too."""
    variable = r"\b[A-Z]{2,}(?:_[A-Z]+)+\b"
    there = {text for text, _ in texts() if re.fullmatch(variable, text)}
    for _, command in commands():
        there |= {each.name.upper() for each in command.params if each.name}
    said = named(rf"(?:{variable})(?= )|(?<= )(?:{variable})")
    assert "TVM_CUDA_COMPILE_MODE" in said
    assert {name: where for name, where in said.items() if name not in there} == {}


def test_every_setting_that_is_advised_can_be_set() -> None:
    said = named(r"--([a-z]+) ([a-z_]+)=")
    assert ("measure", "build_timeout") in said
    for group, key in said:
        names = settings_of(group)
        assert {key, f"{key}_s", f"{key}_bytes"} & set(names), (group, key)

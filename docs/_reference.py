"""The reference pages of the site, made from the code as it is built; nothing of it is committed.

A hook of mkdocs: `on_files` adds one page of every command, from click, and one of every public
name, from the docstrings.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import click

import balto
from balto.cli import cli

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

#: Links that lead out of docs/, as a reader of the repository follows them.
_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?:pools|experiments|benchmarks)[^)]*\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    from mkdocs.structure.files import File

    for path, text in (("reference/cli.md", commands()), ("reference/api.md", names())):
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """What is outside of docs/ is named, and not linked."""
    return _OUTSIDE.sub(r"\1", markdown)


def commands() -> str:
    """Every command with its help."""
    parts = ["# The command line\n", inspect.cleandoc(cli.help or "")]
    context = click.Context(cli, info_name="balto")
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        text = command.get_help(click.Context(command, info_name=name, parent=context))
        parts.append(f"\n## balto {name}\n\n```text\n{text}\n```")
    return "\n".join(parts) + "\n"


def names() -> str:
    """Every public name with its docstring."""
    parts = ["# Python\n", inspect.cleandoc(balto.__doc__ or "")]
    modules = {"balto": balto, **{m: getattr(balto, m) for m in ("select", "models", "tune")}}
    modules["testing"] = balto.testing
    for module_name, module in modules.items():
        prefix = "balto" if module is balto else f"balto.{module_name}"
        parts.append(f"\n## {prefix}\n")
        if module is not balto:
            parts.append(inspect.cleandoc(module.__doc__ or "") + "\n")
        for name in module.__all__:
            parts += _of(f"{prefix}.{name}", getattr(module, name))
    return "\n".join(parts) + "\n"


def _of(name: str, thing: Any) -> list[str]:
    if inspect.ismodule(thing):
        return []
    if not inspect.isclass(thing) and not callable(thing):
        return [f"### `{name}`\n", f"A value: `{type(thing).__name__}`.\n"]
    parts = [f"### `{name}`\n", *_signature(name, thing), *_docstring(thing)]
    for attribute, value in vars(thing).items() if inspect.isclass(thing) else ():
        value = getattr(value, "__func__", value)
        if attribute.startswith("_") or not (
            inspect.isfunction(value) or isinstance(value, property)
        ):
            continue
        parts.append(f"#### `{name.rpartition('.')[2]}.{attribute}`\n")
        parts += [] if isinstance(value, property) else _signature(attribute, value)
        parts += _docstring(value)
    return parts


def _signature(name: str, thing: Any) -> list[str]:
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):  # written in C, or inherited from there
        return []
    short = name.rpartition(".")[2]
    text = f"{short}{signature}"
    if len(text) > 88:
        inside = ",\n    ".join(map(str, signature.parameters.values()))
        end = signature.return_annotation
        says = "" if end is inspect.Signature.empty else f" -> {end!r}"
        text = f"{short}(\n    {inside},\n){says}"
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)  # annotations are kept as text
    return [f"```python\n{text}\n```\n"]


def _docstring(thing: Any) -> list[str]:
    """As it was written: Google's sections are read better as text than half rendered."""
    text = inspect.cleandoc(thing.__doc__ or "")
    head, _, rest = text.partition("\n\n")
    return [f"{head}\n", *([f"```text\n{rest}\n```\n"] if rest else [])]

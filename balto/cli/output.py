"""Printing: one JSON object, or aligned tables."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import click

_NUMBER = re.compile(r"-|[-+]?[\d,]*\.?\d+%?( [a-z].*)?")


def print_json(value: Any) -> None:
    """Print `value` as one JSON object; NaN and infinities become null."""
    click.echo(json.dumps(_finite(value), allow_nan=False))


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None
) -> None:
    """Print an aligned table; columns of numbers, with or without a unit, go right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    cells = [["" if c is None else str(c) for c in row] for row in rows]
    table = Table(
        box=box.SIMPLE_HEAD,
        show_header=any(columns),
        title=title,
        title_justify="left",
        title_style="bold",
    )
    for i, name in enumerate(columns):
        numeric = all(_NUMBER.fullmatch(row[i]) for row in cells if row[i])
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*row)
    console = Console()
    # A pipe has no width: every line may be as long as it needs.
    (console if console.is_terminal else Console(width=1000)).print(table)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

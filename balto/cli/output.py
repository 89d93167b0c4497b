"""Printing: one JSON object, or aligned tables."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from balto.data.files import nan_to_none
from balto.text import printable

#: Reasons that one line tells, at most.
REASONS = 5
#: In the place of a latency that nobody measured.
UNMEASURED = "not measured"
_NUMBER = re.compile(rf"-|{UNMEASURED}|[-+]?[\d,]*\.?\d+%?( [a-z].*)?")


def print_json(value: Any) -> None:
    """Print `value` as one JSON object; NaN and infinities become null."""
    click.echo(json.dumps(nan_to_none(value), allow_nan=False))


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None
) -> None:
    """Print an aligned table; columns of numbers, with or without a unit, go right.

    Cells, column names and title are shown as they are: nothing in them is markup.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [["" if c is None else printable(c) for c in row] for row in rows]
    table = Table(
        box=box.SIMPLE_HEAD,
        show_header=any(columns),
        title=None if title is None else Text(printable(title), style="bold"),
        title_justify="left",
    )
    for i, name in enumerate(columns):
        numeric = all(_NUMBER.fullmatch(row[i]) for row in cells if row[i])
        table.add_column(
            Text(printable(name)), justify="right" if numeric else "left", overflow="fold"
        )
    for row in cells:
        table.add_row(*map(Text, row))
    console = Console()
    # A pipe has no width: every line may be as long as it needs.
    (console if console.is_terminal else Console(width=1000)).print(table)


def left_out_line(left_out: Mapping[str, str]) -> str:
    """One line, red where it goes to a terminal: how many tasks are left out, and why.

    Args:
        left_out: reason by task name, at least one.
    """
    count = len(left_out)
    counted = Counter(left_out.values()).most_common()
    reasons = "; ".join(f"{n} x {reason}" for reason, n in counted[:REASONS])
    if len(counted) > REASONS:
        others = sum(n for _, n in counted[REASONS:])
        reasons += f"; {others} x {len(counted) - REASONS} other reasons"
    tasks = "1 task" if count == 1 else f"{count} tasks"
    return click.style(printable(f"{tasks} left out by failure: {reasons}"), fg="red", bold=True)


def require_campaign(work_dir: Path) -> None:
    """Refuse a folder of ``balto tune``.

    Raises:
        CampaignError: If `work_dir` is a folder of ``balto tune``.
    """
    from balto.errors import CampaignError
    from balto.tune.status import is_tuning

    if is_tuning(work_dir):
        raise CampaignError(
            f"expected a campaign, {work_dir} is a folder of balto tune: "
            f"balto status {work_dir} shows it"
        )

"""How ``balto status`` prints a tuning."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from balto.cli.output import UNMEASURED, print_table
from balto.text import printable
from balto.units import percent, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from balto.metaschedule.stock import StockSearch
    from balto.tune.status import TaskStatus, TuneStatus


def print_tuning(now: TuneStatus) -> None:
    """Print what was searched, and what was found."""
    share = "" if math.isnan(now.asking_share) else f", {percent(now.asking_share)} of them asking"
    click.echo(f"{now.trials} trials in {seconds(now.seconds)}{share}")
    if now.store.tasks:
        from balto.cli.narrator import stored

        click.echo(stored(now.store))
    if now.network is not None:
        click.echo(printable(_network(now.network)))
    columns = ["task", "trials", "failed", "untuned", "best", "ratio", "seconds", "asking"]
    rows = [_row(task) for task in now.tasks]
    if any(task.stock for task in now.tasks):
        columns.append("TVM's search")
        rows = [[*row, _stock(task.stock)] for row, task in zip(rows, now.tasks, strict=True)]
    print_table(columns, rows)


def _row(task: TaskStatus) -> list[object]:
    ratio = task.untuned_s / task.now_s
    return [
        task.name,
        len(task.outcomes),
        task.failed,
        seconds(task.untuned_s),
        seconds(task.now_s) if task.measured else UNMEASURED,
        f"{ratio:.2f}" if math.isfinite(ratio) else "-",
        f"{task.seconds:.1f}",
        percent(task.asking_share),
    ]


def _stock(found: StockSearch | None) -> str:
    return "-" if found is None else f"{seconds(found.best)} in {seconds(found.seconds)}"


def _network(network: Mapping[str, Any]) -> str:
    parts = [
        f"{label} {seconds(network[key])}"
        for key, label in (("untuned_s", "untuned"), ("latency_s", "tuned"))
        if isinstance(network.get(key), float)
    ]
    reference = network.get("reference") or {}
    parts += [f"{name} {seconds(value)}" for name, value in reference.items()]
    told = ", ".join(parts) or "neither checked nor timed, since the machine could not run it"
    return f"{network.get('name', 'network')}: {told}"

"""``balto tune NETWORK``: a whole network, from one number of trials."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from balto.cli.narrator import TuningNarrator, print_troubles, row
from balto.cli.output import print_json, print_table
from balto.text import printable
from balto.tune.network import TunedNetwork, tune_network
from balto.units import seconds


def run(network: str, out: Path, output: str, **settings: Any) -> None:
    """Tune, and print what was found."""
    with TuningNarrator(settings["trials"]) as told:
        done = tune_network(network, out=out, listener=told, **settings)
    if output == "json":
        print_json({"out": str(out), **_json(done)})
    else:
        _print(done)
    print_troubles(done.tasks)
    click.echo(f"balto.load_tuned('{out}') loads it", err=True)


def _json(done: TunedNetwork) -> dict[str, Any]:
    return {
        "network": done.name,
        "latency_s": done.latency_s,
        "untuned_s": done.untuned_s,
        "reference": dict(done.reference),
        "error": done.error,
        "trials": done.trials,
        "store": vars(done.store),
        "wrong": list(done.wrong),
        "tasks": {
            each.task.name: {"weight": done.weights[each.task.name], **row(each)}
            for each in done.tasks
        },
        "untried": dict(done.untried),
    }


def _print(done: TunedNetwork) -> None:
    total = sum(_seconds(done, each) for each in done.tasks)
    beside = "".join(f"{seconds(s)} in {name}, " for name, s in done.reference.items())
    print_table(
        ["task", "weight", "untuned", "best", "share", "trials", "failed"],
        [
            [
                each.task.name,
                done.weights[each.task.name],
                seconds(each.untuned_s),
                seconds(each.latency_s),
                f"{_seconds(done, each) / total:.1%}" if total else "-",
                each.trials,
                row(each)["failed"],
            ]
            for each in done.tasks
        ],
        title=f"{done.name}: {seconds(done.latency_s)} tuned, "
        f"{seconds(done.untuned_s)} untuned ({done.untuned_s / done.latency_s:.1f}x), "
        f"{beside}{done.trials} trials, outputs within {done.error:.2g} of the tolerance",
    )
    if done.untried:
        names = ", ".join(f"{name} ({reason})" for name, reason in done.untried)
        click.echo(printable(f"With TVM's default schedule: {names}"))


def _seconds(done: TunedNetwork, each: Any) -> float:
    latency_s: float = each.latency_s
    return 0.0 if math.isnan(latency_s) else done.weights[each.task.name] * latency_s

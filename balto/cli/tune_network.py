"""``balto tune NETWORK``: a whole network, from one number of trials."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from balto.cli.narrator import TuningNarrator, best, print_troubles, row
from balto.cli.output import print_json, print_table
from balto.text import printable
from balto.tune.network import USUAL, TunedNetwork, tune_network
from balto.tune.tuning import most_trials
from balto.units import seconds


def run(network: str, out: Path, output: str, **settings: Any) -> None:
    """Tune, and print what was found."""
    ends = settings["trials"], settings["minutes"], settings["until_saturated"]
    with TuningNarrator(most_trials(*ends, USUAL), 1, settings["minutes"]) as told:
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
        "tolerance": done.tolerance,
        "judge": done.judge,
        "library": done.library,
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
    print_table(
        ["task", "weight", "untuned", "best", "share", "trials", "failed"],
        [
            [
                each.task.name,
                done.weights[each.task.name],
                seconds(each.untuned_s),
                best(each),
                f"{_seconds(done, each) / total:.1%}" if total else "-",
                each.trials,
                row(each)["failed"],
            ]
            for each in done.tasks
        ],
        title=_title(done),
    )
    if done.untried:
        alike: dict[str, list[str]] = {}
        for name, reason in done.untried:
            alike.setdefault(reason, []).append(name)
        for reason, names in alike.items():
            click.echo(printable(f"With TVM's default schedule ({reason}): {', '.join(names)}"))


def _title(done: TunedNetwork) -> str:
    if math.isnan(done.latency_s):
        return (
            f"{done.name}: {done.library}, neither checked nor timed, since this machine cannot "
            "run it"
        )
    beside = "".join(f"{seconds(s)} in {name}, " for name, s in done.reference.items())
    return (
        f"{done.name}: {seconds(done.latency_s)} tuned, {seconds(done.untuned_s)} untuned "
        f"({done.untuned_s / done.latency_s:.1f}x), {beside}{done.trials} trials, outputs within "
        f"{done.error:.2g} of the tolerance"
    )


def _seconds(done: TunedNetwork, each: Any) -> float:
    latency_s: float = each.latency_s
    return 0.0 if math.isnan(latency_s) else done.weights[each.task.name] * latency_s

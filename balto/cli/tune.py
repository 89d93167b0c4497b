"""``balto tune``: networks and operators made fast with a trained cost model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from balto.arguments import MOST_TRIALS
from balto.cli.options import (
    MINUTES,
    SEED,
    TRIALS,
    format_option,
    shape_option,
    store_option,
    target_option,
    tasks_option,
    until_saturated_option,
)
from balto.cli.settings import measurer_options, setting_option
from balto.units import seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from balto.data.task import Task
    from balto.search.tuning import TunedTask


@click.command("tune")
@click.argument("network", required=False)
@click.option("--operator", "operators", multiple=True, help="Such as matmul:1024x1024x1024.")
@tasks_option
@click.option(
    "--start-from",
    "--model",
    "start_from",
    default="starter",
    show_default=True,
    help="A model file; starter is balto's own, for CPUs; none: learn from the trials alone.",
)
@click.option(
    "--trials",
    type=TRIALS,
    help="Programs to measure: of the whole network, or of each operator; 0: take what the model "
    "likes best. [default: 400, 64]",
)
@click.option(
    "--minutes",
    type=MINUTES,
    help="Minutes that the search may take; with --trials too, whichever is used up first.",
)
@until_saturated_option("Stop when the next minute is expected to make it less than 1 % faster.")
@target_option
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option(
    *("-o", "--out", "out"),
    type=click.Path(path_type=Path),
    default=Path("tuned"),
    show_default=True,
    help="Folder for the libraries.",
)
@click.option(
    "--compare",
    type=click.Choice(["stock"]),
    help="Then search with TVM's own search and model too, for as many trials; for the report.",
)
@shape_option
@store_option
@measurer_options
@setting_option("search", "How each task is searched")
@setting_option("deploy", "How long compiling, checking and timing may take")
@format_option
def command(
    network: str | None,
    operators: tuple[str, ...],
    task_files: tuple[Path, ...],
    out: Path,
    compare: str | None,
    rpc: str | None,
    leave_out: tuple[str, ...],
    measure_settings: tuple[str, ...],
    rpc_settings: tuple[str, ...],
    search_settings: tuple[str, ...],
    deploy_settings: tuple[str, ...],
    output: str,
    store: tuple[str, ...],
    **settings: Any,
) -> None:
    """Tune a NETWORK (a name, an .onnx or a .pt2 file), or operators; resumable.

    Repeat the command to go on after any interruption. The folder holds the compiled network, or a
    library of each operator, which `balto.load_tuned` or TVM alone loads. `balto status`
    shows how far it is, `balto report` draws it.
    """
    if bool(network) == bool(operators or task_files):
        raise click.UsageError("expected a network, or --operator or --tasks and no network")
    if network and compare:
        raise click.UsageError("--compare is for operators")
    from balto.cli.settings import make, measurer
    from balto.data.target import Target

    # Beside TVM's own search, ours knows no more than that one.
    settings["store"] = store or "none"
    settings["settings"] = make("search", search_settings)
    settings["deploying"] = make("deploy", deploy_settings)
    if not network and settings.pop("shapes"):
        raise click.UsageError("--shape is for networks; an operator's name has its shape")
    said = {"measure": measure_settings, "rpc": rpc_settings}
    with measurer(Target.of(settings["target"]), rpc, leave_out, said) as measuring:
        settings["measurer"] = measuring
        if network:
            from balto.cli.tune_network import run

            run(network, out, output, **settings)
        else:
            from balto.tasks.own import read_task_file

            own = [task for file in task_files for task in read_task_file(file)]
            every: list[str | Task] = [*operators, *own]
            _tune_operators(every, out, compare, output, settings)


def _tune_operators(
    operators: Sequence[str | Task],
    out: Path,
    compare: str | None,
    output: str,
    settings: dict[str, Any],
) -> None:
    from balto.cli.narrator import TuningNarrator, print_troubles, row
    from balto.tune.operators import USUAL, tune_operators
    from balto.tune.tuning import most_trials

    ends = settings["trials"], settings["minutes"], settings["until_saturated"]
    trials = most_trials(*ends, USUAL)
    with TuningNarrator(trials, len(operators), settings["minutes"]) as told:
        tuned = tune_operators(operators, out, listener=told, **settings)
        if compare:
            if trials == MOST_TRIALS:
                trials = max(each.trials for each in tuned)
            _compare(out, tuned, trials, settings["seed"], told)
    if output == "json":
        from balto.cli.output import print_json

        rows = {t.task.name: row(t) for t in tuned}
        print_json({"out": str(out), "store": vars(tuned.store), "operators": rows})
    else:
        _print_table(tuned)
    print_troubles(tuned)
    click.echo(f"balto.load_tuned('{out}') loads it", err=True)


def _compare(out: Path, tuned: Sequence[TunedTask], trials: int, seed: int, narrator: Any) -> None:
    from balto.metaschedule.stock import compare_with_stock

    narrator.say(f"TVM's own search, {trials} trials each")
    for name, found in compare_with_stock(out, [each.task for each in tuned], trials, seed):
        narrator.say(f"{name}: stock's search {seconds(found.best)} in {seconds(found.seconds)}")


def _print_table(tuned: Sequence[TunedTask]) -> None:
    from balto.cli.narrator import best, row
    from balto.cli.output import print_table

    print_table(
        ["operator", "untuned", "best", "ratio", "trials", "failed"],
        [
            [
                each.task.name,
                seconds(each.untuned_s),
                best(each),
                "-" if math.isnan(each.untuned_s) else f"{each.untuned_s / each.latency_s:.2f}",
                each.trials,
                row(each)["failed"],
            ]
            for each in tuned
        ],
    )

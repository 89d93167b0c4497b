"""``balto tune``: networks and operators made fast with a trained cost model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from balto.cli.options import format_option, shape_option
from balto.units import seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from balto.search.tuning import TunedTask


class _TuneOrStatus(click.Command):
    """``balto tune status FOLDER`` beside ``balto tune ...``."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Of the command that the first argument asks for."""
        if args[:1] != ["status"]:
            return super().make_context(info_name, args, parent, **extra)
        from balto.cli.tune_status import command as status

        return status.make_context(f"{info_name} status", args[1:], parent, **extra)


@click.command("tune", cls=_TuneOrStatus)
@click.argument("network", required=False)
@click.option("--operator", "operators", multiple=True, help="Such as matmul:1024x1024x1024.")
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
    type=int,
    help="Programs to measure: of the whole network, or of each operator. [default: 400, 64]",
)
@click.option("--target", default="llvm", show_default=True, help="llvm, cuda or a target's JSON.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
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
@format_option
def command(
    network: str | None,
    operators: tuple[str, ...],
    out: Path,
    compare: str | None,
    output: str,
    **settings: Any,
) -> None:
    """Tune a NETWORK (a name, an .onnx or a .pt2 file), or operators; resumable.

    Repeat the command to go on after any interruption. The folder holds the compiled network, or a
    library of each operator, which `balto.load_tuned` or TVM alone loads. `balto tune status`
    shows how far it is, `balto report` draws it.
    """
    if bool(network) == bool(operators):
        raise click.UsageError("expected a network, or --operator and no network")
    if network:
        if compare:
            raise click.UsageError("--compare is for operators")
        from balto.cli.tune_network import run

        run(network, out, output, **{**settings, "trials": _or(settings["trials"], 400)})
        return
    if settings.pop("shapes"):
        raise click.UsageError("--shape is for networks; an operator's name has its shape")
    from balto.tune.operators import tune_operators

    settings["trials"] = _or(settings["trials"], 64)
    from balto.cli.narrator import TuningNarrator, print_troubles, row

    with TuningNarrator(len(operators) * settings["trials"]) as told:
        tuned = tune_operators(operators, out, listener=told, **settings)
        if compare:
            _compare(out, tuned, settings["trials"], settings["seed"], told)
    if output == "json":
        from balto.cli.output import print_json

        print_json({"out": str(out), "operators": {t.task.name: row(t) for t in tuned}})
    else:
        _print_table(tuned)
    print_troubles(tuned)
    click.echo(f"balto.load_tuned('{out}') loads it", err=True)


def _or(given: int | None, default: int) -> int:
    return default if given is None else given


def _compare(out: Path, tuned: Sequence[TunedTask], trials: int, seed: int, narrator: Any) -> None:
    from balto.metaschedule.stock import compare_with_stock

    narrator.say(f"TVM's own search, {trials} trials each")
    for name, found in compare_with_stock(out, [each.task for each in tuned], trials, seed):
        narrator.say(f"{name}: stock's search {seconds(found.best)} in {seconds(found.seconds)}")


def _print_table(tuned: Sequence[TunedTask]) -> None:
    from balto.cli.narrator import row
    from balto.cli.output import print_table

    print_table(
        ["operator", "untuned", "best", "ratio", "trials", "failed"],
        [
            [
                each.task.name,
                seconds(each.untuned_s),
                seconds(each.latency_s),
                "-" if math.isnan(each.untuned_s) else f"{each.untuned_s / each.latency_s:.2f}",
                each.trials,
                row(each)["failed"],
            ]
            for each in tuned
        ],
    )

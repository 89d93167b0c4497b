"""``balto tune``: networks and operators made fast with a trained cost model."""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from balto.cli.options import format_option
from balto.units import seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from balto.data.target import Target
    from balto.search.session import TunedTask


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
    "--model",
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
    from balto.tune.operators import tune_operators

    settings["trials"] = _or(settings["trials"], 64)
    with narrator(len(operators) * settings["trials"]) as told:
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


def print_troubles(tuned: Sequence[TunedTask]) -> None:
    """What went wrong that the table does not tell."""
    from balto.cli.output import plain

    for each in tuned:
        if each.lost:
            click.echo(f"{each.task.name}: TVM died {each.lost} times making programs", err=True)
        if each.failure:
            line = f"{each.task.name}: no trial ran; most often: {each.failure}"
            click.echo(plain(line), err=True)


def row(tuned: TunedTask) -> dict[str, Any]:
    """A task, for JSON."""
    return {
        "untuned_s": tuned.untuned_s,
        "latency_s": tuned.latency_s,
        "trials": tuned.trials,
        "failed": sum(not outcome.ok for _, outcome in tuned.programs),
        "wrong": tuned.wrong,
        "lost": tuned.lost,
        "seconds": tuned.seconds,
        "asking_s": tuned.asking_s,
        "tuned": bool(tuned.trace),
    }


def _print_table(tuned: Sequence[TunedTask]) -> None:
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


def narrator(trials: int) -> Any:
    """A listener that shows progress on stderr; a context."""
    from balto.cli.progress import Progress
    from balto.data.outcome import Outcome
    from balto.tune.network import NetworkListener

    class Narrator(NetworkListener):
        """Progress on stderr."""

        def __enter__(self) -> Self:
            self._progress = Progress()
            self._progress.begin("tune", trials, "trial")
            self._network = ""
            return self

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> None:
            self._progress.close()

        def say(self, line: str) -> None:
            self._progress.say(line)

        def began(self, task: str, untuned_s: float) -> None:
            self._progress.say(f"{task}: {seconds(untuned_s)} untuned")

        def measured(self, task: str, outcome: Outcome, best_s: float) -> None:  # noqa: ARG002
            best = "none yet" if math.isinf(best_s) else seconds(best_s)
            self._progress.advance("tune", f"{task}: best {best}{self._network}")

        def again(self, task: str, programs: int) -> None:
            self._progress.say(f"{task}: timing the fastest {programs} again")

        def wrong(self, task: str, error: float) -> None:
            self._progress.say(
                f"WRONG RESULT: the fastest program of {task} is {error:.3g} times the tolerance "
                "away from the untuned one; it is left out, and the next one is taken"
            )

        def planned(self, tasks: int, target: Target, layout: str) -> None:
            cores = target.cores or 1
            where = "one core" if cores == 1 else f"{cores} cores"
            where = where if target.on_cpu else f"a {target.kind} device"
            counted = f"{tasks} task{'' if tasks == 1 else 's'}"
            laid_out = f", convolutions in {layout}" if layout else ""
            self._progress.say(f"{counted}, tuned for {where}{laid_out}")
            if trials < tasks:
                self._progress.say(
                    f"fewer trials ({trials}) than tasks: those that matter least keep TVM's "
                    "default schedules"
                )

        def estimated(self, latency_s: float) -> None:
            self._network = f"; network about {seconds(latency_s)}"

        def left(self, task: str, reason: str) -> None:
            self._progress.say(f"{task} keeps TVM's default schedule: {reason}")

        def mismatched(self, task: str) -> None:
            self._progress.say(
                f"WRONG RESULT: with the program of {task} the network computes something else, "
                "or TVM cannot compile it; the task keeps TVM's default schedule"
            )

        def slower(self, tuned_s: float, untuned_s: float) -> None:
            self._progress.say(
                f"NOT FASTER: {seconds(tuned_s)} tuned, {seconds(untuned_s)} untuned; "
                "the untuned network is deployed"
            )

        def not_beside(self, reason: str) -> None:
            self._progress.say(f"not timed beside the runtime it came from: {reason}")

    return Narrator()

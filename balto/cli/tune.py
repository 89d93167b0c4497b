"""``balto tune``: operators made fast with a trained cost model."""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from balto.cli.options import format_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from balto.tune.session import TunedTask


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
@click.option(
    "--operator", "operators", multiple=True, required=True, help="Such as matmul:1024x1024x1024."
)
@click.option(
    "--model", help="A model file, or starter, balto's own; without one it learns from its trials."
)
@click.option(
    "--trials", type=int, default=64, show_default=True, help="Programs to measure an operator."
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
    operators: tuple[str, ...], out: Path, compare: str | None, output: str, **settings: Any
) -> None:
    """Tune operators; resumable.

    Repeat the command to go on after any interruption. The folder holds a library of each
    operator, which `balto.load_tuned` or TVM alone loads. `balto tune status` shows how far it is,
    `balto report` draws it.
    """
    from balto.models.starter import model_path
    from balto.tune.operators import tune_operators

    if settings["model"] is not None:
        settings["model"] = model_path(settings["model"])

    with _narrator(len(operators) * settings["trials"]) as narrator:
        tuned = tune_operators(operators, out, listener=narrator, **settings)
        if compare:
            _compare(out, tuned, settings["trials"], settings["seed"], narrator)
    if output == "json":
        from balto.cli.output import print_json

        print_json({"out": str(out), "operators": {t.task.name: _row(t) for t in tuned}})
    else:
        _print_table(tuned)
    for each in tuned:
        if each.lost:
            click.echo(f"{each.task.name}: TVM died {each.lost} times making programs", err=True)
    click.echo(f"balto.load_tuned('{out}') loads it", err=True)


def _compare(out: Path, tuned: Sequence[TunedTask], trials: int, seed: int, narrator: Any) -> None:
    from balto.tune.stock import compare_with_stock

    narrator.say(f"TVM's own search, {trials} trials each")
    for name, found in compare_with_stock(out, [each.task for each in tuned], trials, seed):
        narrator.say(f"{name}: stock's search {_microseconds(found.best)} in {found.seconds:.0f} s")


def _row(tuned: TunedTask) -> dict[str, Any]:
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
                _microseconds(each.untuned_s),
                _microseconds(each.latency_s),
                "-" if math.isnan(each.untuned_s) else f"{each.untuned_s / each.latency_s:.2f}",
                each.trials,
                _row(each)["failed"],
            ]
            for each in tuned
        ],
    )


def _microseconds(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{seconds * 1e6:,.1f} us"


def _narrator(trials: int) -> Any:
    from balto.cli.progress import Progress
    from balto.data.outcome import Outcome
    from balto.tune.session import Listener

    class Narrator(Listener):
        """Progress on stderr."""

        def __enter__(self) -> Self:
            self._progress = Progress()
            self._progress.begin("tune", trials, "trial")
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
            self._progress.say(f"{task}: {_microseconds(untuned_s)} untuned")

        def measured(self, task: str, outcome: Outcome, best_s: float) -> None:  # noqa: ARG002
            best = "none yet" if math.isinf(best_s) else _microseconds(best_s)
            self._progress.advance("tune", f"{task}: best {best}")

        def wrong(self, task: str, error: float) -> None:
            self._progress.say(
                f"WRONG RESULT: the fastest program of {task} is {error:.3g} times the tolerance "
                "away from the untuned one; it is left out, and the next one is taken"
            )

    return Narrator()

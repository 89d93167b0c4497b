"""``balto replay``: compare selectors and models on a recorded pool."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from balto.cli.options import (
    BUDGET,
    LOOP_SATURATED,
    ROUNDS,
    SEEDS,
    TEST_SHARE,
    Seconds,
    budget_settings,
    format_option,
    until_saturated_option,
)
from balto.units import percent, points
from balto.units import seconds as for_people

if TYPE_CHECKING:
    from balto.data.pool import Pool
    from balto.learn.result import Result
    from balto.learn.settings import LoopSettings


@click.command("replay")
@click.argument("pool", type=click.Path(path_type=Path))
@click.option("--selector", default="biased-lcmd", show_default=True, help="Or 'full': all labels.")
@click.option("--model", default="xgb", show_default=True, help="Cost model.")
@click.option(
    "--budget",
    type=BUDGET,
    default="5%",
    show_default=True,
    help="Share of the programs that are not held out, or what measuring may take, such as 60s.",
)
@click.option("--rounds", type=ROUNDS, default=15, show_default=True, help="Rounds, T.")
@click.option("--seeds", type=SEEDS, default=5, show_default=True, help="Seeds 0 .. K-1.")
@click.option(
    "--test-share",
    type=TEST_SHARE,
    default="25%",
    show_default=True,
    help="Share of each task's programs held out for the test.",
)
@until_saturated_option(LOOP_SATURATED)
@click.option(
    "--start-from",
    "--from",
    "start_from",
    multiple=True,
    help="Learn from this model file too, 'starter' for the one that ships; may be repeated.",
)
@format_option
def command(
    pool: Path,
    selector: str,
    model: str,
    budget: float,
    rounds: int,
    seeds: int,
    test_share: float,
    until_saturated: bool,
    start_from: tuple[str, ...],
    output: str,
) -> None:
    """Run the active-learning loop on the recorded POOL, whose outcomes stand for measurements."""
    from balto.cli.output import print_json
    from balto.learn.replay import FULL, summary
    from balto.learn.settings import LoopSettings
    from balto.models import create
    from balto.models.starter import starting_models
    from balto.programs.features import read_pool
    from balto.select import get

    settings = LoopSettings(
        **budget_settings(budget),  # type: ignore[arg-type]  # of budget and budget_s alone
        rounds=rounds,
        test_share=test_share,
        until_saturated=until_saturated,
    )
    get(selector if selector != FULL else "random")
    create(model)
    recorded = read_pool(pool)
    _advise(pool, recorded, model)
    results = _replay_all(recorded, selector, model, settings, seeds, starting_models(start_from))
    if output == "json":
        print_json(summary(selector, model, settings, seeds, results))
        return
    share = f"{percent(1.0 if selector == FULL else budget)} of the programs"
    if isinstance(budget, Seconds) and selector != FULL:
        share = f"{for_people(budget)} of measuring"
    device = recorded.tasks[0].device
    _print(results, f"{selector}, {model}, {share}, {device}")


def _advise(path: Path, pool: Pool, model: str) -> None:
    """Say how the pool could have more features, if the model would read them and it can."""
    from balto.data.features import drawn_sets
    from balto.programs.features import can_be_made
    from balto.text import printable

    absent = [name for name in drawn_sets() if name not in pool.features]
    if absent and model.partition(":")[0] == "xgb" and can_be_made(pool):
        words = (
            f"{path} has no feature set {', '.join(absent)}: balto features "
            f"{shlex.quote(str(path))} adds it from its traces, and makes the model more accurate"
        )
        click.echo(printable(words), err=True)


def _replay_all(
    pool: Pool,
    selector: str,
    model: str,
    settings: LoopSettings,
    seeds: int,
    start_from: tuple[str, ...],
) -> list[Result]:
    """The result of each seed, with the progress of all of them."""
    from balto.cli.progress import Progress
    from balto.learn.replay import FULL, replay

    results = []
    with Progress() as progress:
        progress.begin("replay", seeds * (1 if selector == FULL else settings.rounds), "round")
        for seed in range(seeds):
            result = replay(
                pool,
                selector=selector,
                model=model,
                budget=settings.budget,
                budget_s=settings.budget_s,
                rounds=settings.rounds,
                test_share=settings.test_share,
                seed=seed,
                until_saturated=settings.until_saturated,
                start_from=start_from,
                on_round=lambda _: progress.advance("replay"),
            )
            results.append(result)
    return results


def _print(results: Sequence[Result], title: str) -> None:
    """A table with a row a seed."""
    from balto.cli.output import print_table

    columns = ["seed", "Top-1", "Top-5", "pairwise", "measurements", "measuring took"]
    rows = [
        (
            *(seed, *_accuracy(result), result.measurements, for_people(result.seconds)),
            points(result.outlook.gain, result.outlook.error) if result.outlook else "-",
        )
        for seed, result in enumerate(results)
    ]
    print_table([*columns, "another 2 %"], rows, title=title)


def _accuracy(result: Result) -> list[str]:
    """Top-1, Top-5 and pairwise accuracy, in percent."""
    found = result.accuracy
    if found is None:
        return ["-", "-", "-"]
    return [percent(share) for share in (found.top1, found.top5, found.pairwise)]

"""``balto replay``: compare selectors and models on a recorded pool."""

from __future__ import annotations

from pathlib import Path

import click

from balto.cli.options import BUDGET, TEST_SHARE, format_option, until_saturated_option


@click.command("replay")
@click.argument("pool", type=click.Path(path_type=Path))
@click.option("--selector", default="biased-lcmd", show_default=True, help="Or 'full': all labels.")
@click.option("--model", default="xgb", show_default=True, help="Cost model.")
@click.option(
    "--budget",
    type=BUDGET,
    default="5%",
    show_default=True,
    help="Share of the programs that are not held out.",
)
@click.option("--rounds", type=click.IntRange(1), default=15, show_default=True, help="Rounds, T.")
@click.option(
    "--seeds", type=click.IntRange(1), default=5, show_default=True, help="Seeds 0 .. K-1."
)
@click.option(
    "--test-share",
    type=TEST_SHARE,
    default="25%",
    show_default=True,
    help="Share of each task's programs held out for the test.",
)
@until_saturated_option
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
    from balto.cli.output import print_json, print_table
    from balto.cli.progress import Progress
    from balto.data.features import drawn_sets
    from balto.learn.replay import FULL, replay, summary
    from balto.learn.settings import LoopSettings
    from balto.models import create
    from balto.models.starter import sources
    from balto.programs.features import read_pool
    from balto.select import get
    from balto.units import percent, points
    from balto.units import seconds as for_people

    settings = LoopSettings(
        budget=budget, rounds=rounds, test_share=test_share, until_saturated=until_saturated
    )
    get(selector if selector != FULL else "random")
    create(model)
    recorded = read_pool(pool)
    absent = [name for name in drawn_sets() if name not in recorded.features]
    if absent and model.partition(":")[0] == "xgb":
        click.echo(
            f"{pool} has no feature set {', '.join(absent)}: balto features {pool} adds it from "
            "its traces, and makes the model more accurate",
            err=True,
        )
    results = []
    with Progress() as progress:
        progress.begin("replay", seeds * (1 if selector == FULL else rounds), "round")
        for seed in range(seeds):
            result = replay(
                recorded,
                selector=selector,
                model=model,
                budget=budget,
                rounds=rounds,
                test_share=test_share,
                seed=seed,
                until_saturated=until_saturated,
                start_from=sources(start_from),
                on_round=lambda _: progress.advance("replay"),
            )
            results.append(result)
    if output == "json":
        print_json(summary(selector, model, settings, seeds, results))
        return
    print_table(
        ["seed", "Top-1", "Top-5", "pairwise", "measurements", "measuring took", "another 2 %"],
        [
            (
                seed,
                *(
                    percent(getattr(result.accuracy, k)) if result.accuracy else "-"
                    for k in ("top1", "top5", "pairwise")
                ),
                result.measurements,
                for_people(result.seconds),
                points(result.outlook.gain, result.outlook.error) if result.outlook else "-",
            )
            for seed, result in enumerate(results)
        ],
        title=f"{selector}, {model}, {percent(1.0 if selector == FULL else budget)} of the "
        f"programs, {recorded.tasks[0].device}",
    )

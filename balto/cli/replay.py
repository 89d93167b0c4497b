"""``balto replay``: compare selectors and models on a recorded pool."""

from __future__ import annotations

from pathlib import Path

import click

from balto.cli.options import BUDGET, TEST_SHARE, format_option


@click.command("replay")
@click.argument("pool", type=click.Path(path_type=Path))
@click.option("--selector", default="balto", show_default=True, help="Or 'full': all labels.")
@click.option("--model", default="xgb", show_default=True, help="Cost model.")
@click.option(
    "--fraction",
    type=BUDGET,
    default="5%",
    show_default=True,
    help="Budget: share of the training share.",
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
@format_option
def command(
    pool: Path,
    selector: str,
    model: str,
    fraction: float,
    rounds: int,
    seeds: int,
    test_share: float,
    output: str,
) -> None:
    """Run the active-learning loop on the recorded POOL, whose outcomes stand for measurements."""
    from balto.cli.output import print_json, print_table
    from balto.cli.progress import Progress
    from balto.learn.loop import LoopSettings
    from balto.learn.replay import replay, summary
    from balto.pool.exchange import read_pool
    from balto.units import percent
    from balto.units import seconds as for_people

    recorded = read_pool(pool)
    runs = []
    progress = Progress()
    progress.begin("replay", seeds, "seed")
    for seed in range(seeds):
        settings = LoopSettings(fraction, rounds, test_share, seed)
        runs.append(replay(recorded, selector, model, settings))
        progress.advance("replay")
    progress.close()
    result = summary(selector, model, settings, seeds, runs)
    if output == "json":
        print_json(result)
        return
    print_table(
        ["seed", "Top-1", "Top-5", "pairwise", "measurements", "measuring took"],
        [
            (
                seed,
                *(
                    percent(run[-1].accuracy.to_dict()[k]) if run[-1].accuracy else "-"
                    for k in ("top1", "top5", "pairwise")
                ),
                run[-1].measurements,
                for_people(run[-1].seconds),
            )
            for seed, run in enumerate(runs)
        ],
        title=f"{selector}, {model}, {percent(fraction)} of the programs, "
        f"{recorded.tasks[0].device}",
    )

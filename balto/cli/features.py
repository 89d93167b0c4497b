"""``balto features``: give a recorded pool the feature sets that it does not have."""

from __future__ import annotations

from pathlib import Path

import click

from balto.cli.options import WORKERS


@click.command("features")
@click.argument("pool", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Another pool. [default: POOL itself]"
)
@click.option("--workers", type=WORKERS, default=0, help="Processes; 0: one a core.")
@click.option(
    "--assembly",
    is_flag=True,
    help="Add the set assembly too: every program is compiled, a quarter of a second each.",
)
def command(pool: Path, output: Path | None, workers: int, assembly: bool) -> None:
    """Schedule the traces in POOL again, and add the feature sets; nothing is measured.

    A task whose programs cannot be made again is left out of the other pool, and named.
    """
    from balto.cli.progress import Progress
    from balto.data.features import ASSEMBLY
    from balto.data.pool_writer import copy_networks, require_new, write_pool
    from balto.errors import InputError
    from balto.programs.features import read_pool, with_all_features
    from balto.text import printable

    in_place = output is None or output.resolve() == pool.resolve()
    if output is not None and not in_place:
        require_new(output)
    recorded = read_pool(pool, featureless=True)
    left_out: list[str] = []
    with Progress() as progress:

        def leave_out(task: str, reason: str) -> None:
            left_out.append(task)
            progress.say(f"left out {task}: {reason}")

        progress.begin("features", len(recorded.tasks), "task")
        whole = with_all_features(
            recorded,
            workers or None,
            lambda _: progress.advance("features", unit="task"),
            (ASSEMBLY.name,) if assembly else (),
            leave_out,
        )
    if left_out and in_place:
        raise InputError(
            f"the features of {len(left_out)} of {len(recorded.tasks)} tasks cannot be made, and "
            f"{pool} keeps them all: -o OTHER writes the others to another pool"
        )
    count = write_pool(whole, output or pool, unmeasured=True)
    if output is not None and not in_place:
        copy_networks(pool, output)
    names = ", ".join(whole.features.names)
    click.echo(printable(f"{count} programs with {names} written to {output or pool}"), err=True)

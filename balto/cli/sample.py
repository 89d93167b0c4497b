"""``balto sample``: random programs of tasks, without a campaign."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from balto.data.pool import Pool
    from balto.data.task import Task


@click.command("sample")
@click.argument("pool", type=click.Path(path_type=Path))
@click.option("--network", "networks", multiple=True, help="A network's name, .onnx or .pt2 file.")
@click.option("--operator", "operators", multiple=True, help="Such as matmul:1024x1024x1024.")
@click.option("--target", default="llvm", show_default=True, help="llvm, cuda or a target's JSON.")
@click.option(
    "--programs", type=click.IntRange(1), default=256, show_default=True, help="Programs a task, M."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def command(
    pool: Path,
    networks: tuple[str, ...],
    operators: tuple[str, ...],
    target: str,
    programs: int,
    seed: int,
) -> None:
    """Draw random programs of networks and operators, and write them to POOL, unmeasured."""
    import numpy as np

    from balto.cli.progress import Progress, waiting
    from balto.data.pool_writer import write_parts
    from balto.programs.draw import sample
    from balto.tasks import extract_tasks

    with waiting("TVM reads the networks and folds their constants"):
        found = extract_tasks(networks, operators, target)
    with Progress() as progress:
        progress.begin("sample", len(found.tasks), "task")

        def parts() -> Iterator[tuple[Task, Pool, NDArray[np.int64]]]:
            for task in found.tasks:
                drawn = sample(task, programs, seed)
                yield task, drawn, np.arange(len(drawn))
                progress.advance("sample", unit="task")

        count = write_parts(parts(), pool)
    click.echo(f"{count} programs of {len(found.tasks)} tasks written to {pool}", err=True)

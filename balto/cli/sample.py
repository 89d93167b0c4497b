"""``balto sample``: random programs of tasks, without a campaign."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from balto.cli.options import shape_option

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
@shape_option
def command(
    pool: Path,
    networks: tuple[str, ...],
    operators: tuple[str, ...],
    target: str,
    programs: int,
    seed: int,
    shapes: dict[str, str],
) -> None:
    """Draw random programs of networks and operators, and write them to POOL, unmeasured."""
    import numpy as np

    from balto.cli.output import left_out_line
    from balto.cli.progress import Progress, waiting
    from balto.data.pool_writer import require_new, write_parts
    from balto.errors import InputError
    from balto.programs.draw import as_pool, draw_all
    from balto.tasks import extract_tasks
    from balto.workers.local import LocalExecutor
    from balto.workers.worker import Worker

    require_new(pool)
    workers = [Worker() for _ in os.sched_getaffinity(0)]
    left_out: dict[str, str] = {}
    with LocalExecutor(workers) as executor, Progress() as progress:
        with waiting("TVM reads the networks and folds their constants"):
            found = extract_tasks(networks, operators, target, worker=workers[0], shapes=shapes)
        for note in found.notes:
            progress.say(note)
        for name, reason in found.left_out:
            progress.say(f"left out {name}: {reason}")
        progress.begin("sample", len(found.tasks), "task")

        def parts() -> Iterator[tuple[Task, Pool, NDArray[np.int64]]]:
            for task, drawn in draw_all(found.tasks, programs, seed, executor):
                if isinstance(drawn, str):
                    left_out[task.name] = drawn
                    progress.say(f"left out {task.name}: {drawn}")
                else:
                    yield task, as_pool([task], [drawn]), np.arange(len(drawn.traces))
                progress.advance("sample", unit="task")
            if len(left_out) == len(found.tasks):
                raise InputError("no task is left: TVM could draw no programs for any of them")

        count = write_parts(parts(), pool)
    click.echo(
        f"{count} programs of {len(found.tasks) - len(left_out)} tasks written to {pool}", err=True
    )
    if left_out:
        click.echo(left_out_line(left_out), err=True)

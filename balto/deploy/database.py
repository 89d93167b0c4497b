"""MetaSchedule's JSON database of what was tuned."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from balto.data.target import Target
from balto.search.tuning import TunedTask
from balto.workers.worker import Worker

#: In the folder of a tuning.
DATABASE = "database"


def write_database(
    out: Path, tuned: Sequence[TunedTask], target: Target, worker: Worker, timeout: float
) -> None:
    """Write the database in the place of what is there.

    Args:
        out: the folder of the tuning.
        tuned: what was found; of each task its right programs are written.
        target: of the programs.
        worker: has TVM.
        timeout: seconds that it may take.
    """
    database = [(each.task.module, _right(each)) for each in tuned]
    partial = out / f".{DATABASE}.partial"
    worker.call_with_retries(
        "balto.deploy.operators:write_database", partial, target, database, deadline_s=timeout
    )
    shutil.rmtree(out / DATABASE, ignore_errors=True)
    partial.rename(out / DATABASE)


def _right(tuned: TunedTask) -> list[tuple[str, float]]:
    """Programs that worked and are no faster than the best, which is right.

    A faster one computed something else; slower ones nobody has compared.
    """
    return [
        (trace, outcome.latency_median_s)
        for trace, outcome in tuned.programs
        if outcome.ok and outcome.latency_median_s >= tuned.latency_s
    ]

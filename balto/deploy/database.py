"""MetaSchedule's JSON database of what was tuned."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from balto.data.files import reading, sha256
from balto.data.target import Target
from balto.errors import InputError
from balto.search.tuning import TunedTask
from balto.workers.worker import Worker

#: In the folder of a tuning.
DATABASE = "database"


def write_database(
    out: Path, tuned: Sequence[TunedTask], target: Target, worker: Worker, timeout: float
) -> dict[str, str]:
    """Write the database in the place of what is there.

    Args:
        out: the folder of the tuning.
        tuned: what was found; of each task its right programs are written.
        target: of the programs.
        worker: has TVM.
        timeout: seconds that it may take.

    Returns:
        The SHA-256 of each of its files, by name.
    """
    database = [(each.task.module, _right(each)) for each in tuned]
    partial = out / f".{DATABASE}.partial"
    worker.call_with_retries(
        "balto.deploy.operators:write_database", partial, target, database, deadline_s=timeout
    )
    shutil.rmtree(out / DATABASE, ignore_errors=True)
    partial.rename(out / DATABASE)
    return {path.name: sha256(path) for path in sorted((out / DATABASE).iterdir())}


def check_database(folder: Path, metadata: Mapping[str, Any], advice: str) -> None:
    """Refuse a database that is not the one that was written, where there is one.

    Args:
        folder: of the tuning.
        metadata: what it says of itself; written before there were checksums, it says nothing.
        advice: what to do about it.

    Raises:
        InputError: If a file of the database is missing or another one.
    """
    if not (folder / DATABASE).is_dir():
        return
    for name, checksum in metadata.get("database", {}).items():
        path = folder / DATABASE / name
        with reading(path, InputError, advice):
            if sha256(path) != checksum:
                raise ValueError("its checksum does not match")


def _right(tuned: TunedTask) -> list[tuple[str, float]]:
    """Programs that worked and are no faster than the best, which is right.

    A faster one computed something else; slower ones nobody has compared.
    """
    return [
        (trace, outcome.latency_median_s)
        for trace, outcome in tuned.programs
        if outcome.ok and outcome.latency_median_s >= tuned.latency_s
    ]

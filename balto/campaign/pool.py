"""The programs of a campaign with what is known of them, as a pool."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from balto.campaign.programs import make_pool
from balto.campaign.records import PROGRAMS, TASKS
from balto.campaign.status import CampaignStatus, status
from balto.data.features import FeatureTable
from balto.data.files import as_path
from balto.data.outcomes import Outcomes
from balto.data.pool import Pool
from balto.data.pool_reader import read_pool_tasks
from balto.data.task import Task
from balto.errors import CampaignError
from balto.programs.features import read_pool
from balto.tasks.files import read_tasks


def pool_of(work_dir: str | Path, now: CampaignStatus | None = None, *, bare: bool = False) -> Pool:
    """A campaign's programs with all outcomes known so far.

    Args:
        work_dir: the campaign's directory.
        now: its state, if that was read already.
        bare: leave features and traces out: quick, and small, however many programs there are.

    Raises:
        CampaignError: there is no campaign, or its programs are not drawn yet.
    """
    path = as_path(work_dir)
    now = now or status(path)
    if now.config.pool:
        pool = _bare(read_pool_tasks(now.config.pool), now) if bare else read_pool(now.config.pool)
    else:
        pool = _drawn(path, now, bare)
    known = now.facts.outcomes
    sizes = np.diff(pool.offsets).tolist()
    pool.outcomes = Outcomes.concatenate(
        known.of(task.name, size).take(np.arange(size))
        for task, size in zip(pool.tasks, sizes, strict=True)
    )
    return pool


def _drawn(path: Path, now: CampaignStatus, bare: bool) -> Pool:
    """The programs of a live campaign."""
    if not (path / TASKS).exists():
        raise CampaignError(f"{path} has no tasks yet; run balto pretrain again to go on")
    tasks = read_tasks(path / TASKS).tasks
    programs = now.facts.programs
    drawn = [k for k, task in enumerate(tasks) if task.name in programs]
    if not drawn:
        raise CampaignError(f"{path} has no programs yet; run balto pretrain again to go on")
    if bare:
        return _bare(tasks, now)
    return make_pool(
        [tasks[k] for k in drawn],
        [path / PROGRAMS / f"{k:05d}.parquet" for k in drawn],
        [programs[tasks[k].name] for k in drawn],
    )


def _bare(tasks: Sequence[Task], now: CampaignStatus) -> Pool:
    """The tasks that have programs, with the numbers of these."""
    programs = now.facts.programs
    there = [task for task in tasks if task.name in programs]
    offsets = np.cumsum([0, *(programs[task.name].count for task in there)]).astype(np.int64)
    size = int(offsets[-1])
    return Pool(there, offsets, FeatureTable({}, size), [None] * size, Outcomes(size))

"""What a campaign has done so far, read while it may be running."""

from __future__ import annotations

import fcntl
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from balto.campaign.config import Config
from balto.journal.file import Follower
from balto.campaign.facts import Facts
from balto.campaign.programs import make_pool, read_tasks
from balto.campaign.progress import Progress, progress
from balto.data.features import FeatureTable
from balto.data.files import as_path, reading
from balto.data.outcomes import Outcomes
from balto.data.pool import Pool
from balto.data.pool_reader import read_pool_tasks
from balto.data.task import Task
from balto.errors import CampaignError
from balto.learn.round import Round
from balto.programs.features import read_pool


@dataclass(frozen=True)
class CampaignStatus:
    """The state of a campaign.

    Attributes:
        state: ``finished``, ``running`` or ``interrupted``.
        config: what was asked for.
        facts: everything that the journal says.
    """

    state: str
    config: Config
    facts: Facts = field(repr=False)

    @property
    def seconds(self) -> float:
        """Seconds of building and measuring, all programs together."""
        return self.facts.outcomes.seconds

    @property
    def statuses(self) -> Counter[str]:
        """How many measurements ended in which status."""
        return self.facts.outcomes.counts()

    @property
    def progress(self) -> Progress:
        """How far it is, how fast, and what is left."""
        return progress(self.config, self.facts)

    @property
    def last(self) -> Round | None:
        """The main selector's last round."""
        curve = self.facts.curve(self.config.selector_spec)
        return curve[-1] if curve else None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        last = self.last
        accuracy = last.accuracy.to_dict() if last is not None and last.accuracy else None
        found = self.facts.reference
        return {
            "state": self.state,
            "selector": self.config.selector_spec,
            "model": self.config.model_spec,
            "rounds": self.config.rounds,
            "rounds_done": last.round if last else 0,
            "measurements": len(self.facts.outcomes),
            "statuses": dict(self.statuses),
            "seconds": self.seconds,
            "selected": last.measurements if last else 0,
            "selected_seconds": last.seconds if last else 0.0,
            "left_out": [{"name": n, "reason": r} for n, r in self.facts.left_out.items()],
            "accuracy": accuracy,
            "all_labels": None if found is None else asdict(found),
            "progress": asdict(self.progress),
            "devices": self.facts.fleet.to_dict(),
        }


def status(work_dir: str | Path) -> CampaignStatus:
    """Read the state of a campaign.

    Raises:
        CampaignError: there is no campaign, or its journal is damaged.
    """
    return Watcher(work_dir).look()


class Watcher:
    """Looks at a campaign again and again; each look reads what is new in its journal.

    Args:
        work_dir: the campaign's directory.
    """

    def __init__(self, work_dir: str | Path) -> None:
        self._path = as_path(work_dir)
        self._journal = self._path / "journal.jsonl"
        self._follower = Follower(self._journal)
        self._facts = Facts()

    def look(self) -> CampaignStatus:
        """Its state now.

        Raises:
            CampaignError: there is no campaign, or its journal is damaged.
        """
        saved = self._path / "config.json"
        with reading(self._path, CampaignError):
            there = self._journal.is_file() or saved.is_file()
        if not there:
            raise CampaignError(f"expected a campaign's directory, found none at {self._path}")
        self._facts = self._facts.follow(self._follower)
        running = "running" if locked(self._journal) else "interrupted"
        state = "finished" if self._facts.finished else running
        return CampaignStatus(state, self._facts.config or Config.load(saved), self._facts)


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
    if not (path / "tasks.json").exists():
        raise CampaignError(f"{path} has no tasks yet; run balto pretrain again to go on")
    tasks = read_tasks(path / "tasks.json").tasks
    programs = now.facts.programs
    drawn = [k for k, task in enumerate(tasks) if task.name in programs]
    if not drawn:
        raise CampaignError(f"{path} has no programs yet; run balto pretrain again to go on")
    if bare:
        return _bare(tasks, now)
    return make_pool(
        [tasks[k] for k in drawn],
        [path / "programs" / f"{k:05d}.parquet" for k in drawn],
        [programs[tasks[k].name] for k in drawn],
    )


def _bare(tasks: Sequence[Task], now: CampaignStatus) -> Pool:
    """The tasks that have programs, with the numbers of these."""
    programs = now.facts.programs
    there = [task for task in tasks if task.name in programs]
    offsets = np.cumsum([0, *(programs[task.name].count for task in there)]).astype(np.int64)
    size = int(offsets[-1])
    return Pool(there, offsets, FeatureTable({}, size), [None] * size, Outcomes(size))


def locked(journal: Path) -> bool:
    """Whether a process has a journal open for writing."""
    if not journal.exists():
        return False
    with journal.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False

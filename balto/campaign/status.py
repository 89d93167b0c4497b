"""What a campaign has done so far, read while it may be running."""

from __future__ import annotations

import fcntl
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balto.campaign.config import Config
from balto.campaign.ledger import Facts
from balto.campaign.programs import make_pool, read_tasks
from balto.errors import CampaignError
from balto.learn.round import Round
from balto.pool.exchange import read_pool
from balto.pool.journal import read
from balto.pool.pool import Pool


@dataclass(frozen=True)
class Status:
    """The state of a campaign.

    Attributes:
        state: ``finished``, ``running`` or ``interrupted``.
        config: what was asked for.
        facts: everything that the journal says.
    """

    state: str
    config: Config
    facts: Facts

    @property
    def seconds(self) -> float:
        """Seconds of building and measuring, all programs together."""
        return sum(outcome.seconds for outcome in self.facts.outcomes.values())

    @property
    def statuses(self) -> Counter[str]:
        """How many measurements ended in which status."""
        return Counter(outcome.status.value for outcome in self.facts.outcomes.values())

    @property
    def last(self) -> Round | None:
        """The main selector's last round."""
        curve = self.facts.curve(self.config.selector)
        return curve[-1] if curve else None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        last = self.last
        accuracy = last.accuracy.to_dict() if last is not None and last.accuracy else None
        return {
            "state": self.state,
            "selector": self.config.selector,
            "model": self.config.model,
            "rounds": self.config.rounds,
            "rounds_done": last.round if last else 0,
            "measurements": len(self.facts.outcomes),
            "statuses": dict(self.statuses),
            "seconds": self.seconds,
            "selected": last.measurements if last else 0,
            "selected_seconds": last.seconds if last else 0.0,
            "left_out": self.facts.left_out,
            "accuracy": accuracy,
        }


def status(work_dir: str | Path) -> Status:
    """Read the state of a campaign.

    Raises:
        CampaignError: there is no campaign, or its journal is damaged.
    """
    path = Path(work_dir)
    if not (path / "config.json").is_file():
        raise CampaignError(f"expected a campaign's directory, found none at {path}")
    journal = path / "journal.jsonl"
    facts = Facts(read(journal) if journal.exists() else ())
    state = "finished" if facts.finished else "running" if _locked(journal) else "interrupted"
    return Status(state, Config.load(path / "config.json"), facts)


def pool_of(work_dir: str | Path) -> Pool:
    """A campaign's programs with all outcomes known so far.

    Raises:
        CampaignError: there is no campaign, or its programs are not drawn yet.
    """
    path = Path(work_dir)
    now = status(path)
    if now.config.pool:
        pool = read_pool(now.config.pool)
    else:
        if not (path / "tasks.json").exists():
            raise CampaignError(f"{path} has no tasks yet; run balto pretrain again to go on")
        tasks, _ = read_tasks(path / "tasks.json")
        paths = [path / "programs" / f"{k:05d}.parquet" for k in range(len(tasks))]
        drawn = [k for k in range(len(tasks)) if paths[k].exists()]
        pool = make_pool([tasks[k] for k in drawn], [paths[k] for k in drawn])
    pool.outcomes = [
        now.facts.outcomes.get((task.name, program))
        for k, task in enumerate(pool.tasks)
        for program in range(len(pool.programs(k)))
    ]
    return pool


def _locked(journal: Path) -> bool:
    if not journal.exists():
        return False
    with journal.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False

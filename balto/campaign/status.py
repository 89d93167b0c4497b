"""What a campaign has done so far, read while it may be running."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from balto.campaign.config import Config
from balto.campaign.facts import Facts
from balto.campaign.progress import Progress, progress
from balto.campaign.records import CONFIG, JOURNAL
from balto.data.files import as_path, reading
from balto.errors import CampaignError
from balto.journal.file import Follower, locked
from balto.learn.round import Round


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
        """For JSON.

        Returns:
            What ``balto status -f json`` prints.
        """
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
        self._journal = self._path / JOURNAL
        self._follower = Follower(self._journal)
        self._facts = Facts()

    def look(self) -> CampaignStatus:
        """Its state now.

        Raises:
            CampaignError: there is no campaign, or its journal is damaged.
        """
        saved = self._path / CONFIG
        with reading(self._path, CampaignError):
            there = self._journal.is_file() or saved.is_file()
        if not there:
            raise CampaignError(f"expected a campaign's directory, found none at {self._path}")
        self._facts = self._facts.follow(self._follower)
        running = "running" if locked(self._journal) else "interrupted"
        state = "finished" if self._facts.finished else running
        return CampaignStatus(state, self._facts.config or Config.load(saved), self._facts)

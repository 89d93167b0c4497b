"""One campaign by many jobs on a shared file system, without a cluster: shards, and their merge.

::

    WORK_DIR/
    ├── parts/3-of-16/journal.jsonl   what the third of sixteen jobs has drawn and measured
    ├── programs/                     of all tasks; each shard writes the files of its own
    └── journal.jsonl                 the campaign, as if one process had run it

A shard draws its share of the tasks and measures their held-out programs, then what the
campaign's journal says was selected of its tasks. `balto.campaign.merge.Merge` takes the parts'
records into the campaign's journal, trains, and selects. Either may run again, at any time, and
goes on; neither writes what the other one writes.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from balto.campaign.campaign import Campaign, Listener
from balto.campaign.config import Config
from balto.campaign.facts import Facts
from balto.campaign.programs import make_pool
from balto.data.files import make_folder
from balto.data.task import Task
from balto.errors import InputError
from balto.journal.file import Follower, Journal
from balto.learn.store import measure_missing
from balto.measure.measurer import Measurer
from balto.workers.executor import Executor

#: Seconds between two looks at what the others have written.
LOOK_S = 2.0


@dataclass(frozen=True)
class ShardId:
    """Which of how many shards: `number` is 1-based."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``3/16``.

        Raises:
            InputError: it is not of that form.
        """
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        if match and 1 <= int(match[1]) <= int(match[2]):
            return cls(int(match[1]), int(match[2]))
        raise InputError(f"expected a shard such as 3/16, the third of sixteen, got {text!r}")

    def __str__(self) -> str:
        return f"{self.number}-of-{self.of}"

    def owns(self, task_id: int) -> bool:
        """Whether a task is this shard's; neighbours, which are alike, go to different shards."""
        return task_id % self.of == self.number - 1


class Shard(Campaign):
    """One shard of a campaign: draws and measures its tasks into its own part.

    Args:
        work_dir: of the campaign; the same for all shards.
        config: what is asked for; the same for all shards.
        shard: which one this is.

    Raises:
        BaltoError: as `Campaign`; `CampaignLocked` if another process is this shard.
    """

    def __init__(self, work_dir: str | Path, config: Config, shard: ShardId) -> None:
        if config.pool:
            raise InputError("a recorded pool is replayed by one process, not in shards")
        self.shard = shard
        super().__init__(work_dir, config)
        self._follower = Follower(self.path / "journal.jsonl")
        self._campaign = Facts()

    def _open_journal(self) -> Journal:
        folder = self.path / "parts" / str(self.shard)
        make_folder(folder)
        return Journal.open(folder / "journal.jsonl")

    def _mine(self, task_id: int) -> bool:
        return self.shard.owns(task_id)

    def follow(
        self,
        measurer: Measurer,
        listener: Listener | None = None,
        executor: Executor | None = None,
        *,
        wait: bool = False,
    ) -> bool:
        """Do all that can be done now; returns whether the campaign is finished.

        Args:
            measurer: measures the programs of this shard's tasks.
            listener: is told what happens.
            executor: draws them; see `Campaign.run`.
            wait: go on until the campaign is finished, as a merge selects more.

        Raises:
            BaltoError: as `Campaign.run`.
        """
        listener = listener or Listener()
        self._begin()
        drawn = {each[0].name: each for each in self._draw(measurer, listener, executor)}
        while True:
            self._campaign = self._campaign.follow(self._follower)
            if self._campaign.config is not None:
                self._campaign.config.check_same(self.config)
            for _, selection in sorted(self._campaign.selections.items(), key=lambda s: s[0][1]):
                self._measure_mine(drawn, selection.picks, measurer, listener)
            self.journal.sync()
            if self._campaign.finished or not wait:
                return self._campaign.finished
            time.sleep(LOOK_S)

    def _measure_mine(
        self,
        drawn: Mapping[str, tuple[Task, Path]],
        picks: Mapping[str, Sequence[int]],
        measurer: Measurer,
        listener: Listener,
    ) -> None:
        """Measure what a round selected of this shard's tasks."""
        missing = {
            name: unmeasured(self.facts, name, picks[name]) for name in picks if name in drawn
        }
        names = [name for name in missing if missing[name]]
        if names:
            tasks, paths = zip(*(drawn[name] for name in names), strict=True)
            programs = [self.facts.programs[name] for name in names]
            pool = make_pool(tasks, paths, programs, sets=())
            listener.planned(sum(map(len, missing.values())))
            wanted = {k: missing[name] for k, name in enumerate(names)}
            measure_missing(pool, wanted, self._store(listener), measurer)


def unmeasured(facts: Facts, task: str, programs: Sequence[int]) -> list[int]:
    """Those of a task's programs of which nothing is known."""
    measured = facts.outcomes.of(task, facts.programs[task].count).measured
    return [p for p in programs if not measured[p]]

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

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from balto.campaign.config import Config
from balto.campaign.drawing import draw
from balto.campaign.facts import Facts
from balto.campaign.folder import Drawn, ShardId, WorkFolder
from balto.campaign.listener import Listener
from balto.campaign.records import JOURNAL
from balto.errors import InputError
from balto.journal.file import Follower
from balto.learn.store import measure_missing
from balto.measure.measurer import Measurer
from balto.workers.executor import Executor

#: Seconds between two looks at what the others have written.
LOOK_S = 2.0


class Shard(WorkFolder):
    """One shard of a campaign: draws and measures its tasks into its own part.

    Young: tried with jobs on one machine.

    Args:
        work_dir: of the campaign; the same for all shards.
        config: what is asked for; the same for all shards.
        shard: which one this is.

    Attributes:
        shard: as given.

    Raises:
        BaltoError: As `balto.Campaign` does; `CampaignLocked` if another process is this shard.
        InputError: If `config` is of a recorded pool.
    """

    shard: ShardId

    def __init__(self, work_dir: str | Path, config: Config, shard: ShardId) -> None:
        if config.pool:
            raise InputError("a recorded pool is replayed by one process, not in shards")
        super().__init__(work_dir, config, shard)
        self._follower = Follower(self.path / JOURNAL)
        self._campaign = Facts()

    def follow(
        self,
        measurer: Measurer,
        listener: Listener | None = None,
        executor: Executor | None = None,
        *,
        wait: bool = False,
    ) -> bool:
        """Do all that can be done now.

        Args:
            measurer: measures the programs of this shard's tasks.
            listener: is told what happens.
            executor: draws them; see `balto.Campaign.run`.
            wait: go on until the campaign is finished, as a merge selects more.

        Returns:
            Whether the campaign is finished.

        Raises:
            BaltoError: As `balto.Campaign.run` does.
        """
        listener = listener or Listener()
        self.begin()
        drawn = {each[0].name: each for each in draw(self, measurer, listener, executor)}
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
        drawn: Mapping[str, Drawn],
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
            pool = self.pool([drawn[name] for name in names])
            listener.planned(sum(map(len, missing.values())))
            wanted = {k: missing[name] for k, name in enumerate(names)}
            measure_missing(pool, wanted, self.store(listener), measurer)


def unmeasured(facts: Facts, task: str, programs: Sequence[int]) -> list[int]:
    """Those of a task's programs of which nothing is known."""
    measured = facts.outcomes.of(task, facts.programs[task].count).measured
    return [p for p in programs if not measured[p]]

"""Make one campaign of the parts that shards have written; train, and select what they measure.

A merge goes through a campaign's rounds with a measurer that reads what the shards have measured
(`PartsMeasurer`). It stops where something is missing; run again, it goes on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from balto.campaign.folder import Drawn, WorkFolder
from balto.campaign.learning import is_finished, learn, sampled_pool
from balto.campaign.listener import Listener
from balto.campaign.parts import find_parts
from balto.campaign.records import JOURNAL, Kind
from balto.campaign.shards import LOOK_S, unmeasured
from balto.data.candidate import Candidate
from balto.data.files import as_path
from balto.data.outcome import Outcome
from balto.errors import CampaignError, PartsMissing
from balto.learn.loop import ActiveLearner
from balto.learn.result import Result
from balto.learn.split import held_out_indices
from balto.measure.measurer import Measurer


class Merge(WorkFolder):
    """The campaign that the parts make.

    Young: tried with jobs on one machine.

    Args:
        work_dir: of the campaign.
        wait: wait for shards that have not drawn or measured what is needed.
        partial: merge what exists. Tasks that a late shard has not drawn are left out of this
            merge, and programs that it has not measured are skipped; a later merge adds both.

    Attributes:
        parts: what the shards have journalled, by their number.

    Raises:
        BaltoError: As `balto.Campaign` does.
        CampaignError: If there is no such folder, or it is a campaign of one job.
        ConfigurationChanged: If its parts began with different settings.
        PartsMissing: If no shard has begun.
    """

    def __init__(self, work_dir: str | Path, *, wait: bool = False, partial: bool = False) -> None:
        path = as_path(work_dir)
        if not path.is_dir():
            raise CampaignError(f"{path} is no folder; balto pretrain {path} --shard 1/N makes it")
        self.parts = find_parts(path)
        self._wait, self._partial = wait, partial
        self._behind: set[int] = set()  # shards that are not waited for
        for part in self.parts.values():
            part.look()
        configs = [part.facts.config for part in self.parts.values() if part.facts.config]
        if not configs:
            if (path / JOURNAL).exists():
                raise CampaignError(
                    f"{path} is a campaign of one job, there is nothing to merge; repeat its balto "
                    "pretrain command to go on"
                )
            raise PartsMissing(
                f"no shard has begun in {path}; run balto pretrain {path} --shard 1/N ... first"
            )
        super().__init__(path, configs[0])
        try:
            for config in configs:
                config.check_same(self.config)
        except BaseException:
            self.journal.close()
            raise

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do: no file is missing, the model is whole."""
        return is_finished(self)

    def run(self, listener: Listener | None = None) -> Result:
        """Go on with the campaign as far as the parts allow; returns when it is finished.

        Args:
            listener: is told what happens.

        Returns:
            As `balto.Campaign.run`.

        Raises:
            BaltoError: As `balto.Campaign.run` does.
            PartsMissing: If shards have to run first.
        """
        listener = listener or Listener()
        pool = sampled_pool(self, self._drawn_by_shards(listener))
        return learn(self, pool, PartsMeasurer(self), listener, _PartsLearner)

    def _drawn_by_shards(self, listener: Listener) -> list[Drawn]:
        self.begin()
        self.look()
        if self._partial:
            self._behind = {n for n in range(1, self._of + 1) if self._is_behind(n)}
        while waiting := [n for n in self._waited_for() if not self._has_drawn(n)]:
            self.stop_or_wait(f"{self._named(waiting)} not drawn all programs yet")
        return self.drawn(self.read_tasks(listener))

    @property
    def _of(self) -> int:
        return next(iter(self.parts.values())).shard.of

    def _waited_for(self) -> list[int]:
        return [n for n in range(1, self._of + 1) if n not in self._behind]

    def _has_drawn(self, number: int) -> bool:
        return number in self.parts and self.parts[number].drawn

    def _is_behind(self, number: int) -> bool:
        """Whether a shard has still to draw, or to measure what was held out or selected."""
        if not self._has_drawn(number):
            return True
        facts = self.parts[number].facts
        wanted: dict[str, list[int]] = {
            name: held_out_indices(
                each.count, self.config.test_share, self.config.seed, name
            ).tolist()
            for name, each in facts.programs.items()
        }
        for selection in self.facts.selections.values():
            for name in selection.picks.keys() & wanted.keys():
                wanted[name].extend(selection.picks[name])
        return any(unmeasured(facts, name, programs) for name, programs in wanted.items())

    def look(self) -> None:
        """Take over what the shards have drawn since the last look."""
        for number, part in find_parts(self.path).items():
            self.parts.setdefault(number, part)
        for part in self.parts.values():
            part.look()
            for task, reason in part.facts.left_out.items():
                if task not in self.facts.left_out:
                    self.facts.note({"kind": Kind.LEFT_OUT, "task": task, "reason": reason})
            for task, programs in part.facts.programs.items():
                if self.facts.programs.get(task) != programs:
                    self.note_programs(task, programs)
        self.journal.sync()

    def owners(self) -> Mapping[str, int]:
        """The shard of each task that is drawn, by its name.

        Returns:
            Number of the shard, by task.
        """
        return {task: n for n, part in self.parts.items() for task in part.facts.programs}

    def outcome_of(self, number: int, task: str, program: int) -> Outcome | None:
        """What a shard measured of a program of its own; None if it has not yet.

        Args:
            number: of the shard.
            task: its name.
            program: its number within the task.

        Returns:
            What it gave.
        """
        facts = self.parts[number].facts
        return facts.outcomes.of(task, facts.programs[task].count)[program]

    def is_behind(self, number: int) -> bool:
        """Whether a shard is not waited for.

        Args:
            number: of the shard.

        Returns:
            Whether a merge that is partial goes on without it.
        """
        return number in self._behind

    def stop_or_wait(self, missing: str) -> None:
        """Wait a little, if that was asked for, and look again.

        Args:
            missing: what is missing, in words.

        Raises:
            PartsMissing: If waiting was not asked for.
        """
        if not self._wait:
            raise PartsMissing(f"{missing}: run them, then balto merge {self.path} again")
        time.sleep(LOOK_S)
        self.look()

    def missing_words(self, owners: Sequence[int]) -> str:
        """Which shards have not measured how many programs.

        Args:
            owners: the shard of each program that is missing.

        Returns:
            A part of a sentence.
        """
        return f"{self._named(sorted(set(owners)))} not measured {len(owners)} selected programs"

    def _named(self, numbers: Sequence[int]) -> str:
        names = ", ".join(f"{n}/{self._of}" for n in numbers[:10])
        more = f" and {len(numbers) - 10} more" if len(numbers) > 10 else ""
        return f"the shards {names}{more} have" if len(numbers) > 1 else f"the shard {names} has"


class PartsMeasurer(Measurer):
    """Yields what the shards have measured, as they write it.

    Args:
        merge: whose parts to read.
    """

    def __init__(self, merge: Merge) -> None:
        self._merge = merge

    def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
        """Yield the shards' outcomes; see `Measurer.measure`.

        Raises:
            PartsMissing: If some are missing, and it was not asked to wait.
        """
        merge, left = self._merge, dict(enumerate(candidates))
        while True:
            owners = merge.owners()
            for index, candidate in list(left.items()):
                name = candidate.task.name
                outcome = merge.outcome_of(owners[name], name, candidate.program_id)
                if outcome is not None:
                    del left[index]
                    yield index, outcome
            if not left:
                return
            merge.stop_or_wait(merge.missing_words([owners[c.task.name] for c in left.values()]))

    def awaited(self, task: str, programs: Sequence[int]) -> list[int]:
        """Those of a task's programs that are measured, or whose shard is waited for.

        A merge that goes on without a shard leaves the others to a later one.
        """
        merge = self._merge
        owner = merge.owners()[task]
        if not merge.is_behind(owner):
            return list(programs)
        return [p for p in programs if merge.outcome_of(owner, task, p) is not None]


class _PartsLearner(ActiveLearner):
    """Asks for no program of a shard that is not waited for."""

    measurer: PartsMeasurer

    def measure(
        self,
        programs: Mapping[int, Sequence[int]],
        limits: NDArray[np.float64] | None = None,
    ) -> None:
        tasks, parts = self.pool.tasks, self.measurer
        awaited = {k: parts.awaited(tasks[k].name, some) for k, some in programs.items()}
        super().measure(awaited, limits)

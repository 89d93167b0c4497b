"""An opened work folder: what a campaign, a shard of one and a merge have in common."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from balto.arguments import check_type
from balto.campaign.config import Config
from balto.campaign.facts import JournalledFacts, JournalledOutcomes
from balto.campaign.listener import Listener
from balto.campaign.programs import make_pool
from balto.campaign.records import CONFIG, JOURNAL, PARTS, PROGRAMS, TASKS, Kind, Programs
from balto.data.files import as_path, make_folder
from balto.data.pool import Pool
from balto.data.task import Task
from balto.errors import BaltoError, CampaignError, InputError
from balto.journal.file import Journal
from balto.learn.store import OutcomeStore
from balto.models import load
from balto.models.base import CostModel
from balto.models.starter import model_path
from balto.select import get
from balto.tasks.files import read_tasks

#: A task that programs were drawn of, and their file.
Drawn = tuple[Task, Path]


@dataclass(frozen=True)
class ShardId:
    """Which of how many shards: `number` is 1-based.

    Attributes:
        number: from 1.
        of: how many shards there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``3/16``.

        Args:
            text: what a person wrote.

        Raises:
            InputError: If the text is not of that form.
        """
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        if match and 1 <= int(match[1]) <= int(match[2]):
            return cls(int(match[1]), int(match[2]))
        raise InputError(f"expected a shard such as 3/16, the third of sixteen, got {text!r}")

    def __str__(self) -> str:
        return f"{self.number}-of-{self.of}"

    def owns(self, task_id: int) -> bool:
        """Whether a task is this shard's; neighbours, which are alike, go to different shards.

        Args:
            task_id: the task's place among all tasks of the campaign.

        Returns:
            True for one shard of each task.
        """
        return task_id % self.of == self.number - 1


class WorkFolder:
    """A campaign's folder, opened by this process: its settings, and the facts of its journal.

    Args:
        work_dir: made if it is not there.
        config: what is asked for; must be what the campaign was started with.
        shard: whose journal is opened and locked; None for the campaign's own.

    Attributes:
        path: of the folder.
        config: with absolute paths.
        journal: open for writing, and locked.
        facts: what the journal says; new ones are journalled.

    Raises:
        CampaignError: If `work_dir` is something else's folder.
        StorageError: If `work_dir` is a file, or cannot be made.
        CampaignLocked: If another process has the journal open.
        ConfigurationChanged: If the campaign was started with another `config`.
        InputError: If there is no such selector or model, a file that is named is not there, or
            the model cannot start from the one that is named.
        ModelFileError: If the model to start from is none, or damaged.
    """

    def __init__(self, work_dir: str | Path, config: Config, shard: ShardId | None = None) -> None:
        self.path, self.shard = as_path(work_dir), shard
        check_type("config", config, Config, "balto.Config(networks=..., budget=...)")
        get(config.selector)
        get(config.compare or config.selector)
        start_from(config, config.new_model())  # fails now, not when everything has been sampled
        self.config = config.resolve()
        make_folder(self.path)
        saved = self.path / CONFIG
        ours = saved.exists() or (self.path / JOURNAL).exists()
        if not ours and any(self._foreign()):
            raise CampaignError(f"{self.path} holds other files; give an empty or new directory")
        make_folder(self.path / PROGRAMS)
        journalled = self.path / PARTS / str(shard) if shard else self.path
        make_folder(journalled)
        self.journal = Journal.open(journalled / JOURNAL)
        try:
            self.facts = JournalledFacts(self.journal)
            if self.facts.config is not None:
                self.facts.config.check_same(self.config)
            self.config.save(saved)  # for people: what counts is in the journal
        except BaseException:
            self.journal.close()
            raise

    def _foreign(self) -> Iterator[Path]:
        ours = (PROGRAMS, PARTS, "journal.", ".")
        return (p for p in self.path.iterdir() if not p.name.startswith(ours))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if isinstance(error, BaltoError):
                self.journal.sync()  # which says so where the whole directory was deleted
        finally:
            self.journal.close()

    def begin(self) -> None:
        """Journal the settings, from which all follows; again if a file has moved."""
        if self.facts.config is None or self.facts.config.to_dict() != self.config.to_dict():
            self.facts.note({"kind": Kind.CONFIG, **self.config.to_dict()})
            self.journal.sync()

    def read_tasks(self, listener: Listener) -> dict[int, Task]:
        """The tasks that are this process's to draw and measure: all, or those of its shard.

        Args:
            listener: is told of them.

        Returns:
            Each by its place among all tasks of the campaign.

        Raises:
            CampaignError: If the file of tasks is not there, or is damaged.
        """
        found = read_tasks(self.path / TASKS)
        shard = self.shard
        tasks = {k: task for k, task in enumerate(found.tasks) if shard is None or shard.owns(k)}
        if len(tasks) != self.facts.tasks:
            self.facts.note({"kind": Kind.TASKS, "count": len(tasks)})
        listener.tasks(len(tasks))
        for note in found.notes:
            listener.note(note)
        for name, reason in found.left_out:
            listener.left_out(name, reason)
        return tasks

    def programs_path(self, task_id: int) -> Path:
        """The file of a task's programs.

        Args:
            task_id: the task's place among all tasks of the campaign.

        Returns:
            Where the file is, or will be.
        """
        return self.path / PROGRAMS / f"{task_id:05d}.parquet"

    def note_programs(self, task: str, programs: Programs) -> None:
        """Journal which programs a task has.

        Args:
            task: its name.
            programs: what they are.

        Raises:
            CampaignError: If they were others before.
        """
        try:
            self.facts.note({"kind": Kind.PROGRAMS, "task": task, **asdict(programs)})
        except InputError as error:
            raise CampaignError(
                f"{task}: TVM draws other programs now than those that were measured; use "
                "the versions of before, or another WORK_DIR"
            ) from error

    def drawn(self, tasks: Mapping[int, Task]) -> list[Drawn]:
        """Those of some tasks that have programs.

        Args:
            tasks: by their place among all.

        Returns:
            The tasks, in order, each with the file of its programs.
        """
        left_out, programs = self.facts.left_out, self.facts.programs
        return [
            (task, self.programs_path(k))
            for k, task in tasks.items()
            if task.name in programs and task.name not in left_out
        ]

    def pool(self, drawn: Sequence[Drawn], sets: Sequence[str] = ()) -> Pool:
        """The programs of some tasks.

        Args:
            drawn: at least one task.
            sets: names of the feature sets that are read.

        Returns:
            A pool without outcomes.

        Raises:
            CampaignError: If a file of programs is damaged.
        """
        tasks, paths = zip(*drawn, strict=True)
        return make_pool(tasks, paths, [self.facts.programs[task.name] for task in tasks], sets)

    def store(self, listener: Listener) -> OutcomeStore:
        """The outcomes known so far; new ones are journalled.

        Args:
            listener: is told of each new one.

        Returns:
            A view of `facts`.
        """
        return JournalledOutcomes(self.facts, listener.measured)


def start_from(config: Config, model: CostModel) -> CostModel | None:
    """Let a model start from those that the settings name.

    Args:
        config: with ``start_from``.
        model: not trained yet.

    Returns:
        The first of those models, which round 1 asks; None if there is none.

    Raises:
        ModelFileError: If one is no model file, or damaged.
    """
    models = [load(model_path(path))[0] for path in config.starting_models]
    model.start_from(*models)
    return models[0] if models else None

"""Run a campaign: tasks, programs, then the active-learning rounds; or go on with one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from balto.campaign.config import Config
from balto.campaign.ledger import Facts, JournalLedger
from balto.campaign.programs import make_pool, read_tasks, write_tasks
from balto.campaign.sampling import draw_programs
from balto.errors import CampaignError, InputError
from balto.learn.loop import ActiveLearner, Ledger, measure_into
from balto.learn.round import Round
from balto.learn.split import test_programs
from balto.measure.measurer import Candidate, Measurer
from balto.measure.outcome import Outcome
from balto.measure.replay import ReplayMeasurer
from balto.measure.worker import Worker
from balto.models import create, load, save
from balto.models.base import CostModel
from balto.pool.exchange import read_pool
from balto.pool.journal import Journal, read
from balto.pool.pool import Pool
from balto.select import get
from balto.tasks import extract_tasks
from balto.tasks.task import Task


class Listener:
    """What a campaign tells while it runs. Every method does nothing unless overridden."""

    def tasks(self, count: int) -> None:
        """The networks have been read."""

    def sampled(self, task: str, programs: int) -> None:
        """A task's programs have been drawn."""

    def left_out(self, task: str, reason: str) -> None:
        """A task cannot be used."""

    def planned(self, measurements: int) -> None:
        """How many programs are still to be measured, all together."""

    def measured(self, outcome: Outcome) -> None:
        """A program has been measured."""

    def round(self, selector: str, result: Round) -> None:
        """A round has ended."""


class Campaign:
    """One pre-training run in a directory, locked for this process.

    Args:
        work_dir: made if it is not there.
        config: what is asked for; must be what it was started with.

    Raises:
        CampaignError: `work_dir` is a file or something else's directory.
        CampaignLocked: another process is at it.
        ConfigurationChanged: it was started with another `config`.
        InputError: no such selector or model, a file that is named is not there, or the model
            cannot start from the one that is named.
        ModelFileError: the model that is named is none, or damaged.
    """

    def __init__(self, work_dir: str | Path, config: Config) -> None:
        self.path = Path(work_dir)
        for name in filter(None, (config.selector, config.compare)):
            get(name)
        self.config = config
        self._model()  # now, not when everything has been sampled
        self.config = config.resolve()
        if self.path.exists() and not self.path.is_dir():
            raise CampaignError(f"expected a directory, {self.path} is a file")
        saved = self.path / "config.json"
        if self.path.exists() and not saved.exists() and any(self._foreign()):
            raise CampaignError(f"{self.path} holds other files; give an empty or new directory")
        (self.path / "programs").mkdir(parents=True, exist_ok=True)
        self.journal = Journal.open(self.path / "journal.jsonl")
        try:
            self.facts = Facts(read(self.journal.path))
            started_with = Config.load(saved) if saved.exists() else None
            if started_with is not None and self._begun():
                started_with.check_same(self.config)
            else:
                self.config.save(saved)
        except BaseException:
            self.journal.close()
            raise

    def _begun(self) -> bool:
        """Whether there is anything here that follows from the settings."""
        made = (self.path / "programs").iterdir(), self.path.glob("tasks.json")
        return self.journal.path.stat().st_size > 0 or any(chain(*made))

    def _foreign(self) -> Iterator[Path]:
        ours = ("programs", "journal.", ".")
        return (p for p in self.path.iterdir() if not p.name.startswith(ours))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.journal.close()

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.facts.finished

    def run(self, measurer: Measurer | None = None, listener: Listener | None = None) -> None:
        """Do what is not done yet; returns when the campaign is finished.

        Args:
            measurer: measures this campaign's programs; the recorded pool by default, where
                there is one.
            listener: is told what happens.

        Raises:
            InputError: a network or operator is not what was expected.
            MeasurerError: measuring cannot go on; run again to go on.
        """
        listener = listener or Listener()
        if self.finished:
            return
        if self.config.pool:
            pool = read_pool(self.config.pool)
            self._learn(pool, measurer or ReplayMeasurer(pool), listener)
        elif measurer is None:
            raise InputError("expected a measurer, since this campaign replays no recorded pool")
        else:
            self._learn(self._sample(measurer, listener), measurer, listener)
        self._note({"kind": "finished"})
        self.journal.sync()

    def _note(self, record: dict[str, Any]) -> None:
        self.journal.append(record)
        self.facts.add(record)

    # Tasks and programs

    def _tasks(self, worker: Worker, listener: Listener) -> list[Task]:
        path = self.path / "tasks.json"
        if not path.exists():
            config = self.config
            found = extract_tasks(
                config.networks, config.operators, config.target, config.device, worker
            )
            write_tasks(path, found.tasks, found.left_out)
        tasks, left_out = read_tasks(path)
        listener.tasks(len(tasks))
        for name, reason in left_out:
            listener.left_out(name, reason)
        return tasks

    def _sample(self, measurer: Measurer, listener: Listener) -> Pool:
        """Draw all programs; meanwhile measure the held-out ones of the tasks that are drawn."""
        cpus = measurer.free_cpus
        workers = [Worker(cpus=cpus) for _ in cpus]
        workers[0].start()
        try:
            tasks = self._tasks(workers[0], listener)
            paths = [self.path / "programs" / f"{k:05d}.parquet" for k in range(len(tasks))]
            for k in self._drawn(tasks, paths, workers, listener):
                pool = make_pool([tasks[k]], [paths[k]])
                listener.sampled(tasks[k].name, len(pool))
                ledger = JournalLedger(self.journal, self.facts, pool.tasks, "", listener.measured)
                measure_into(ledger, measurer, self._held_out(pool, ledger))
        finally:
            for worker in workers:
                worker.close()
        kept = [k for k, task in enumerate(tasks) if task.name not in self.facts.left_out]
        if not kept:
            raise InputError("no task is left: TVM could draw no programs for any of them")
        return make_pool([tasks[k] for k in kept], [paths[k] for k in kept])

    def _drawn(
        self,
        tasks: Sequence[Task],
        paths: Sequence[Path],
        workers: Sequence[Worker],
        listener: Listener,
    ) -> Iterator[int]:
        """Yield each task's index when its programs are on disk; at once if they are already."""
        missing = {}
        for k, task in enumerate(tasks):
            if task.name in self.facts.left_out:
                listener.left_out(task.name, self.facts.left_out[task.name])
            elif paths[k].exists():
                yield k
            else:
                missing[k] = task
        config = self.config
        for k, reason in draw_programs(missing, paths, config.programs, config.seed, workers):
            if reason:
                self._note({"kind": "left_out", "task": tasks[k].name, "reason": reason})
                listener.left_out(tasks[k].name, reason)
            else:
                yield k

    def _held_out(self, pool: Pool, ledger: Ledger) -> list[Candidate]:
        (task,), config = pool.tasks, self.config
        held_out = test_programs(len(pool), config.test_share, config.seed, task.name)
        return [
            Candidate(task, 0, p, pool.trace(0, p))
            for p in held_out.tolist()
            if ledger.outcome(0, p) is None
        ]

    # Rounds

    def _learn(self, pool: Pool, measurer: Measurer, listener: Listener) -> None:
        selectors = [name for name in (self.config.selector, self.config.compare) if name]
        learners = [self._learner(name, pool, measurer, listener) for name in selectors]
        first = learners[0]
        # Round 1 is random for every selector, unless a model of another device can be asked.
        later = int(first.schedule[:, 0 if self.config.start_from else 1 :].sum())
        total = sum(map(len, first.test)) + int(first.budget.sum()) + later * (len(learners) - 1)
        listener.planned(max(0, total - len(first.ledger.outcomes)))
        first.measure_test()
        for name, learner in zip(selectors, learners, strict=True):
            learner.ledger.outcomes.update(first.ledger.outcomes)
            for number in range(1, self.config.rounds + 1):
                listener.round(name, learner.round(number))
            if learner is first:
                save(first.model, self.path / "model.balto", trained_on(self.config, first))

    def _model(self) -> tuple[CostModel, CostModel | None]:
        """A new model, and the one that it starts from, if any."""
        model = create(self.config.model, self.config.seed)
        if not self.config.start_from:
            return model, None
        prior, _ = load(self.config.start_from)
        model.warm_start(prior)
        return model, prior

    def _learner(
        self, selector: str, pool: Pool, measurer: Measurer, listener: Listener
    ) -> ActiveLearner:
        model, prior = self._model()
        ledger = JournalLedger(self.journal, self.facts, pool.tasks, selector, listener.measured)
        return ActiveLearner(pool, measurer, get(selector), model, self.config.loop, ledger, prior)


def trained_on(config: Config, learner: ActiveLearner) -> dict[str, Any]:
    """What a model file says about its training."""
    index, _, _ = learner.trained_on()
    tasks = learner.pool.tasks
    return {
        "targets": sorted({task.target for task in tasks}),
        "devices": sorted({task.device for task in tasks}),
        "tasks": [task.name for task in tasks],
        "programs": len(learner.pool),
        "measurements": len(index),
        "selector": config.selector,
        "budget": config.budget,
        "rounds": config.rounds,
        "seed": config.seed,
    }

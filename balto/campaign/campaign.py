"""Run a campaign: tasks, programs, then the active-learning rounds; or go on with one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from balto.arguments import check_type
from balto.campaign.config import Config
from balto.campaign.facts import JournalledFacts, JournalledOutcomes, JournalledRounds
from balto.campaign.programs import make_pool, read_features
from balto.campaign.records import Programs
from balto.campaign.sampling import draw_programs
from balto.data.features import drawn_sets
from balto.data.files import as_path, make_folder
from balto.data.outcome import Outcome
from balto.data.pool import Pool
from balto.data.target import Target
from balto.data.task import Task
from balto.errors import BaltoError, CampaignError, InputError, ModelFileError
from balto.journal.file import Journal
from balto.learn.all_labels import all_labels
from balto.learn.loop import ActiveLearner
from balto.learn.result import Result
from balto.learn.round import Round
from balto.learn.split import Split
from balto.learn.store import OutcomeStore, measure_missing
from balto.measure.measurer import Measurer
from balto.measure.named import opened
from balto.measure.replay import ReplayMeasurer
from balto.models import load, read_card, save
from balto.models.base import CostModel
from balto.models.starter import model_path
from balto.programs.features import read_pool
from balto.select import get
from balto.tasks import extract_tasks
from balto.tasks.extract import Extracted
from balto.tasks.files import read_tasks, write_tasks
from balto.workers.executor import Executor
from balto.workers.local import LocalExecutor
from balto.workers.worker import Worker

#: The trained model's file in a campaign's directory.
MODEL = "model.balto"


class Listener:
    """What a campaign tells while it runs. Every method does nothing unless overridden."""

    def tasks(self, count: int) -> None:
        """The networks have been read."""

    def sampled(self, task: str, programs: int) -> None:
        """A task's programs have been drawn."""

    def left_out(self, task: str, reason: str) -> None:
        """A task cannot be used."""

    def note(self, text: str) -> None:
        """Something of a network that its tasks do not show, such as that it keeps its layout."""

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
        CampaignError: `work_dir` is something else's directory.
        StorageError: `work_dir` is a file, or cannot be made.
        CampaignLocked: another process is at it.
        ConfigurationChanged: it was started with another `config`.
        InputError: no such selector or model, a file that is named is not there, or the model
            cannot start from the one that is named.
        ModelFileError: the model that is named is none, or damaged.
    """

    def __init__(self, work_dir: str | Path, config: Config) -> None:
        self.path = as_path(work_dir)
        check_type("config", config, Config, "balto.Config(networks=..., budget=...)")
        get(config.selector)
        get(config.compare or config.selector)
        _prior(config, config.new_model())  # fails now, not when everything has been sampled
        self.config = config.resolve()
        make_folder(self.path)
        saved = self.path / "config.json"
        ours = saved.exists() or (self.path / "journal.jsonl").exists()
        if not ours and any(self._foreign()):
            raise CampaignError(f"{self.path} holds other files; give an empty or new directory")
        make_folder(self.path / "programs")
        self.journal = self._open_journal()
        try:
            self.facts = JournalledFacts(self.journal)
            if self.facts.config is not None:
                self.facts.config.check_same(self.config)
            self.config.save(saved)  # for people: what counts is in the journal
        except BaseException:
            self.journal.close()
            raise

    def _open_journal(self) -> Journal:
        return Journal.open(self.path / "journal.jsonl")

    def _begin(self) -> None:
        """Journal the settings, from which all follows; again if a file has moved."""
        if self.facts.config is None or self.facts.config.to_dict() != self.config.to_dict():
            self.facts.note({"kind": "config", **self.config.to_dict()})
            self.journal.sync()

    def _foreign(self) -> Iterator[Path]:
        ours = ("programs", "parts", "journal.", ".")
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

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do: no file is missing, the model is whole."""
        drawn = sum(programs.file is not None for programs in self.facts.programs.values())
        there = len([*(self.path / "programs").glob("[0-9]*.parquet")])
        listed = drawn == 0 or (self.path / "tasks.json").exists()
        if not self.facts.finished or there < drawn or not listed:
            return False
        try:
            read_card(self.path / MODEL)
        except ModelFileError:
            return False  # it is made again from what the journal says
        return True

    def run(
        self,
        measurer: Measurer | str | None = None,
        listener: Listener | None = None,
        *,
        executor: Executor | None = None,
        retry_left_out: bool = False,
    ) -> Result:
        """Do what is not done yet; returns when the campaign is finished.

        A finished campaign is gone through again without measuring, for its result.

        Args:
            measurer: measures this campaign's programs: an object, or ``live`` for this machine
                or ``rpc:HOST:PORT/KEY``; the recorded pool by default, where there is one.
            listener: is told what happens.
            executor: draws the programs; worker processes of this machine by default. What is
                drawn and selected does not depend on it.
            retry_left_out: try the tasks again that could not be sampled before; those that can
                be now take part in every round, as if they had been there.

        Raises:
            ClusterLost: the executor's cluster is gone; what is written is kept.
            InputError: a network, an operator or the measurer is not what was expected.
            MeasurerError: measuring cannot go on; run again to go on.
        """
        listener = Listener() if listener is None else listener
        check_type("listener", listener, Listener, "a subclass of balto.Listener")
        if executor is not None:
            check_type(
                "executor",
                executor,
                Executor,  # type: ignore[type-abstract]
                "such as balto.workers.local.LocalExecutor",
            )
        if measurer is None and self.config.pool:
            return self._run(None, listener, executor, retry_left_out)
        with opened(measurer, Target.of(self.config.target)) as ours:
            return self._run(ours, listener, executor, retry_left_out)

    def _run(
        self,
        measurer: Measurer | None,
        listener: Listener,
        executor: Executor | None,
        retry_left_out: bool,
    ) -> Result:
        for name in list(self.facts.left_out) if retry_left_out else ():
            self.facts.note({"kind": "retry", "task": name})
        if self.config.pool:
            pool = read_pool(self.config.pool)
            self._begin()
            for k, task in enumerate(pool.tasks):
                if task.name not in self.facts.programs:
                    self._note_programs(task.name, Programs(len(pool.programs(k))))
            result = self._learn(pool, measurer or ReplayMeasurer(pool), listener)
        else:
            assert measurer is not None
            pool = self._sample(measurer, listener, executor)
            result = self._learn(pool, measurer, listener)
        if not self.facts.finished:
            self.facts.note({"kind": "finished"})
            self.journal.sync()
        return result

    # Tasks and programs

    def _tasks(self, worker: Worker, listener: Listener) -> dict[int, Task]:
        """The tasks to draw programs of, by their place among all."""
        path = self.path / "tasks.json"
        if not path.exists():
            config = self.config
            found = Extracted([])
            if config.networks or config.operators:
                wanted = Target.of(config.target)
                found = extract_tasks(
                    config.networks, config.operators, wanted, config.device, worker
                )
            found = found.and_own(config.tasks)
            self._begin()
            write_tasks(path, found)
        return self._read_tasks(listener)

    def _read_tasks(self, listener: Listener) -> dict[int, Task]:
        found = read_tasks(self.path / "tasks.json")
        tasks = {k: task for k, task in enumerate(found.tasks) if self._mine(k)}
        if len(tasks) != self.facts.tasks:
            self.facts.note({"kind": "tasks", "count": len(tasks)})
        listener.tasks(len(tasks))
        for note in found.notes:
            listener.note(note)
        for name, reason in found.left_out:
            listener.left_out(name, reason)
        return tasks

    def _mine(self, task_id: int) -> bool:  # noqa: ARG002
        """Whether a task is this process's to draw and measure: all are, unless in shards."""
        return True

    def _sample(self, measurer: Measurer, listener: Listener, executor: Executor | None) -> Pool:
        """The pool of all programs, with what the model reads; those that are not drawn yet are."""
        drawn = self._draw(measurer, listener, executor)
        if not drawn:
            raise InputError("no task is left: TVM could draw no programs for any of them")
        tasks, paths = zip(*drawn, strict=True)
        programs = [self.facts.programs[task.name] for task in tasks]
        model = self.config.new_model()
        _prior(self.config, model)
        sets = model.sets_for(read_features(paths[0], programs[0]))
        return make_pool(tasks, paths, programs, sets)

    def _draw(
        self, measurer: Measurer, listener: Listener, executor: Executor | None
    ) -> list[tuple[Task, Path]]:
        """Draw all programs; meanwhile measure the held-out ones of the tasks that are drawn.

        Returns:
            The tasks that have programs, in order, and their files.
        """
        cpus = measurer.free_cpus
        workers = [Worker(cpus=cpus) for _ in cpus]
        workers[0].start()
        with LocalExecutor(workers) as local:
            tasks = self._tasks(workers[0], listener)
            for k in self._drawn(tasks, executor or local, listener):
                path = self._programs_path(k)
                pool = make_pool([tasks[k]], [path], [self.facts.programs[tasks[k].name]], sets=())
                listener.sampled(tasks[k].name, len(pool))
                (held_out,) = Split.of(pool, self.config.test_share, self.config.seed).test
                measure_missing(pool, {0: held_out.tolist()}, self._store(listener), measurer)
        return self._with_programs(tasks)

    def _with_programs(self, tasks: Mapping[int, Task]) -> list[tuple[Task, Path]]:
        left_out, programs = self.facts.left_out, self.facts.programs
        return [
            (task, self._programs_path(k))
            for k, task in tasks.items()
            if task.name in programs and task.name not in left_out
        ]

    def _programs_path(self, task_id: int) -> Path:
        return self.path / "programs" / f"{task_id:05d}.parquet"

    def _drawn(
        self, tasks: Mapping[int, Task], executor: Executor, listener: Listener
    ) -> Iterator[int]:
        """Yield each task's index when its programs are on disk; at once if they are already."""
        missing = {}
        for k, task in tasks.items():
            if task.name in self.facts.left_out:
                listener.left_out(task.name, self.facts.left_out[task.name])
            elif task.name in self.facts.programs and self._programs_path(k).exists():
                yield k
            else:
                missing[k] = task
        config, paths = self.config, {k: self._programs_path(k) for k in missing}
        sets = drawn_sets(config.new_model().feature_sets)
        for k, drawn in draw_programs(missing, paths, config.programs, config.seed, executor, sets):
            if isinstance(drawn, str):
                self.facts.note({"kind": "left_out", "task": tasks[k].name, "reason": drawn})
                listener.left_out(tasks[k].name, drawn)
            else:
                self._note_programs(tasks[k].name, drawn)
                yield k

    def _note_programs(self, task: str, programs: Programs) -> None:
        """Journal which programs a task has.

        Raises:
            CampaignError: they were others before.
        """
        try:
            self.facts.note({"kind": "programs", "task": task, **asdict(programs)})
        except InputError as error:
            raise CampaignError(
                f"{task}: TVM draws other programs now than those that were measured; use "
                "the versions of before, or another WORK_DIR"
            ) from error

    # Rounds

    def _store(self, listener: Listener) -> OutcomeStore:
        return JournalledOutcomes(self.facts, listener.measured)

    def _learn(self, pool: Pool, measurer: Measurer, listener: Listener) -> Result:
        specs = [self.config.selector_spec, *filter(None, [self.config.compare_spec])]
        learners = [self._learner(spec, pool, measurer, listener) for spec in specs]
        first = learners[0]
        # Round 1 is random for every selector, unless a model of another device can be asked.
        later = int(first.schedule[:, 0 if self.config.sources else 1 :].sum())
        held_out = sum(map(len, first.split.test))
        total = held_out + int(first.budget.sum()) + later * (len(learners) - 1)
        listener.planned(max(0, total - len(first.store)))
        results: list[Result] = []
        for spec, learner in zip(specs, learners, strict=True):
            rounds = len(results[0].rounds) if results else None  # compared at the same budget
            results.append(learner.run(partial(listener.round, spec), rounds))
            if learner is first:
                self._check_trained(first)
                save(first.model, self.path / MODEL, trained_on(self.config, first))
        self._judge_all_labels(pool)
        return replace(results[0], compared=results[1] if len(results) > 1 else None)

    def _judge_all_labels(self, pool: Pool) -> None:
        """Journal, once, the level that the report compares with.

        A recorded pool has every label; of a live campaign all that its selectors measured.
        """
        config, model = self.config, self.config.new_model()
        if self.facts.reference is None:
            known = OutcomeStore.of_pool(pool) if config.pool else self.facts.outcomes
            found = all_labels(pool, known, model, config, _prior(config, model))
            if found is not None:
                self.facts.note_reference(found)

    def _check_trained(self, learner: ActiveLearner) -> None:
        index, _, _ = learner.trained_on()
        if not len(index):
            failed = ", ".join(f"{n} {kind}" for kind, n in sorted(learner.store.counts().items()))
            raise CampaignError(
                f"there is nothing to train on: every program that was selected failed ({failed}); "
                f"balto status {self.path} says what to do about each kind"
            )

    def _learner(
        self, spec: str, pool: Pool, measurer: Measurer, listener: Listener
    ) -> ActiveLearner:
        config, model = self.config, self.config.new_model()
        is_main = spec == config.selector_spec
        selector = get(config.selector if is_main else config.compare or spec)
        return ActiveLearner(
            pool,
            measurer,
            selector,
            model,
            config,
            self._store(listener),
            JournalledRounds(self.facts, spec),
            _prior(config, model),
        )


def _prior(config: Config, model: CostModel) -> CostModel | None:
    """The model that `model` starts from, if any."""
    sources = [load(model_path(path))[0] for path in config.sources]
    model.warm_start(*sources)
    return sources[0] if sources else None


def trained_on(config: Config, learner: ActiveLearner) -> dict[str, Any]:
    """What a model file says about its training."""
    index, _, _ = learner.trained_on()
    tasks = learner.pool.tasks
    return {
        "targets": sorted({task.target.to_json() for task in tasks}),
        "devices": sorted({task.device for task in tasks}),
        "tasks": [task.name for task in tasks],
        "programs": len(learner.pool),
        "measurements": len(index),
        "selector": config.selector_spec,
        "budget": config.budget,
        **({} if config.budget_s is None else {"budget_s": config.budget_s}),
        "rounds": learner.rounds_done,
        "seed": config.seed,
    }

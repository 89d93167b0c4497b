"""What tuning operators and tuning a network have in common: resolve, open, search, deploy."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from balto import models
from balto.arguments import (
    LARGEST_SEED,
    LEAST_MINUTES,
    MOST_MINUTES,
    MOST_TRIALS,
    check_number,
    check_type,
)
from balto.data.candidate import Candidate
from balto.data.outcome import Outcome
from balto.data.target import Target
from balto.data.task import Task
from balto.deploy.listener import NetworkListener
from balto.deploy.settings import DeploySettings
from balto.errors import InputError, MeasurerError, WorkerError
from balto.journal.file import Journal
from balto.measure.live import LiveMeasurer
from balto.measure.measurer import Measurer
from balto.measure.named import opened
from balto.models.base import CostModel
from balto.models.starter import StartingModel
from balto.search.pace import Pace
from balto.search.session import Session
from balto.search.task import SearchSettings
from balto.search.tuning import TunedTask
from balto.store.memory import Memory
from balto.store.stores import Given, Stores
from balto.tune import folder
from balto.tune import found as earlier
from balto.tune.found import Untried
from balto.workers.worker import Worker

Result = TypeVar("Result")


@dataclass(kw_only=True)
class Tuning(ABC, Generic[Result]):
    """One tuning, which `run` takes from what was asked for to a folder that can be deployed.

    Attributes:
        out: the folder, made if it is not there.
        start_from: a model file, ``starter`` or ``none``.
        trials: programs measured, 0 for none; of what, the kinds say.
        target: what to compile for.
        seed: fixes every choice.
        measurer: measures: an object, or its name.
        listener: is told what happens.
        settings: of the search of each task.
        deploying: of what comes after it.
        minutes: of the search; None for no such limit.
        until_saturated: whether the search ends when the next minute is expected to save little.
        store: what is read of what was tuned before, and written to: ``own``, ``none``, or folders.
        tasks: what is tuned, once it is resolved.
        runs_here: whether this machine runs what is compiled; a tuning with trials needs that.
        pace: how many trials there are, once the folder is open.
        memory: of stores, once the search begins; None if there is no store.
    """

    out: Path
    start_from: str | Path | None
    trials: int
    target: Target
    seed: int
    measurer: Measurer | str
    listener: NetworkListener
    settings: SearchSettings
    deploying: DeploySettings
    minutes: float | None = None
    until_saturated: bool = False
    store: Given
    tasks: list[Task] = field(default_factory=list)
    runs_here: bool = True
    pace: Pace = field(default_factory=Pace)
    memory: Memory | None = None

    def run(self) -> Result:
        """Resolve, open the folder, search what is not found yet, deploy what is not deployed."""
        check_number("trials", self.trials, 0, MOST_TRIALS, whole=True)
        check_number("seed", self.seed, 0, LARGEST_SEED, whole=True)
        check_type("until_saturated", self.until_saturated, bool, "True or False")
        if self.minutes is not None:
            self.minutes = check_number("minutes", self.minutes, LEAST_MINUTES, MOST_MINUTES)
        start = StartingModel.of(self.start_from, self.target)
        if not self.trials and start.model is None:
            raise InputError(
                "expected at least 1 of trials in a search that starts from no model, got 0; with "
                "a model to start from, 0 takes what that likes best"
            )
        folder.require_usable(self.out)
        stores = Stores.open(self.store)
        self.check()
        with Worker() as worker:
            self.tasks = self.resolve(worker)
            self.target = self.tasks[0].target
            start.require_kind(self.target)
            if self.trials:
                _require_cores(self.target)
            config = {
                **self.asked(),
                "model": start.checksum,
                "trials": self.trials,
                "target": self.target.to_json(),
                "seed": self.seed,
                **self._ends(),
                **folder.unusual(self.settings, self.measurer),
            }
            with folder.opened(self.out, config, self.tasks) as (journal, records):
                self.opened()
                known = earlier.known(self.out, records, self.tasks, self.listener)
                if known is not None and (metadata := earlier.deployed(self.out)) is not None:
                    return self.deployed(metadata, *known)
                if not self.trials:
                    self.runs_here = _has_cores(self.target) and not self._fails_here(worker)
                if known is None:
                    if self.runs_here:
                        self.before_search(worker)
                        self._require_runs_here(worker)
                        self.memory = self._memory(stores, worker)
                    known = self._found(start.model, config, journal, records)
                with self.memory or contextlib.nullcontext():
                    return self.deploy(worker, *known)

    def _found(
        self,
        model: CostModel | None,
        config: Mapping[str, Any],
        journal: Journal,
        records: Sequence[Mapping[str, Any]],
    ) -> tuple[list[TunedTask], list[Untried]]:
        """Search, and keep what was found and the model that learnt."""
        self.pace = Pace(self.trials, self.minutes, self.until_saturated, journal, records)
        rest = (journal, records, self.settings, self.seed, self.listener, self.runs_here)
        with (
            opened(self.measurer if self.trials else _Nothing(), self.target) as measurer,
            contextlib.closing(Session(measurer, model, *rest)) as session,
        ):
            if self.memory is not None:
                session.remember(self.tasks, self.memory)
            found = self.search(session)
        if session.model is not None:
            about = {"by": "balto tune", "targets": [self.target.to_json()], **config}
            models.save(session.model, self.out / folder.MODEL, about)
        earlier.keep(journal, *found)
        return found

    @property
    def device(self) -> str | None:
        """What it runs on, as this machine names it; None of another machine."""
        return self.tasks[0].device if self.runs_here else None

    def _ends(self) -> dict[str, Any]:
        """What the folder's first record says of when the search ends, beside the trials."""
        ends = {"minutes": self.minutes, "until_saturated": self.until_saturated}
        return {name: value for name, value in ends.items() if value}

    def _memory(self, stores: Stores, worker: Worker) -> Memory | None:
        """What the stores know of the tasks; None if there is no store."""
        for line in stores.notes:
            self.listener.store_trouble(line)
        if not stores.stores:
            return None
        name = folder.name_of(self.measurer)
        return Memory(stores, self.tasks, name, worker, self.listener.store_trouble)

    def check(self) -> None:
        """Refuse what cannot be right, before anything is started."""

    @abstractmethod
    def resolve(self, worker: Worker) -> list[Task]:
        """The tasks of what was asked for, at least one, with the target as it is here."""

    @abstractmethod
    def asked(self) -> Mapping[str, Any]:
        """What the folder's first record says of what is tuned."""

    def opened(self) -> None:
        """The folder is ours."""

    def before_search(self, worker: Worker) -> None:
        """Refuse what could not be deployed, before anything is measured."""

    @abstractmethod
    def search(self, session: Session) -> tuple[list[TunedTask], list[Untried]]:
        """What is found, and name and reason of the tasks that keep TVM's default schedule."""

    @abstractmethod
    def deploy(
        self, worker: Worker, tuned: Sequence[TunedTask], untried: Sequence[Untried]
    ) -> Result:
        """Compile, check, time and write what was found."""

    @abstractmethod
    def deployed(
        self,
        metadata: Mapping[str, Any],
        tuned: Sequence[TunedTask],
        untried: Sequence[Untried],
    ) -> Result:
        """What a folder that is whole already says of itself."""

    def _require_runs_here(self, worker: Worker) -> None:
        """`require_runs_here`, where programs will be measured."""
        if self.trials:
            timeout_s = self.deploying.export_timeout_s
            require_runs_here(self.tasks[0], self.measurer, worker, timeout_s)

    def _fails_here(self, worker: Worker) -> WorkerError | None:
        """Why the untuned program of the first task does not run here; None if it does."""
        return fails_here(self.tasks[0], worker, self.deploying.export_timeout_s)


def require_runs_here(
    task: Task, measurer: Measurer | str, worker: Worker, timeout_s: float = 600.0
) -> None:
    """Refuse to tune for a device whose programs cannot be checked on this machine.

    Args:
        task: of the device.
        measurer: what times its programs; one on this machine says so itself.
        worker: has TVM.
        timeout_s: seconds that trying it may take.

    Raises:
        InputError: If the untuned program of the task does not run here.
    """
    if measurer == "live" or isinstance(measurer, LiveMeasurer):
        return
    if error := fails_here(task, worker, timeout_s):
        raise InputError(
            f"programs for {task.target} cannot be checked on this machine ({error}): measure "
            "them with balto pretrain, and tune on a machine that runs them"
        ) from error


def fails_here(task: Task, worker: Worker, timeout_s: float) -> WorkerError | None:
    """Why the untuned program of a task does not run on this machine; None if it does.

    Args:
        task: with its module.
        worker: has TVM.
        timeout_s: seconds that trying it may take.
    """
    try:
        worker.call_with_retries(
            *("balto.deploy.operators:error_of", task.module, "", task.target),
            deadline_s=timeout_s,
        )
    except WorkerError as error:
        return error
    return None


class _Nothing(Measurer):
    """Measures nothing, of a tuning without trials: all cores are free."""

    def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
        """Refuse.

        Raises:
            MeasurerError: Always.
        """
        raise MeasurerError(f"expected no program to measure without trials, got {len(candidates)}")


def _has_cores(target: Target) -> bool:
    """Whether this process may use as many cores as a target has."""
    return (target.cores or 1) <= len(os.sched_getaffinity(0))


def most_trials(
    trials: int | None, minutes: float | None, until_saturated: bool, usual: int
) -> int:
    """Trials at most: the usual number, unless something else ends the search."""
    if trials is not None:
        return trials
    return usual if minutes is None and not until_saturated else MOST_TRIALS


def _require_cores(target: Target) -> None:
    """Refuse to measure on more cores than there are.

    Raises:
        InputError: If this process may use fewer cores than the target has.
    """
    if not _has_cores(target):
        raise InputError(
            f"the target has num-cores {target.cores}, but this process may use "
            f"{len(os.sched_getaffinity(0))} of this machine's cores"
        )

"""What tuning operators and tuning a network have in common: resolve, open, search, deploy."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from balto import models
from balto.arguments import LARGEST_SEED, MOST_TRIALS, check_number
from balto.data.target import Target
from balto.data.task import Task
from balto.deploy.listener import NetworkListener
from balto.deploy.settings import DeploySettings
from balto.errors import InputError, WorkerError
from balto.journal.file import Journal
from balto.measure.live import LiveMeasurer
from balto.measure.measurer import Measurer
from balto.measure.named import opened
from balto.models.base import CostModel
from balto.models.starter import StartingModel
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
        trials: programs measured; of what, the kinds say.
        target: what to compile for.
        seed: fixes every choice.
        measurer: measures: an object, or its name.
        listener: is told what happens.
        settings: of the search of each task.
        deploying: of what comes after it.
        store: what is read of what was tuned before, and written to: ``own``, ``none``, or folders.
        tasks: what is tuned, once it is resolved.
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
    store: Given
    tasks: list[Task] = field(default_factory=list)
    memory: Memory | None = None

    def run(self) -> Result:
        """Resolve, open the folder, search what is not found yet, deploy what is not deployed."""
        check_number("trials", self.trials, 1, MOST_TRIALS, whole=True)
        check_number("seed", self.seed, 0, LARGEST_SEED, whole=True)
        start = StartingModel.open(self.start_from, self.target)
        folder.require_usable(self.out)
        stores = Stores.open(self.store)
        self.check()
        with Worker() as worker:
            self.tasks = self.resolve(worker)
            self.target = self.tasks[0].target
            start.require_kind(self.target)
            _require_cores(self.target)
            config = {
                **self.asked(),
                "model": start.checksum,
                "trials": self.trials,
                "target": self.target.to_json(),
                "seed": self.seed,
                **folder.unusual(self.settings, self.measurer),
            }
            with folder.opened(self.out, config, self.tasks) as (journal, records):
                self.opened()
                known = earlier.known(self.out, records, self.tasks, self.listener)
                if known is None:
                    self.before_search(worker)
                    self._require_runs_here(worker)
                    self.memory = self._memory(stores, worker)
                    known = self._found(start.model, config, journal, records)
                elif (metadata := earlier.deployed(self.out)) is not None:
                    return self.deployed(metadata, *known)
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
        rest = (journal, records, self.settings, self.seed, self.listener)
        with (
            opened(self.measurer, self.target) as measurer,
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
        """What is found, and name and reason of the tasks that had no trial."""

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
        """Refuse to tune for a device whose programs cannot be checked on this machine.

        Raises:
            InputError: If the untuned program of the first task does not run here.
        """
        if self.measurer == "live" or isinstance(self.measurer, LiveMeasurer):
            return  # it says so itself
        first = self.tasks[0]
        try:
            worker.call_with_retries(
                *("balto.deploy.operators:error_of", first.module, "", first.target),
                deadline_s=self.deploying.export_timeout_s,
            )
        except WorkerError as error:
            raise InputError(
                f"programs for {first.target} cannot be checked on this machine ({error}): measure "
                "them with balto pretrain, and tune on a machine that runs them"
            ) from error


def _require_cores(target: Target) -> None:
    """Refuse to tune for more cores than there are.

    Raises:
        InputError: If this process may use fewer cores than the target has.
    """
    have = len(os.sched_getaffinity(0))
    if (target.cores or 1) > have:
        raise InputError(
            f"the target has num-cores {target.cores}, but this process may use {have} of this "
            "machine's cores"
        )

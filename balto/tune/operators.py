"""`tune_operators`: from operators to a folder that can be deployed; resumable."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, overload
from zlib import crc32

from balto.data.files import as_path, require_replaceable, sha256, write_json
from balto.data.target import Target
from balto.data.task import Task
from balto.data.versions import DEPLOYED, versions_of
from balto.deploy.database import write_database
from balto.deploy.listener import NetworkListener
from balto.deploy.load import FORMAT, METADATA
from balto.deploy.operators import suffix_of
from balto.deploy.settings import DeploySettings
from balto.errors import InputError
from balto.measure.measurer import Measurer
from balto.models import starter
from balto.search.session import Session
from balto.search.task import SearchSettings
from balto.search.tuning import TunedTask
from balto.store.known import FromStore
from balto.store.stores import NONE, Given
from balto.tasks import check, extract_tasks
from balto.tasks.extract import Extracted
from balto.tune.found import Untried
from balto.tune.tuning import Tuning, most_trials
from balto.workers.worker import Worker

#: Trials, unless something else is asked for.
USUAL = 64


@dataclass(frozen=True)
class TunedOperators(Sequence[TunedTask]):
    """What tuning operators found: a sequence of them.

    Attributes:
        tasks: an entry an operator, in their order.
    """

    tasks: Sequence[TunedTask] = field(repr=False)

    @property
    def trials(self) -> int:
        """How many programs were measured."""
        return sum(each.trials for each in self.tasks)

    @property
    def store(self) -> FromStore:
        """What was not measured, since a store knew it."""
        return FromStore.sum(each.store for each in self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    @overload
    def __getitem__(self, place: int) -> TunedTask: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[TunedTask]: ...

    def __getitem__(self, place: int | slice) -> TunedTask | Sequence[TunedTask]:
        return self.tasks[place]


def tune_operators(
    operators: Sequence[str | Task],
    out: str | Path = "tuned",
    *,
    start_from: str | Path | None = starter.NAME,
    trials: int | None = None,
    minutes: float | None = None,
    until_saturated: bool = False,
    target: Target | str = "llvm",
    seed: int = 0,
    measurer: Measurer | str = "live",
    listener: NetworkListener | None = None,
    settings: SearchSettings | None = None,
    deploying: DeploySettings | None = None,
    store: Given = NONE,
) -> TunedOperators:
    """Tune operators on this machine, and write what `balto.load_tuned` loads.

    Killed at any moment, the same call goes on: what was measured is in a journal.

    Args:
        operators: such as ``matmul:1024x1024x1024``, or tasks, as `balto.task_of` makes them.
        out: folder, made if it is not there: a library of each operator, metadata, MetaSchedule's
            JSON database, the journal, and the model with what it learnt.
        start_from: a model file; ``starter`` for the one that ships with balto, for CPUs; ``none``
            or None to learn from the trials alone.
        trials: programs measured of each operator, at most; by default 64, or as many as fit
            where `minutes` or `until_saturated` is given. With 0 each gets the program that the
            model likes best, and the target may be of another machine.
        minutes: of wall clock that the search may take, all runs together; None for no limit.
            Compiling, checking and timing the result come on top.
        until_saturated: end the search when its next minute is expected to save less than 1 %.
        target: what to compile for; what it leaves open is asked of this machine.
        seed: fixes every choice.
        measurer: measures: an object, or ``live`` for this machine or ``rpc:HOST:PORT/KEY``.
        listener: is told what happens.
        settings: of the search.
        deploying: how long compiling may take.
        store: what was tuned before is taken from there, and what is measured is written there:
            ``own`` for a person's own store, ``none`` or None for none, a folder, or several, of
            which the first is written to.

    Returns:
        What was found, an entry an operator.

    Raises:
        InputError: If an operator, the number of trials or minutes, or the target is not what was
            expected.
        ModelFileError: If the file to start from is no model.
        ConfigurationChanged: If the folder was tuned with other settings.
        CampaignError: If the folder holds something else, or is in use.
        MeasurerError: If measuring cannot go on.

    Examples:
        >>> tuned = balto.tune_operators(["matmul:32x32x32"], "tuned", trials=4)
        >>> tuned.trials, tuned[0].task.name
        (4, 'matmul_32x32x32')
    """
    return _OperatorsTuning(
        operators=operators,
        out=as_path(out),
        start_from=start_from,
        trials=most_trials(trials, minutes, until_saturated, USUAL),
        minutes=minutes,
        until_saturated=until_saturated,
        target=Target.of(target),
        seed=seed,
        measurer=measurer,
        listener=listener or NetworkListener(),
        settings=settings or SearchSettings(),
        deploying=deploying or DeploySettings(),
        store=store,
    ).run()


@dataclass(kw_only=True)
class _OperatorsTuning(Tuning[TunedOperators]):
    """Operators, each with a number of trials or minutes of its own.

    Attributes:
        operators: as a person writes them, or tasks.
    """

    operators: Sequence[str | Task]

    def check(self) -> None:
        self.operators = list(self.operators)
        if not self.operators:
            raise InputError("expected at least one operator or task, got none")
        for each in self.operators:
            if isinstance(each, Task):
                each.require_module()
            else:
                check([], [each])

    def resolve(self, worker: Worker) -> list[Task]:
        named = [each for each in self.operators if not isinstance(each, Task)]
        own = [each for each in self.operators if isinstance(each, Task)]
        found = Extracted([])
        if named:
            found = extract_tasks([], named, self.target, worker=worker)
        return found.and_own(own).tasks

    def asked(self) -> Mapping[str, Any]:
        own = [each for each in self.operators if isinstance(each, Task)]
        modules = [crc32(each.require_module().encode()) for each in own]
        asked: dict[str, Any] = {"operators": [task.name for task in self.tasks]}
        return {**asked, "modules": modules} if own else asked

    def search(self, session: Session) -> tuple[list[TunedTask], list[Untried]]:
        if not self.trials:
            return self._favourites(session), []
        tuned: list[TunedTask] = []
        for task, following in zip_longest(self.tasks, self.tasks[1:]):
            session.expect(following)
            self.pace.begin(parts=len(self.tasks) - len(tuned))
            tuned.append(session.tune(task, self.pace))
        return tuned, []

    def _favourites(self, session: Session) -> list[TunedTask]:
        """The model's favourite of each operator, or the untuned program; nothing is measured."""
        favourites = []
        for done, task in enumerate(self.tasks, 1):
            favourites.append(session.favourite(task))
            self.listener.favourite(task.name, done, len(self.tasks))
        tuned, untuned = session.checked(favourites)
        for name, reason in untuned:
            self.listener.task_left_untuned(name, reason)
        found = {each.task.name: each for each in tuned}
        return [found.get(each.task.name) or each.found("") for each in favourites]

    def deploy(
        self,
        worker: Worker,
        tuned: Sequence[TunedTask],
        untried: Sequence[Untried],  # noqa: ARG002  # none: each has trials of its own
    ) -> TunedOperators:
        about = {each.task.name: self._export(worker, each) for each in tuned}
        timeout = self.deploying.export_timeout_s
        metadata = {
            "format": FORMAT,
            "target": self.target.to_dict(),
            "cores": self.target.cores,
            "device": self.device,
            "operators": about,
            "database": write_database(self.out, tuned, self.target, worker, timeout),
            "store": vars(TunedOperators(tuned).store),
            "versions": versions_of(*DEPLOYED),
        }
        write_json(self.out / METADATA, metadata)  # last: it says that all else is whole
        return TunedOperators(tuned)

    def deployed(
        self,
        metadata: Mapping[str, Any],  # noqa: ARG002  # the journal says all
        tuned: Sequence[TunedTask],
        untried: Sequence[Untried],  # noqa: ARG002
    ) -> TunedOperators:
        return TunedOperators(tuned)

    def _export(self, worker: Worker, each: TunedTask) -> dict[str, Any]:
        """Write the library of an operator; returns what the metadata say of it."""
        library = f"{each.task.name}{suffix_of(self.target)}"
        require_replaceable(self.out / library)
        arguments = worker.call_with_retries(
            *("balto.deploy.operators:export", each.task.module, each.trace),
            *(self.target, self.out / library),
            deadline_s=self.deploying.export_timeout_s,
        )
        return {
            "library": library,
            "sha256": sha256(self.out / library),
            "arguments": arguments,
            "latency_s": None if math.isnan(each.latency_s) else each.latency_s,
            "untuned_s": None if math.isnan(each.untuned_s) else each.untuned_s,
            "trials": each.trials,
            "tuned": bool(each.trace),
            "measured": not each.unmeasured,
        }

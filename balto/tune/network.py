"""`tune_network`: from a network to a folder that can be deployed; resumable."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from balto.data.files import as_path, sha256, write_json
from balto.data.target import Target
from balto.data.task import Task
from balto.data.versions import DEPLOYED, versions_of
from balto.deploy.assemble import LIBRARY, Assembled, assemble, call
from balto.deploy.compile import Network
from balto.deploy.database import write_database
from balto.deploy.listener import NetworkListener
from balto.deploy.load import FORMAT, METADATA
from balto.deploy.settings import DeploySettings
from balto.errors import InputError
from balto.measure.measurer import Measurer
from balto.models import starter
from balto.search.session import Session
from balto.search.slices import search_in_slices
from balto.search.task import SearchSettings
from balto.search.tuning import TunedTask
from balto.store.known import FromStore
from balto.store.stores import OWN, Given
from balto.tasks import graphs
from balto.tasks.torch_module import as_spec
from balto.tune.found import Untried
from balto.tune.tuning import Tuning
from balto.workers.worker import Worker


@dataclass(frozen=True, kw_only=True)
class TunedNetwork:
    """What tuning a network found.

    Attributes:
        name: of the network.
        latency_s: of what is deployed, seconds.
        untuned_s: of the network through TVM's default pipeline, seconds.
        reference: seconds in the runtime that it came from, by the runtime's name, as many
            threads, in turns with the two above; empty where that is not installed.
        error: distance of its outputs from the reference, in tolerances: at most 1.
        tasks: those that had trials, in the order they were begun; with the program that is
            deployed, which is none where the untuned network is.
        untried: ``(name, reason)`` of the others, which keep TVM's default schedule.
        wrong: tasks whose programs were left out, since the network came out wrong with them, or
            could not be compiled.
        weights: how often each task runs in the network.
    """

    name: str
    latency_s: float
    untuned_s: float
    reference: Mapping[str, float]
    error: float
    tasks: Sequence[TunedTask] = field(repr=False)
    untried: Sequence[tuple[str, str]] = field(repr=False)
    wrong: Sequence[str]
    weights: Mapping[str, int] = field(repr=False)

    @property
    def trials(self) -> int:
        """How many programs were measured."""
        return sum(each.trials for each in self.tasks)

    @property
    def store(self) -> FromStore:
        """What was not measured, since a store knew it."""
        return FromStore.sum(each.store for each in self.tasks)


def tune_network(
    network: Any,
    example_inputs: Sequence[Any] | None = None,
    *,
    out: str | Path = "tuned",
    start_from: str | Path | None = starter.NAME,
    trials: int = 400,
    target: Target | str = "llvm",
    seed: int = 0,
    measurer: Measurer | str = "live",
    listener: NetworkListener | None = None,
    settings: SearchSettings | None = None,
    deploying: DeploySettings | None = None,
    store: Given = OWN,
) -> TunedNetwork:
    """Tune a network on this machine, and write what `balto.load_tuned` loads.

    Killed at any moment, the same call goes on: what was measured is in a journal.

    Args:
        network: a torch module, a built-in network's name, or the path of an ``.onnx`` or ``.pt2``
            file.
        example_inputs: of a torch module, for ``torch.export``; its shapes become the network's.
        out: folder, made if it is not there: the compiled network, metadata, MetaSchedule's JSON
            database, the journal, and the model with what it learnt.
        start_from: a model file; ``starter`` for the one that ships with balto, for CPUs; ``none``
            or None to learn from the trials alone.
        trials: programs measured, all tasks together.
        target: what to compile for; ``num-cores`` says on how many cores, one if it does not.
        seed: fixes every choice.
        measurer: measures: an object, or ``live`` for this machine or ``rpc:HOST:PORT/KEY``.
        listener: is told what happens.
        settings: of the search of each task.
        deploying: how long compiling, checking and timing may take.
        store: what was tuned before is taken from there, and what is measured is written there:
            ``own`` for a person's own store, ``none`` or None for none, a folder, or several, of
            which the first is written to.

    Returns:
        What was found, and how fast the network is.

    Raises:
        InputError: If the network, the number of trials, the target or the model is not what was
            expected.
        ConfigurationChanged: If the folder was tuned with other settings, or is another network's.
        CampaignError: If the folder holds something else, or is in use.
        MeasurerError: If measuring cannot go on.
        BaltoError: If what TVM makes of the network, untuned, computes something else.
    """
    with as_spec(network, example_inputs) as (spec, name):
        return _NetworkTuning(
            spec=spec,
            name=name,
            out=as_path(out),
            start_from=start_from,
            trials=trials,
            target=Target.of(target),
            seed=seed,
            measurer=measurer,
            listener=listener or NetworkListener(),
            settings=settings or SearchSettings(),
            deploying=deploying or DeploySettings(),
            store=store,
        ).run()


@dataclass(kw_only=True)
class _NetworkTuning(Tuning[TunedNetwork]):
    """A network, from one number of trials for all of its tasks.

    Attributes:
        spec: a built-in network's name, or a path.
        name: for people.
    """

    spec: str
    name: str

    def check(self) -> None:
        graphs.check(self.spec)

    def resolve(self, worker: Worker) -> list[Task]:
        self.network: Network = self._call(
            worker, "balto.deploy.compile:read", self.spec, self.target
        )
        if not self.network.tasks:
            raise InputError(f"TVM finds nothing to tune in {self.name}")
        tasks: list[Task] = self.network.tasks
        return tasks

    def asked(self) -> Mapping[str, Any]:
        return {"network": self.name, "fingerprint": self.network.fingerprint}

    def opened(self) -> None:
        self.listener.planned(len(self.tasks), self.target, self.network.layout)

    def before_search(self, worker: Worker) -> None:
        deadline_s = self.deploying.run_timeout_s
        expected_of = "balto.deploy.verify:expected_of"
        call(worker, expected_of, self.spec, self.network.inputs, deadline_s=deadline_s)

    def search(self, session: Session) -> tuple[list[TunedTask], list[Untried]]:
        return search_in_slices(session, self.tasks, self.trials, self.settings, self.listener)

    def deploy(
        self, worker: Worker, tuned: Sequence[TunedTask], untried: Sequence[Untried]
    ) -> TunedNetwork:
        traces = {each.task.name: each.trace for each in tuned if each.trace}
        whole = assemble(
            *(worker, self.spec, self.name, self.network, traces),
            *(self.out, self.listener, self.deploying),
        )
        self._tell_store(whole, traces)
        done = self._tuned_network(whole, tuned, untried)
        right = [each for each in tuned if each.task.name not in whole.wrong]
        write_database(self.out, right, self.target, worker, self.deploying.export_timeout_s)
        _write(self.out, done, self.network, self.target)
        return done

    def deployed(
        self,
        metadata: Mapping[str, Any],
        tuned: Sequence[TunedTask],
        untried: Sequence[Untried],
    ) -> TunedNetwork:
        whole = Assembled.of(metadata, {each.task.name: each.trace for each in tuned})
        return self._tuned_network(whole, tuned, untried)

    def _tell_store(self, whole: Assembled, traces: Mapping[str, str]) -> None:
        """Programs that the network is right or wrong with are so in the store too."""
        if self.memory is None:
            return
        for task in self.tasks:
            wrong = task.name in whole.wrong
            if task.name in traces and (wrong or task.name in whole.traces):
                error = math.inf if wrong else whole.error
                self.memory.writer.checked(task, traces[task.name], error, "network")

    def _call(self, worker: Worker, function: str, *arguments: Any) -> Any:
        return call(worker, function, *arguments, deadline_s=self.deploying.compile_timeout_s)

    def _tuned_network(
        self, whole: Assembled, tuned: Sequence[TunedTask], untried: Sequence[Untried]
    ) -> TunedNetwork:
        return TunedNetwork(
            name=self.name,
            latency_s=whole.latency_s,
            untuned_s=whole.untuned_s,
            reference=whole.reference,
            error=whole.error,
            tasks=[as_deployed(each, whole.traces) for each in tuned],
            untried=untried,
            wrong=whole.wrong,
            weights={task.name: task.weight for task in self.tasks},
        )


def as_deployed(tuned: TunedTask, traces: Mapping[str, str]) -> TunedTask:
    """A task with its program, if that one is deployed."""
    if tuned.task.name in traces:
        return tuned
    return replace(tuned, trace="", latency_s=tuned.untuned_s)


def _write(out: Path, done: TunedNetwork, found: Network, target: Target) -> None:
    """The metadata, which says that the rest is whole."""
    flop = {task.name: task.flop for task in found.tasks}
    tasks: dict[str, Any] = {
        each.task.name: {
            "weight": done.weights[each.task.name],
            "flop": flop[each.task.name],
            "latency_s": _finite(each.latency_s),
            "untuned_s": _finite(each.untuned_s),
            "trials": each.trials,
            "tuned": bool(each.trace),
        }
        for each in done.tasks
    }
    metadata = {
        "format": FORMAT,
        "target": target.to_dict(),
        "cores": target.cores,
        "device": found.tasks[0].device,
        "network": {
            "name": done.name,
            "library": LIBRARY,
            "sha256": sha256(out / LIBRARY),
            "inputs": found.inputs,
            "outputs": found.outputs,
            "layout": found.layout,
            "latency_s": done.latency_s,
            "untuned_s": done.untuned_s,
            "reference": dict(done.reference),
            "error": done.error,
            "wrong": list(done.wrong),
        },
        "tasks": tasks,
        "untried": dict(done.untried),
        "operators": {},
        "store": vars(done.store),
        "versions": versions_of(*DEPLOYED),
    }
    write_json(out / METADATA, metadata)


def _finite(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None

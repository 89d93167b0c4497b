"""`tune_network`: from a network to a folder that can be deployed; resumable."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from balto.data.files import as_path, sha256, write_json
from balto.data.target import Target
from balto.data.task import Task
from balto.data.versions import DEPLOYED, versions_of
from balto.deploy.assemble import Assembled, assemble, check_untuned
from balto.deploy.compile import Network
from balto.deploy.database import write_database
from balto.deploy.elsewhere import compiled
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
from balto.store.stores import NONE, Given
from balto.tasks import networks
from balto.tasks.shapes import Shapes, checked
from balto.tasks.torch_module import as_spec
from balto.tune.found import Untried
from balto.tune.tuning import Tuning, most_trials
from balto.workers.calls import call_about
from balto.workers.worker import Worker

#: Trials, unless something else is asked for.
USUAL = 400


@dataclass(frozen=True, kw_only=True)
class TunedNetwork:
    """What tuning a network found.

    Attributes:
        name: of the network.
        latency_s: of what is deployed, seconds; NaN where this machine cannot run it.
        untuned_s: of the network through TVM's default pipeline, seconds; the same.
        reference: seconds in the runtime that it came from, by the runtime's name, as many
            threads, in turns with the two above; empty where that is not installed.
        error: distance of its outputs from the judge's, in tolerances: at most 1; NaN if they were
            not compared, since this machine cannot run it.
        tolerance: of its outputs, relative to the largest value of each; NaN where it was tuned
            before this was kept, or nothing was compared.
        judge: who computed what the outputs should be, such as ``PyTorch``; may be empty likewise.
        library: name of the compiled network's file.
        tasks: those that had trials, in the order they were begun, then those that have the model's
            favourite; with the program that is deployed, which is none where the untuned network
            is.
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
    tolerance: float
    judge: str
    library: str
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
    example_inputs: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    shapes: Mapping[str, Any] | None = None,
    out: str | Path = "tuned",
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
) -> TunedNetwork:
    """Tune a network on this machine, and write what `balto.load_tuned` loads.

    Killed at any moment, the same call goes on: what was measured is in a journal.

    Args:
        network: a torch module, a built-in network's name, or the path of an ``.onnx`` or ``.pt2``
            file.
        example_inputs: of a torch module, for ``torch.export``: a tuple, or a mapping of keyword
            arguments; its shapes become the network's.
        shapes: sizes for what a file leaves open: of a dimension by its name, ``{"batch": 1}``, or
            of an input, ``{"x": (1, 3, 224, 224)}``.
        out: folder, made if it is not there: the compiled network, metadata, MetaSchedule's JSON
            database, the journal, and the model with what it learnt.
        start_from: a model file; ``starter`` for the one that ships with balto, for CPUs; ``none``
            or None to learn from the trials alone.
        trials: programs measured, all tasks together, at most; by default 400, or as many as fit
            where `minutes` or `until_saturated` is given. A task that has none gets the program
            that the model likes best. With 0 none is measured, and the target may be of another
            machine: what is compiled for it is neither checked nor timed here.
        minutes: of wall clock that the search may take, all runs together; None for no limit.
            Compiling, checking and timing the result come on top.
        until_saturated: end the search when its next minute is expected to save less than 1 %.
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
        InputError: If the network, the number of trials or minutes, the target or the model is not
            what was expected.
        ConfigurationChanged: If the folder was tuned with other settings, or is another network's.
        CampaignError: If the folder holds something else, or is in use.
        MeasurerError: If measuring cannot go on.
        BaltoError: If what TVM makes of the network, untuned, computes something else than
            PyTorch, or ONNX Runtime for an ONNX file; then nothing is searched.

    Examples:
        >>> tuned = balto.tune_network("lenet-5", out="tuned", trials=8)
        >>> tuned.trials, tuned.error <= 1
        (8, True)
    """
    with as_spec(network, example_inputs) as (spec, name):
        return _NetworkTuning(
            spec=spec,
            name=name,
            shapes=checked(shapes),
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
class _NetworkTuning(Tuning[TunedNetwork]):
    """A network, from one number of trials or minutes for all of its tasks.

    Attributes:
        spec: a built-in network's name, or a path.
        name: for people.
        shapes: sizes of dimensions that the file leaves open.
    """

    spec: str
    name: str
    shapes: Shapes

    def check(self) -> None:
        networks.check(self.spec)

    def resolve(self, worker: Worker) -> list[Task]:
        self.network: Network = call_about(
            *(self.spec, worker, "balto.deploy.compile:read"),
            *(self.spec, self.target, self.shapes),
            deadline_s=self.deploying.compile_timeout_s,
        )
        if not self.network.tasks:
            raise InputError(f"TVM finds nothing to tune in {self.name}")
        tasks: list[Task] = self.network.tasks
        return tasks

    def asked(self) -> Mapping[str, Any]:
        asked = {"network": self.name, "fingerprint": self.network.fingerprint}
        return {**asked, "shapes": self.shapes} if self.shapes else asked

    def opened(self) -> None:
        self.listener.planned(len(self.tasks), self.target, self.network.layout)
        for note in self.network.notes:
            self.listener.noted(note)

    def before_search(self, worker: Worker) -> None:
        self.listener.comparing()
        began = time.monotonic()
        about = (worker, self.spec, self.name, self.network, self.deploying)
        comparison = check_untuned(*about)
        self.listener.compared(comparison.judge, comparison.tolerance, time.monotonic() - began)

    def search(self, session: Session) -> tuple[list[TunedTask], list[Untried]]:
        return search_in_slices(session, self.tasks, self.pace, self.settings, self.listener)

    def deploy(
        self, worker: Worker, tuned: Sequence[TunedTask], untried: Sequence[Untried]
    ) -> TunedNetwork:
        traces = {each.task.name: each.trace for each in tuned if each.trace}
        rest = (self.network, traces, self.out, self.listener, self.deploying)
        if self.runs_here:
            whole = assemble(worker, self.spec, self.name, *rest)
            self._tell_store(whole, traces)
        else:
            whole = compiled(worker, self.spec, *rest)
        done = self._tuned_network(whole, tuned, untried)
        right = [each for each in tuned if each.task.name not in whole.wrong]
        timeout_s = self.deploying.export_timeout_s
        database = write_database(self.out, right, self.target, worker, timeout_s)
        _write(self.out, done, self.network, self.device, self.target, database)
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

    def _tuned_network(
        self, whole: Assembled, tuned: Sequence[TunedTask], untried: Sequence[Untried]
    ) -> TunedNetwork:
        return TunedNetwork(
            name=self.name,
            latency_s=whole.latency_s,
            untuned_s=whole.untuned_s,
            reference=whole.reference,
            error=whole.error,
            tolerance=whole.tolerance,
            judge=whole.judge,
            library=whole.library,
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


def _write(
    out: Path,
    done: TunedNetwork,
    found: Network,
    device: str | None,
    target: Target,
    database: Mapping[str, str],
) -> None:
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
            "measured": not each.unmeasured,
        }
        for each in done.tasks
    }
    metadata = {
        "format": FORMAT,
        "target": target.to_dict(),
        "cores": target.cores,
        "device": device,
        "network": {
            "name": done.name,
            "library": done.library,
            "sha256": sha256(out / done.library),
            "inputs": found.inputs,
            "outputs": found.outputs,
            "layout": found.layout,
            "notes": found.notes,
            "latency_s": _finite(done.latency_s),
            "untuned_s": _finite(done.untuned_s),
            "reference": dict(done.reference),
            "error": _finite(done.error),
            "tolerance": _finite(done.tolerance),
            "judge": done.judge,
            "wrong": list(done.wrong),
        },
        "tasks": tasks,
        "untried": dict(done.untried),
        "operators": {},
        "database": dict(database),
        "store": vars(done.store),
        "versions": versions_of(*DEPLOYED),
    }
    write_json(out / METADATA, metadata)


def _finite(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None

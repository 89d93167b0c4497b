"""`tune_network`: from a network to a folder that can be deployed; resumable."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from balto.data.files import as_path, one_line, sha256, write_json
from balto.data.target import Target
from balto.data.task import Task
from balto.deploy.assemble import LIBRARY, Assembled, assemble, call
from balto.deploy.listener import NetworkListener
from balto.deploy.load import FORMAT, METADATA
from balto.errors import InputError
from balto.extras import needed_for
from balto.measure.measurer import Measurer
from balto.measure.named import opened
from balto.models import starter
from balto.search.budget import Share, network_s, next_task, next_untried
from balto.search.session import Session, TaskTuning, TunedTask
from balto.search.task import SearchSettings
from balto.tasks import graphs
from balto.tune import folder
from balto.tune import found as earlier
from balto.units import check_number
from balto.workers.worker import Worker

#: Running the network in its reference.
_CHECK_S = 1200.0


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


def tune_network(
    network: Any,
    example_inputs: Sequence[Any] | None = None,
    *,
    model: str | Path | None = starter.NAME,
    trials: int = 400,
    out: str | Path = "tuned",
    target: Target | str = "llvm",
    seed: int = 0,
    measurer: Measurer | str = "live",
    listener: NetworkListener | None = None,
    settings: SearchSettings | None = None,
) -> TunedNetwork:
    """Tune a network on this machine, and write what `balto.load_tuned` loads.

    Killed at any moment, the same call goes on: what was measured is in a journal.

    Args:
        network: a torch module, a built-in network's name, or the path of an ``.onnx`` or ``.pt2``
            file.
        example_inputs: of a torch module, for ``torch.export``; its shapes become the network's.
        model: a model file; ``starter`` for the one that ships with balto, for CPUs; ``none`` or
            None to learn from the trials alone.
        trials: programs measured, all tasks together.
        out: folder, made if it is not there: the compiled network, metadata, MetaSchedule's JSON
            database, the journal, and the model with what it learnt.
        target: what to compile for; ``num-cores`` says on how many cores, one if it does not.
        seed: fixes every choice.
        measurer: measures: an object, or ``live`` for this machine or ``rpc:HOST:PORT/KEY``.
        listener: is told what happens.
        settings: of the search of each task.

    Raises:
        InputError: the network, the number of trials, the target or the model is not what was
            expected.
        ConfigurationChanged: the folder was tuned with other settings, or is another network's.
        CampaignError: the folder holds something else, or is in use.
        MeasurerError: measuring cannot go on.
        BaltoError: what TVM makes of the network computes something else, before any tuning.
    """
    check_number("trials", trials, 1, whole=True)
    check_number("seed", seed, 0, 2**63 - 1, whole=True)
    out, listener = as_path(out), listener or NetworkListener()
    path = folder.model_path(model, target)
    base, trained_on = folder.load_model(path)
    folder.require_usable(out)
    wanted, settings = Target.of(target), settings or SearchSettings()
    with _spec(network, example_inputs) as (spec, name), Worker(memory_bytes=0) as worker:
        graphs.check(spec)
        found = call(worker, "balto.deploy.compile:read", spec, wanted)
        if not found.tasks:
            raise InputError(f"TVM finds nothing to tune in {name}")
        resolved: Target = found.tasks[0].target
        folder.check_kind(path, trained_on, resolved)
        folder.require_cores(resolved)
        config = {
            "network": name,
            "fingerprint": found.fingerprint,
            "model": folder.checksum(path),
            "trials": trials,
            "target": resolved.to_json(),
            "seed": seed,
            **folder.unusual(settings, measurer),
        }
        with folder.opened(out, config, found.tasks) as (journal, records):
            listener.planned(len(found.tasks), resolved, found.layout)
            known = earlier.known(out, records, found.tasks, listener)
            if known is not None:
                tuned, untried = known
                if (metadata := earlier.deployed(out)) is not None:
                    whole = Assembled.of(metadata, {t.task.name: t.trace for t in tuned})
                    return _tuned_network(name, whole, tuned, untried, found.tasks)
            else:
                call(
                    worker,
                    "balto.deploy.verify:expected_of",
                    spec,
                    found.inputs,
                    deadline_s=_CHECK_S,
                )
                folder.require_runs_here(found.tasks[0], measurer, worker)
                with opened(measurer, resolved) as own:
                    session = Session(own, base, journal, records, settings, seed, listener)
                    with contextlib.closing(session):
                        tuned, untried = _search(session, found.tasks, trials, settings, listener)
                folder.write_model(out, session.model, resolved, config)
                earlier.keep(journal, tuned, untried)
            traces = {each.task.name: each.trace for each in tuned if each.trace}
            whole = assemble(worker, spec, name, found, traces, out, listener)
            done = _tuned_network(name, whole, tuned, untried, found.tasks)
            right = [each for each in tuned if each.task.name not in whole.wrong]
            folder.write_database(out, right, resolved, worker)
            _write(out, done, found, resolved)
    return done


def _tuned_network(
    name: str,
    whole: Assembled,
    tuned: Sequence[TunedTask],
    untried: Sequence[tuple[str, str]],
    tasks: Sequence[Task],
) -> TunedNetwork:
    return TunedNetwork(
        name=name,
        latency_s=whole.latency_s,
        untuned_s=whole.untuned_s,
        reference=whole.reference,
        error=whole.error,
        tasks=[as_deployed(each, whole.traces) for each in tuned],
        untried=untried,
        wrong=whole.wrong,
        weights={task.name: task.weight for task in tasks},
    )


@contextlib.contextmanager
def _spec(network: Any, example_inputs: Sequence[Any] | None) -> Iterator[tuple[str, str]]:
    """What `balto.tasks.graphs` takes, and a name; a torch module is exported for a while."""
    if isinstance(network, str | Path):
        spec = str(network)
        yield (spec, spec) if spec in graphs.NETWORKS else (spec, Path(spec).name)
        return
    if example_inputs is None:
        raise InputError("a torch module needs example_inputs, a tuple of tensors")
    with needed_for("a torch module"):
        import torch

    try:
        with torch.no_grad():
            program = torch.export.export(network.eval(), tuple(example_inputs))
    except Exception as error:
        raise InputError(f"torch.export cannot export the module: {one_line(error)}") from error
    with tempfile.TemporaryDirectory(prefix="balto-") as exported:
        path = Path(exported) / "network.pt2"
        torch.export.save(program, path)
        yield str(path), type(network).__name__


def _search(
    session: Session,
    tasks: Sequence[Any],
    trials: int,
    settings: SearchSettings,
    listener: NetworkListener,
) -> tuple[list[TunedTask], list[tuple[str, str]]]:
    """Slices of trials, each to the task from which the network gains most."""
    shares = [Share(task.weight, task.flop) for task in tasks]
    begun: dict[int, TaskTuning] = {}
    untried: dict[int, str] = {}
    # Few trials for many tasks: one good program of each is worth more than a best one of some.
    size = max(1, min(settings.batch, trials // (2 * len(tasks))))
    spent = 0
    while spent < trials:
        k = next_task(shares)
        if k is None:
            break
        if k not in begun:
            try:
                begun[k] = session.begin(tasks[k])
            except InputError as error:
                shares[k].dry, untried[k] = True, one_line(error)
                listener.left(tasks[k].name, untried[k])
                continue
            shares[k].untuned_s = begun[k].untuned_s
            following = next_untried(shares)
            session.expect(None if following is None else tasks[following])
        stepping = spent >= trials * (1 - settings.steps)
        try:
            measured = begun[k].advance(min(size, trials - spent), stepping)
        except InputError as error:  # its neighbours go on
            shares[k].dry = True
            listener.left(tasks[k].name, one_line(error))
            continue
        shares[k].dry = not measured
        shares[k].had(min(begun[k].best_s, default=math.inf))
        spent += measured
        listener.estimated(network_s(shares))
    reasons = [
        (task.name, untried.get(k, "other tasks promised more"))
        for k, task in enumerate(tasks)
        if k not in begun
    ]
    return [each.finish() for each in begun.values()], reasons


def as_deployed(tuned: TunedTask, traces: Mapping[str, str]) -> TunedTask:
    """A task with its program, if that one is deployed."""
    if tuned.task.name in traces:
        return tuned
    return replace(tuned, trace="", latency_s=tuned.untuned_s)


def _write(out: Path, done: TunedNetwork, found: Any, target: Target) -> None:
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
        "versions": folder.versions(),
    }
    write_json(out / METADATA, metadata)


def _finite(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None

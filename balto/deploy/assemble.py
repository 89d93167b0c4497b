"""From a network's tuned tasks to one library: compiled, right, timed beside the untuned one."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from balto.data.files import require_replaceable
from balto.data.target import Target
from balto.deploy.compile import Network
from balto.deploy.listener import NetworkListener
from balto.deploy.settings import DeploySettings
from balto.deploy.verify import Comparison
from balto.errors import BaltoError, InputError
from balto.workers.calls import call_about
from balto.workers.worker import Worker

#: In the folder of a tuning: the compiled network.
LIBRARY = "network.so"
_UNTUNED = ".untuned.so"


@dataclass(frozen=True, kw_only=True)
class Assembled:
    """The network that is deployed.

    Attributes:
        latency_s: of what is deployed, seconds; NaN where this machine cannot run it.
        untuned_s: of the network through TVM's default pipeline, seconds; the same.
        reference: seconds in the runtime that it came from, by the runtime's name; the same.
        error: distance of its outputs from the judge's, in tolerances: at most 1; NaN if they were
            not compared.
        tolerance: relative to the largest value of an output; NaN where a folder of before does
            not say it, or nothing was compared.
        judge: who computed what they should be; empty likewise.
        library: its file's name.
        traces: of the tasks whose programs are in it; none where the untuned network is deployed.
        wrong: tasks whose programs were left out.
    """

    latency_s: float
    untuned_s: float
    reference: Mapping[str, float]
    error: float
    tolerance: float
    judge: str
    library: str
    traces: Mapping[str, str]
    wrong: Sequence[str]

    @classmethod
    def of(cls, metadata: Mapping[str, Any], traces: Mapping[str, str]) -> Self:
        """What a finished folder says of itself, of programs that were found."""
        tasks, about = metadata["tasks"], metadata["network"]
        known = {name: about.get(name) for name in ("latency_s", "untuned_s", "error", "tolerance")}
        values: dict[str, Any] = {name: math.nan if x is None else x for name, x in known.items()}
        values |= {name: about[name] for name in ("reference", "library", "wrong")}
        values["judge"] = about.get("judge", "")
        deployed = {name: trace for name, trace in traces.items() if tasks[name]["tuned"]}
        return cls(**values, traces=deployed)


def assemble(
    worker: Worker,
    spec: str,
    name: str,
    found: Network,
    traces: Mapping[str, str],
    out: Path,
    listener: NetworkListener,
    settings: DeploySettings,
) -> Assembled:
    """Compile, compare with the reference, time beside the untuned network; `LIBRARY` is deployed.

    Args:
        worker: has read the network.
        spec: network or model file.
        name: of the network.
        found: what was read.
        traces: of each task that has a program of its own.
        out: folder for the library.
        listener: is told what is left out, and what is slower.
        settings: how long each step may take.

    Raises:
        BaltoError: If the network is wrong with nothing tuned.
        InputError: If TVM cannot compile it with nothing tuned.
    """
    steps = _Steps(worker, spec, found, settings)
    library, plain = out / LIBRARY, out / _UNTUNED
    for each in (library, plain):
        require_replaceable(each)

    compared: list[Comparison] = []

    def error_with(chosen: Mapping[str, str]) -> float:
        try:
            steps.compile(chosen, library)
            compared.append(steps.compare(library))
            return compared[-1].error
        except InputError:
            if not chosen:
                raise
            return math.inf  # some programs compile, or run, only outside of a network

    traces, wrong, error = right_traces(traces, error_with, listener.task_rejected)
    comparison = compared[-1]
    if not error <= 1:
        raise BaltoError(
            f"TVM computes something else than {comparison.judge} for {name} with nothing tuned: "
            f"{comparison.problem}; nothing was deployed"
        )
    steps.compile({}, plain, suited=False)
    (latency_s, untuned_s), reference, refused = steps.time([library, plain])
    if refused:
        listener.reference_skipped(refused)
    if latency_s > untuned_s and (other := steps.compare(plain)).error <= 1:
        listener.untuned_deployed(latency_s, untuned_s)
        comparison = other
        plain.replace(library)
        latency_s, traces = untuned_s, {}
    plain.unlink(missing_ok=True)
    return Assembled(
        latency_s=latency_s,
        untuned_s=untuned_s,
        reference=reference,
        error=comparison.error,
        tolerance=comparison.tolerance,
        judge=comparison.judge,
        library=LIBRARY,
        traces=traces,
        wrong=wrong,
    )


def check_untuned(
    worker: Worker, spec: str, name: str, found: Network, settings: DeploySettings
) -> Comparison:
    """Compile a network with nothing tuned, run it once, and compare its outputs.

    Args:
        worker: has read the network.
        spec: network or model file.
        name: of the network.
        found: what was read.
        settings: how long each step may take.

    Raises:
        BaltoError: If it computes something else than where it came from.
        InputError: If TVM cannot compile it, or nothing else runs it.
    """
    arguments = (spec, found.inputs, found.tasks[0].target, found.shapes)
    deadline_s = settings.compile_timeout_s + settings.run_timeout_s
    checked = "balto.deploy.verify:check_untuned"
    comparison: Comparison = call_about(spec, worker, checked, *arguments, deadline_s=deadline_s)
    if comparison.error <= 1:
        return comparison
    try:
        first = "balto.deploy.difference:first_difference"
        where = call_about(spec, worker, first, *arguments, deadline_s=deadline_s)
    except BaltoError as error:
        where = f"where the difference begins is not known: {error}"
    raise BaltoError(
        f"TVM computes something else than {comparison.judge} for {name} with nothing tuned: "
        f"{comparison.problem}; {where}; nothing was searched"
    )


@dataclass(frozen=True)
class _Steps:
    """What is done with a network on the way, each step in a worker and within its deadline."""

    worker: Worker
    spec: str
    found: Network
    settings: DeploySettings

    @property
    def target(self) -> Target:
        return self.found.tasks[0].target

    def compile(self, traces: Mapping[str, str], library: Path, suited: bool = True) -> None:
        """Compile with the programs of some tasks, in the layout of the tasks or the file's own."""
        call_about(
            *(self.spec, self.worker, "balto.deploy.compile:compile_network"),
            *(self.spec, self.target, traces, library, suited, self.found.shapes),
            deadline_s=self.settings.compile_timeout_s,
        )

    def compare(self, library: Path) -> Comparison:
        """How far a library is from where the network came from."""
        found: Comparison = call_about(
            *(self.spec, self.worker, "balto.deploy.verify:compare"),
            *(self.spec, library, self.found.inputs, self.target, self.found.shapes),
            deadline_s=self.settings.run_timeout_s,
        )
        return found

    def time(self, libraries: Sequence[Path]) -> tuple[list[float], dict[str, float], str]:
        """Seconds of libraries and of the reference, and why it was not timed if it was not."""
        cores = self.target.cores or 1
        cpus = sorted(os.sched_getaffinity(0))[-cores:]
        with Worker(cpus=cpus, env={"TVM_NUM_THREADS": str(cores)}) as timer:
            times: tuple[list[float], dict[str, float], str] = timer.call(
                *("balto.deploy.verify:time_beside", libraries, self.spec),
                *(self.found.inputs, self.target),
                deadline_s=self.settings.run_timeout_s,
            )
        return times


def right_traces(
    traces: Mapping[str, str],
    error_with: Callable[[Mapping[str, str]], float],
    wrong: Callable[[str], None],
) -> tuple[dict[str, str], list[str], float]:
    """The programs with which a network computes what it should.

    Args:
        traces: of each task that has a program of its own.
        error_with: compiles the network with these, and says how far it is from right: up to 1.
            What it compiled last is what is deployed.
        wrong: is told each task that is left out.

    Returns:
        The traces that may stay, the tasks that may not, and the error with the former; above 1
        if the network is wrong without any.
    """
    kept, left_out = dict(traces), list[str]()
    error = error_with(kept)
    while kept and not error <= 1:
        if not (plain := error_with({})) <= 1:
            return {}, left_out, plain
        # The shortest wrong prefix ends with a culprit, whatever the others do.
        names, low, high = list(kept), 0, len(kept)
        while high - low > 1:
            middle = (low + high) // 2
            right = error_with({n: kept[n] for n in names[:middle]}) <= 1
            low, high = (middle, high) if right else (low, middle)
        left_out.append(names[high - 1])
        wrong(left_out[-1])
        del kept[left_out[-1]]
        error = error_with(kept)
    return kept, left_out, error

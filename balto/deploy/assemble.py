"""From a network's tuned tasks to one library: compiled, right, timed beside the untuned one."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from balto.data.files import one_line
from balto.data.target import Target
from balto.errors import BaltoError, InputError, WorkerDied, WorkerRaised
from balto.workers.worker import Worker

if TYPE_CHECKING:
    from balto.deploy.compile import Network
    from balto.deploy.listener import NetworkListener

#: In the folder of a tuning: the compiled network.
LIBRARY = "network.so"
_UNTUNED = ".untuned.so"
_COMPILE_S, _RUN_S = 1800.0, 1200.0


@dataclass(frozen=True, kw_only=True)
class Assembled:
    """The network that is deployed.

    Attributes:
        latency_s: of what is deployed, seconds.
        untuned_s: of the network through TVM's default pipeline, seconds.
        reference: seconds in the runtime that it came from, by the runtime's name.
        error: distance of its outputs from the reference, in tolerances: at most 1.
        traces: of the tasks whose programs are in it; none where the untuned network is deployed.
        wrong: tasks whose programs were left out.
    """

    latency_s: float
    untuned_s: float
    reference: Mapping[str, float]
    error: float
    traces: Mapping[str, str]
    wrong: Sequence[str]

    @classmethod
    def of(cls, metadata: Mapping[str, Any], traces: Mapping[str, str]) -> Self:
        """What a finished folder says of itself, of programs that were found."""
        tasks, about = metadata["tasks"], metadata["network"]
        values = {name: about[name] for name in ("latency_s", "untuned_s", "reference", "error")}
        deployed = {name: trace for name, trace in traces.items() if tasks[name]["tuned"]}
        return cls(**values, traces=deployed, wrong=about["wrong"])


def assemble(
    worker: Worker,
    spec: str,
    name: str,
    found: Network,
    traces: Mapping[str, str],
    out: Path,
    listener: NetworkListener,
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

    Raises:
        BaltoError: the network is wrong with nothing tuned.
        InputError: TVM cannot compile it with nothing tuned.
    """
    target, library, plain = found.tasks[0].target, out / LIBRARY, out / _UNTUNED

    def error_with(chosen: Mapping[str, str]) -> float:
        try:
            call(worker, "balto.deploy.compile:compile_network", spec, target, chosen, library)
            return _error(worker, spec, library, found.inputs, target)
        except InputError:
            if not chosen:
                raise
            return math.inf  # some programs compile, or run, only outside of a network

    traces, wrong, error = right_traces(traces, error_with, listener.mismatched)
    if not error <= 1:
        raise BaltoError(
            f"TVM's own program of {name}, with nothing tuned, is {error:.3g} times the tolerance "
            "away from the reference: one of the two reads it wrongly; nothing was deployed"
        )
    call(worker, "balto.deploy.compile:compile_network", spec, target, {}, plain, False)
    cpus = sorted(os.sched_getaffinity(0))[-(target.cores or 1) :]
    with Worker(cpus=cpus, env={"TVM_NUM_THREADS": str(target.cores or 1)}) as timer:
        (latency_s, untuned_s), reference, refused = timer.call(
            "balto.deploy.verify:time_beside",
            *([library, plain], spec, found.inputs, target),
            deadline_s=_RUN_S,
        )
    if refused:
        listener.not_beside(refused)
    if latency_s > untuned_s:
        listener.slower(latency_s, untuned_s)
        error = _error(worker, spec, plain, found.inputs, target)
        plain.replace(library)
        latency_s, traces = untuned_s, {}
    plain.unlink(missing_ok=True)
    return Assembled(
        latency_s=latency_s,
        untuned_s=untuned_s,
        reference=reference,
        error=error,
        traces=traces,
        wrong=wrong,
    )


def call(worker: Worker, function: str, *arguments: Any, deadline_s: float = _COMPILE_S) -> Any:
    """Call in a worker; what TVM says of a network, the first argument, is bad input.

    Raises:
        InputError: it is, in one line; or TVM crashes on it, twice.
        WorkerError: the process was killed again and again, or took too long: nothing is known.
    """
    try:
        return worker.call_with_retries(function, *arguments, deadline_s=deadline_s)
    except WorkerRaised as error:
        reason = one_line(str(error).removeprefix(f"{error.kind}: "))
        if error.kind == "InputError":
            raise InputError(reason) from error
        raise InputError(f"TVM refuses {arguments[0]}: {error.kind}: {reason}") from error
    except WorkerDied as error:
        if error.killed:
            raise
        raise InputError(f"TVM did not survive {arguments[0]}: {one_line(error)}") from error


def _error(worker: Worker, spec: str, library: Path, inputs: Any, target: Target) -> float:
    arguments = (spec, library, inputs, target)
    return float(
        call(worker, "balto.deploy.verify:error_of_network", *arguments, deadline_s=_RUN_S)
    )


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

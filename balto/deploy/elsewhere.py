"""A network for a machine that is not this one: compiled, and neither checked nor timed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from balto.data.files import require_replaceable
from balto.deploy.assemble import LIBRARY, Assembled, right_traces
from balto.deploy.compile import Network
from balto.deploy.listener import NetworkListener
from balto.deploy.operators import suffix_of
from balto.deploy.settings import DeploySettings
from balto.errors import InputError
from balto.workers.calls import call_about
from balto.workers.worker import Worker


def compiled(
    worker: Worker,
    spec: str,
    found: Network,
    traces: Mapping[str, str],
    out: Path,
    listener: NetworkListener,
    settings: DeploySettings,
) -> Assembled:
    """Compile a network for its target, without the programs with which TVM cannot compile it.

    Args:
        worker: has read the network.
        spec: network or model file.
        found: what was read.
        traces: of each task that has a program of its own.
        out: folder for the library.
        listener: is told what is left out.
        settings: how long compiling may take.

    Raises:
        InputError: If TVM cannot compile it with nothing tuned.
    """
    target = found.tasks[0].target
    library = (out / LIBRARY).with_suffix(suffix_of(target))
    require_replaceable(library)

    def error_with(chosen: Mapping[str, str]) -> float:
        """Whether it can be compiled, as an error: 0, or infinity."""
        try:
            call_about(
                *(spec, worker, "balto.deploy.compile:compile_network"),
                *(spec, target, dict(chosen), library, True, found.shapes),
                deadline_s=settings.compile_timeout_s,
            )
        except InputError:
            if not chosen:
                raise
            return math.inf
        return 0.0

    kept, wrong, _ = right_traces(traces, error_with, listener.task_rejected)
    return Assembled(
        latency_s=math.nan,
        untuned_s=math.nan,
        reference={},
        error=math.nan,
        tolerance=math.nan,
        judge="",
        library=library.name,
        traces=kept,
        wrong=wrong,
    )

"""Reference programs that are timed on every device of a fleet, again and again.

They never change, so that a device which gets slower, or differs from its fellows, shows: its
programs' latencies would mean something else than theirs. One is bound by arithmetic, the other
by memory.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from balto.data.target import Target
from balto.measure.build import Artifact, build_module
from balto.measure.execute import time_artifact
from balto.measure.timing import TimingSettings
from balto.programs.schedule import with_threads
from balto.workers.tvm_setup import import_tvm

#: After so many programs on a device, the probes are timed there again.
PROBE_EVERY = 50
#: What timing them may take on a device, seconds.
PROBE_S = 10.0
_TIMING = TimingSettings(min_repeats=5, precision=0.02)


def time_probes(target: Target, session: Any) -> float:
    """Time the probes on a device: the geometric mean of their latencies, seconds."""
    timed = [time_artifact(each, _TIMING, session=session) for each in _artifacts(target)]
    return float(np.exp(np.mean([math.log(each.latency_median_s) for each in timed])))


@functools.lru_cache(maxsize=4)
def _artifacts(target: Target) -> tuple[Artifact, ...]:
    """Exported probes for a target, built once a process."""
    tvm = import_tvm(target)
    from tvm import te

    def matmul() -> Any:
        n = 128
        a, b = (te.placeholder((n, n), name=name) for name in "AB")
        k = te.reduce_axis((0, n), name="k")
        c = te.compute((n, n), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="C")
        return te.create_prim_func([a, b, c])

    def add() -> Any:
        n = 1 << 20
        a, b = (te.placeholder((n,), name=name) for name in "AB")
        return te.create_prim_func([a, b, te.compute((n,), lambda i: a[i] + b[i], name="C")])

    modules = [tvm.IRModule({"main": function()}) for function in (matmul, add)]
    if not target.on_cpu:
        modules = [with_threads(each, target) for each in modules]
    return tuple(build_module(each, target).export() for each in modules)

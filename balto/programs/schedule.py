"""From a trace to the program that it makes of a task's module. Needs TVM."""

from __future__ import annotations

import functools
import importlib
import json
from typing import Any

from balto.data.target import Target
from balto.programs.nests import THREAD, read
from balto.workers.tvm_setup import import_tvm, tvm_target

#: Configuration of TVM's passes with which programs are compiled: it leaves out the checks of
#: argument types and shapes at the entry of the program, a tenth of the time of building. The
#: machine code of the computation itself is the same.
CHECKS_OFF = {"tirx.disable_assert": True}


def program_of(module: str, trace: str, target: Target) -> Any:
    """The TVM module that a trace makes of a task's, as it can be compiled for a target.

    A GPU runs nothing that is bound to no threads: such a module has what `with_threads` gives it.

    Args:
        module: TVM's JSON of the task's module.
        trace: JSON of a MetaSchedule trace; empty for the module as it is.
        target: what it will be compiled for.
    """
    made = schedule(module, trace).mod
    if target.on_cpu or trace or any(loop.kind == THREAD for loop in read(made).loops):
        return made
    return with_threads(made, target)


def with_laid_out_weights(module: Any) -> Any:
    """A scheduled TVM module that is given its weights in the layout that it wants.

    A schedule changes the layout by a statement of its own. In a deployment that is done once, when
    the network is compiled, so the statement is no part of what is measured or deployed.
    """
    import tvm

    strip = tvm.s_tir.transform.RemoveWeightLayoutRewriteBlock(skip_tensor_rewrite=True)
    return strip(module)


def with_threads(module: Any, target: Target) -> Any:
    """A TVM module with the schedules that TVM gives a network's functions on a GPU by default."""
    wanted = tvm_target(target)
    from tvm.s_tir import dlight

    gpu = dlight.gpu
    rules = gpu.Matmul(), gpu.GEMV(), gpu.Reduction(), gpu.GeneralReduction(), gpu.Fallback()
    with wanted:
        return dlight.ApplyDefaultSchedule(*rules)(module)


def schedule(module: str, trace: str) -> Any:
    """The TVM schedule that a trace makes of a task's module; its ``.mod`` is the program.

    Args:
        module: TVM's JSON of the task's module.
        trace: JSON of a MetaSchedule trace; empty for the module as it is.
    """
    tvm = import_tvm()
    if '"Tensorize"' in trace:
        importlib.import_module("tvm.s_tir.tensor_intrin")  # registers the intrinsics by name
    made = tvm.s_tir.Schedule(_module(module), debug_mask=0, error_render_level="none")
    if trace:
        tvm.s_tir.schedule.Trace.apply_json_to_schedule(json.loads(trace), made)
    return made


@functools.lru_cache(maxsize=16)
def _module(module: str) -> Any:
    return import_tvm().ir.load_json(module)

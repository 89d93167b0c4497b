"""From a trace to the program that it makes of a task's module. Needs TVM."""

from __future__ import annotations

import functools
import importlib
import json
from typing import Any

from balto.workers.tvm_setup import import_tvm


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

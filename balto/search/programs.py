"""Programs of a task from TVM, with features: drawn at random, or made from traces. In a worker."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.data.target import Target
from balto.programs.extract import Drawn, extract
from balto.programs.sample import sample_in_worker, search_context, trace_json
from balto.workers.tvm_setup import import_tvm


@dataclass(frozen=True, eq=False)
class Made:
    """Programs that passed the postprocessors.

    Attributes:
        asked: which of the traces asked for each is.
        hashes: of their modules' structure: two programs of one hash are the same.
        traces: JSON, postprocessors included, as a measurer takes them.
        features: by feature set, one ``rows x width`` float32 array a program.
    """

    asked: list[int]
    hashes: list[int]
    traces: list[str]
    features: dict[str, list[NDArray[np.float32]]]


def draw(module_json: str, target: Target, count: int, seed: int, sets: Sequence[str]) -> Made:
    """Up to `count` distinct random programs (`balto.programs.sample`)."""
    sampled = sample_in_worker(module_json, target, count, seed, sets)
    asked = list(range(len(sampled.traces)))
    return Made(asked, sampled.hashes, sampled.traces, sampled.features)


def make(module_json: str, target: Target, traces: Sequence[str], sets: Sequence[str]) -> Made:
    """The programs of traces without postprocessors; those that TVM refuses are left out."""
    import_tvm(target)
    import tvm_ffi

    context = _context(module_json, target)
    asked, schedules = [], []
    for number, trace in enumerate(traces):
        schedule = _scheduled(context, trace)
        if schedule is not None:
            asked.append(number)
            schedules.append(schedule)
    made = [trace_json(schedule) for schedule in schedules]
    hashes = [tvm_ffi.structural_hash(schedule.mod) for schedule in schedules]
    features = extract(Drawn(context, schedules, made), sets) if schedules else {}
    return Made(asked, hashes, made, features)


def _scheduled(context: Any, trace: str) -> Any:
    """The program of a trace, postprocessed; None if TVM refuses it."""
    schedule = import_tvm().s_tir.Schedule(context.mod, debug_mask=0, error_render_level="none")
    try:
        import_tvm().s_tir.schedule.Trace.apply_json_to_schedule(json.loads(trace), schedule)
        schedule.enter_postproc()
        passed = all(each.apply(schedule) for each in context.space_generator.postprocs)
    except Exception:  # decisions that do not fit each other: TVM's own mutators drop those too
        return None
    return schedule if passed else None


@functools.lru_cache(maxsize=4)
def _context(module_json: str, target: Target) -> Any:
    context = search_context(module_json, target, 0)
    context.generate_design_space()
    return context

"""Random programs of a task from MetaSchedule's own space (paper 3.2). Runs in a worker.

TVM's evolutionary search draws its first population by sampling every decision of the task's
design space at random and keeping what passes the postprocessors; that population is what is
drawn here, round after round, until there are enough *distinct* programs or the space is dry.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.data.target import Target
from balto.errors import InputError
from balto.programs import inlining
from balto.programs.extract import Drawn, extract
from balto.programs.nests import read
from balto.workers.tvm_setup import import_tvm, tvm_target

#: Programs drawn at a time, at most; part of what a seed means.
POPULATION = 256
#: The space is taken to be dry after this many draws in a row without a new program.
DRY_DRAWS = 4


@dataclass(frozen=True, eq=False)
class Sampled:
    """Distinct random programs of one task.

    Attributes:
        traces: JSON of each program's schedule trace.
        features: by feature set, one ``rows x width`` float32 array a program.
        hashes: of each program's structure.
    """

    traces: list[str]
    features: dict[str, list[NDArray[np.float32]]]
    hashes: list[int]


def sample_in_worker(
    module_json: str, target: Target, count: int, seed: int, sets: Sequence[str]
) -> Sampled:
    """Draw up to `count` distinct programs; fewer where the space has fewer.

    One thread: with more, TVM's draw depends on their timing. May crash the process on modules
    that TVM cannot handle: that is why it runs in a worker.

    Args:
        module_json: TVM's JSON of the task's module.
        target: of the task.
        count: how many.
        seed: fixes the draw.
        sets: names of the feature sets to extract.

    Raises:
        InputError: If inlining makes a value of the task too large (`balto.programs.inlining`).
    """
    context = search_context(module_json, target, seed)
    import tvm_ffi
    from tvm.s_tir import meta_schedule as ms

    if (operations := inlining.operations(read(context.mod))) > inlining.MOST:
        raise InputError(
            f"inlining makes a value of it {operations:,} operations, more than {inlining.MOST:,}: "
            "its programs would be slow to make and to run"
        )
    spaces = context.generate_design_space()
    if target.on_cpu and _is_decided(spaces):
        count = 1
    context.pre_tuning(
        max_trials=POPULATION,
        num_trials_per_iter=POPULATION,
        design_spaces=spaces,
        database=ms.database.MemoryDatabase(),
        cost_model=ms.cost_model.RandomModel(),
    )
    draw = tvm_ffi.get_global_func(
        "s_tir.meta_schedule.SearchStrategyEvolutionarySearchSampleInitPopulation"
    )
    distinct: dict[int, Any] = {}
    dry = 0
    while len(distinct) < count and dry < DRY_DRAWS:
        before = len(distinct)
        for schedule in draw(context.search_strategy, min(count, POPULATION)):
            distinct.setdefault(tvm_ffi.structural_hash(schedule.mod), schedule)
        dry = 0 if len(distinct) > before else dry + 1
    hashes, schedules = list(distinct)[:count], list(distinct.values())[:count]
    traces = [trace_json(schedule) for schedule in schedules]
    return Sampled(traces, extract(Drawn(context, schedules, traces), sets), hashes)


def _is_decided(spaces: Sequence[Any]) -> bool:
    """Whether a design space has one program alone: one sketch, which leaves nothing open.

    Drawing it again and again shows the same. Not for a GPU, where postprocessors decide too.
    """
    kinds = (each.kind.name for space in spaces for each in space.trace.insts)
    return len(spaces) == 1 and not any(kind.startswith("Sample") for kind in kinds)


def search_context(module_json: str, target: Target, seed: int) -> Any:
    """MetaSchedule's ``TuneContext`` of a task, on one thread."""
    tvm = import_tvm(target)
    from tvm.s_tir import meta_schedule as ms

    return ms.TuneContext(
        mod=tvm.ir.load_json(module_json),
        target=tvm_target(target),
        space_generator="post-order-apply",
        # By default it draws 50 at least, however few are wanted.
        search_strategy=ms.search_strategy.EvolutionarySearch(
            population_size=POPULATION, init_min_unmeasured=1
        ),
        task_name="main",
        rand_state=seed % (2**31 - 2) + 1,  # TVM's generator takes 1 .. 2^31 - 2
        num_threads=1,
    )


def trace_json(schedule: Any) -> str:
    """JSON of a TVM schedule's trace."""
    return json.dumps(_plain(schedule.trace.as_json()))


def _plain(value: Any) -> Any:
    """TVM's JSON containers and numbers as Python's."""
    if isinstance(value, str | bool) or value is None:
        return str(value) if isinstance(value, str) else value
    if isinstance(value, int | float):
        return int(value) if isinstance(value, int) else float(value)
    if hasattr(value, "value"):  # IntImm, FloatImm
        return value.value
    return [_plain(v) for v in value]

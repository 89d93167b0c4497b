"""The benchmarks' own programs: five operators, sampled at random from MetaSchedule's space."""

from __future__ import annotations

import json
from typing import Any

from balto.measure.measurer import Candidate
from balto.measure.tvm_setup import import_tvm
from balto.measure.worker import Worker
from balto.tasks.task import Task

#: Operator, its arguments for `te_workload`, by name.
WORKLOADS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "gemm_256": ("matmul", (256, 256, 256)),
    "conv2d_28_128": ("conv2d_nhwc", (1, 28, 28, 128, 128, 3, 1, 1)),
    "depthwise_28_192": ("depthwise_conv2d_nhwc", (1, 28, 28, 192, 3, 1, 1)),
    "batch_matmul_12_128": ("batch_matmul_nkkm", (12, 128, 64, 128)),
    "softmax_1536_128": ("softmax_mn", (1536, 128)),
}


def candidates(programs: int, target: str, seed: int = 0) -> list[Candidate]:
    """`programs` random programs of each operator, those of different operators in turns."""
    tasks = []
    with Worker(preload=[("balto.measure.tvm_setup:import_tvm", target)]) as worker:
        for name, (op, args) in WORKLOADS.items():
            module, traces = worker.call(
                "benchmarks._workloads:sample", op, args, target, programs, seed, deadline_s=120
            )
            task = Task(name, op, json.dumps(args), 1, target, "this CPU", module=module)
            tasks.append((task, traces))
    return [
        Candidate(task, task_id, i, traces[i])
        for i in range(programs)
        for task_id, (task, traces) in enumerate(tasks)
        if i < len(traces)
    ]


def sample(
    op: str, args: tuple[Any, ...], target: str, programs: int, seed: int
) -> tuple[str, list[str]]:
    """JSON of the operator's module, and of the traces of distinct random programs of it."""
    tvm = import_tvm(target)
    import tvm_ffi
    from tvm.s_tir import meta_schedule as ms
    from tvm.s_tir.meta_schedule.testing import te_workload

    function = tvm.te.create_prim_func(getattr(te_workload, op)(*args))
    module = tvm.IRModule({"main": function})
    strategy = ms.search_strategy.EvolutionarySearch(population_size=4 * programs)
    context = ms.TuneContext(
        mod=module,
        target=tvm.target.Target(json.loads(target)),
        space_generator="post-order-apply",
        search_strategy=strategy,
        rand_state=seed + 1,
        num_threads=1,
    )
    context.pre_tuning(
        max_trials=programs,
        num_trials_per_iter=programs,
        design_spaces=context.generate_design_space(),
        database=ms.database.MemoryDatabase(),
        cost_model=ms.cost_model.RandomModel(),
    )
    draw = tvm_ffi.get_global_func(
        "s_tir.meta_schedule.SearchStrategyEvolutionarySearchSampleInitPopulation"
    )
    drawn = draw(context.search_strategy, 4 * programs)
    distinct = dict.fromkeys(json.dumps(_plain(s.trace.as_json())) for s in drawn)
    return tvm.ir.save_json(module), list(distinct)[:programs]


def _plain(value: Any) -> Any:
    """TVM's numbers inside a trace as Python's."""
    if value is None or isinstance(value, str | int | float):
        return value
    if hasattr(value, "value"):
        return value.value
    return [_plain(v) for v in value]

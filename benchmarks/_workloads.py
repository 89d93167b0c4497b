"""The benchmarks' own programs: five operators, sampled at random from MetaSchedule's space."""

from __future__ import annotations

import json
from typing import Any

from balto.data.candidate import Candidate
from balto.data.target import Target
from balto.data.task import Task
from balto.programs.sample import sample_in_worker
from balto.tasks.devices import resolve
from balto.workers.tvm_setup import import_tvm
from balto.workers.worker import Worker

#: Operator, its arguments for `te_workload`, by name.
WORKLOADS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "gemm_256": ("matmul", (256, 256, 256)),
    "conv2d_28_128": ("conv2d_nhwc", (1, 28, 28, 128, 128, 3, 1, 1)),
    "depthwise_28_192": ("depthwise_conv2d_nhwc", (1, 28, 28, 192, 3, 1, 1)),
    "batch_matmul_12_128": ("batch_matmul_nkkm", (12, 128, 64, 128)),
    "softmax_1536_128": ("softmax_mn", (1536, 128)),
}


def candidates(programs: int, target: str = "llvm", seed: int = 0) -> list[Candidate]:
    """`programs` random programs of each operator, those of different operators in turns.

    Args:
        programs: how many of each; fewer where the space has fewer.
        target: as for ``balto pretrain --target``: ``llvm`` is this machine, on one core.
        seed: of the draw.
    """
    tasks = []
    with Worker(preload=[("balto.workers.tvm_setup:import_tvm",)]) as worker:
        resolved = worker.call("benchmarks._workloads:resolved", target, deadline_s=60)
        for name, (op, args) in WORKLOADS.items():
            module, traces = worker.call(
                "benchmarks._workloads:sample", op, args, resolved, programs, seed, deadline_s=120
            )
            task = Task(name, op, json.dumps(args), 1, resolved, "this CPU", module=module)
            tasks.append((task, traces))
    return [
        Candidate(task, task_id, i, traces[i])
        for i in range(programs)
        for task_id, (task, traces) in enumerate(tasks)
        if i < len(traces)
    ]


def resolved(target: str) -> Target:
    """Runs in the worker: the target, with what it leaves open filled in."""
    import_tvm()
    return resolve(Target.parse(target))


def sample(
    op: str, args: tuple[Any, ...], target: Target, programs: int, seed: int
) -> tuple[str, list[str]]:
    """JSON of the operator's module, and of the traces of distinct random programs of it."""
    tvm = import_tvm(target)
    from tvm.s_tir.meta_schedule.testing import te_workload

    function = tvm.te.create_prim_func(getattr(te_workload, op)(*args))
    module = tvm.ir.save_json(tvm.IRModule({"main": function}))
    return module, sample_in_worker(module, target, programs, seed, ()).traces

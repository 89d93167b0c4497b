"""Programs that fail for real: what the soak mixes in."""

from __future__ import annotations

from balto.data.target import Target
from balto.data.task import Task
from balto.workers.tvm_setup import import_tvm
from balto.workers.worker import Worker

#: Bodies of functions of two buffers of 1,024 float32.
FAULTS = {
    "segfault": "for i in range(1024):\n    C[T.int64(i) * T.int64(1 << 44)] = A[i]",
    "endless": (
        "for i in T.serial(T.int64(1 << 60)):\n"
        "    C[i % T.int64(1024)] = C[i % T.int64(1024)] * A[i % T.int64(512)] + T.float32(1)"
    ),
    "huge": (
        'B = T.alloc_buffer((1 << 34,), "float32")\n'
        "for i in T.serial(T.int64(1 << 34)):\n    B[i] = A[i % T.int64(1024)]\n"
        "for i in T.serial(T.int64(1 << 34)):\n    C[i % T.int64(1024)] = B[i] + C[0]"
    ),
}

_SOURCE = """
# from tvm.script import ir as I
# from tvm.script import tirx as T

@I.ir_module
class Module:
    @T.prim_func(s_tir=True)
    def main(A: T.Buffer((1024,), "float32"), C: T.Buffer((1024,), "float32")):
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
"""


def faulty(target: Target) -> dict[str, Task]:
    """One task of each fault."""
    with Worker() as worker:
        modules: dict[str, str] = worker.call("benchmarks._faults:make", target, deadline_s=60)
    return {
        name: Task(name, name, "[]", 1, target, "this CPU", module=module)
        for name, module in modules.items()
    }


def make(target: Target) -> dict[str, str]:
    """Runs in the worker."""
    tvm = import_tvm(target)
    made = {}
    for name, body in FAULTS.items():
        source = _SOURCE + "\n".join(" " * 8 + line for line in body.splitlines())
        made[name] = tvm.ir.save_json(tvm.script.from_source(source))
    return made

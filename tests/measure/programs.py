"""Programs for the tests: sound ones, and ones that do the worst that a program can do."""

from __future__ import annotations

import functools

from balto.data.candidate import Candidate
from balto.data.target import Target
from balto.data.task import Task
from balto.workers.tvm_setup import import_tvm
from balto.workers.worker import Worker

TARGET = Target("llvm", cores=1)

_SOURCE = """
# from tvm.script import ir as I
# from tvm.script import tirx as T

@I.ir_module
class Module:
    @T.prim_func(s_tir=True)
    def main(A: T.Buffer(({size},), "float32"), C: T.Buffer(({size},), "float32")):
        T.func_attr({{"global_symbol": "main", "tirx.noalias": True}})
{body}
"""

#: What each program does, as the body of a function of buffers A and C.
BODIES = {
    "sound": "for i in range(1024):\n    C[i] = A[i] + T.float32(1)",
    "slower": (
        "for i in range(1024):\n    for j in range(100):\n        C[i] = A[i] * C[i] + T.float32(j)"
    ),
    "segfault": "for i in range(1024):\n    C[T.int64(i) * T.int64(1 << 44)] = A[i]",
    "abort": 'T.evaluate(T.call_extern("int32", "abort"))',
    "endless": (
        "for i in T.serial(T.int64(1 << 60)):\n"
        "    C[i % T.int64(1024)] = C[i % T.int64(1024)] * A[i % T.int64(512)] + T.float32(1)"
    ),
    "huge": (
        'B = T.alloc_buffer((1 << 34,), "float32")\n'
        "for i in T.serial(T.int64(1 << 34)):\n    B[i] = A[i % T.int64(1024)]\n"
        "for i in T.serial(T.int64(1 << 34)):\n    C[i % T.int64(1024)] = B[i] + C[0]"
    ),
    "slow-build": (
        "for i in T.unroll(100000):\n    C[i % 1024] = C[(i * 7) % 1024] * A[(i * 5) % 1024]"
    ),
    "long": (
        "for i in range(1024):\n    for j in range(50000):\n"
        "        C[i] = A[i] * C[i] + T.float32(j)"
    ),
    "builds-long": (
        "for i in T.unroll(1000):\n    C[i % 1024] = C[(i * 7) % 1024] * A[(i * 5) % 1024]"
    ),
    "kills-itself": 'T.evaluate(T.call_extern("int32", "raise", 9))',
    "unbuildable": 'C[0] = T.call_extern("float32", "no_such_function_anywhere", A[0])',
    "raises": 'T.evaluate(T.call_packed("balto.test.no_such_function", A[0]))',
}


def candidate(kind: str, program_id: int = 0) -> Candidate:
    """A program of its own task, which is also called `kind`."""
    task = Task(kind, "test", "[]", 1, TARGET, "this CPU", module=modules()[kind])
    return Candidate(task, sorted(BODIES).index(kind), program_id, trace="")  # as it is


@functools.cache
def modules() -> dict[str, str]:
    """TVM's JSON of every program, made in a process of its own."""
    with Worker() as worker:
        made: dict[str, str] = worker.call("tests.measure.programs:make", deadline_s=60)
    return made


def make() -> dict[str, str]:
    """Runs in the worker."""
    tvm = import_tvm(TARGET)
    made = {}
    for kind, body in BODIES.items():
        indented = "\n".join(" " * 8 + line for line in body.splitlines())
        source = _SOURCE.format(size=1024, body=indented)
        made[kind] = tvm.ir.save_json(tvm.script.from_source(source))
    return made

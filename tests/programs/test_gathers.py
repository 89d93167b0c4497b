"""Where LLVM's SLP vectoriser would spend seconds for nothing, and that it is for nothing."""

from __future__ import annotations

import pytest

from balto.data.target import LLVM, Target
from balto.programs.assembly import assembly_of
from balto.programs.gathers import MANY, gathered, to_compile
from balto.workers.tvm_setup import import_tvm

pytest.importorskip("tvm")

_SOURCE = """
# from tvm.script import ir as I
# from tvm.script import tirx as T

@I.ir_module
class Module:
    @T.prim_func(s_tir=True)
    def main(A: T.Buffer((32, {rows}), "float32"), C: T.Buffer(({rows}, 32), "float32")):
        T.func_attr({{"global_symbol": "main", "tirx.noalias": True}})
        for i in T.{kind}({rows}):
            for j in T.vectorized(32):
                C[i, j] = A[{index}]
"""


def copies(rows: int, kind: str, index: str) -> object:
    tvm = import_tvm()
    return tvm.script.from_source(_SOURCE.format(rows=rows, kind=kind, index=index))


@pytest.mark.parametrize(
    ("kind", "index", "expected"),
    [
        ("unroll", "j, i", 1024),
        ("serial", "j, i", 32),  # in a loop: 32 values in one piece of straight code
        ("unroll", "i, j", 0),  # neighbours
        ("unroll", "0, i", 0),  # one value for all lanes
    ],
)
def test_values_from_scattered_places_are_counted(kind: str, index: str, expected: int) -> None:
    assert gathered(copies(32, kind, index)) == expected


def test_only_llvm_is_told_to_leave_it_out_and_only_of_such_programs() -> None:
    many, few = copies(32, "unroll", "j, i"), copies(16, "unroll", "j, i")
    assert gathered(few) < MANY <= gathered(many)
    target = Target.from_dict({"kind": "llvm", "cl-opt": ["-unroll-threshold:uint=100"]})
    told = to_compile(many, target)
    options = ["-unroll-threshold:uint=100", "-vectorize-slp:bool=0"]
    assert told == Target.from_dict({"kind": "llvm", "cl-opt": options})
    assert to_compile(few, target) == target
    assert to_compile(many, Target("c")) == Target("c")


@pytest.mark.parametrize("mcpu", ["sapphirerapids", "znver3", "x86-64"])
def test_the_machine_code_is_the_same_without_it(mcpu: str) -> None:
    tvm = import_tvm()
    target = Target.from_dict({"kind": "llvm", "mtriple": "x86_64-linux-gnu", "mcpu": mcpu})
    module = copies(32, "unroll", "j, i")
    without = to_compile(module, target)
    assert without != target
    with_it, left_out = (
        assembly_of(module, tvm.target.Target(each.to_dict())) for each in (target, without)
    )
    assert with_it == left_out
    assert with_it != assembly_of(copies(32, "unroll", "i, j"), tvm.target.Target(target.to_dict()))


def test_a_plain_target_is_what_it_was() -> None:
    assert to_compile(copies(32, "unroll", "i, j"), LLVM) is LLVM

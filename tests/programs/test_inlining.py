"""A task whose values become too large by inlining is not drawn; one program is drawn once."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import balto
from balto.data.features import drawn_sets
from balto.errors import InputError
from balto.programs import inlining
from balto.programs.nests import Access, Buffer, Program, Statement
from balto.tasks.own import task_of
from balto.workers.worker import Worker

SAMPLE = "balto.programs.sample:sample_in_worker"


def chain(uses: list[tuple[int, int]], summed: int | None) -> Program:
    """Statements of so many operations that use the value before so many times."""
    accesses = [Access(Buffer([1], 4, "global", local=True), [{}], [1]) for _ in range(9)]
    statements = [
        Statement([], set(), accesses[k + 1], [accesses[k]] * times, k == summed, {"add": count})
        for k, (count, times) in enumerate(uses)
    ]
    return Program(statements, [])


def spelled_out(uses: list[tuple[int, int]], k: int, summed: int | None) -> str:
    """The expression of a value, an ``o`` for every operation and an ``x`` for every load."""
    operations, times = uses[k]
    loaded = "x" if k == 0 or k - 1 == summed else spelled_out(uses, k - 1, summed)
    return "o" * operations + loaded * times


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=6),
    st.none() | st.integers(0, 5),
)
def test_operations_are_those_of_the_longest_expression_spelled_out(
    uses: list[tuple[int, int]], summed: int | None
) -> None:
    expressions = [spelled_out(uses, k, summed) for k in range(len(uses))]
    assert inlining.operations(chain(uses, summed)) == max(map(len, expressions))


def powers(times: int) -> balto.Task:
    """``y = x * x + x``, so many times in one function: each uses the value before three times."""
    from tvm import te

    def step(value: Any) -> Any:
        return te.compute((8, 8), lambda *i: value(*i) * value(*i) + value(*i), name="step")

    x = value = te.placeholder((8, 8), name="x")
    for _ in range(times):
        value = step(value)
    return task_of(te.create_prim_func([x, value]), name=f"powers{times}")


@pytest.mark.slow
def test_one_program_is_drawn_once_and_one_that_grows_too_large_not_at_all() -> None:
    pytest.importorskip("tvm")
    with Worker() as worker:
        small = powers(4)
        arguments = (small.module, small.target, 100_000, 0, drawn_sets())
        drawn = worker.call(SAMPLE, *arguments, deadline_s=120)
        assert len(drawn.traces) == 1
        assert not any(each[0].startswith("Sample") for each in json.loads(drawn.traces[0])[0])
    large, began = powers(14), time.monotonic()
    with pytest.raises(InputError, match=r"TVM cannot sample it: inlining .* 9,565,937 oper"):
        balto.sample(large, 64)
    assert time.monotonic() - began < 60

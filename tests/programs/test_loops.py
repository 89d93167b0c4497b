"""What loop nests say, on small programs whose numbers are known, and on TVM's own programs."""

from __future__ import annotations

import json
import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import balto
from balto.data.pool_reader import read_pool
from balto.data.target import Target
from balto.programs import cycles, decisions, loops, nests
from balto.programs.sample import sample_in_worker
from balto.programs.schedule import schedule
from balto.tasks.operators import module
from balto.workers.tvm_setup import import_tvm

ROOT = Path(balto.__file__).parents[1]
CUDA = {
    "kind": "cuda",
    "arch": "sm_80",
    "thread_warp_size": 32,
    "max_threads_per_block": 1024,
    "max_num_threads": 1024,
    "max_shared_memory_per_block": 49152,
    "registers_per_block": 65536,
}


@pytest.fixture(scope="module")
def tvm():
    return import_tvm()


def product_of(tvm, n=16, m=32, k=8):
    """An unscheduled matrix product, and its block and loops."""
    sch = tvm.s_tir.Schedule(module("matmul", [n, m, k]))
    block = sch.get_sblock("C")
    return sch, block, sch.get_loops(block)


def columns_of(sch):
    return dict(zip(loops.COLUMNS, loops.extract([sch.mod])[0].tolist(), strict=True))


def test_a_matrix_product_is_read_as_it_is(tvm):
    sch, _, _ = product_of(tvm)
    (statement,) = [s for s in nests.read(sch.mod).statements if s.accumulates]
    assert [loop.extent for loop in statement.loops] == [16, 32, 8]
    assert statement.reduces == {2}
    assert statement.iterations == 16 * 32 * 8
    assert [a.buffer.shape for a in statement.loads] == [[16, 8], [8, 32]]
    assert statement.operations == {"add": 1, "multiply": 1}


def test_strides_and_footprints_from_the_innermost_loop(tvm):
    sch, _, (_, j, k) = product_of(tvm)
    sch.reorder(k, j)
    c = columns_of(sch)
    assert c["main.loop0.extent"] == 5  # j, 32 iterations
    assert c["main.loop0.reduces"] == 0
    strides = [c[f"main.loop0.stride.{a}"] for a in ("store", "load1", "load2")]
    assert strides == [1, 0, 1]  # C and B walk on, A stays
    elements = [2 ** c[f"main.loop1.elements.{a}"] - 1 for a in ("store", "load1", "load2")]
    assert elements == pytest.approx([32, 8, 8 * 32], rel=1e-5)  # within j and k
    assert 2 ** c["main.accumulators"] - 1 == pytest.approx(32)


def test_fused_loops_are_seen_through(tvm):
    sch, _, (i, j, _) = product_of(tvm)
    sch.fuse(i, j)
    (statement,) = [s for s in nests.read(sch.mod).statements if s.accumulates]
    fused = statement.loops[0].number
    assert statement.store.index == [{(fused, 32, 16): 1}, {(fused, 1, 32): 1}]


@pytest.mark.parametrize(("limit", "copies"), [(0, 1), (16, 8), (256, 8 * 32)])
def test_loops_are_unrolled_as_far_as_the_limit_goes(tvm, limit, copies):
    sch, block, (i, _, _) = product_of(tvm)
    if limit:
        sch.annotate(i, "pragma_auto_unroll_max_step", limit)
        sch.annotate(i, "pragma_unroll_explicit", 1)
    sch.decompose_reduction(block, i)
    c = columns_of(sch)
    assert 2 ** c["main.copies"] == copies
    assert loads_after_unrolling(tvm, sch.mod) == copies


def loads_after_unrolling(tvm, mod):
    """Copies of the load of A that TVM's own passes leave."""
    for step in ("ConvertBlocksToOpaque", "CompactBufferAllocation", "LowerOpaqueBlock"):
        mod = getattr(tvm.s_tir.transform, step)()(mod)
    return tvm.tirx.transform.UnrollLoop()(mod).script().count("A[")


def test_a_buffer_is_as_large_as_what_is_used_of_it_at_once(tvm):
    sch, block, (i, _, _) = product_of(tvm)
    sch.reverse_compute_at(sch.cache_write(block, 0, "global"), i)
    statements = nests.read(sch.mod).statements
    assert statements[-1].loads[0].buffer.shape == [1, 32]  # one row of C at a time


def test_what_conditions_ask_is_decided_when_their_loops_are_unrolled():
    open_ = loops.COLUMNS.index("main.condition.open")
    pool = read_pool(ROOT / "pools" / "epyc-avx2")
    task = next(k for k, t in enumerate(pool.tasks) if t.op == "conv2d_transpose_nhwc")
    table = rows_of(pool, task, 40)
    assert {0.0, 1.0, 2.0} <= set(table[:, open_].tolist())


def rows_of(pool, task, count, feature_set=loops):
    tvm = import_tvm(pool.tasks[task].target)
    json_ = tvm.ir.save_json(module(pool.tasks[task].op, json.loads(pool.tasks[task].args)))
    programs = pool.programs(task)[:count]
    return feature_set.extract(schedule(json_, pool.traces[i]).mod for i in programs)


@pytest.mark.parametrize("feature_set", [loops, cycles])
@pytest.mark.parametrize("name", ["epyc-avx2", "epyc-sse"])
def test_programs_of_every_task_have_finite_and_repeatable_rows(name, feature_set):
    pool = read_pool(ROOT / "pools" / name)
    for task in range(len(pool.tasks)):
        table = rows_of(pool, task, 4, feature_set)
        assert np.isfinite(table).all()
        assert len(np.unique(table, axis=0)) == 4  # distinct programs, distinct rows
        np.testing.assert_array_equal(table, rows_of(pool, task, 4, feature_set))


@pytest.mark.slow
def test_gpu_programs_have_threads_shared_memory_and_tensor_intrinsics():
    """Scheduled for a GPU that need not be there."""
    target = Target.from_dict(CUDA)
    tvm = import_tvm(target)
    from tvm import te
    from tvm.s_tir.meta_schedule.testing import te_workload

    half = te_workload.matmul(256, 256, 256, in_dtype="float16", out_dtype="float32")
    for function, intrinsics in (
        (te.create_prim_func(te_workload.matmul(256, 256, 256)), False),
        (te.create_prim_func(half), True),
    ):
        json_ = tvm.ir.save_json(tvm.IRModule({"main": function}))
        traces = sample_in_worker(json_, target, 4, 0, []).traces
        table = loops.extract(schedule(json_, trace).mod for trace in traces)
        column = {name: table[:, k] for k, name in enumerate(loops.COLUMNS)}
        assert np.isfinite(table).all()
        assert np.isfinite(decisions.extract(traces)).all()
        assert np.isfinite(cycles.extract(schedule(json_, t).mod for t in traces)).all()
        assert (column["program.block_threads"] >= 5).all()  # a warp at least
        assert (column["program.shared_bytes"] > 0).all()
        assert ((column["program.intrinsics"] > 0) == intrinsics).all()
        assert (decisions.extract(traces)[:, decisions.COLUMNS.index("spatial.number")] == 2).all()


def documented(name):
    """Names in a set's table of docs/features.md, with ``{a,b}`` and ``{0..3}`` written out."""
    section = (ROOT / "docs" / "features.md").read_text().split(f"## `{name}`")[1].split("\n## ")[0]
    found = []
    for cell in re.findall(r"^\| ((?:`[^`]+`(?:, )?)+) \|", section, re.MULTILINE):
        for pattern in re.findall(r"`([^`]+)`", cell):
            parts = re.split(r"\{([^}]+)\}", pattern)
            choices = [[part] if k % 2 == 0 else spelled(part) for k, part in enumerate(parts)]
            found += ["".join(choice) for choice in product(*choices)]
    return found


def spelled(choices):
    if ".." in choices:
        first, last = map(int, choices.split(".."))
        return [str(k) for k in range(first, last + 1)]
    return choices.split(",")


@pytest.mark.parametrize("feature_set", [cycles, loops, decisions])
def test_every_column_is_documented_once(feature_set):
    names = documented(feature_set.NAME)
    assert sorted(names) == sorted(feature_set.COLUMNS)


def test_the_sets_are_as_wide_as_pools_and_models_are_told():
    from balto.data.features import CYCLES, DECISIONS, LOOPS

    for columns, told in ((decisions, DECISIONS), (loops, LOOPS), (cycles, CYCLES)):
        there = (columns.NAME, columns.VERSION, len(columns.COLUMNS))
        assert there == (told.name, told.version, told.width)

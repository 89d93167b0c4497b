"""What a compiler makes of loop nests: small programs whose code is known, and recorded ones."""

from __future__ import annotations

from math import log2
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

import balto
from balto.data.pool_reader import read_pool
from balto.programs import cycles, llvm
from balto.tasks.operators import module
from balto.workers.tvm_setup import import_tvm

POOLS = Path(balto.__file__).parents[1] / "pools"


@pytest.fixture(scope="module")
def tvm():
    return import_tvm()


def product_of(tvm, n, m, k):
    """An unscheduled matrix product, and its loops."""
    sch = tvm.s_tir.Schedule(module("matmul", [n, m, k]))
    return sch, sch.get_loops(sch.get_sblock("C"))


def columns_of(sch):
    return dict(zip(cycles.COLUMNS, cycles.extract([sch.mod])[0].tolist(), strict=True))


def test_a_short_reduction_is_unrolled_and_the_loop_around_it_vectorised(tvm):
    """As in LLVM's assembly of this product: 32 multiply-adds of 8 lanes, then a jump."""
    sch, _ = product_of(tvm, 16, 32, 8)
    columns = columns_of(sch)
    assert (columns["main.widened"], columns["main.lanes"], columns["main.grown"]) == (1, 8, 2)
    assert columns["main.issued"] == pytest.approx(log2(1 + 32))
    assert columns["main.vectors.store"] == pytest.approx(log2(1 + 32 / 8))
    assert columns["main.hot.extent"] == log2(16)


def test_a_long_reduction_stays_a_loop_and_nothing_is_vectorised(tvm):
    sch, _ = product_of(tvm, 16, 32, 256)
    columns = columns_of(sch)
    assert (columns["main.widened"], columns["main.lanes"], columns["main.grown"]) == (0, 1, 0)
    assert columns["main.hot.reduces"] == 1
    assert columns["main.stays"] == log2(256)  # the accumulator is in a register all the while
    assert columns["main.chain"] == pytest.approx(log2(llvm.CHAIN))


def vectorised(tvm, rows, lanes):
    """A product whose hot loop is the reduction, around `rows` vectors of `lanes` accumulators."""
    sch, (i, j, k) = product_of(tvm, 96, 96, 256)
    i0, i1 = sch.split(i, [None, rows])
    j0, j1 = sch.split(j, [None, lanes])
    sch.reorder(i0, j0, k, i1, j1)
    sch.vectorize(j1)
    return columns_of(sch)


def test_accumulators_that_do_not_fit_into_the_registers_are_spilled(tvm):
    fits, spills = vectorised(tvm, 8, 8), vectorised(tvm, 32, 8)
    assert fits["main.spilled"] == 0
    there_are = llvm.REGISTERS - llvm.OPERANDS
    assert spills["main.spilled"] == pytest.approx(log2(1 + 32 - there_are), abs=0.1)


def test_few_accumulators_wait_for_each_other(tvm):
    one, eight = vectorised(tvm, 1, 8), vectorised(tvm, 8, 8)
    assert one["main.step"] > eight["main.step"] + 1.5  # cycles for one of eight lanes
    assert one["main.chain"] == pytest.approx(log2(llvm.CHAIN / 8))


def test_odd_vectors_that_go_around_a_loop_are_taken_apart(tvm):
    even, odd, small = (vectorised(tvm, 8, lanes) for lanes in (16, 12, 6))
    assert odd["main.scattered"] == pytest.approx(log2(1 + 8 * 12))
    assert even["main.scattered"] == small["main.scattered"] == 0
    assert odd["main.step"] > even["main.step"] + 3


@pytest.mark.parametrize(("width", "crowded"), [(1024, True), (1040, False)])
def test_strides_of_a_power_of_two_crowd_into_few_sets_of_the_cache(tvm, width, crowded):
    """64 rows, 4 KiB apart, are 64 lines in one set; 65 lines apart, they are in 64."""
    sch, (i, j, k) = product_of(tvm, 64, width, 4)
    sch.reorder(j, k, i)
    assert columns_of(sch)["main.crowded"] == (6.0 if crowded else 0.0)


@pytest.mark.parametrize("name", ["epyc-avx2", "epyc-sse", "epyc-avx512"])
def test_no_estimate_is_below_its_parts(name):
    rows = read_pool(POOLS / name).features["cycles"].rows
    column = {name: rows[:, k] for k, name in enumerate(cycles.COLUMNS)}
    assert np.isfinite(rows).all()
    assert (column["main.step"] >= column["main.ports"]).all()
    assert (column["main.step"] >= column["main.chain"]).all()
    assert (column["program.cycles"] >= column["program.main"]).all()
    assert (column["program.both"] >= column["program.longer"]).all()
    assert (column["program.longer"] >= column["program.memory"]).all()
    assert (column["main.grown"] >= 0).all()
    assert (column["main.crowded"] >= 0).all()


@pytest.mark.parametrize(("name", "least"), [("epyc-avx2", 0.6), ("epyc-sse", 0.6)])
def test_the_estimate_alone_ranks_the_recorded_programs_of_a_task(name, least):
    pool = read_pool(POOLS / name)
    estimate = pool.features["cycles"].rows[:, cycles.COLUMNS.index("program.both")]
    ranks = []
    for k in range(len(pool.tasks)):
        programs = np.array([i for i in pool.programs(k) if pool.outcomes.ok[i]])
        ranks.append(spearmanr(estimate[programs], pool.latency_s[programs]).statistic)
    assert np.mean(ranks) > least
    assert min(ranks) > 0.3

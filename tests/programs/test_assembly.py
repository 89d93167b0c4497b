"""What compiled code says: assembly that is written down here, programs that LLVM compiles."""

from __future__ import annotations

from dataclasses import replace
from math import log2
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import balto
from balto.cli import cli
from balto.data.features import ASSEMBLY, FEATURE_SETS, drawn_sets
from balto.data.pool_reader import read_pool
from balto.data.pool_writer import write_pool
from balto.errors import InputError
from balto.programs import assembly
from balto.tasks.operators import module
from balto.workers.tvm_setup import import_tvm

POOLS = Path(balto.__file__).parents[1] / "pools"

#: Eight lanes and one, a load, a spilled register and its reload; around it a loop that copies.
WRITTEN = """
main:
\tpushq\t%rbx
.LBB0_1:
\tvmovaps\t(%rdi), %ymm0
.LBB0_2:
\tvmovups\t32(%rsp), %ymm1
\tvfmadd231ps\t(%rdi,%rax,4), %ymm0, %ymm1
\tvfmadd231ss\t%xmm2, %xmm3, %xmm4
\tvmovups\t%ymm1, 32(%rsp)
\taddq\t$8, %rax
\tjne\t.LBB0_2
\tvmovaps\t%ymm1, (%rsi)
\tjne\t.LBB0_1
\tretq
"""


def test_of_a_loop_that_is_written_down():
    row = dict(zip(assembly.COLUMNS, assembly.row(WRITTEN), strict=True))
    count = {name: round(2**value - 1) for name, value in row.items()}
    assert (count["hot.fma"], count["hot.ymm"], count["hot.xmm"], count["hot.scalar"]) == (
        2,
        3,
        1,
        1,
    )
    assert (count["hot.load"], count["hot.store"], count["hot.spill"]) == (2, 1, 2)
    assert (count["hot.instructions"], count["all.instructions"], count["loops"]) == (6, 11, 2)
    assert (count["all.load"], count["all.store"]) == (3, 2)
    assert count["hot.products"] == 9
    assert row["hot.share"] == pytest.approx(6 / 11)
    assert row["hot.load_each"] == pytest.approx(log2(assembly.FEW + 2 / 9))


@pytest.mark.parametrize("text", ["", "main:\n\tretq\n", "no assembly at all"])
def test_of_a_program_without_loops(text):
    row = dict(zip(assembly.COLUMNS, assembly.row(text), strict=True))
    assert np.isfinite(list(row.values())).all()
    assert row["loops"] == row["hot.fma"] == row["hot.share"] == 0
    assert row["hot.store_each"] == log2(assembly.FEW)


@pytest.fixture(scope="module")
def tvm():
    return import_tvm()


def compiled(tvm, rows, mcpu="haswell"):
    """A product whose reduction goes around `rows` vectors of 8 accumulators."""
    sch = tvm.s_tir.Schedule(module("matmul", [96, 96, 256]))
    i, j, k = sch.get_loops(sch.get_sblock("C"))
    i0, i1 = sch.split(i, [None, rows])
    j0, j1 = sch.split(j, [None, 8])
    sch.reorder(i0, j0, k, i1, j1)
    sch.vectorize(j1)
    sch.unroll(i1)
    sch.decompose_reduction(sch.get_sblock("C"), k)
    target = tvm.target.Target({"kind": "llvm", "mcpu": mcpu})
    return dict(zip(assembly.COLUMNS, assembly.extract([sch.mod], target)[0], strict=True))


def test_accumulators_that_do_not_fit_are_spilled(tvm):
    fits, spills = compiled(tvm, 8), compiled(tvm, 32)
    assert fits["hot.spill"] == fits["hot.store"] == 0
    assert spills["hot.spill"] > log2(1 + 32)
    assert spills["hot.store_each"] > fits["hot.store_each"] + 5


def test_a_processor_without_multiply_adds_has_none(tvm):
    new, old = compiled(tvm, 8), compiled(tvm, 4, "x86-64-v2")
    assert new["hot.fma"] >= log2(1 + 8) > old["hot.fma"] == 0
    assert old["hot.multiply"] > 0
    assert old["all.ymm"] == 0 < old["all.xmm"]
    assert old["hot.products"] > 0


def test_other_processors_are_refused(tvm):
    for description in ({"kind": "cuda", "arch": "sm_80"}, {"kind": "llvm", "mtriple": "aarch64"}):
        with pytest.raises(InputError, match="x86"):
            assembly.extract([], tvm.target.Target(description))


def test_a_target_without_a_triple_is_this_host(tvm, monkeypatch):
    target = tvm.target.Target({"kind": "llvm", "mcpu": "haswell"})
    assert "mtriple" not in target.attrs
    monkeypatch.setattr("platform.machine", lambda: "AMD64")
    assert assembly.extract([], target).shape == (0, len(assembly.COLUMNS))
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(InputError, match="x86"):
        assembly.extract([], target)


def test_it_is_made_only_where_it_is_asked_for():
    assert ASSEMBLY.name not in drawn_sets()
    assert set(drawn_sets([ASSEMBLY.name])) == set(FEATURE_SETS)
    assert len(assembly.COLUMNS) == ASSEMBLY.width
    assert (ASSEMBLY.name, ASSEMBLY.version) == (assembly.NAME, assembly.VERSION)


def few_programs(path, count=12):
    """The first programs of a recorded pool's first task, as a pool of their own."""
    whole = read_pool(POOLS / "epyc-avx2")
    chosen = np.arange(count)
    few = replace(
        whole,
        tasks=whole.tasks[:1],
        features=whole.features.take(chosen),
        outcomes=whole.outcomes.take(chosen),
        traces=whole.traces[:count],
        offsets=np.array([0, count]),
    )
    write_pool(few, path, unmeasured=True)


def test_a_recorded_pool_gains_it_and_xgb_reads_it(tvm, tmp_path):  # noqa: ARG001
    few_programs(tmp_path / "pool")
    run = CliRunner().invoke(cli, ["features", str(tmp_path / "pool"), "--assembly"])
    assert run.exit_code == 0, run.output
    pool = read_pool(tmp_path / "pool")
    assert ASSEMBLY.name in pool.features
    assert len(np.unique(pool.features[ASSEMBLY.name].rows, axis=0)) > 1
    default, told = balto.models.XGB(), balto.models.XGB(features="decisions+assembly")
    y = np.nanmin(pool.latency_s) / pool.latency_s
    for model in (default, told):
        model.fit(pool.features, y, pool.task_of_program)
    assert ASSEMBLY.name not in default.feature_sets
    assert told.feature_sets == ("decisions", ASSEMBLY.name)


@pytest.mark.slow
def test_a_campaign_makes_it_for_a_model_that_reads_it(tvm, tmp_path):  # noqa: ARG001
    arguments = ["pretrain", str(tmp_path / "run"), "--operator", "matmul:64x64x64"]
    arguments += ["--programs", "24", "--budget", "50%", "--rounds", "2", "--from", "none"]
    told = ["--model", "xgb:features=decisions+assembly"]
    run = CliRunner().invoke(cli, [*arguments, *told])
    assert run.exit_code == 0, run.output
    model, _ = balto.load_model(tmp_path / "run" / "model.balto")
    assert model.feature_sets == ("decisions", ASSEMBLY.name)

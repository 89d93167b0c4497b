"""Random programs: distinct, with features, the same for a seed in another process."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import balto
from balto.cli import cli
from balto.data.features import FEATURE_SETS, drawn_sets
from balto.errors import InputError, WorkerDied, WorkerRaised
from balto.tasks import extract_tasks
from balto.tasks.extract import Extracted
from balto.workers.worker import Worker

SAMPLE = "balto.programs.sample:sample_in_worker"
SETS = drawn_sets()


@pytest.fixture(scope="module")
def tasks():
    """A matrix product, and a pooling whose space is small."""
    return extract_tasks(operator_specs=["matmul:64x64x64", "max_pool2d_nchw:1x4x4x1x1"]).tasks


def draw(task, count, seed):
    with Worker() as worker:
        return worker.call(SAMPLE, task.module, task.target, count, seed, SETS, deadline_s=120)


@pytest.mark.slow
def test_programs_are_distinct_have_features_and_are_fixed_by_the_seed(tasks):
    first, again, other = (draw(tasks[0], 20, seed) for seed in (5, 5, 6))
    assert len(set(first.traces)) == 20
    assert tuple(first.features) == SETS
    assert first.traces == again.traces
    assert first.traces != other.traces
    for name, programs in first.features.items():
        assert len(programs) == 20
        width = FEATURE_SETS[name].width
        assert all(f.shape[1] == width and np.isfinite(f).all() for f in programs)
        assert all((a == b).all() for a, b in zip(programs, again.features[name], strict=True))


@pytest.mark.slow
def test_a_small_space_gives_all_that_it_has(tasks):
    sampled = draw(tasks[1], 2000, 0)
    assert 1 < len(sampled.traces) < 2000


@pytest.mark.slow
def test_a_module_that_tvm_cannot_sample_costs_that_call_alone(tasks):
    with Worker() as worker:
        with pytest.raises((WorkerRaised, WorkerDied)):
            worker.call(SAMPLE, "{}", tasks[0].target, 4, 0, SETS, deadline_s=120)
        good = (tasks[0].module, tasks[0].target, 4, 0, SETS)
        assert len(worker.call(SAMPLE, *good, deadline_s=120).traces) == 4


@pytest.mark.slow
def test_a_sample_is_a_pool_in_which_nothing_is_measured(tasks):
    pool = balto.sample(tasks, 6, seed=3)
    assert list(pool.tasks) == list(tasks)
    assert len(pool.traces) == len(pool) == len(pool.features) == pool.offsets[-1]
    assert pool.features.names == SETS
    assert not pool.outcomes.measured.any()
    alone = balto.sample(tasks[0], 6, seed=3)  # what is drawn of a task depends on no other
    assert list(alone.traces) == list(pool.traces)[:6]
    np.testing.assert_array_equal(alone.features["store"][2], pool.features["store"][2])
    assert list(balto.sample(tasks[0], 6, seed=4).traces) != list(alone.traces)


def test_a_sample_of_what_tvm_cannot_draw_is_one_clear_line(tasks):
    with pytest.raises(InputError, match=r"matmul.*: TVM cannot sample it") as error:
        balto.sample(replace(tasks[0], module="{}"), 4)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="at least one task"):
        balto.sample([])


@pytest.mark.slow
@pytest.mark.parametrize("good", [True, False], ids=["the-others-are-written", "none-is-left"])
def test_a_task_that_cannot_be_drawn_is_left_out_by_name(tasks, tmp_path, monkeypatch, good):
    bad = replace(tasks[0], module="{}")
    found = Extracted([bad, tasks[1]] if good else [bad], [("relu", "moves data only")])
    monkeypatch.setattr("balto.tasks.extract_tasks", lambda *_, **__: found)
    path = tmp_path / "p"
    result = CliRunner().invoke(cli, ["sample", str(path), "--operator", "x", "--programs", "4"])
    assert "left out relu: moves data only" in result.stderr
    assert f"left out {bad.name}: TVM cannot sample it" in result.stderr
    if good:
        assert result.exit_code == 0
        assert f"4 programs of 1 tasks written to {path}" in result.stderr
        assert "1 task left out by failure" in result.stderr
        assert balto.read_pool(path).tasks == [tasks[1]]
    else:
        assert isinstance(result.exception, InputError)  # which the command prints, with code 2
        assert "no task is left" in str(result.exception)
        assert not path.exists()

"""Sampling workers that are killed cost no task; only what crashes by itself again is left out."""

from __future__ import annotations

import signal
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from balto.campaign.sampling import draw_programs
from balto.data.features import drawn_sets
from balto.tasks import extract_tasks
from balto.workers.local import LocalExecutor
from balto.workers.worker import Worker
from tests.workers.killed_workers import killed

pytest.importorskip("tvm")

COUNT = 64


@pytest.fixture(scope="module")
def task():
    """A matrix product."""
    return extract_tasks(operator_specs=["matmul:64x64x64"]).tasks[0]


def draw(task, folder, worker):
    """The reasons of what is left out, and the traces that were drawn."""
    folder.mkdir()
    path = folder / "programs.parquet"
    with LocalExecutor([worker]) as executor:
        reasons = dict(draw_programs({0: task}, {0: path}, COUNT, 0, executor, drawn_sets()))
    return reasons[0], pq.read_table(path)["trace"].to_pylist() if path.exists() else []


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["start", ""], ids=["starting", "sampling"])
@pytest.mark.parametrize("times", [1, 4])
def test_a_kill_from_outside_changes_nothing(task, tmp_path, stage, times):
    worker = Worker()
    with killed(worker, stage, times) as pids:
        reason, traces = draw(task, tmp_path / "killed", worker)
    assert len(pids) == times
    assert reason.count == COUNT
    assert traces == draw(task, tmp_path / "calm", Worker())[1]


def test_a_task_whose_workers_are_killed_again_and_again_is_left_out(task, tmp_path):
    worker = Worker()
    with killed(worker, "", times=9) as pids:
        reason, traces = draw(task, tmp_path / "killed", worker)
    assert len(pids) == 5
    assert "SIGKILL" in reason
    assert not traces


def test_what_tvm_refuses_is_left_out_at_once(task, tmp_path):
    reason, _ = draw(replace(task, module="{}"), tmp_path / "bad", Worker())
    assert reason.startswith("TVM cannot sample it")
    assert signal.SIGKILL.name not in reason

"""Workers are forked from one process that has TVM; what it has is not what they see of ours."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
import warnings
from pathlib import Path

import psutil
import pytest

from balto.errors import WorkerDied
from balto.workers.worker import Worker

CALLS = "tests.workers.calls:"


def parent_of(worker: Worker) -> psutil.Process:
    return psutil.Process(worker.pid).parent()


def test_workers_come_from_one_process_that_is_our_child() -> None:
    with Worker() as one, Worker() as other:
        assert parent_of(one) == parent_of(other)
        assert parent_of(one).ppid() == os.getpid()


def test_tvm_is_there_before_it_is_asked_for_and_torch_is_not() -> None:
    pytest.importorskip("tvm")
    with Worker() as worker:
        loaded = worker.call(CALLS + "loaded", "tvm", "torch", deadline_s=60)
    assert loaded == [True, False]


def test_environment_folder_path_and_cpus_are_ours_of_the_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Worker() as earlier:
        assert earlier.call(CALLS + "surroundings", "BALTO_TEST", deadline_s=60)["value"] is None
        (tmp_path / "module_of_this_test.py").write_text("def answer(): return 42")
        monkeypatch.setenv("BALTO_TEST", "1")
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        cpu = min(os.sched_getaffinity(0))
        with Worker(cpus=[cpu], env={"BALTO_OTHER": "2"}) as worker:
            seen = worker.call(CALLS + "surroundings", "BALTO_TEST", deadline_s=60)
            assert seen == {"value": "1", "folder": str(tmp_path), "cpus": [cpu]}
            assert worker.call("module_of_this_test:answer", deadline_s=60) == 42
            other = worker.call(CALLS + "surroundings", "BALTO_OTHER", deadline_s=60)
            assert other["value"] == "2"


def test_files_are_inherited_under_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("here")
    with path.open() as file, path.open() as another:
        numbers = (another.fileno(), file.fileno())
        with Worker(inherit=numbers) as worker:
            for number in numbers:
                assert worker.call(CALLS + "read", number, deadline_s=60) == "here"


def test_a_dead_nursery_costs_its_workers_and_is_replaced() -> None:
    with Worker() as worker, Worker() as other:
        assert worker.call(CALLS + "echo", 1, deadline_s=60) == 1
        nursery = parent_of(worker)
        os.kill(nursery.pid, signal.SIGKILL)
        with pytest.raises(WorkerDied) as caught:
            worker.call(CALLS + "echo", b"x" * (8 << 20), deadline_s=60)
        assert caught.value.killed
        assert worker.call(CALLS + "echo", 2, deadline_s=60) == 2
        assert parent_of(worker) != nursery
        assert other.call_with_retries(CALLS + "echo", 3, deadline_s=60) == 3


def test_a_worker_that_nobody_holds_is_gone() -> None:
    worker = Worker()
    pid = worker.call(CALLS + "pid", deadline_s=60)
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        del worker
        gc.collect()
    for _ in range(200):
        if not psutil.pid_exists(pid):
            return
        time.sleep(0.02)
    pytest.fail("it goes on without its owner")


def test_the_nursery_runs_nothing_of_ours() -> None:
    with Worker() as worker:
        assert worker.pid is not None
        command = parent_of(worker).cmdline()
    assert command[0] == sys.executable
    assert "nursery" in command[2]

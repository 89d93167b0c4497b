"""Workers are forked from one process that has TVM; what it has is not what they see of ours."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import psutil
import pytest

from balto.errors import WorkerDied
from balto.workers import nursery
from balto.workers.worker import Worker
from tests.workers.killed_workers import gone

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
    paths = [tmp_path / name for name in ("one", "other")]
    for path in paths:
        path.write_text(path.name)
    with paths[0].open() as one, paths[1].open() as other:
        numbers = (other.fileno(), one.fileno())
        with Worker(inherit=numbers) as worker:
            found = [worker.call(CALLS + "read", number, deadline_s=60) for number in numbers]
    assert found == ["other", "one"]


def test_a_worker_that_cannot_be_forked_says_why_and_costs_no_other() -> None:
    """Here it should inherit more files than a message to the nursery may have."""
    with Worker() as worker, contextlib.ExitStack() as files:
        before = worker.call(CALLS + "pid", deadline_s=60)
        numbers = [files.enter_context(Path(os.devnull).open()).fileno() for _ in range(100)]
        with pytest.raises(WorkerDied, match="no process could be forked: too many") as caught:
            Worker(inherit=numbers).call(CALLS + "echo", 1, deadline_s=60)
        assert not caught.value.killed
        assert worker.call(CALLS + "pid", deadline_s=60) == before


def test_a_dead_nursery_costs_its_workers_and_is_replaced() -> None:
    large = b"x" * (8 << 20)
    with Worker() as worker, Worker() as other:
        assert worker.call(CALLS + "echo", 1, deadline_s=60) == 1
        parent = parent_of(worker)
        other.submit(CALLS + "stages", [60.0], 60.0, deadline_s=60)
        while other.stage == "start":
            other.poll()
        os.kill(parent.pid, signal.SIGKILL)
        assert worker.call(CALLS + "echo", large, deadline_s=60) == large, "it was idle"
        assert parent_of(worker) != parent
        with pytest.raises(WorkerDied) as caught:
            other.result()
        assert caught.value.killed
        assert other.call(CALLS + "echo", 3, deadline_s=60) == 3


def test_a_worker_that_nobody_holds_is_gone() -> None:
    worker = Worker()
    pid = worker.call(CALLS + "pid", deadline_s=60)
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        del worker
        gc.collect()
    assert gone(pid)


@pytest.mark.parametrize(
    ("program", "reason"),
    [("/no/such/python", "No such file"), ("/bin/false", "the worker exited with 1")],
)
def test_a_nursery_that_cannot_start_says_why(
    monkeypatch: pytest.MonkeyPatch, program: str, reason: str
) -> None:
    monkeypatch.setattr(nursery._Nursery, "_own", None)
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(WorkerDied, match=reason) as caught:
        Worker().call(CALLS + "echo", 1, deadline_s=60)
    assert not caught.value.killed


def test_what_a_worker_started_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    code = (
        "import os, signal, sys, time; from pathlib import Path\n"
        "from balto.workers.worker import Worker\n"
        "worker, path = Worker(), Path(sys.argv[1])\n"
        "worker.submit('tests.workers.calls:hang_with_child', str(path), deadline_s=60)\n"
        "while not (path.exists() and path.read_text()): time.sleep(0.01)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL
    assert gone(int(path.read_text()))

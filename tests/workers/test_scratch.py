"""No file of ours stays in the temporary folder, whichever process is killed while it compiles."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from balto.workers import scratch
from balto.workers.worker import Worker
from tests.workers.killed_workers import gone

CALLS = "tests.workers.calls:"
ROOT = Path(__file__).parents[2]

#: Compiles in a worker until that is over for some reason, then waits to be ended.
MAIN = """
import sys
from balto.errors import WorkerError
from balto.measure.build import Program
from balto.workers.worker import Worker
from tests.measure.programs import candidate

program = Program.of(candidate("sound"))
with Worker() as worker:
    worker.submit("tests.workers.calls:compile_for_ever", program, deadline_s=float(sys.argv[1]))
    print(worker.pid, flush=True)
    try:
        worker.result()
    except WorkerError as error:
        print(type(error).__name__, flush=True)
    sys.stdin.readline()
"""


@dataclass
class Processes:
    main: int
    nursery: int
    worker: int


@contextlib.contextmanager
def compiling(folder: Path, deadline_s: float = 60.0) -> Iterator[Processes]:
    """Processes that write to a temporary folder, at a moment when an object file is there."""
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, str(deadline_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},
        cwd=ROOT,
    ) as main:
        assert main.stdout is not None
        worker = int(main.stdout.readline())
        processes = Processes(main.pid, psutil.Process(worker).ppid(), worker)
        while not any(path.suffix == ".o" for path in files(folder)):
            time.sleep(0.001)
        try:
            yield processes
        finally:
            main.communicate(b"end\n")


def files(folder: Path) -> list[Path]:
    """All that are there now; some may go away meanwhile."""
    return [Path(at, name) for at, _, names in os.walk(folder) for name in names]


def soon(true: Callable[[], bool]) -> bool:
    for _ in range(500):
        if true():
            return True
        time.sleep(0.02)
    return False


def kill(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda each: kill(each.worker), id="the worker is killed"),
        pytest.param(lambda each: kill(each.nursery), id="the nursery is killed"),
        pytest.param(lambda each: kill(each.main), id="the main process is killed"),
        pytest.param(lambda each: os.kill(each.main, signal.SIGINT), id="Ctrl-C"),
        pytest.param(lambda each: os.kill(each.nursery, signal.SIGTERM), id="SIGTERM"),
    ],
)
def test_whoever_is_killed_while_it_compiles_leaves_no_file(
    tmp_path: Path, end: Callable[[Processes], None]
) -> None:
    pytest.importorskip("tvm")
    with compiling(tmp_path) as processes:
        end(processes)
        assert soon(lambda: not files(tmp_path))
        assert gone(processes.worker)
    assert soon(lambda: not list(tmp_path.iterdir()))
    assert gone(processes.nursery)


@pytest.mark.slow
def test_a_deadline_in_the_middle_of_compiling_leaves_no_file(tmp_path: Path) -> None:
    pytest.importorskip("tvm")
    with compiling(tmp_path, deadline_s=2.0):
        assert soon(lambda: not files(tmp_path))
    assert soon(lambda: not list(tmp_path.iterdir()))


@pytest.mark.slow
def test_a_stopped_nursery_ends_with_its_parent_and_leaves_no_file(tmp_path: Path) -> None:
    pytest.importorskip("tvm")
    with compiling(tmp_path) as processes:
        os.kill(processes.nursery, signal.SIGSTOP)
        kill(processes.main)
        assert gone(processes.nursery)
        assert gone(processes.worker)
        assert soon(lambda: not list(tmp_path.iterdir()))


@pytest.mark.slow
def test_what_all_left_that_were_killed_at_once_is_removed_by_the_next(tmp_path: Path) -> None:
    pytest.importorskip("tvm")
    with compiling(tmp_path) as processes:
        os.kill(processes.main, signal.SIGSTOP)  # it could remove them otherwise
        kill(processes.nursery, processes.main)
    assert gone(processes.worker)
    assert files(tmp_path)
    with compiling(tmp_path) as processes:
        assert len(list(tmp_path.iterdir())) == 1
        kill(processes.worker)
    assert soon(lambda: not list(tmp_path.iterdir()))


def test_a_worker_has_a_temporary_folder_of_its_own_until_it_ends() -> None:
    with Worker() as one, Worker() as other:
        folders = [w.call(CALLS + "temporary_folder", deadline_s=60) for w in (one, other)]
        assert len(set(folders)) == 2
        assert all(files(Path(folder)) for folder in folders)
        one.kill()
        assert not Path(folders[0]).exists()
        assert Path(folders[1]).exists()
    assert not Path(folders[1]).exists()


def test_a_folder_is_swept_when_nobody_has_it_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mine, lock = scratch.claim()
    (tmp_path / "another's").mkdir()
    other, lock_of_other = scratch.claim()
    assert mine != other
    assert Path(mine).exists(), "in use"
    os.close(lock)
    _, last = scratch.claim()
    assert not Path(mine).exists()
    assert Path(other).exists()
    assert (tmp_path / "another's").exists()
    os.close(lock_of_other)
    os.close(last)

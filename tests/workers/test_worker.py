"""A worker process outlives its calls, or its caller learns exactly how it died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from balto.errors import WorkerDied, WorkerRaised, WorkerTimeout
from balto.workers.worker import Worker

CALLS = "tests.workers.calls:"


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(cpus=[0], memory_bytes=2 << 30) as made:
        yield made


def call(worker: Worker, name: str, *args: object, deadline_s: float = 10.0) -> object:
    return worker.call(CALLS + name, *args, deadline_s=deadline_s)


def test_calls_run_in_one_warm_process(worker: Worker) -> None:
    assert call(worker, "echo", {"a": (1, b"2")}) == {"a": (1, b"2")}
    first, second = call(worker, "pid"), call(worker, "pid")
    assert first == second == worker.pid != os.getpid()


def test_large_arguments_and_results_pass(worker: Worker) -> None:
    large = b"x" * (8 << 20)
    assert call(worker, "echo", large) == large


def test_an_exception_comes_back_as_text_and_the_worker_lives(worker: Worker) -> None:
    before = call(worker, "pid")
    with pytest.raises(WorkerRaised, match="ZeroDivisionError") as caught:
        call(worker, "divide", 1, 0)
    assert caught.value.kind == "ZeroDivisionError"
    assert "calls.py" in caught.value.output
    assert call(worker, "pid") == before


def test_memory_is_limited(worker: Worker) -> None:
    with pytest.raises(WorkerRaised) as caught:
        call(worker, "allocate", 64 << 30)
    assert caught.value.kind == "MemoryError"


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a_death_says_which_signal(worker: Worker, number: signal.Signals) -> None:
    with pytest.raises(WorkerDied, match=number.name) as caught:
        call(worker, "die", int(number))
    assert caught.value.signal == number
    assert call(worker, "echo", 1) == 1


@pytest.mark.parametrize(
    ("number", "deaths", "survives"),
    [
        (signal.SIGKILL, 4, True),
        (signal.SIGTERM, 2, True),
        (signal.SIGKILL, 5, False),
        (signal.SIGSEGV, 1, True),
        (signal.SIGSEGV, 2, False),
    ],
)
def test_a_call_is_made_again_when_its_process_is_killed_and_once_when_it_crashes(
    worker: Worker, tmp_path: Path, number: signal.Signals, deaths: int, survives: bool
) -> None:
    def again() -> object:
        return worker.call_with_retries(
            CALLS + "die_the_first_times", str(tmp_path / "n"), int(number), deaths, deadline_s=10.0
        )

    if survives:
        assert again() == deaths + 1
    else:
        with pytest.raises(WorkerDied, match=number.name):
            again()


@pytest.mark.parametrize("times", range(3))
def test_a_worker_killed_while_idle_is_noticed_by_the_next_call(worker: Worker, times: int) -> None:
    assert call(worker, "echo", times) == times
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerDied) as caught:
        call(worker, "echo", b"x" * (8 << 20))
    assert caught.value.killed
    assert call(worker, "echo", times) == times


def test_an_exit_says_the_last_words(worker: Worker) -> None:
    with pytest.raises(WorkerDied, match="exited with 7: famous last words"):
        call(worker, "leave", 7, "famous last words")


def test_a_deadline_kills_the_whole_family(worker: Worker, tmp_path: Path) -> None:
    with pytest.raises(WorkerTimeout) as caught:
        call(worker, "hang_with_child", str(tmp_path / "pid"), deadline_s=1.0)
    assert caught.value.notes == {"child": True}
    child = int((tmp_path / "pid").read_text())
    time.sleep(0.05)
    state = Path(f"/proc/{child}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_each_stage_has_its_own_deadline(worker: Worker) -> None:
    assert call(worker, "stages", [0.2, 0.2, 0.2], 5.0, deadline_s=0.5) == "done"
    with pytest.raises(WorkerTimeout) as caught:
        call(worker, "stages", [0.0, 9.0], 0.3, deadline_s=5.0)
    assert caught.value.stage == "stage 1"


def test_a_result_that_has_arrived_counts_even_if_it_is_picked_up_late(worker: Worker) -> None:
    worker.submit(CALLS + "echo", 5, deadline_s=0.2)
    time.sleep(0.5)
    assert worker.result() == 5


def test_what_it_prints_stays_off_the_terminal(
    worker: Worker, capfd: pytest.CaptureFixture[str]
) -> None:
    call(worker, "shout", "loud")
    assert capfd.readouterr() == ("", "")


def test_starting_does_not_wait_for_what_is_preloaded(tmp_path: Path) -> None:
    go = tmp_path / "go"
    workers = [Worker(preload=[(CALLS + "wait_for", str(go))]) for _ in range(2)]
    for each in workers:
        each.start()
    go.touch()
    for each in workers:
        assert call(each, "echo", 1) == 1
        each.close()
        each.close()


def test_a_preload_that_fails_is_an_error_not_a_hang() -> None:
    with Worker(preload=[("no.such.module:f",)]) as worker, pytest.raises(WorkerDied, match="no"):
        call(worker, "echo", 1)


def test_it_dies_with_its_parent() -> None:
    code = (
        "import os, signal; from balto.workers.worker import Worker\n"
        "w = Worker(); w.start(); print(w.call('tests.workers.calls:pid', deadline_s=20))\n"
        "import sys; sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    for _ in range(100):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            return
        time.sleep(0.02)
    pytest.fail("the worker outlived its parent")

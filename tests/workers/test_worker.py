"""A worker process outlives its calls, or its caller learns exactly how it died."""

from __future__ import annotations

import importlib
import math
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
from tests.workers.killed_workers import killed

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


@pytest.mark.parametrize("size", [1, 8 << 20])
def test_a_worker_killed_while_idle_costs_the_next_call_nothing(worker: Worker, size: int) -> None:
    """Whether the call fits into the pipe or not, and whether the death is known yet or not."""
    for pause_s in (0.0, 0.0, 0.05):
        before = call(worker, "pid")
        os.kill(before, signal.SIGKILL)
        time.sleep(pause_s)
        assert call(worker, "echo", b"x" * size) == b"x" * size
        assert call(worker, "pid") != before


def test_a_kill_before_a_call_is_taken_is_no_try_of_it(worker: Worker, tmp_path: Path) -> None:
    """It may die as often as ever: here, of its own, as soon as it is taken."""
    path = tmp_path / "calls"
    with killed(worker, "start", times=6) as pids, pytest.raises(WorkerDied) as caught:
        call(worker, "die_the_first_times", str(path), int(signal.SIGSEGV), 1)
    assert len(pids) == 6
    assert caught.value.signal == signal.SIGSEGV
    assert not caught.value.untaken
    assert path.read_text() == "."


def test_who_kills_every_process_before_it_takes_a_call_is_told_so(worker: Worker) -> None:
    with killed(worker, "start", times=1000), pytest.raises(WorkerDied) as caught:
        call(worker, "echo", 1)
    assert caught.value.untaken


def test_a_call_that_cannot_be_read_there_is_an_error_and_the_worker_lives(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "known_here_alone.py").write_text("class Strange: pass")
    before = call(worker, "pid")
    monkeypatch.syspath_prepend(str(tmp_path))
    strange = importlib.import_module("known_here_alone").Strange()
    with pytest.raises(WorkerRaised, match="No module named 'known_here_alone'"):
        call(worker, "echo", strange)
    assert call(worker, "pid") == before


def test_a_limit_of_processor_time_ends_what_computes_too_long(worker: Worker) -> None:
    with pytest.raises(WorkerTimeout, match="of processor time") as caught:
        call(worker, "spend", 60.0, 60.0, 0.3)
    assert not caught.value.by_clock
    assert caught.value.stage == "spending"


def test_time_in_which_a_process_got_no_processor_is_not_charged(worker: Worker) -> None:
    worker.submit(CALLS + "spend", 0.5, 60.0, 1.0, deadline_s=60.0)
    time.sleep(0.2)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)
    time.sleep(1.5)
    assert worker.poll() == (False, None)
    os.kill(worker.pid, signal.SIGCONT)
    assert worker.result() >= 0.5


def test_what_uses_no_processor_time_ends_by_the_clock_and_is_said_to(worker: Worker) -> None:
    with pytest.raises(WorkerTimeout, match="by the clock") as caught:
        call(worker, "sleep", 60.0, 0.3, 0.1)
    assert caught.value.by_clock
    with pytest.raises(WorkerTimeout, match="by the clock") as without:
        call(worker, "sleep", 60.0, 0.3, math.inf)
    assert not without.value.by_clock, "the clock was its limit"


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

"""Workers are killed from outside at every stage: no program is lost by it, none is blamed."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time

import psutil
import pytest

from balto.data.outcome import Status
from balto.measure.live import LiveMeasurer
from balto.measure.settings import MeasureSettings
from tests.measure.programs import TARGET, candidate, modules
from tests.workers.killed_workers import killed

pytest.importorskip("tvm")

pytestmark = pytest.mark.slow

SETTINGS = MeasureSettings(workers=1)


@pytest.mark.parametrize(
    ("stage", "kind"),
    [
        ("start", "sound"),
        ("build", "builds-long"),
        pytest.param("run", "long"),
    ],
)
def test_a_kill_costs_no_program(stage: str, kind: str) -> None:
    modules()
    with LiveMeasurer.for_target(TARGET, SETTINGS) as measurer:
        [worker] = measurer._workers
        with killed(worker, stage, times=3) as pids:
            outcomes = dict(measurer.measure([candidate(kind, i) for i in range(3)]))
    assert len(pids) == 3
    assert [outcomes[i].status for i in range(3)] == [Status.OK] * 3


def test_a_kill_while_waiting_for_the_timing_core_costs_no_program() -> None:
    modules()
    with LiveMeasurer.for_target(TARGET, SETTINGS) as measurer:
        [worker] = measurer._workers
        for program in range(3):
            fcntl.lockf(measurer._timing_lock, fcntl.LOCK_EX)
            with killed(worker, "wait", times=1) as pids:

                def let_go(pids: list[int] = pids) -> None:
                    while not pids:
                        time.sleep(0.002)
                    fcntl.lockf(measurer._timing_lock, fcntl.LOCK_UN)

                release = threading.Thread(target=let_go)
                release.start()
                [(_, outcome)] = measurer.measure([candidate("sound", program)])
                release.join()
            assert len(pids) == 1
            assert outcome.ok


def test_a_kill_of_an_idle_worker_costs_no_program() -> None:
    with LiveMeasurer.for_target(TARGET, SETTINGS) as measurer:
        for program in range(4):
            [(_, outcome)] = measurer.measure([candidate("sound", program)])
            assert outcome.ok
            os.kill(measurer.pids()[0], signal.SIGKILL)


def test_a_kill_of_what_workers_are_forked_from_costs_no_program() -> None:
    """It takes all workers with it, idle ones that are not known to be dead and busy ones."""
    with LiveMeasurer.for_target(TARGET, MeasureSettings(workers=3)) as measurer:

        def kill() -> None:
            os.kill(psutil.Process(measurer.pids()[0]).ppid(), signal.SIGKILL)

        for batch in range(3):
            several = [candidate("sound", 12 * batch + i) for i in range(12)]
            seen = []
            for _, outcome in measurer.measure(several):
                seen.append(outcome.status)
                if len(seen) == 6:
                    kill()
            assert seen == [Status.OK] * 12
            kill()
            [(_, outcome)] = measurer.measure([candidate("slower", batch)])
            assert outcome.ok


@pytest.mark.parametrize(("times", "status"), [(1, Status.OK), (2, Status.BUILD_TIMEOUT)])
def test_a_build_that_got_no_processor_is_tried_once_more(times: int, status: Status) -> None:
    modules()
    settings = MeasureSettings(workers=1, build_timeout_s=5.0, clock_factor=1.0)
    with LiveMeasurer.for_target(TARGET, settings) as measurer:
        [worker] = measurer._workers
        with killed(worker, "build", times, signal.SIGSTOP) as pids:
            [(_, outcome)] = measurer.measure([candidate("builds-long")])
    assert len(pids) == times
    assert outcome.status is status
    assert outcome.ok or "by the clock" in outcome.message


def test_a_run_that_got_no_processor_is_tried_once_more() -> None:
    modules()
    settings = MeasureSettings(workers=1, run_timeout_s=5.0, clock_factor=1.0)
    with LiveMeasurer.for_target(TARGET, settings) as measurer:
        [worker] = measurer._workers
        with killed(worker, "run", 1, signal.SIGSTOP) as pids:
            [(_, outcome)] = measurer.measure([candidate("long")])
    assert len(pids) == 1
    assert outcome.ok


def test_idle_workers_killed_while_another_measures_cost_no_program() -> None:
    with LiveMeasurer.for_target(TARGET, MeasureSettings(workers=2)) as measurer:
        seen = {}
        for index, outcome in measurer.measure([candidate("sound", i) for i in range(12)]):
            seen[index] = outcome
            if len(seen) in (3, 8):  # what was in flight at 3 waits behind all others at 8
                for pid in measurer.pids():
                    os.kill(pid, signal.SIGKILL)
    assert [seen[i].status for i in range(12)] == [Status.OK] * 12


def test_a_program_that_kills_its_worker_twice_is_a_crash() -> None:
    with LiveMeasurer.for_target(TARGET, SETTINGS) as measurer:
        outcomes = dict(measurer.measure([candidate("kills-itself"), candidate("sound")]))
    assert outcomes[0].status is Status.CRASH
    assert "SIGKILL" in outcomes[0].message
    assert outcomes[1].ok

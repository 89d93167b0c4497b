"""Live measuring, with programs that really do the worst: each costs itself alone."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from balto.data.outcome import Status
from balto.measure.live import LiveMeasurer
from balto.measure.settings import MeasureSettings
from balto.measure.timing import TimingSettings
from tests.measure.programs import TARGET, candidate

pytest.importorskip("tvm")

pytestmark = pytest.mark.slow

#: Takes three undisturbed repeats, however long the machine makes it wait for them.
PATIENT = MeasureSettings(
    workers=1,
    timing=TimingSettings(max_repeats=10_000, patience_s=60.0, precision=10.0),
    run_timeout_s=90.0,
)
SETTINGS = MeasureSettings(workers=1, build_timeout_s=3.0, run_timeout_s=1.5)


@pytest.fixture(scope="module")
def measurer() -> Iterator[LiveMeasurer]:
    with LiveMeasurer.for_target(TARGET, SETTINGS) as made:
        yield made


def status_of(measurer: LiveMeasurer, kind: str) -> tuple[Status, str]:
    """Of a bad program, measured between two sound ones that must not notice."""
    programs = [candidate("sound", 0), candidate(kind), candidate("sound", 1)]
    outcomes = dict(measurer.measure(programs))
    assert outcomes[0].ok
    assert outcomes[2].ok
    assert math.isnan(outcomes[1].latency_s) != outcomes[1].ok
    return outcomes[1].status, outcomes[1].message


@pytest.mark.parametrize(
    ("kind", "status", "message"),
    [
        ("sound", Status.OK, ""),
        ("segfault", Status.CRASH, "SIGSEGV"),
        ("abort", Status.CRASH, "SIGABRT"),
        ("endless", Status.RUN_TIMEOUT, "deadline of processor time"),
        ("huge", Status.OUT_OF_MEMORY, "bad_alloc"),
        ("slow-build", Status.BUILD_TIMEOUT, "deadline of processor time"),
        ("raises", Status.RUN_ERROR, "no_such_function"),
    ],
)
def test_a_bad_program_costs_itself_alone(
    measurer: LiveMeasurer, kind: str, status: Status, message: str
) -> None:
    found, text = status_of(measurer, kind)
    assert found is status
    assert message in text
    assert "\n" not in text


def test_a_trace_that_does_not_fit_its_task_is_a_build_error(measurer: LiveMeasurer) -> None:
    sound = candidate("sound")
    wrong = type(sound)(sound.task, 0, 0, trace='[[["GetSBlock", [], ["X", "main"], ["b0"]]], []]')
    [(_, outcome)] = measurer.measure([wrong])
    assert outcome.status is Status.BUILD_ERROR
    assert outcome.message


def test_every_outcome_says_what_it_cost(measurer: LiveMeasurer) -> None:
    kinds = ["sound", "segfault", "endless", "slow-build"]
    outcomes = dict(measurer.measure([candidate(kind) for kind in kinds]))
    assert all(outcome.seconds > 0 for outcome in outcomes.values())
    run, build = SETTINGS.run_limit(TARGET), SETTINGS.build_limit
    assert run.cpu_s - 0.2 < outcomes[2].measure_s < run.clock_s + 1.0
    assert build.cpu_s - 0.2 < outcomes[3].build_s < build.clock_s + 1.0


def test_several_workers_lose_and_repeat_nothing() -> None:
    kinds = ["sound", "segfault", "slower", "raises", "abort", "sound"] * 5
    with LiveMeasurer.for_target(TARGET, MeasureSettings(workers=3)) as measurer:
        seen = list(measurer.measure([candidate(kind, i) for i, kind in enumerate(kinds)]))
    assert sorted(index for index, _ in seen) == list(range(len(kinds)))
    for index, outcome in seen:
        assert outcome.ok == (kinds[index] in ("sound", "slower")), kinds[index]


def test_slower_programs_come_out_slower(measurer: LiveMeasurer) -> None:
    outcomes = dict(measurer.measure([candidate("sound"), candidate("slower")]))
    assert outcomes[1].latency_s > 20 * outcomes[0].latency_s
    assert outcomes[0].latency_s <= outcomes[0].latency_median_s


def test_closing_and_abandoning_leave_no_process_behind() -> None:
    measurer = LiveMeasurer.for_target(TARGET, MeasureSettings(workers=2))
    iterator = measurer.measure([candidate("sound"), candidate("endless"), candidate("sound")])
    next(iterator)
    pids = measurer.pids()
    iterator.close()
    measurer.close()
    measurer.close()
    time.sleep(0.05)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_nothing_to_measure_is_nothing_to_wait_for(measurer: LiveMeasurer) -> None:
    assert list(measurer.measure([])) == []


def test_the_best_that_is_known_already_saves_repeats() -> None:
    program = candidate("slower")
    asked = [program, replace(program, best_s=1e-9), replace(program, task_id=99)]
    with LiveMeasurer.for_target(TARGET, PATIENT) as measurer:
        [alone] = dict(measurer.measure(asked[:1])).values()
        [known] = dict(measurer.measure(asked[1:2])).values()
        assert alone.repeats == 3
        assert known.repeats == 1
        again = dict(measurer.measure(asked))  # what one candidate knows, it knows of its task
    assert [again[i].repeats for i in range(3)] == [1, 1, 3]

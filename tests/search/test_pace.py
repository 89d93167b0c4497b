"""A search with minutes: it ends in time, and goes on the same after it was killed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import balto
from balto.arguments import MOST_TRIALS
from balto.data.candidate import Candidate
from balto.data.outcome import SLOW, Outcome, Status
from balto.errors import ConfigurationChanged, InputError
from balto.journal.file import Journal, read
from balto.search.forecast import Forecast
from balto.search.listener import SessionListener
from balto.search.pace import Pace
from balto.search.session import Session
from balto.search.tuning import TunedTask
from tests.search.test_search import SMALL, MadeUpDevice

pytest.importorskip("tvm")


class Slow(MadeUpDevice):
    """Every program takes half a second of a clock that only measuring moves.

    Args:
        dear: so many programs, the untuned one included, are too dear to build, but for that one.
    """

    def __init__(self, dear: int = 0) -> None:
        super().__init__()
        self.now = 100.0
        self.limits: list[float] = []
        self._dear = dear

    def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
        for k, outcome in super().measure(candidates):
            self.now += 0.5
            self.limits.append(candidates[k].build_limit_s)
            dear = candidates[k].trace and len(self.measured) <= self._dear
            yield k, Outcome(Status.TOO_DEAR, build_s=3.0) if dear else outcome


@pytest.fixture(scope="module")
def task() -> balto.Task:
    [found] = balto.extract_tasks([], ["matmul:64x64x64"]).tasks
    return found


def tuned(
    task: balto.Task, device: Slow, path: Path, listener: SessionListener | None = None, **ends: Any
) -> TunedTask:
    """A journalled search by the device's clock."""
    with Journal.open(path) as journal, pytest.MonkeyPatch.context() as patch:
        patch.setattr("balto.search.pace.now", lambda: device.now)
        records = list(read(path))
        pace = Pace(**ends, journal=journal, records=records)
        session = Session(device, None, journal, records, SMALL, seed=3, listener=listener)
        try:
            return session.tune(task, pace)
        finally:
            session.close()


@given(st.integers(1, 1000), st.integers(0, 1000))
def test_a_number_of_trials_stays_that_number_and_keeps_no_time(trials: int, done: int) -> None:
    assert Pace.of(trials).trials(min(done, trials)) == trials
    assert not Pace.of(trials).timed


@given(st.integers(1, 50), st.floats(0.1, 100.0))
def test_trials_and_minutes_end_at_whichever_comes_first(trials: int, minutes: float) -> None:
    pace = Pace(trials, minutes)
    assert pace.trials(0) == min(trials, pace.expected)
    assert pace.expected <= minutes * 60 / pace.trial_s


def test_operators_share_the_minutes_that_are_left() -> None:
    pace, parts = Pace(MOST_TRIALS, 10.0), []
    for left in (4, 3, 2, 1):
        pace.begin(parts=left)
        parts.append(pace.trials(0))  # no part uses any time
    assert parts == sorted(parts)
    assert parts[-1] == pytest.approx(4 * parts[0], rel=0.1)


def looks(path: Path) -> list[float]:
    return [each["spent_s"] for each in read(path) if each["kind"] == "clock"]


@pytest.mark.slow
@pytest.mark.parametrize("minutes", [0.1, 0.2])
def test_a_search_ends_when_its_minutes_do(
    task: balto.Task, tmp_path: Path, minutes: float
) -> None:
    device, path = Slow(), tmp_path / "journal.jsonl"
    found = tuned(task, device, path, minutes=minutes)
    spent, seconds = looks(path), 60 * minutes
    assert spent == sorted(spent)
    assert 0.5 * seconds < spent[-1] < seconds
    assert 0.5 * (found.trials + 1) == spent[-1]
    assert 0.5 * len(device.measured) == pytest.approx(seconds, rel=0.35)  # with the finalists


@pytest.mark.slow
def test_there_are_trials_though_beginning_took_all_minutes(
    task: balto.Task, tmp_path: Path
) -> None:
    class Late(Slow):
        def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
            self.now += 60
            return super().measure(candidates)

    assert tuned(task, Late(), tmp_path / "journal.jsonl", minutes=0.1).trials == 4


@pytest.mark.slow
@pytest.mark.parametrize("kept", [0, 2, 5])
def test_what_the_clock_said_is_said_again_when_a_killed_search_goes_on(
    task: balto.Task, tmp_path: Path, kept: int
) -> None:
    whole = tuned(task, Slow(), tmp_path / "whole.jsonl", minutes=0.3)
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    cut = [k for k, line in enumerate(lines) if b'"kind":"clock"' in line][kept] + 2
    (tmp_path / "cut.jsonl").write_bytes(b"".join(lines[:cut]) + lines[cut][:20])  # as by kill -9
    device = Slow()
    device.now = 1e6  # another day
    resumed = tuned(task, device, tmp_path / "cut.jsonl", minutes=0.3)
    trials = sum(b'"kind":"trial"' in line for line in lines[:cut]) - 1
    assert resumed.programs[:trials] == whole.programs[:trials]
    assert len(resumed.programs) == pytest.approx(len(whole.programs), abs=3)
    assert not set(device.measured) & {trace for trace, _ in whole.programs[:trials]} - again_of(
        tmp_path / "cut.jsonl"
    )
    for name in ("whole", "cut"):
        device = Slow()
        tuned(task, device, tmp_path / f"{name}.jsonl", minutes=0.3)
        assert not device.measured


def again_of(path: Path) -> set[str]:
    """Programs that were timed again."""
    return {each["trace"] for each in read(path) if each["kind"] == "again"}


@pytest.mark.slow
def test_builds_have_limits_where_the_clock_decides_and_nowhere_else(
    task: balto.Task, tmp_path: Path
) -> None:
    device = Slow()
    tuned(task, device, tmp_path / "timed.jsonl", minutes=0.05)
    trials = device.limits[1:]
    assert trials
    assert min(trials) >= 2
    assert max(trials) < 1e3
    device = Slow()
    session = Session(device, None, settings=SMALL, seed=3)
    try:
        session.tune(task, 8)
    finally:
        session.close()
    assert set(device.limits) == {float("inf")}


@pytest.mark.slow
def test_what_was_too_dear_to_build_is_learnt_as_slow_and_is_no_latency(
    task: balto.Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[dict[int, float]] = []
    from balto.search.task import TaskSearch

    learn = TaskSearch.learn

    def listening(self: TaskSearch, latency_s: dict[int, float]) -> None:
        heard.append(latency_s)
        learn(self, latency_s)

    monkeypatch.setattr(TaskSearch, "learn", listening)
    found = tuned(task, Slow(dear=3), tmp_path / "journal.jsonl", minutes=0.05)
    dear = [k for k, (_, o) in enumerate(found.programs) if o.status is Status.TOO_DEAR]
    assert dear == [0, 1]
    first = list(heard[0].values())
    best_s = min(o.latency_median_s for _, o in found.programs[:4] if o.ok)
    assert first[:2] == pytest.approx([best_s / SLOW] * 2)


@pytest.mark.slow
def test_a_search_that_promises_little_more_ends_when_it_is_saturated(
    task: balto.Task, tmp_path: Path
) -> None:
    told: list[Forecast] = []

    class Hears(SessionListener):
        def foretold(self, task: str, forecast: Forecast) -> None:  # noqa: ARG002
            told.append(forecast)

    class Slower(Slow):
        """A minute is for four programs: it cannot bring much."""

        def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
            for each in super().measure(candidates):
                self.now += 14.5
                yield each

    path = tmp_path / "journal.jsonl"
    found = tuned(task, Slower(), path, Hears(), trials=60, until_saturated=True)
    per_minute = 60 * found.trials / looks(path)[-1]
    assert 0.05 * math.log2(1 + per_minute / found.trials) < 0.012
    assert 20 < found.trials < 60
    assert len(told) > 4


def test_minutes_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for minutes in (0, -1, float("nan"), "3"):
        with pytest.raises(InputError, match="minutes"):
            balto.tune.tune_operators(["matmul:8x8x8"], tmp_path / "out", minutes=minutes)
    with pytest.raises(InputError, match="until_saturated"):
        balto.tune.tune_operators(["matmul:8x8x8"], tmp_path / "out", until_saturated=1)


@pytest.mark.slow
def test_a_tuning_with_minutes_is_finished_and_other_minutes_need_another_folder(
    tmp_path: Path,
) -> None:
    ends = {"out": tmp_path / "tuned", "start_from": "none", "settings": SMALL}
    [found] = balto.tune.tune_operators(["matmul:32x32x32"], minutes=0.1, **ends)
    assert found.trials
    [again] = balto.tune.tune_operators(["matmul:32x32x32"], minutes=0.1, **ends)
    assert dict(again.programs).keys() == dict(found.programs).keys()
    assert again.latency_s == found.latency_s
    assert balto.status(tmp_path / "tuned").state == "finished"
    with pytest.raises(ConfigurationChanged, match="minutes"):
        balto.tune.tune_operators(["matmul:32x32x32"], minutes=0.2, **ends)

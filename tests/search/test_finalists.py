"""The fastest programs are timed again, and what their times say together counts."""

from __future__ import annotations

from statistics import median_low

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balto.data.outcome import Outcome, Status
from balto.search.finalists import finalists, settled

FAILED = Outcome(Status.CRASH, message="made up")
TIMES = st.lists(st.floats(1e-6, 1.0) | st.none(), min_size=1, max_size=30)


def ran(seconds: float | None) -> Outcome:
    return FAILED if seconds is None else Outcome(Status.OK, seconds, seconds)


@given(TIMES)
def test_several_times_of_a_program_say_the_one_in_the_middle(seconds: list[float | None]) -> None:
    said, ok = settled([ran(s) for s in seconds]), [s for s in seconds if s is not None]
    assert said.ok == bool(ok)
    if ok:
        assert said.latency_median_s == median_low(ok)


@given(TIMES, st.integers(0, 40), st.integers(1, 2))
def test_the_fastest_stay_and_in_later_turns_those_near_them(
    seconds: list[float | None], trials: int, turn: int
) -> None:
    chosen = finalists([ran(s) for s in seconds], trials, turn)
    assert len(chosen) != 1, "who is ahead alone need not be timed"
    assert len(chosen) <= min(6, trials // 3)
    times = [seconds[k] for k in chosen]
    assert times == sorted(s for s in seconds if s is not None)[: len(chosen)]
    if chosen and turn > 1:
        assert times[-1] <= 1.15 * times[0]


@pytest.mark.parametrize(("turn", "stay"), [(1, [1, 2, 0]), (2, [1, 2])])
def test_a_slow_first_time_costs_no_program_its_place(turn: int, stay: list[int]) -> None:
    """It may have been timed at a slow moment."""
    assert finalists([ran(1.6), ran(1.0), ran(1.1), FAILED], 16, turn) == stay

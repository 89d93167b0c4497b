"""What is foretold: never worse than now, more with more trials, and as wide as it is unsure."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from balto.data.pool_reader import read_pool
from balto.search.finalists import running_best
from balto.search.forecast import Standing, allotted, forecast

POOL = Path(__file__).parents[2] / "pools" / "near-best-avx2"

TASKS = st.lists(
    st.builds(Standing, st.integers(1, 9), st.floats(1e-6, 1e-1), st.integers(0, 500)),
    min_size=1,
    max_size=8,
)


@given(TASKS, st.integers(0, 1000), st.integers(1, 1000))
def test_more_trials_never_make_it_slower(tasks: list[Standing], few: int, more: int) -> None:
    said, then = (forecast(tasks, trials, 1.0) for trials in (few, few + more))
    assert said.now_s == pytest.approx(sum(t.weight * t.latency_s for t in tasks))
    assert then.later_s <= said.later_s * (1 + 1e-9) <= said.now_s * (1 + 2e-9)
    assert said.low_s < said.later_s < said.high_s
    assert 0 <= said.gain + 1e-9 < 1


@given(TASKS, st.integers(0, 1000))
def test_all_trials_are_given_out_and_none_would_help_more_elsewhere(
    tasks: list[Standing], trials: int
) -> None:
    """The gain of a trial goes by the time of the task over the trials that it then has."""
    more = allotted(tasks, trials)
    assert min(more) >= 0
    assert sum(more) == pytest.approx(trials)
    gains = [
        (t.weight * t.latency_s / (t.trials + m) if t.trials + m else math.inf, m)
        for t, m in zip(tasks, more, strict=True)
    ]
    given_to = [gain for gain, m in gains if m > 1e-6]
    assert max((gain for gain, _ in gains), default=0) <= min(given_to, default=math.inf) * 1.001


@given(TASKS)
def test_no_more_trials_change_nothing(tasks: list[Standing]) -> None:
    assert allotted(tasks, 0) == [0.0] * len(tasks)
    said = forecast(tasks, 0, 0.0)
    assert said.later_s == pytest.approx(said.now_s)
    assert said.low_s < said.now_s < said.high_s


@cache
def recorded() -> list[list[float]]:
    """The best latency after each trial, of each of 155 searches."""
    pool = read_pool(POOL)
    latency_s = pool.outcomes.numbers["latency_median_s"]
    return [
        running_best(latency_s[np.asarray(pool.programs(k))].tolist())
        for k in range(len(pool.tasks))
    ]


@pytest.mark.parametrize(("done", "more"), [(4, 12), (8, 24), (16, 48), (32, 32)])
def test_recorded_searches_come_to_what_is_foretold(done: int, more: int) -> None:
    within, wrong = [], []
    for best_s in recorded():
        if len(best_s) >= done + more and math.isfinite(best_s[done - 1]):
            said = forecast([Standing(1, best_s[done - 1], done)], more, 1.0)
            came = best_s[done + more - 1]
            within.append(said.low_s <= came <= said.high_s)
            wrong.append(math.log(came / said.later_s))
    assert len(within) > 150
    assert np.mean(within) > 0.85
    assert abs(np.mean(wrong)) < 0.02


def test_a_network_of_many_tasks_is_foretold_more_precisely_than_one_task() -> None:
    one = forecast([Standing(1, 1e-3, 16)], 16, 1.0)
    many = forecast([Standing(1, 1e-3, 16)] * 20, 320, 1.0)
    assert one.gain == pytest.approx(many.gain)
    assert many.high_s / many.low_s < one.high_s / one.low_s


def test_it_reads_as_a_sentence() -> None:
    said = str(forecast([Standing(1, 31e-3, 50)], 100, 120.0))
    assert said.startswith("now 31 ms; 100 more trials, 2 min 00 s: 28.6 ms ± ")

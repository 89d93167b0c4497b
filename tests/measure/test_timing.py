"""A program is timed as precisely as its rank needs, and a disturbed repeat does not count."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balto.measure.noise import Quiet, fixed_kernel, measure_noise
from balto.measure.timing import Timing, TimingSettings, time_program


class Core(Quiet):
    """A core that is disturbed when the test says so; each repeat takes the next of `speeds`."""

    def __init__(self, latency_s: float, speeds: list[float]) -> None:
        self.latency_s, self.speeds, self.runs, self.last = latency_s, iter(speeds), 0, 1.0

    def repeat(self, number: int) -> float:
        self.runs += number
        self.last = next(self.speeds, 1.0)
        return self.latency_s * self.last

    def now(self) -> bool:
        return self.last < 1.2

    def wait(self, patience_s: float) -> float:  # noqa: ARG002
        return 0.0


def timed(
    latency_s: float, speeds: list[float], best_s: float = math.inf, **kwargs: float
) -> tuple[Timing, Core]:
    core = Core(latency_s, speeds)
    return time_program(core.repeat, TimingSettings(**kwargs), core, best_s), core  # type: ignore[arg-type]


def test_a_steady_fast_program_takes_the_least_repeats() -> None:
    timing, core = timed(1e-4, [])
    assert timing.repeats == TimingSettings().min_repeats
    assert timing.latency_s == timing.latency_median_s == 1e-4
    assert core.runs * 1e-4 >= 3 * TimingSettings().min_repeat_s


def test_a_slow_program_takes_one_repeat_and_a_fast_one_more() -> None:
    slow, core = timed(0.02, [], best_s=1e-3)
    assert (slow.repeats, core.runs) == (1, 2)  # its warm-up and one
    slow, core = timed(0.5, [], best_s=1e-3)
    assert (slow.repeats, core.runs) == (1, 1)  # so long that warming up does not show
    assert timed(0.02, [], best_s=0.02)[0].repeats == 3


def test_noise_near_the_best_costs_repeats_that_it_does_not_cost_further_behind() -> None:
    noisy = [1.0, 1.0, *([1.0, 1.03] * 10)]
    near, behind = timed(1e-3, noisy, 1e-3)[0], timed(2.9e-3, noisy, 1e-3)[0]
    assert near.repeats > behind.repeats


def test_disturbed_repeats_are_taken_again() -> None:
    timing, _ = timed(1e-3, [1.0, 1.0, 1.5, 1.7, 1.0, 1.6, 1.0, 1.0])
    assert timing.latency_median_s == 1e-3
    assert timing.repeats == 3


def test_a_core_that_is_always_disturbed_still_ends_with_a_latency() -> None:
    timing, _ = timed(1e-3, [1.5] * 99)
    assert timing.latency_s == pytest.approx(1.5e-3)
    assert timing.repeats <= TimingSettings().max_repeats


@settings(max_examples=50, deadline=None)
@given(
    st.floats(1e-6, 0.1),
    st.lists(st.floats(1.0, 3.0), max_size=30),
    st.floats(1e-6, 0.1) | st.just(math.inf),
)
def test_what_comes_out_was_measured(latency: float, speeds: list[float], best: float) -> None:
    timing, _ = timed(latency, speeds, best)
    assert latency <= timing.latency_s <= timing.latency_median_s <= 3 * latency * (1 + 1e-9)
    assert 1 <= timing.repeats <= TimingSettings().max_repeats


def test_half_widths_are_those_of_student() -> None:
    stats = pytest.importorskip("scipy.stats")
    from balto.measure.timing import _HALF_WIDTH

    for n, width in _HALF_WIDTH.items():
        assert width == pytest.approx(stats.t.ppf(0.975, n - 1) / np.sqrt(n), rel=0.01)


def test_quiet_notices_a_kernel_that_has_become_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    speed = [1e-5]
    monkeypatch.setattr("balto.measure.noise.fixed_kernel", lambda: speed[0])
    monkeypatch.setattr("balto.measure.noise._involuntary_switches", lambda: 0)
    quiet = Quiet()
    assert quiet.now()
    speed[0] = 1.3e-5
    assert not quiet.now()
    assert quiet.wait(0.01) >= 0.01
    for _ in range(500):
        quiet.now()
    assert quiet.now()  # what lasts is the new usual


def test_noise_of_this_machine_can_be_measured() -> None:
    noise = measure_noise(0.1)
    assert 0 < noise.timer_s < 1e-4
    assert 0 <= noise.disturbed <= 1
    assert noise.worst >= 1
    assert noise.meaning
    assert fixed_kernel() < 0.1

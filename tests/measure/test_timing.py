"""A program is timed as precisely as its rank needs, and a disturbed repeat does not count."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balto.measure.execute import on_this_cpu
from balto.measure.noise import DisturbanceDetector, fixed_kernel, measure_noise
from balto.measure.timing import Timing, TimingSettings, time_program


class Core(DisturbanceDetector):
    """A core that is disturbed when the test says so; each repeat takes the next of `speeds`."""

    def __init__(self, latency_s: float, speeds: list[float], sensitivity: float = 0.6) -> None:
        self.latency_s, self.speeds, self.runs, self.last = latency_s, iter(speeds), 0, 1.0
        self.sensitivity = sensitivity

    def repeat(self, number: int) -> float:
        self.runs += number
        self.last = next(self.speeds, 1.0)
        return self.latency_s * self.last

    @property
    def slowdown(self) -> float:
        return max(1.0, self.last) ** (1 / self.sensitivity)

    def undisturbed(self) -> bool:
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


@pytest.mark.parametrize(
    ("sensitivity", "latency_s"), [(0.6, 1e-3), (1.0, 1.18e-3), (0.5, 0.92e-3)]
)
def test_a_core_that_is_always_disturbed_ends_with_what_the_program_would_take(
    sensitivity: float, latency_s: float
) -> None:
    """About, where programs become slower with the core by another power than was supposed."""
    core = Core(1e-3, [1.5] * 99, sensitivity)
    timing = time_program(core.repeat, TimingSettings(), core)
    assert timing.latency_s == pytest.approx(latency_s, rel=0.01)
    assert timing.repeats <= TimingSettings().max_repeats


@settings(max_examples=50, deadline=None)
@given(
    st.floats(1e-6, 0.1),
    st.lists(st.floats(1.0, 3.0), max_size=30),
    st.floats(1e-6, 0.1) | st.just(math.inf),
)
def test_what_comes_out_is_never_slower_than_what_was_measured(
    latency: float, speeds: list[float], best: float
) -> None:
    timing, _ = timed(latency, speeds, best)
    least = latency * (1 - 1e-9)
    assert least <= timing.latency_s <= timing.latency_median_s <= 1.2 * latency * (1 + 1e-9)
    assert 1 <= timing.repeats <= TimingSettings().max_repeats


@pytest.mark.parametrize("seconds", [math.nan, -1.0, 1e-30, 1e300, math.inf])
def test_a_clock_that_says_what_cannot_be_is_asked_once(seconds: float) -> None:
    core = Core(seconds, [])
    timing = time_program(core.repeat, TimingSettings(), None)
    assert repr(timing.latency_s) == repr(seconds), "it is told as it came"
    assert core.runs == 1, "no million runs of a program that seems to take nothing"


def test_a_clock_too_coarse_for_one_run_is_asked_for_many() -> None:
    timing = time_program(lambda n: 1e-3 * (n // 1000) / n, TimingSettings(), None)
    assert timing.latency_s == pytest.approx(1e-6, rel=1e-3)


def test_half_widths_are_those_of_student() -> None:
    stats = pytest.importorskip("scipy.stats")
    from balto.measure.timing import _HALF_WIDTH

    for n, width in _HALF_WIDTH.items():
        assert width == pytest.approx(stats.t.ppf(0.975, n - 1) / np.sqrt(n), rel=0.01)


def test_the_detector_notices_a_kernel_that_has_become_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    speed, now = [1e-5], [0.0]
    monkeypatch.setattr("balto.measure.noise.fixed_kernel", lambda: speed[0])
    monkeypatch.setattr("balto.measure.noise._involuntary_switches", lambda: 0)
    monkeypatch.setattr("balto.measure.noise.time.perf_counter", lambda: now[0])
    monkeypatch.setattr("balto.measure.noise.time.sleep", lambda s: now.__setitem__(0, now[0] + s))
    detector = DisturbanceDetector()
    assert detector.undisturbed()
    speed[0] = 1.3e-5
    assert not detector.undisturbed()
    assert detector.slowdown == pytest.approx(math.sqrt(1.3))  # it was usual at the look before
    assert detector.wait(0.01) >= 0.01
    assert detector.slowdown == pytest.approx(1.3, rel=0.01)
    now[0] += 30.0
    assert not detector.undisturbed()  # a neighbour may take half a minute
    now[0] += 600.0
    assert detector.undisturbed()  # what lasts is the new usual
    assert detector.slowdown == pytest.approx(1.1, rel=0.2)


def test_noise_of_this_machine_can_be_measured() -> None:
    noise = measure_noise(0.1)
    assert 0 < noise.timer_s < 1e-4
    assert 0 <= noise.disturbed <= 1
    assert noise.worst >= 1
    assert noise.meaning
    assert fixed_kernel() < 0.1


@pytest.mark.parametrize("where", ["before", "within", "after"])
def test_a_core_taken_at_any_moment_never_makes_a_program_look_faster_than_it_is(where):
    """The core is given away (slept) before, within or after what the program itself times."""
    used = []

    def repeat(number: int) -> float:
        if where == "before":
            time.sleep(0.02)
        started, own = time.perf_counter(), time.thread_time()
        for _ in range(number):
            sum(range(20_000))
            if where == "within":
                time.sleep(0.005)
        used.append((time.thread_time() - own) / number)
        seconds = (time.perf_counter() - started) / number
        if where == "after":
            time.sleep(0.02)
        return seconds

    assert on_this_cpu(repeat)(4) >= used[0]
    if where == "within":
        assert on_this_cpu(repeat)(4) < 0.005 + used[1]  # the sleep is not charged

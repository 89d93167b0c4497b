"""Notice when this core is not its usual self, and measure how noisy a machine is.

Inside a virtual machine most disturbance is invisible: the other hyper-thread of our core belongs
to somebody else, and while they compute we are 1.3 to 2 times slower, with no steal time and no
context switch to show for it, for milliseconds or for half a second. So a small fixed kernel is
timed beside every repeat of a program: when it is slow, the repeat beside it was disturbed.
"""

from __future__ import annotations

import itertools
import math
import os
import resource
import time
import zlib
from dataclasses import dataclass

import numpy as np

#: Fits the first-level cache: what slows it is the core, not its neighbours' use of memory.
_DATA = bytes(range(256)) * 64
#: The usual speed of a core falls by so much a second until it is seen again.
_FORGETTING = 0.001


class DisturbanceDetector:
    """Tells whether the core that we run on is undisturbed now, and if not, how slow it is.

    "Usual" is the fastest that the fixed kernel has been; it is forgotten slowly, so that a lasting
    change of clock frequency becomes the new usual, and a neighbour of some seconds does not.

    Args:
        tolerance: how much slower than usual the fixed kernel may be.
    """

    def __init__(self, tolerance: float = 0.1) -> None:
        self._tolerance = tolerance
        self._usual, self._at = min(fixed_kernel() for _ in range(64)), time.perf_counter()
        self._switches = _involuntary_switches()
        self._before = self._now = 1.0

    @property
    def slowdown(self) -> float:
        """How many times slower than usual the core was between the last two looks, at least 1."""
        return math.sqrt(self._before * self._now)

    def undisturbed(self) -> bool:
        """Look: whether the fixed kernel runs at its usual speed, and nobody else had the core."""
        seconds, now = min(fixed_kernel(), fixed_kernel(), fixed_kernel()), time.perf_counter()
        self._usual = min(seconds, self._usual * (1 + _FORGETTING * (now - self._at)))
        self._before, self._now, self._at = self._now, seconds / self._usual, now
        switches, self._switches = self._switches, _involuntary_switches()
        return self._now <= 1 + self._tolerance and switches == self._switches

    def wait(self, patience_s: float) -> float:
        """Wait until `undisturbed`, at most `patience_s`; returns the seconds waited."""
        started = time.perf_counter()
        while not self.undisturbed() and time.perf_counter() - started < patience_s:
            time.sleep(0.0005)
        return time.perf_counter() - started


def fixed_kernel() -> float:
    """Seconds of a fixed, compute-bound piece of work of some microseconds."""
    started = time.perf_counter()
    zlib.crc32(_DATA)
    return time.perf_counter() - started


def steal_ticks(cpu: int) -> int:
    """Clock ticks that the hypervisor has taken from a CPU since boot."""
    with open("/proc/stat", "rb") as file:  # noqa: PTH123
        for line in file:
            if line.startswith(b"cpu%d " % cpu):
                return int(line.split()[8])
    return 0


@dataclass(frozen=True)
class Noise:
    """How noisy this machine is for timing.

    Attributes:
        timer_s: resolution of the clock, seconds.
        spread: interquartile range over median of a fixed kernel of 1 ms.
        worst: its 99th percentile over its median.
        disturbed: share of the time in which the core was slower than usual.
        steal: share of the time that the hypervisor reported to have taken.
        load: processes that want to run, a core, over the last minute.
    """

    timer_s: float
    spread: float
    worst: float
    disturbed: float
    steal: float
    load: float

    @property
    def meaning(self) -> str:
        """One line for people."""
        if self.load > 0.9:
            return "other processes use this machine: latencies will be too high; stop them first"
        if self.disturbed > 0.5:
            return "disturbed most of the time: expect errors of tens of percent, and slow progress"
        if self.disturbed > 0.05 or self.steal > 0.01:
            return "a shared or throttled core: disturbed repeats are noticed and taken again"
        if self.spread > 0.02:
            return "latencies vary by some percent: programs that are close cannot be told apart"
        return "quiet: a difference of about one percent can be told"


def measure_noise(seconds: float = 1.0) -> Noise:
    """Measure this machine's noise, on one CPU: the last of ours, where programs are timed.

    Args:
        seconds: how long to look.
    """
    allowed = os.sched_getaffinity(0)
    cpu = max(allowed)
    os.sched_setaffinity(0, {cpu})
    try:
        stolen, started = steal_ticks(cpu), time.perf_counter()
        calls = max(1, round(0.001 / min(fixed_kernel() for _ in range(100))))
        detector, disturbed = DisturbanceDetector(), 0
        samples: list[float] = []
        while time.perf_counter() - started < seconds or len(samples) < 8:
            begun = time.perf_counter()
            for _ in range(calls):
                zlib.crc32(_DATA)
            samples.append(time.perf_counter() - begun)
            disturbed += not detector.undisturbed()
        elapsed = time.perf_counter() - started
        stolen = steal_ticks(cpu) - stolen
    finally:
        os.sched_setaffinity(0, allowed)
    low, middle, high, worst = np.quantile(samples, [0.25, 0.5, 0.75, 0.99])
    return Noise(
        timer_s=_timer_resolution(),
        spread=float((high - low) / middle),
        worst=float(worst / middle),
        disturbed=disturbed / len(samples),
        steal=stolen / os.sysconf("SC_CLK_TCK") / elapsed,
        load=os.getloadavg()[0] / len(allowed),
    )


def _timer_resolution() -> float:
    ticks = [time.perf_counter_ns() for _ in range(2000)]
    return min(b - a for a, b in itertools.pairwise(ticks) if b > a) * 1e-9


def _involuntary_switches() -> int:
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw

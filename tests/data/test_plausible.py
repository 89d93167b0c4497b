"""What a measurement can say, and that the page which tells the bounds tells the right ones."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balto.data import plausible as bounds
from balto.data.outcome import Outcome, Status
from balto.data.outcomes import Outcomes
from balto.data.plausible import flop_problem, implausible_of, plausible, shape_problem
from balto.data.target import Target
from balto.data.task import Task
from balto.errors import InputError

PAGE = Path(__file__).parents[2] / "docs" / "pool-format.md"


def took(latency_s: float, median_s: float | None = None, **rest: object) -> Outcome:
    median_s = latency_s if median_s is None else median_s
    return replace(Outcome(Status.OK, latency_s, median_s, 0.1, 0.2, 3, 0.01), **rest)


@pytest.mark.parametrize("latency_s", [math.nan, -1.0, 0.0, 1e-30, 5e-324, 1e300, math.inf])
def test_a_latency_that_cannot_be_is_a_failure_that_names_the_device(latency_s):
    judged = plausible(took(latency_s, device="10.0.0.7:9090"))
    assert judged.status is Status.RUN_ERROR
    assert judged.message.startswith(f"the device 10.0.0.7:9090 gave a latency of {latency_s:g} s")
    assert math.isnan(judged.latency_s)
    assert math.isnan(judged.latency_median_s)
    assert (judged.build_s, judged.measure_s) == (0.1, 0.2), "it cost as much all the same"


@given(st.floats(allow_nan=True), st.floats(allow_nan=True), st.floats(0, 1e21) | st.just(math.nan))
def test_what_is_believed_is_within_the_bounds(latency_s, median_s, flop):
    outcome = took(latency_s, median_s)
    least = max(1e-9, 0 if math.isnan(flop) else flop / 1e17)
    can_be = least <= latency_s <= 1e5 and latency_s * (1 - 1e-6) <= median_s <= 1e5
    assert (plausible(outcome, flop) is outcome) == can_be


def test_a_median_below_the_smallest_repeat_cannot_be():
    assert "median latency of 0.001 s" in plausible(took(2e-3, 1e-3)).message
    rounded = took(2e-3, 2e-3 * (1 - 1e-9))
    assert plausible(rounded) is rounded


def test_no_device_does_so_many_operations_in_that_time():
    assert plausible(took(1e-6), 2e9).ok
    assert not plausible(took(1e-6), 2e12).ok


def test_probes_of_no_time_are_no_probes():
    judged = plausible(took(1e-3, device="d", probe_s=1e-30))
    assert not judged.ok
    assert judged.message.startswith("the device d gave 1e-30 s for its probes")
    assert math.isnan(judged.probe_s)


def test_a_failure_is_left_as_it_is():
    failed = Outcome(Status.CRASH, message="it crashed")
    assert plausible(failed) is failed


@given(st.lists(st.none() | st.builds(took, st.floats(0, 1e6)), max_size=9))
def test_the_first_of_many_is_named_by_its_place(listed):
    wrong = [k for k, each in enumerate(listed) if each and not plausible(each).ok]
    flop = Outcomes(len(listed)).latency_s
    found = implausible_of(Outcomes.of(listed), flop)
    assert (found[0] if found else None) == (wrong[0] if wrong else None)


@pytest.mark.parametrize("flop", [-1.0, math.inf, -math.inf, 1e23])
def test_operations_that_cannot_be_make_no_task(flop):
    with pytest.raises(InputError, match=r"expected FLOP from 0 to 1e\+22, got .* for the task a"):
        Task("a", "op", "[]", 1, Target("llvm"), "cpu", flop=flop)
    assert not flop_problem(math.nan)


@pytest.mark.parametrize("shape", [[-1, -8], [2**62], [2**31, 2**31, 2**31], [0], [1.5], [True]])
def test_a_shape_that_cannot_be(shape):
    assert "expected a shape of sizes from 1" in shape_problem(shape)


@pytest.mark.parametrize("shape", [[], [1], [1024, 1024, 1024]])
def test_a_shape_that_can_be(shape):
    assert not shape_problem(shape)


def test_the_page_tells_the_bounds_of_the_code():
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([\d.e+-]+) ", PAGE.read_text(), re.MULTILINE)
    said = {name: float(value) for name, value in rows}
    constants = {
        name: float(value)
        for name, value in vars(bounds).items()
        if name.isupper() and not name.startswith("_") and not isinstance(value, str)
    }
    assert said == constants

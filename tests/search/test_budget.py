"""Trials go where the network gains most."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balto.deploy.assemble import right_traces
from balto.search.budget import Share, network_s, next_task, next_untried, share_of


def test_a_task_that_matters_little_gets_few() -> None:
    shares = [Share(10, 1e6, untuned_s=1e-3), Share(1, 1e6, untuned_s=1e-4)]
    for _ in range(20):
        k = next_task(shares)
        assert k is not None
        shares[k].record(0.5 * (shares[k].untuned_s or 0))  # a slice halves the latency, once
    assert shares[1].slices <= 2


def expected_s(weight: int, untuned_s: float, saves: float, slices: int) -> float:
    """What the next slice is expected to save of a network's run, by the words of the module.

    Each slice before it saved the same share of a task's latency.
    """
    last = saves if slices else 1.0
    guess = 1 / (slices + 1)
    return weight * untuned_s * (1 - saves) ** slices * (last + guess) / 2


TASKS = st.tuples(st.integers(1, 9), st.floats(1e-6, 1.0), st.floats(0.0, 0.9))


@given(st.lists(TASKS, min_size=1, max_size=6), st.integers(1, 20))
def test_no_slice_could_be_moved_to_another_task_and_gain_more(
    tasks: list[tuple[int, float, float]], slices: int
) -> None:
    """The slices given are those that gain most among all slices that each task could have."""
    shares = [Share(weight, 1e6, untuned_s=seconds) for weight, seconds, _ in tasks]
    for _ in range(slices):
        k = next_task(shares)
        assert k is not None
        shares[k].record(shares[k].latency_s * (1 - tasks[k][2]))
    every = sorted((expected_s(*task, n) for task in tasks for n in range(slices)), reverse=True)
    given_s = [
        expected_s(*task, n)
        for task, share in zip(tasks, shares, strict=True)
        for n in range(share.slices)
    ]
    assert sorted(given_s, reverse=True) == pytest.approx(every[:slices])


@given(st.lists(st.tuples(st.integers(1, 9), st.floats(1e3, 1e9)), min_size=1, max_size=6))
def test_the_next_untried_task_is_the_next_that_is_tried(tasks: list[tuple[int, float]]) -> None:
    shares = [Share(weight, flop) for weight, flop in tasks]
    while (expected := next_untried(shares)) is not None:
        while (k := next_task(shares)) != expected:
            assert k is not None
            assert shares[k].untuned_s is not None
            shares[k].record(shares[k].best_s * 0.99)
        shares[k].untuned_s = shares[k].flop / 1e9
        shares[k].record(shares[k].untuned_s / 2)
    assert all(share.slices for share in shares)


def test_a_dry_task_gets_none_and_all_dry_is_the_end() -> None:
    shares = [Share(9, 1e9, dry=True), Share(1, 1.0)]
    assert next_task(shares) == 1
    shares[1].dry = True
    assert next_task(shares) is None


def test_the_network_is_the_weighted_sum_and_the_untried_are_estimated() -> None:
    timed = Share(2, 1e6, untuned_s=1e-3, best_s=5e-4)
    assert network_s([timed]) == pytest.approx(1e-3)
    assert network_s([timed, Share(1, 3e6)]) == pytest.approx(1e-3 + 3e-3)
    broken = Share(1, 2e6, untuned_s=math.nan)
    assert math.isfinite(network_s([timed, broken]))


@given(st.lists(st.tuples(st.integers(1, 9), st.floats(1e3, 1e9)), min_size=1, max_size=6))
def test_the_shares_of_a_network_are_one_together(tasks: list[tuple[int, float]]) -> None:
    shares = [Share(weight, flop) for weight, flop in tasks]
    assert sum(share_of(shares, k) for k in range(len(shares))) == pytest.approx(1)


def test_a_network_that_takes_no_time_has_no_small_task() -> None:
    assert share_of([Share(1, 0.0), Share(1, 0.0)], 1) == 1


@given(st.integers(1, 12), st.data())
def test_what_makes_the_network_wrong_is_found_and_nothing_else(
    count: int, data: st.DataObject
) -> None:
    traces = {f"t{k}": "trace" for k in range(count)}
    bad = data.draw(st.sets(st.sampled_from(list(traces))))
    told: list[str] = []
    kept, left_out, error = right_traces(
        traces, lambda chosen: 9.0 if bad & set(chosen) else 0.1, told.append
    )
    assert set(left_out) == set(told) == bad
    assert set(kept) == set(traces) - bad
    assert error == 0.1


def test_a_network_that_is_wrong_without_any_program_is_said_so() -> None:
    kept, left_out, error = right_traces({"t": "trace"}, lambda _: 7.0, lambda _: None)
    assert (kept, left_out, error) == ({}, [], 7.0)

"""Trials go where the network gains most."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balto.deploy.assemble import right_traces
from balto.search.budget import Share, network_s, next_task, next_untried


def made_up(weights: list[int], untuned_s: list[float], slices: int) -> list[int]:
    """How many slices each task got, if a slice halves the first latency and no more."""
    shares = [Share(w, 1e6) for w in weights]
    for _ in range(slices):
        k = next_task(shares)
        assert k is not None
        shares[k].untuned_s = untuned_s[k]
        shares[k].record(untuned_s[k] / 2)
    return [share.slices for share in shares]


def test_a_task_that_matters_little_gets_few() -> None:
    assert made_up([10, 1], [1e-3, 1e-4], 20)[1] <= 2


@given(st.lists(st.tuples(st.integers(1, 9), st.floats(1e-6, 1.0)), min_size=1, max_size=6))
def test_every_slice_is_given_and_outcomes_fix_to_whom(tasks: list[tuple[int, float]]) -> None:
    weights, seconds = [w for w, _ in tasks], [s for _, s in tasks]
    first = made_up(weights, seconds, 12)
    assert sum(first) == 12
    assert made_up(weights, seconds, 12) == first


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

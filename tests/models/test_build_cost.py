"""Seconds of building: foretold on machines that no build is known of, and corrected by a few."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from balto.data.pool import Pool
from balto.data.pool_reader import read_pool
from balto.models.build_cost import READS, BuildCost, fitted, limits
from balto.models.xgb import XGB

POOLS = Path(__file__).parents[2] / "pools"

pool_called = cache(read_pool)


def recorded(name: str) -> tuple[Pool, np.ndarray]:
    pool = pool_called(POOLS / name)
    return pool, pool.outcomes.numbers["build_s"]


@cache
def of_another_pool() -> XGB:
    pool, build_s = recorded("epyc-sse")
    return fitted(pool.features.select(READS), build_s, np.zeros(len(pool), np.int64))


def test_slow_builds_of_another_processor_are_foretold() -> None:
    pool, build_s = recorded("epyc-avx512-2-cores")
    said = BuildCost(of_another_pool()).seconds(pool.features)
    assert spearmanr(said, build_s)[0] > 0.6
    slowest, first = np.argsort(-build_s)[:24], np.argsort(-said)[:120]
    assert build_s[np.intersect1d(slowest, first)].sum() > 0.5 * build_s[slowest].sum()


def test_a_pool_of_a_slower_machine_teaches_the_same_order() -> None:
    pool, build_s = recorded("epyc-sse")
    features, half = pool.features.select(READS), np.arange(len(pool)) % 2
    slower = np.where(half == 0, 4 * build_s, build_s)
    asked = features.take(np.arange(200))
    [one, other] = [fitted(features, seconds, half) for seconds in (build_s, slower)]
    shift = other.predict_roots(asked) - one.predict_roots(asked)
    assert shift == pytest.approx(np.full(200, np.log(4) / 2), abs=0.02)


@settings(max_examples=15, deadline=None)
@given(times=st.floats(0.1, 20), builds=st.integers(20, 200), cut=st.integers(1, 19))
def test_the_speed_of_this_machine_is_learnt_from_its_builds(
    times: float, builds: int, cut: int
) -> None:
    pool, _ = recorded("epyc-sse")
    cost, at_once = BuildCost(of_another_pool()), BuildCost(of_another_pool())
    asked = pool.features.take(np.arange(builds))
    before = cost.seconds(asked)
    for part in (np.arange(cut), np.arange(cut, builds)):
        cost.learn(asked.take(part), times * before[part])
    at_once.learn(asked, times * before)
    assert cost.seconds(asked) == pytest.approx(times ** (builds / (builds + 1)) * before)
    assert cost.seconds(asked) == pytest.approx(at_once.seconds(asked))


def test_builds_whose_seconds_are_not_known_teach_nothing() -> None:
    pool, _ = recorded("epyc-sse")
    cost, asked = BuildCost(of_another_pool()), pool.features.take(np.arange(3))
    before = cost.seconds(asked)
    cost.learn(asked, np.array([np.nan, 0.0, np.inf]))
    assert (cost.seconds(asked) == before).all()


def test_the_one_that_ships_knows_all_kinds_of_recorded_pools() -> None:
    pool, build_s = recorded("epyc-avx512-2-cores")
    said = BuildCost().seconds(pool.features)
    assert spearmanr(said, build_s)[0] > 0.7
    assert 0.2 < np.median(said) / np.median(build_s) < 5


def test_no_build_is_ended_before_two_seconds_nor_before_five_times_what_was_foretold() -> None:
    assert limits(np.array([0.01, 0.4, 1.0])).tolist() == [2.0, 2.0, 5.0]

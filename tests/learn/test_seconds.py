"""A budget of seconds: kept as far as it is foretold, and spent on what teaches most a second."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from balto.campaign.campaign import Campaign
from balto.campaign.config import Config
from balto.cli import cli
from balto.data.features import FeatureTable
from balto.data.outcome import SLOW, Outcome, Status
from balto.data.outcomes import Outcomes
from balto.data.pool import Pool
from balto.data.pool_reader import read_pool
from balto.errors import ConfigurationChanged, InputError
from balto.learn.loop import ActiveLearner
from balto.learn.replay import replay
from balto.learn.seconds import SecondsBudget
from balto.learn.settings import LoopSettings
from balto.measure.replay import ReplayMeasurer
from balto.select import TaskState, get
from balto.testing import made_up_pool

POOLS = Path(__file__).parents[2] / "pools"


@cache
def recorded() -> Pool:
    return read_pool(POOLS / "epyc-avx512-2-cores")


def budget_of(costs: list[float], seconds: float = 10.0) -> SecondsBudget:
    made = SecondsBudget(seconds, 1, FeatureTable({}, len(costs)))
    made.expected = np.array(costs)
    return made


@given(
    st.lists(st.lists(st.floats(0.01, 5.0), max_size=6), min_size=1, max_size=4),
    st.floats(0.0, 20.0),
    st.integers(0, 2),
)
def test_what_is_kept_fits_and_nothing_else_would(
    costs: list[list[float]], left_s: float, least: int
) -> None:
    every = [cost for task in costs for cost in task]
    starts = np.cumsum([0, *map(len, costs)])
    picks = {k: np.arange(starts[k], starts[k + 1]) for k in range(len(costs))}
    kept = budget_of(every).fit(picks, left_s, least)
    chosen = [p for some in kept.values() for p in some]
    total = sum(every[p] for p in chosen)
    assert total <= left_s + 1e-9 or len(chosen) <= least
    assert len(chosen) >= min(least, len(every))
    for k, some in kept.items():
        assert [p for p in picks[k] if p in set(some.tolist())] == some.tolist()  # in their order
    left_out = [every[p] for some in picks.values() for p in some if p not in chosen]
    assert all(total + cost > left_s - 1e-9 for cost in left_out)


@settings(max_examples=5, deadline=None)
@given(st.floats(15.0, 60.0), st.integers(2, 6), st.integers(0, 3))
def test_the_seconds_are_kept_and_most_of_them_used(seconds: float, rounds: int, seed: int) -> None:
    result = replay(recorded(), selector="random", budget_s=seconds, rounds=rounds, seed=seed)
    dearest = float(recorded().outcomes.seconds.max())
    assert result.seconds <= seconds * 1.5 + dearest
    assert result.seconds >= 0.4 * seconds
    picks = [p for some in result.picks.values() for p in some]
    assert len(picks) == result.measurements > 0
    again = replay(recorded(), selector="random", budget_s=seconds, rounds=rounds, seed=seed)
    assert again.picks == result.picks


def test_builds_of_a_replay_are_ended_where_they_go_on_far_past_what_was_foretold() -> None:
    pool = recorded()
    long = Outcomes.of(pool.outcomes[k] for k in range(len(pool)))
    long.numbers["build_s"][::7] = 500.0
    result = replay(replace(pool, outcomes=long), selector="random", budget_s=60, rounds=4, seed=1)
    assert result.rounds[-1].failures["too_dear"] > 1
    assert result.seconds < 120  # one such build would be 500 s


def test_what_was_too_dear_is_trained_on_as_slow() -> None:
    pool = made_up_pool(programs=20)
    changed = Outcomes.of(pool.outcomes[k] for k in range(len(pool)))
    changed[3] = Outcome(Status.TOO_DEAR, build_s=4.0)
    pool = replace(pool, outcomes=changed)
    learner = ActiveLearner(
        pool,
        ReplayMeasurer(pool),
        "random",
        "xgb",
        LoopSettings(budget=1.0, rounds=1, test_share=0),
    )
    learner.run()
    index, y, _ = learner.trained_on()
    assert y[index.tolist().index(3)] == SLOW
    assert set(np.flatnonzero(~changed.ok)) - {3} == set(range(len(pool))) - set(index.tolist())


def test_of_two_programs_that_teach_alike_the_cheaper_one_is_chosen() -> None:
    rng = np.random.default_rng(0)
    members = rng.random((8, 6))
    members[:, 4] = members[:, 5]
    state = TaskState(
        name="t",
        size=6,
        labelled=np.array([0]),
        labels=np.ones(1),
        seconds=np.ones(1),
        predictions=np.full(6, 0.5),
        ensemble_predictions=lambda: members,
    )
    lcmd = get("biased-lcmd")
    assert 5 not in lcmd.select(state, 4, rng)
    state.cost = np.array([1.0, 1, 1, 1, 1, 0.5])
    assert 4 not in lcmd.select(state, 4, rng)


def test_a_campaign_of_seconds_that_is_killed_goes_on_with_the_same_programs(
    tmp_path: Path,
) -> None:
    config = Config(pool=str(POOLS / "epyc-avx512-2-cores"), budget_s=20, rounds=4)

    class Killed(Exception):
        """As by kill -9."""

    class Breaks(ReplayMeasurer):
        left = 150

        def measure(self, candidates):
            for each in super().measure(candidates):
                if not self.left:
                    raise Killed
                self.left -= 1
                yield each

    with Campaign(tmp_path / "whole", config) as campaign:
        whole = campaign.run()
    with Campaign(tmp_path / "cut", config) as campaign, pytest.raises(Killed):
        campaign.run(Breaks(recorded()))
    with Campaign(tmp_path / "cut", config) as campaign:
        resumed = campaign.run()
    assert resumed.picks == whole.picks
    assert resumed.seconds == whole.seconds


@pytest.mark.parametrize("budget", ["60s", "1min", "0.02h"])
def test_a_replay_takes_a_duration(budget: str) -> None:
    pool = str(POOLS / "epyc-avx512-2-cores")
    command = ["replay", pool, "--selector", "random", "--seeds", "1", "--rounds", "2"]
    said = CliRunner().invoke(cli, [*command, "--budget", budget])
    assert said.exit_code == 0, said.output
    assert " of measuring" in said.output


def test_a_campaign_takes_a_duration_and_another_one_needs_another_folder(tmp_path: Path) -> None:
    pool = ["--pool", str(POOLS / "epyc-avx512-2-cores"), "--rounds", "2", "--selector", "random"]
    command = ["pretrain", str(tmp_path / "work"), *pool, "--budget"]
    said = CliRunner().invoke(cli, [*command, "20s", "-f", "json"])
    assert said.exit_code == 0, said.output
    assert Config.load(tmp_path / "work" / "config.json").budget_s == 20
    with pytest.raises(ConfigurationChanged, match=r"budget_s: 20\.0 before, 30\.0 now"):
        CliRunner().invoke(cli, [*command, "30s"], catch_exceptions=False)


@pytest.mark.parametrize("budget", ["0s", "-1min", "min", "1e99h", "5 minutes"])
def test_a_duration_that_cannot_be_is_refused(budget: str) -> None:
    said = CliRunner().invoke(cli, ["replay", str(POOLS / "epyc-sse"), "--budget", budget])
    assert said.exit_code == 2
    assert "expected a share" in said.output
    with pytest.raises(InputError, match="budget_s"):
        LoopSettings(budget_s=0.0)

"""What the next measurements would bring, and stopping when it is little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from balto.campaign.campaign import Campaign
from balto.campaign.config import Config
from balto.campaign.status import status
from balto.data.pool_writer import write_pool
from balto.errors import InputError
from balto.learn.metrics import Accuracy
from balto.learn.replay import replay
from balto.learn.round import Round
from balto.learn.saturation import FEWEST, Outlook, outlook, outlook_of
from balto.report.captions import captions
from balto.report.data import gather
from balto.testing.pools import made_up_pool


def rounds(measurements, top1):
    """A curve."""
    accuracy = Accuracy(0.5, 0.5, 0.5, 0.5)
    return [
        Round(k + 1, {}, int(m), 0.0, {}, replace(accuracy, top1_halves=float(y)), {}, 0.0, 0.0)
        for k, (m, y) in enumerate(zip(measurements, top1, strict=True))
    ]


@given(st.floats(-0.1, 0.3), st.floats(-0.5, 0.5), st.integers(200, 100_000))
def test_on_a_line_the_estimate_is_the_line(slope, start, selectable):
    measured = np.arange(1, 11) * 20
    found = outlook(rounds(measured, start + slope * np.log(measured)), selectable)
    more = min(round(0.02 * selectable), selectable - 200)
    if more < 1:
        assert found is None
    else:
        assert found.measurements == more
        assert found.gain == pytest.approx(slope * np.log((200 + more) / 200), abs=1e-9)
        assert found.error == pytest.approx(0, abs=1e-6)


def test_a_curve_from_elsewhere_is_looked_at_as_rounds_are():
    measured, top1 = [10, 20, 30, 30, 40, 50, 60, 70], [0.1, 0.3, 0.35, 0.9, 0.4, np.nan, 0.5, 0.5]
    assert outlook_of(measured, top1, 1000) == outlook(rounds(measured, top1), 1000)
    assert outlook_of(measured, top1, 1000) is not None


def test_the_error_is_that_of_the_expectation():
    rng, measured = np.random.default_rng(0), np.arange(1, 16) * 30
    line = 0.3 + 0.1 * np.log(measured)
    found = [outlook(rounds(measured, line + rng.normal(0, 0.03, 15)), 3000) for _ in range(400)]
    truth = 0.1 * np.log1p(60 / 450)
    gains = np.array([each.gain for each in found])
    assert gains.mean() == pytest.approx(truth, abs=0.001)
    assert gains.std() == pytest.approx(np.mean([each.error for each in found]), rel=0.15)


def test_too_little_is_known_or_nothing_is_left():
    measured = np.arange(1, FEWEST) * 10
    assert outlook([], 1000) is None
    assert outlook(rounds(measured, measured), 1000) is None
    same = [10] * 20  # rounds that measured nothing new are one
    assert outlook(rounds(same, same), 1000) is None
    whole = np.arange(1, 11) * 10
    assert outlook(rounds(whole, whole), 100) is None
    assert outlook(rounds(whole, np.full(10, np.nan)), 1000) is None


@pytest.mark.parametrize(
    ("gain", "error", "saturated"),
    [(0.02, 0.0, False), (0.005, 0.0, True), (0.005, 0.004, False), (-0.01, 0.001, True)],
)
def test_it_stops_only_with_confidence(gain, error, saturated):
    assert Outlook(10, gain, error).saturated is saturated


def test_another_threshold_than_the_products():
    some = Outlook(10, 0.012, 0.004)
    assert not some.saturated
    assert some.below(0.02)
    assert not some.below(0.015)
    assert some.below(0.015, confidence=0)


def flat_pool():
    """A pool whose programs are all alike: there is nothing to learn after the first of them."""
    pool = made_up_pool(2, 100)
    ok = pool.outcomes.ok
    for name in ("latency_s", "latency_median_s"):
        pool.outcomes.numbers[name][ok] = 1e-3
    return pool


def test_a_replay_stops_where_nothing_is_left_to_learn():
    settings = {"budget": 0.8, "rounds": 20, "model": "xgb"}
    stopped = replay(flat_pool(), until_saturated=True, **settings)
    assert len(stopped.rounds) == FEWEST
    assert stopped.outlook.saturated
    whole = replay(flat_pool(), **settings)
    assert len(whole.rounds) == 20
    first = [(r.measurements, r.accuracy) for r in whole.rounds[:FEWEST]]
    assert [(r.measurements, r.accuracy) for r in stopped.rounds] == first


def test_it_needs_held_out_programs():
    with pytest.raises(InputError, match="test share above 0"):
        replay(flat_pool(), until_saturated=True, test_share=0.0)


@pytest.mark.slow
def test_a_campaign_that_is_interrupted_stops_at_the_same_round(tmp_path):
    write_pool(flat_pool(), tmp_path / "pool")
    config = Config(
        pool=str(tmp_path / "pool"),
        budget=0.8,
        rounds=20,
        until_saturated=True,
        compare="random",
    )
    with Campaign(tmp_path / "whole", config) as campaign:
        result = campaign.run()
    assert len(result.rounds) == len(result.compared.rounds) == FEWEST
    journal = (tmp_path / "whole" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for kept in range(1, len(journal), len(journal) // 3):
        work = tmp_path / f"cut{kept}"
        work.mkdir()
        (work / "journal.jsonl").write_bytes(b"".join(journal[:kept]))
        with Campaign(work, config) as campaign:
            again = campaign.run()
        assert again.picks == result.picks
        assert again.outlook == result.outlook
        assert status(work).state == "finished"


def test_the_report_says_what_more_would_bring(tmp_path):
    write_pool(made_up_pool(2, 60), tmp_path / "pool")
    config = Config(pool=str(tmp_path / "pool"), budget=0.3, rounds=8)
    with Campaign(tmp_path / "work", config) as campaign:
        result = campaign.run()
    data = gather(tmp_path / "work")
    assert data.outlook == result.outlook
    sentence = captions(data)["curves"]
    assert f"Another 2% of the programs ({data.outlook.measurements} measurements)" in sentence
    assert f"{100 * data.outlook.gain:+.1f} ±" in sentence

"""The loop keeps its promises: the held-out share, the budget, T_max as measured so far."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balto.learn.loop import ActiveLearner, Ledger, LoopSettings
from balto.learn.replay import replay, summary
from balto.learn.round import round_from_dict, round_to_dict
from balto.measure.replay import ReplayMeasurer
from balto.models import create
from balto.select import get
from tests.conftest import make_pool


def learner(pool, selector="balto", model="xgb", ledger=None, **changes):
    values = {"fraction": 0.2, "rounds": 3, "test_share": 0.25, "seed": 0, **changes}
    measurer = ReplayMeasurer(pool)
    return ActiveLearner(
        pool, measurer, get(selector), create(model), LoopSettings(**values), ledger
    )


@settings(max_examples=8, deadline=None)
@given(
    st.floats(0.02, 1.0),
    st.integers(1, 6),
    st.floats(0.0, 0.6),
    st.integers(0, 5),
    st.sampled_from(["random", "output-diversity", "biased-diversity", "balto"]),
)
def test_the_budget_is_kept_and_nothing_is_chosen_twice(fraction, rounds, share, seed, selector):
    pool = make_pool(programs=20)
    run = learner(pool, selector, fraction=fraction, rounds=rounds, test_share=share, seed=seed)
    run.measure_test()
    results = run.run()
    selectable = sum(len(t) for t in run.train)
    assert results[-1].measurements == max(1, round(fraction * selectable))
    for task_id, picks in enumerate(run.picks):
        assert len(set(picks)) == len(picks)
        assert not set(picks) & set(run.test[task_id].tolist())
    assert [r.round for r in results] == list(range(1, rounds + 1))
    assert all(
        sum(r.rules.values()) == m for r, m in zip(results, increments(results), strict=True)
    )


def increments(results):
    return np.diff([0, *(r.measurements for r in results)])


def test_t_max_is_the_best_measured_so_far_and_labels_move_with_it(pool):
    run = learner(pool)
    run.measure_test()
    run.round(1)
    first = run.labels(0)
    run.round(2)
    latency = np.array([pool.outcomes[p].latency_s for p in run.picks[0]])
    np.testing.assert_allclose(run.labels(0), np.nanmin(latency) / latency)
    assert np.nanmax(run.labels(0)) == 1.0
    if np.nanargmin(latency) >= len(first):  # round 2 found a better program
        assert (run.labels(0)[: len(first)] <= first).all()


def test_failures_cost_their_budget_and_are_never_trained_on(pool):
    run = learner(pool, "random", fraction=1.0, rounds=1)
    run.measure_test()
    (result,) = run.run()
    failed = sum(not pool.outcomes[60 * k + p].ok for k in range(3) for p in run.picks[k])
    assert result.failures == {"build_error": failed}
    index, y, _ = run.trained_on()
    assert len(index) == result.measurements - failed
    assert ((y > 0) & (y <= 1)).all()


def test_the_first_round_is_random_whatever_the_selector(pool):
    picks = []
    for selector in ("random", "output-diversity", "biased-diversity", "balto"):
        run = learner(pool, selector)
        run.measure_test()
        assert set(run.round(1).rules) == {"random"}
        picks.append(run.picks)
    assert all(p == picks[0] for p in picks)


def test_two_costs_are_reported_measurements_and_seconds(pool):
    run = learner(pool)
    run.measure_test()
    results = run.run()
    spent = sum(pool.outcomes[60 * k + p].seconds for k in range(3) for p in run.picks[k])
    assert results[-1].seconds == pytest.approx(spent)
    assert [r.seconds for r in results] == sorted(r.seconds for r in results)


class Remembering(Ledger):
    """Keeps selections, as a campaign's ledger does."""

    def __init__(self):
        super().__init__()
        self.selections = {}

    def selection(self, round_number):
        return self.selections.get(round_number)

    def add_selection(self, round_number, picks, rules):
        self.selections[round_number] = picks, rules


def test_a_loop_that_finds_its_facts_in_the_ledger_measures_nothing_again(pool):
    ledger = Remembering()
    whole = learner(pool, ledger=ledger)
    whole.measure_test()
    before = whole.run()
    again = learner(pool, ledger=ledger)
    again.measurer.measure = lambda candidates: pytest.fail(f"measured {candidates} again")
    again.measure_test()
    assert [r.accuracy for r in again.run()] == [r.accuracy for r in before]


def test_a_task_whose_measurements_all_fail_stops_nobody(pool):
    for i in pool.programs(1):
        pool.outcomes[i] = type(pool.outcomes[0])(status=pool.outcomes[5].status)
    run = learner(pool)
    run.measure_test()
    result = run.run()[-1]
    assert set(result.task_accuracy) == {0, 2}
    assert np.isnan(run.labels(1)).all()


def test_no_test_share_means_no_accuracy(pool):
    run = learner(pool, test_share=0.0)
    run.measure_test()
    assert run.run()[-1].accuracy is None


def test_a_round_survives_json(pool):
    import json

    run = learner(pool)
    run.measure_test()
    for result in run.run():
        again = round_from_dict(json.loads(json.dumps(round_to_dict(result), allow_nan=False)))
        assert again == result


def test_choosing_well_beats_choosing_at_random_where_labels_can_be_learnt():
    """On a pool whose latency follows its features, balto's programs are the faster ones."""
    pool = make_pool(programs=200, failures=False)
    chosen = {}
    for selector in ("random", "balto"):
        labels = []
        for seed in range(2):
            run = learner(pool, selector, fraction=0.1, rounds=5, seed=seed)
            run.measure_test()
            run.run()
            labels += [
                np.min(pool.latency_s[pool.programs(k)]) / pool.latency_s[200 * k + p]
                for k in range(3)
                for p in run.picks[k][run.schedule[k, 0] :]  # round 1 is random for both
            ]
        chosen[selector] = np.mean(labels)
    assert chosen["balto"] > 1.5 * chosen["random"]


def test_replay_and_its_summary(pool):
    config = LoopSettings(0.2, 3, 0.25, 0)
    runs = [replay(pool, "balto", "xgb", config), replay(pool, "balto", "xgb", config)]
    assert runs[0][-1].accuracy == runs[1][-1].accuracy
    result = summary("balto", "xgb", config, 2, runs)
    assert result["measurements"] == [27, 27]
    assert result["top1"][0] == result["top1"][1] == runs[0][-1].accuracy.top1

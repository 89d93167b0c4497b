"""The loop keeps its promises: the held-out share, the budget, T_max as measured so far."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balto.data.outcome import Outcome, Status
from balto.data.outcomes import Outcomes
from balto.errors import InputError
from balto.learn.loop import ActiveLearner
from balto.learn.replay import replay, summary
from balto.learn.round import round_from_dict, round_to_dict
from balto.learn.settings import LoopSettings
from balto.learn.split import Split
from balto.learn.store import OutcomeStore, RoundLog
from balto.measure.replay import ReplayMeasurer
from balto.models import create
from balto.select import get
from balto.testing import made_up_pool


def learner(pool, selector="balto", model="xgb", store=None, log=None, **changes):
    settings = LoopSettings(**{"budget": 0.2, "rounds": 3, "test_share": 0.25, **changes})
    measurer = ReplayMeasurer(pool)
    return ActiveLearner(pool, measurer, get(selector), create(model), settings, store, log)


@settings(max_examples=8, deadline=None)
@given(
    st.floats(0.02, 1.0),
    st.integers(1, 6),
    st.floats(0.0, 0.6),
    st.integers(0, 5),
    st.sampled_from(["random", "output-diversity", "biased-diversity", "balto"]),
)
def test_the_budget_is_kept_and_nothing_is_chosen_twice(budget, rounds, share, seed, selector):
    pool = made_up_pool(programs=20)
    run = learner(pool, selector, budget=budget, rounds=rounds, test_share=share, seed=seed)
    results = run.run().rounds
    selectable = sum(len(t) for t in run.split.train)
    assert results[-1].measurements == max(1, round(budget * selectable))
    for task_id, picks in enumerate(run.picks):
        assert len(set(picks)) == len(picks)
        assert not set(picks) & set(run.split.test[task_id].tolist())
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
    tasks = range(len(pool.tasks))
    first = [run.labels(k) for k in tasks]
    run.round(2)
    found_faster = []
    for k in tasks:
        latency = np.array([pool.outcomes[pool.offsets[k] + p].latency_s for p in run.picks[k]])
        np.testing.assert_allclose(run.labels(k), np.nanmin(latency) / latency)
        before = np.nanmin(latency[: len(first[k])])
        moved = first[k] * np.nanmin(latency) / before
        np.testing.assert_allclose(run.labels(k)[: len(moved)], moved)
        found_faster.append(np.nanmin(latency) < before)
    assert any(found_faster)
    assert not all(found_faster)


def test_failures_cost_their_budget_and_are_never_trained_on(pool):
    run = learner(pool, "random", budget=1.0, rounds=1)
    (result,) = run.run().rounds
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
    results = run.run().rounds
    spent = sum(pool.outcomes[60 * k + p].seconds for k in range(3) for p in run.picks[k])
    assert results[-1].seconds == pytest.approx(spent)
    assert [r.seconds for r in results] == sorted(r.seconds for r in results)


def test_a_loop_that_finds_its_facts_measures_nothing_again(pool):
    store, log = OutcomeStore(), RoundLog()
    before = learner(pool, store=store, log=log).run()
    again = learner(pool, store=store, log=log)
    again.measurer.measure = lambda candidates: pytest.fail(f"measured {candidates} again")
    after = again.run()
    assert [r.accuracy for r in after.rounds] == [r.accuracy for r in before.rounds]
    assert after.picks == before.picks


def test_a_run_needs_nothing_to_be_called_before_it(pool):
    """`run` measures the held-out programs itself; measuring them before changes nothing."""
    at_once, before = learner(pool), learner(pool)
    before.measure_test()
    first, second = at_once.run(), before.run()
    assert [r.accuracy for r in first.rounds] == [r.accuracy for r in second.rounds]
    assert first.accuracy is not None
    assert len(at_once.store) == first.measurements + sum(map(len, at_once.split.test))


def test_what_was_measured_of_a_task_is_known_by_its_name(pool):
    store = OutcomeStore()
    learner(pool, "random", store=store).run()
    split = Split.of(pool, 0.25, 0)
    for k, task in enumerate(pool.tasks):
        known = store.of(task.name, 60)
        assert set(split.test[k]) <= set(np.flatnonzero(known.measured))
        for p in np.flatnonzero(known.measured):
            assert repr(known[p]) == repr(pool.outcomes[60 * k + p])
        assert store.best_s(task.name) == np.nanmin(known.latency_s)
    assert store.best_s("another") is None
    assert store.seconds == pytest.approx(sum(store.of(t).seconds.sum() for t in store))
    assert sum(store.counts().values()) == len(store)


def test_a_task_whose_measurements_all_fail_stops_nobody(pool):
    for i in pool.programs(1):
        pool.outcomes[i] = Outcome(Status.BUILD_ERROR)
    run = learner(pool)
    result = run.run().rounds[-1]
    assert set(result.task_accuracy) == {0, 2}
    assert np.isnan(run.labels(1)).all()


def test_where_everything_fails_there_is_no_model_and_no_accuracy(pool):
    pool.outcomes = Outcomes.of([Outcome(Status.CRASH)] * len(pool))
    run = learner(pool)
    result = run.run()
    assert result.accuracy is None
    assert {rule for r in result.rounds for rule in r.rules} == {"random"}


def test_no_test_share_means_no_accuracy(pool):
    result = learner(pool, test_share=0.0).run()
    assert result.accuracy is None
    assert result.rounds[-1].accuracy is None


def test_a_round_survives_json(pool):
    import json

    for result in learner(pool).run().rounds:
        again = round_from_dict(json.loads(json.dumps(round_to_dict(result), allow_nan=False)))
        assert repr(vars(again)) == repr(vars(result))  # numbers that are none equal nothing


def test_rounds_in_which_nothing_is_selected_cost_nothing(monkeypatch):
    """22 programs in 5,000 rounds: the model is trained only where there is something new."""
    pool = made_up_pool(tasks=1, programs=29, failures=False)
    run = learner(pool, budget=1.0, rounds=5000)
    fits, fit = [], run.model.fit
    monkeypatch.setattr(run.model, "fit", lambda *a: (fits.append(1), fit(*a)))
    result = run.run()
    assert len(result.rounds) == 5000
    assert result.measurements == sum(map(len, result.picks.values())) == 22
    assert len(fits) == sum(1 for r in result.rounds if r.rules) <= 22
    for before, after in zip(result.rounds, result.rounds[1:], strict=False):
        if not after.rules:
            assert after.accuracy == before.accuracy
            assert after.seconds == before.seconds
            assert after.fit_s == 0.0


@pytest.mark.slow
def test_choosing_well_beats_choosing_at_random_where_labels_can_be_learnt():
    """On a pool whose latency follows its features, balto's programs are the faster ones."""
    pool = made_up_pool(programs=200, failures=False)
    chosen = {}
    for selector in ("random", "balto"):
        labels = []
        for seed in range(10):
            run = learner(pool, selector, budget=0.1, rounds=5, seed=seed)
            run.run()
            labels += [
                np.min(pool.latency_s[pool.programs(k)]) / pool.latency_s[200 * k + p]
                for k in range(3)
                for p in run.picks[k][run.schedule[k, 0] :]  # round 1 is random for both
            ]
        chosen[selector] = np.mean(labels)
    assert chosen["balto"] > 1.5 * chosen["random"]


def test_replay_and_its_summary(pool):
    values = {"budget": 0.2, "rounds": 3, "test_share": 0.25}
    runs = [replay(pool, selector="balto", model="xgb", **values) for _ in range(2)]
    assert runs[0].accuracy == runs[1].accuracy
    result = summary("balto", "xgb", LoopSettings(**values), 2, runs)
    assert result["budget"] == 0.2
    assert result["measurements"] == [27, 27]
    assert result["top1"][0] == result["top1"][1] == runs[0].accuracy.top1


def test_replay_takes_objects_as_it_takes_names(pool):
    values = {"budget": 0.2, "rounds": 3, "seed": 2}
    named = replay(pool, selector="balto:C=0.5", model="xgb:max_depth=3", **values)
    made = replay(
        pool, selector=get("balto:C=0.5"), model=create("xgb:max_depth=3", seed=2), **values
    )
    assert named.picks == made.picks
    assert named.accuracy == made.accuracy
    assert named.model.parameters() == {"max_depth": 3}
    assert named.picks != replay(pool, selector="random", model="xgb", **values).picks


def test_the_learner_takes_names_as_it_takes_objects(pool):
    settings = LoopSettings(budget=0.2, rounds=2, seed=2)
    named = ActiveLearner(pool, ReplayMeasurer(pool), "balto:C=0.5", "xgb:max_depth=3", settings)
    objects = get("balto:C=0.5"), create("xgb:max_depth=3", seed=2)
    made = ActiveLearner(pool, ReplayMeasurer(pool), *objects, settings)
    assert named.run().picks == made.run().picks
    assert repr(named.model) == repr(made.model) == "XGB(seed=2, max_depth=3)"


def test_replay_tells_of_each_round_and_gives_the_model_that_it_trained(pool):
    told = []
    result = replay(pool, budget=0.2, rounds=3, on_round=told.append)
    assert told == list(result.rounds)
    assert result.picks.keys() == {task.name for task in pool.tasks}
    assert result.model.predict(pool.features).shape == (len(pool),)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"budget": 0.0}, "budget to be a share from above 0 to 1, got 0.0"),
        ({"budget": 1.01}, "budget to be a share from above 0 to 1, got 1.01"),
        ({"budget": float("nan")}, "budget to be a share from above 0 to 1, got nan"),
        ({"budget": "5%"}, "budget to be a share from above 0 to 1, got '5%'"),
        ({"budget": True}, "budget to be a share from above 0 to 1, got True"),
        ({"test_share": 1.0}, "test share to be a share from 0 to under 1, got 1.0"),
        ({"test_share": -0.1}, "test share to be a share from 0 to under 1, got -0.1"),
        ({"rounds": 0}, "rounds to be a whole number from 1 to 10000, got 0"),
        ({"rounds": 1.5}, "rounds to be a whole number from 1 to 10000, got 1.5"),
        ({"seed": -1}, "seed to be a whole number from 0 to .*, got -1"),
        ({"seed": None}, "seed to be a whole number from 0 to .*, got None"),
    ],
)
def test_settings_out_of_range_are_one_line(pool, changes, says):
    with pytest.raises(InputError, match=says) as error:
        LoopSettings(**changes)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=says):
        replay(pool, **changes)


def test_settings_are_given_by_name():
    with pytest.raises(TypeError, match="positional"):
        LoopSettings(0.05)


class Liar(ReplayMeasurer):
    """A user's measurer whose every tenth program took no time."""

    def measure(self, candidates):
        for index, outcome in super().measure(candidates):
            lies = outcome.ok and candidates[index].program_id % 10 == 0
            yield index, replace(outcome, latency_s=1e-30) if lies else outcome


def test_a_measurer_that_lies_costs_those_programs_and_no_other_label(pool):
    asked = LoopSettings(budget=0.5, rounds=3)
    run = ActiveLearner(pool, Liar(pool), "random", "xgb", asked)
    result = run.run()
    assert result.rounds[-1].failures["run_error"] > 0
    for k, task in enumerate(pool.tasks):
        labels, picks = run.labels(k), np.array(result.picks[task.name])
        assert np.isnan(labels[picks % 10 == 0]).all()
        assert np.nanmin(labels) > 1e-6

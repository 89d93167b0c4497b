"""Baselines against independent implementations."""

import numpy as np
import pytest
from skactiveml.pool import GreedySamplingTarget, GreedySamplingX
from skactiveml.regressor import SklearnRegressor
from sklearn.base import BaseEstimator, RegressorMixin

from balto.select import get
from balto.select.balto import KLSwitch
from balto.select.base import TaskState
from balto.select.biased_lcmd import BiasedLCMD
from balto.select.distance import Points
from tests.select.naive import algorithm, greedy_sampling, lcmd

SEEDS = range(25)


class Given(RegressorMixin, BaseEstimator):
    """A regressor that knows the prediction of every program: its first column."""

    def fit(self, X, y):  # noqa: ARG002
        self.fitted_ = True
        return self

    def predict(self, X):
        return X[:, 0]


def case(seed, size=60):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(size, 5)).astype(np.float32)
    x[:, 0] = rng.random(size)
    labelled = rng.permutation(size)[: int(rng.integers(1, 12))]
    y = rng.random(len(labelled))
    e = rng.random((4, size))
    return TaskState("t", size, labelled, y, y, x[:, 0].astype(float), lambda: x, lambda: e)


def picks(name, state, budget=8):
    return get(name).select(state, budget, np.random.default_rng(0)).tolist()


def oracle_labels(state):
    y = np.full(state.size, np.nan)
    y[state.labelled] = state.labels
    return y


@pytest.mark.parametrize("seed", SEEDS)
def test_gsx_is_scikit_activemls(seed):
    state = case(seed)
    theirs = GreedySamplingX(random_state=0).query(
        state.program_features(), oracle_labels(state), batch_size=8
    )
    assert picks("gsx", state) == theirs.tolist()


def test_gsx_starts_nearest_to_the_centroid():
    state = case(1)
    state.labelled, state.labels = np.empty(0, dtype=np.int64), np.empty(0)
    x = state.program_features()
    first, second = picks("gsx", state, 2)
    assert first == np.linalg.norm(x - x.mean(0), axis=1).argmin()
    assert second == np.linalg.norm(x - x[first], axis=1).argmax()


@pytest.mark.parametrize(("name", "method"), [("gsy", "GSy"), ("igs", "GSi")])
@pytest.mark.parametrize("seed", SEEDS)
def test_gsy_and_igs_are_scikit_activemls(name, method, seed):
    state = case(seed)
    theirs = GreedySamplingTarget(method=method, random_state=0).query(
        state.program_features(),
        oracle_labels(state),
        reg=SklearnRegressor(Given()),
        batch_size=8,
    )
    assert picks(name, state) == theirs.tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_gsy_keeps_away_from_measured_labels_not_from_failures(seed):
    state = case(seed)
    state.labels[::3] = np.nan
    y = state.labels[np.isfinite(state.labels)]
    expected = algorithm(state.predictions, state.labelled.tolist(), 8, biased=False, references=y)
    assert picks("gsy", state) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_lcmd_is_its_definition(seed):
    state = case(seed)
    if seed % 5 == 0:
        state.labelled, state.labels = np.empty(0, dtype=np.int64), np.empty(0)
    e = state.ensemble_predictions()
    expected = lcmd(((e - e.mean(0)) / 2).T, state.labelled.tolist(), 8)
    assert picks("lcmd", state) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_biased_lcmd_is_lcmd_with_distances_times_predicted_performance(seed):
    state = case(seed)
    if seed % 5 == 0:
        state.labelled, state.labels = np.empty(0, dtype=np.int64), np.empty(0)
    state.predictions[::7] = 0.0
    e, f = state.ensemble_predictions(), state.predictions
    expected = lcmd(((e - e.mean(0)) / 2).T, state.labelled.tolist(), 8, np.maximum(f, 0) ** 2)
    assert picks("biased-lcmd", state) == expected
    plain = BiasedLCMD(power=0.0).select(state, 8, np.random.default_rng(0))
    assert plain.tolist() == picks("lcmd", state)


def spaces(rng, size):
    """Feature spaces where rounding could decide: ties, copies, offsets, extreme units."""
    grid = rng.integers(0, 3, (size, 4)).astype(np.float64)
    wide = rng.normal(size=(size, 328)).astype(np.float32)
    wide[rng.permutation(size)[: size // 2]] = wide[0]
    return [grid, grid + 7, grid * 2.0**300, grid * 2.0**-300, wide, wide + np.float32(100)]


@pytest.mark.parametrize("seed", SEEDS)
def test_feature_space_selectors_are_their_definitions_whatever_the_space(seed):
    rng, state = np.random.default_rng(seed), case(seed, 30)
    state.labels[1::4] = np.nan
    labelled, f, y = state.labelled.tolist(), state.predictions, state.labels
    for x in spaces(rng, 30):
        state.program_features = lambda x=x: x
        away = np.ones(len(y))  # a failed program was looked at: GSx keeps away from it
        assert picks("gsx", state) == greedy_sampling(x, labelled, 8, y=away)
        assert picks("igs", state) == greedy_sampling(x, labelled, 8, f, y)


def test_no_program_is_picked_twice_though_its_score_overflows():
    state = case(3, 12)
    state.predictions = np.where(np.arange(12) % 2, 1.5e308, -1.5e308)
    state.program_features = lambda: np.zeros((12, 2))
    with np.errstate(all="ignore"):
        chosen = picks("igs", state, 12)
    assert sorted(chosen) == state.unlabelled.tolist()


@pytest.mark.parametrize("name", ["alt", "lcmd"])
def test_members_that_agree_are_tied_whatever_they_say(name):
    state = case(4)
    state.labelled, state.labels = np.empty(0, dtype=np.int64), np.empty(0)
    said = np.random.default_rng(4).random(60)
    state.ensemble_predictions = lambda: np.tile(said, (3, 1))
    assert picks(name, state) == list(range(8))


def test_alt_picks_where_the_ensemble_disagrees_most():
    state = case(2)
    state.labelled, state.labels = np.array([4]), np.array([1.0])
    e = np.zeros((2, 60))
    e[0, [4, 9, 30, 5]] = [9, 2, 3, 2]
    state.ensemble_predictions = lambda: e
    assert picks("alt", state, 5) == [30, 5, 9, 0, 1]


def test_distances_need_no_square_matrix():
    x = np.random.default_rng(0).uniform(-1, 1, size=(300, 9))  # in units that are kept
    points, to = Points.of(x), np.arange(0, 300, 2)
    direct = ((x[:, None] - x[None, to]) ** 2).sum(-1)
    blocks = list(points.blocks(to))
    assert max(block.shape[1] for _, block in blocks) <= 64
    np.testing.assert_allclose(np.hstack([b for _, b in blocks]), direct, atol=1e-12)


def test_the_switch_is_at_the_geometric_mean_of_e_to_the_minus_c():
    assert KLSwitch().divergence(np.array([0.5, 0.125])) == pytest.approx(np.log(4))
    assert KLSwitch().biased(np.array([0.36, 0.36]))
    assert not KLSwitch().biased(np.array([0.37, 0.37]))
    assert not KLSwitch(C=2.0).biased(np.array([0.36, 0.36]))


def test_failed_measurements_do_not_flip_the_switch():
    assert not KLSwitch().biased(np.array([0.5, np.nan, 0.5]))
    assert KLSwitch().biased(np.array([np.nan]))


@pytest.mark.parametrize(("y", "rule"), [(0.2, "biased-diversity"), (0.8, "output-diversity")])
def test_balto_follows_its_switch(y, rule):
    state = case(3)
    state.labels[:] = y
    assert get("balto").rule(state) == rule
    assert picks("balto", state) == picks(rule, state)

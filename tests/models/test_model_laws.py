"""The laws of `balto.CostModel`, for every built-in one, in the suite that ships with balto."""

from __future__ import annotations

import numpy as np
import pytest

from balto.errors import InputError, ModelNotFitted
from balto.models import MODELS, create
from balto.models.base import CostModel
from balto.models.prior import WORTH
from balto.testing import CostModelContract
from balto.testing.models import labelled_programs

everyone = pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n == "lstm" else n for n in MODELS],
)


#: Enough for what is asked here, where the usual training takes seconds.
SHORT = {
    "mlp": "mlp:epochs=60,least_steps=0",
    "mlp-tenset-rmse": "mlp-tenset-rmse:epochs=50",
    "lstm": "lstm:epochs=50,least_steps=0",
    "xgb-tenset": "xgb-tenset:num_boost_round=50",
}


def untrained(name: str, seed: int = 0) -> CostModel:
    return create(SHORT.get(name, name), seed)


@everyone
class TestEveryModel(CostModelContract):
    @pytest.fixture(autouse=True)
    def _named(self, name):
        self.name = name

    def make(self, seed=0):
        return untrained(self.name, seed)

    @pytest.mark.slow
    def test_laws_3_and_4_trained_and_loaded_in_another_process(self, tmp_path):
        super().test_laws_3_and_4_trained_and_loaded_in_another_process(tmp_path)


@everyone
def test_start_from_carries_over_what_the_source_knows(name: str) -> None:
    features, y, task = labelled_programs(seed=6)
    few = np.arange(0, len(y), 12)
    source, cold, warm = untrained(name), untrained(name), untrained(name)
    source.fit(features, y, task)
    warm.start_from(source)
    skill = []
    for model in (cold, warm):
        model.fit(features.take(few), y[few], task[few])
        skill.append(np.corrcoef(model.predict(features), y)[0, 1])
    assert skill[1] > skill[0]
    assert warm.ensemble(features).shape[1] == len(features)


@everyone
def test_start_from_needs_a_trained_model_of_whatever_kind(name: str) -> None:
    with pytest.raises(ModelNotFitted):
        untrained(name).start_from(untrained(name))
    features, y, task = labelled_programs()
    source, warm = create("xgb"), untrained(name)
    source.fit(features, y, task)
    warm.start_from(source, source)
    warm.fit(features, y, task)
    assert np.isfinite(warm.predict(features)).all()
    assert set(warm.feature_sets) >= set(source.feature_sets)


@everyone
def test_a_fresh_model_is_untrained_with_the_same_settings_and_sources(name: str) -> None:
    labelled = labelled_programs()
    source, model = create("xgb"), untrained(name)
    source.fit(*labelled)
    model.start_from(source, weigh=False)
    model.fit(*labelled)
    again, other = model.fresh(), model.fresh(seed=7)
    assert (repr(again), other.seed) == (repr(model), 7)
    assert (again.settings, again.started_from, again.weighs_start) == (
        *(model.settings, model.started_from),
        False,
    )
    with pytest.raises(ModelNotFitted):
        again.predict(labelled[0])
    again.fit(*labelled)
    np.testing.assert_array_equal(again.predict(labelled[0]), model.predict(labelled[0]))


def test_sources_that_are_not_weighed_count_as_their_worth_says() -> None:
    features, y, task = labelled_programs(tasks=2)
    source, weighed, unweighed = create("xgb"), create("xgb"), create("xgb")
    source.fit(features, y, task)
    weighed.start_from(source)
    unweighed.start_from(source, weigh=False)
    for model in (weighed, unweighed):
        model.fit(features, y, task)
    assert unweighed.prior.weight == WORTH / (WORTH + len(y) / 2)
    assert weighed.prior.weight != unweighed.prior.weight


def test_an_unknown_model_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(InputError, match=", ".join(MODELS)):
        create("no-such-model")


def test_hyper_parameters_come_with_the_name_and_are_checked() -> None:
    assert create("xgb:max_depth=8,learning_rate=0.3").parameters() == {
        "max_depth": 8,
        "learning_rate": 0.3,
    }
    assert create("mlp", seed=3).seed == 3
    for spec, complaint in (
        ("xgb:depth=8", "expected hyper-parameters of the cost model xgb"),
        ("xgb:max_depth=40", "expected max_depth to be a whole number from 1 to 12, got 40"),
        ("xgb:max_bins=1.5", "expected max_bins to be a whole number"),
        ("mlp:loss=hinge", "expected a loss"),
    ):
        with pytest.raises(InputError, match=complaint):
            create(spec)

"""The laws of `balto.models.base.CostModel`, for every registered model."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from balto.errors import InputError, ModelNotFitted
from balto.models import MODELS, create, save
from balto.programs.features import COLUMNS, Features

pytestmark = pytest.mark.parametrize("name", list(MODELS))


def labelled(n: int = 120, tasks: int = 3, seed: int = 0):
    """Programs whose throughput depends on two columns of their largest store."""
    rng = np.random.default_rng(seed)
    programs = [rng.uniform(0, 8, (rng.integers(1, 5), COLUMNS)) for _ in range(n)]
    features = Features.from_programs(programs)
    task = np.sort(rng.integers(0, tasks, n)).astype(np.int32)
    speed = np.array([np.exp(0.2 * p[:, 3].max() - 0.1 * p[:, 90].sum()) for p in programs])
    best = np.array([speed[task == k].max() for k in range(tasks)])
    return features, speed / best[task], task


@cache
def fitted(name: str, seed: int = 0):
    """A trained model; the tests only read it."""
    model = create(name, seed)
    model.fit(*labelled())
    return model


def test_scores_are_finite_and_do_not_depend_on_the_company(name: str) -> None:
    model, (features, _, _) = fitted(name), labelled(seed=1)
    scores = model.predict(features)
    assert scores.shape == (len(features),)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()
    some = np.array([7, 3, 3, 100])
    np.testing.assert_array_equal(model.predict(features.take(some)), scores[some])


def test_it_learns_the_order_of_what_it_was_shown(name: str) -> None:
    features, y, task = labelled()
    scores = fitted(name).predict(features)
    for k in np.unique(task):
        members = task == k
        assert np.corrcoef(np.argsort(np.argsort(scores[members])), y[members])[0, 1] > 0.7


def test_relative_is_in_the_unit_interval_and_keeps_the_order(name: str) -> None:
    model, (features, _, task) = fitted(name), labelled(seed=2)
    scores = model.predict(features)
    relative = model.relative(scores, task)
    assert relative.min() >= 0
    assert relative.max() <= 1
    for k in np.unique(task):
        members = np.flatnonzero(task == k)
        ordered = relative[members[np.argsort(scores[members])]]
        assert (np.diff(ordered) >= 0).all()


def test_the_ensemble_has_several_different_members_around_the_prediction(name: str) -> None:
    model, (features, _, _) = fitted(name), labelled(seed=3)
    members = model.ensemble(features)
    assert members.ndim == 2
    assert members.shape[0] >= 2
    assert members.shape[1] == len(features)
    assert members.dtype == np.float64
    assert np.isfinite(members).all()
    assert members.std(axis=0).max() > 0
    assert np.corrcoef(members.mean(axis=0), model.predict(features))[0, 1] > 0.9


def test_the_same_seed_and_labels_give_the_same_scores(name: str) -> None:
    features, _, _ = labelled(seed=4)
    again = create(name, 0)
    again.fit(*labelled())
    np.testing.assert_array_equal(again.predict(features), fitted(name).predict(features))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one other process has left what each saved model predicts there."""
    there = tmp_path_factory.mktemp("elsewhere")
    features, _, _ = labelled(seed=5)
    np.savez(there / "features.npz", rows=features.rows, offsets=features.offsets)
    for name in MODELS:
        save(fitted(name), there / f"{name}.balto", {"tasks": ["a", "b", "c"]})
    code = (
        "import numpy as np; from balto.models import load\n"
        "from balto.programs.features import Features\n"
        "from pathlib import Path\n"
        "features = Features(**np.load('features.npz'))\n"
        "for file in Path().glob('*.balto'):\n"
        "    model, trained_on = load(file)\n"
        "    assert trained_on == {'tasks': ['a', 'b', 'c']}\n"
        "    both = np.vstack([model.predict(features), model.ensemble(features)])\n"
        "    np.save(file.with_suffix('.npy'), both)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=there)
    return there


def test_a_saved_model_predicts_bit_equal_in_another_process(name: str, elsewhere: Path) -> None:
    model, (features, _, _) = fitted(name), labelled(seed=5)
    here = np.vstack([model.predict(features), model.ensemble(features)])
    np.testing.assert_array_equal(np.load(elsewhere / f"{name}.npy"), here)


def test_a_warm_start_carries_over_what_the_source_knows(name: str) -> None:
    features, y, task = labelled(seed=6)
    few = np.arange(0, len(y), 12)
    cold, warm = create(name), create(name)
    warm.warm_start(fitted(name))
    skill = []
    for model in (cold, warm):
        model.fit(features.take(few), y[few], task[few])
        skill.append(np.corrcoef(model.predict(features), y)[0, 1])
    assert skill[1] > skill[0]
    assert warm.ensemble(features).shape[1] == len(features)


def test_a_warm_start_needs_a_trained_model_of_the_same_kind(name: str) -> None:
    with pytest.raises(ModelNotFitted):
        create(name).warm_start(create(name))
    other = next(other for other in MODELS if other != name)
    with pytest.raises(InputError, match=f"the model {name} cannot start from the model {other}:"):
        create(name).warm_start(create(other))


def test_asked_before_trained_it_says_so(name: str, tmp_path) -> None:
    model, (features, _, _) = create(name), labelled()
    for ask in (model.predict, model.ensemble):
        with pytest.raises(ModelNotFitted, match=f"{name} cost model has not been trained"):
            ask(features)
    with pytest.raises(ModelNotFitted):
        save(model, tmp_path / "model.balto", {})
    assert not list(tmp_path.iterdir())


def test_an_unknown_model_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(InputError, match=name):
        create("no-such-model")

"""The laws of `balto.CostModel` as a test suite.

Subclass it in a test module, under a name that starts with ``Test``::

    from balto.models import XGB
    from balto.testing import CostModelContract


    class TestFewTrees(CostModelContract):
        def make(self, seed=0):
            return XGB(seed, num_boost_round=8)
"""

from __future__ import annotations

import subprocess
import sys
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from balto.data.features import FEATURE_SETS, Features, FeatureTable
from balto.errors import ModelNotFitted
from balto.models.base import CostModel
from balto.models.file import load, save

Labelled = tuple[FeatureTable, NDArray[np.float64], NDArray[np.int32]]


def labelled_programs(n: int = 120, tasks: int = 3, seed: int = 0) -> Labelled:
    """Programs whose throughput depends on two columns, which every feature set has.

    Returns:
        Features of every set there is, relative throughput, and task, of `n` programs.
    """
    rng = np.random.default_rng(seed)
    sets: dict[str, Features] = {}
    fast, slow = rng.uniform(0, 8, (2, n))
    for name, feature_set in FEATURE_SETS.items():
        most = 4 if name == "store" else 1
        width = feature_set.width
        programs = [rng.uniform(0, 8, (rng.integers(1, most + 1), width)) for _ in range(n)]
        high, low = min(3, width - 1), min(90, width - 1)
        for program, f, s in zip(programs, fast, slow, strict=True):
            program[:, [high, low]] = 0  # all of it is in the first row
            program[0, [high, low]] = f, s
        sets[name] = Features.from_programs(programs, width)
    task = np.sort(rng.integers(0, tasks, n)).astype(np.int32)
    speed = np.exp(0.3 * fast - 0.15 * slow)
    best = np.array([speed[task == k].max() for k in range(tasks)])
    return FeatureTable(sets), speed / best[task], task


#: Trained models by class and hyper-parameters: training takes most of the suite's time.
_FITTED: dict[tuple[type[CostModel], str], CostModel] = {}


class CostModelContract:
    """Subclass it, say how to `make` an untrained model, and let pytest collect the subclass."""

    @abstractmethod
    def make(self, seed: int = 0) -> CostModel:
        """A new, untrained model."""

    def fitted(self) -> CostModel:
        """A trained one, made once; the tests only read it."""
        model = self.make()
        key = type(model), repr(model)
        if key not in _FITTED:
            model.fit(*labelled_programs())
            _FITTED[key] = model
        return _FITTED[key]

    def test_law_1_scores_are_finite_and_do_not_depend_on_the_company(self) -> None:
        """Law 1."""
        fitted = self.fitted()
        features, _, _ = labelled_programs(seed=1)
        scores = fitted.predict(features)
        assert scores.shape == (len(features),)
        assert scores.dtype == np.float64
        assert np.isfinite(scores).all()
        some = np.array([7, 3, 3, 100])
        np.testing.assert_array_equal(fitted.predict(features.take(some)), scores[some])

    def test_law_1_it_learns_the_order_of_what_it_was_shown(self) -> None:
        """Law 1: a higher score is a faster program."""
        fitted = self.fitted()
        features, y, task = labelled_programs()
        scores = fitted.predict(features)
        for k in np.unique(task):
            members = task == k
            ranks = np.argsort(np.argsort(scores[members]))
            assert np.corrcoef(ranks, y[members])[0, 1] > 0.7

    def test_law_2_relative_throughput_is_a_share_and_keeps_the_order(self) -> None:
        """Law 2."""
        fitted = self.fitted()
        features, _, task = labelled_programs(seed=2)
        scores = fitted.predict(features)
        relative = fitted.to_relative_throughput(scores, task)
        assert relative.min() >= 0
        assert relative.max() <= 1
        for k in np.unique(task):
            members = np.flatnonzero(task == k)
            ordered = relative[members[np.argsort(scores[members])]]
            assert (np.diff(ordered) >= 0).all()

    def test_the_ensemble_has_several_different_members_around_the_prediction(self) -> None:
        """As `CostModel.ensemble` promises."""
        fitted = self.fitted()
        features, _, _ = labelled_programs(seed=3)
        members = fitted.ensemble(features)
        assert members.ndim == 2
        assert members.shape[0] >= 2
        assert members.shape[1] == len(features)
        assert members.dtype == np.float64
        assert np.isfinite(members).all()
        assert members.std(axis=0).max() > 0
        assert np.corrcoef(members.mean(axis=0), fitted.predict(features))[0, 1] > 0.9

    def test_law_3_the_same_seed_and_labels_give_the_same_scores(self) -> None:
        """Law 3, in this process."""
        fitted = self.fitted()
        features, _, _ = labelled_programs(seed=4)
        again = self.make()
        again.fit(*labelled_programs())
        np.testing.assert_array_equal(again.predict(features), fitted.predict(features))

    def test_laws_3_and_4_trained_and_loaded_in_another_process(self, tmp_path: Path) -> None:
        """Law 3: trained there; law 4: written here and loaded there. Both predict bit-equal."""
        fitted = self.fitted()
        path = tmp_path / "model.balto"
        save(fitted, path, {"tasks": ["a", "b", "c"]})
        features, _, _ = labelled_programs(seed=5)
        here = np.vstack([fitted.predict(features), fitted.ensemble(features)])
        cls = type(fitted)
        code = (
            "import importlib, sys, numpy as np\n"
            f"from {__name__} import labelled_programs\n"
            "from balto.models.file import load\n"
            f"cls = getattr(importlib.import_module({cls.__module__!r}), {cls.__qualname__!r})\n"
            f"trained = cls(seed={fitted.seed}, **{fitted.parameters()!r})\n"
            "trained.fit(*labelled_programs())\n"
            f"loaded, _ = load({str(path)!r})\n"
            "features, _, _ = labelled_programs(seed=5)\n"
            "both = [np.vstack([m.predict(features), m.ensemble(features)])"
            " for m in (trained, loaded)]\n"
            f"np.save({str(tmp_path / 'scores.npy')!r}, both)\n"
        )
        run: Any = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"]
        subprocess.run(run, check=True, cwd=tmp_path)
        trained, loaded = np.load(tmp_path / "scores.npy")
        np.testing.assert_array_equal(trained, here)
        np.testing.assert_array_equal(loaded, here)
        _, trained_on = load(path)
        assert trained_on == {"tasks": ["a", "b", "c"]}

    def test_asked_before_it_is_trained_it_says_so(self, tmp_path: Path) -> None:
        """`ModelNotFitted`, from everything that needs a trained model."""
        model, (features, _, _) = self.make(), labelled_programs()
        for ask in (model.predict, model.ensemble):
            with pytest.raises(ModelNotFitted, match=f"{model.name} cost model has not been"):
                ask(features)
        with pytest.raises(ModelNotFitted):
            save(model, tmp_path / "model.balto", {})
        assert not list(tmp_path.iterdir())

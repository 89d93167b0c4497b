"""`balto.tune.CostModel` inside MetaSchedule's own search, and what it learns from trials."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import balto
from balto.search.learner import Learner
from balto.testing.models import labelled_programs
from balto.workers.worker import Worker


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.balto"
    model = balto.create_model("xgb")
    model.fit(*labelled_programs())
    balto.save_model(model, path, {})
    return path


@pytest.mark.slow
def test_a_search_asks_the_model_and_teaches_it_if_it_may(trained: Path) -> None:
    pytest.importorskip("tvm")
    with Worker() as worker:
        for mode, same_after in (("frozen", True), ("finetune", False)):
            trials, before, after = worker.call(
                "tests.tune.whole_searches:tune_with_model", str(trained), mode, deadline_s=300
            )
            assert trials == 8
            assert before, "the first prediction is the model's own, not random"
            assert after == same_after


@pytest.mark.slow
def test_what_is_no_mode_or_no_model_is_refused(trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("tvm")
    with Worker() as worker:
        for arguments, message in [
            ((str(trained), "thawed"), "expected mode frozen or finetune"),
            ((str(tmp_path / "none.balto"), "frozen"), r"cannot read .*none\.balto"),
        ]:
            with pytest.raises(balto.BaltoError, match=message):
                worker.call("balto.tune:CostModel", *arguments, deadline_s=60)


def test_trials_teach_without_making_the_model_forget(trained: Path) -> None:
    base = balto.load_model(trained)[0]
    features, labels, task = labelled_programs()  # the model was trained on these: trials agree
    learner = Learner(base)
    assert learner.model is base
    few = np.flatnonzero(task == 0)[:6]
    learner.learn("a", features.take(few), 1e-3 / labels[few])
    assert learner.model is not None
    assert learner.model.started_from == (base,)
    new = learner.model.predict(features)
    assert np.corrcoef(new, base.predict(features))[0, 1] > 0.9


def test_failures_teach_nothing(trained: Path) -> None:
    features, *_ = labelled_programs()
    learner = Learner(balto.load_model(trained)[0])
    before = learner.model
    learner.learn("a", features, np.full(len(features), np.nan))
    assert learner.model is before


def remembering(labels: list[list[float]]) -> type[balto.CostModel]:
    """A forest that keeps the labels that it was ever trained on."""

    class Remembers(type(balto.create_model("xgb"))):  # type: ignore[misc]
        def fit(self, features: object, relative_throughput: object, task: object) -> None:
            labels.append(np.asarray(relative_throughput).tolist())
            super().fit(features, relative_throughput, task)

    return Remembers


def test_a_later_and_faster_trial_moves_t_max_of_its_task_alone() -> None:
    features, _, _ = labelled_programs(n=6, tasks=1)
    first, second = np.arange(3), np.arange(3, 6)
    labels: list[list[float]] = []
    base = remembering(labels)()
    base.fit(features, np.linspace(0.1, 1, 6), np.zeros(6, np.int32))
    learner = Learner(base)
    for name, trials, seconds in (
        ("a", first, [4.0, 2.0, np.nan]),
        ("b", first, [8.0, 16.0, 32.0]),
        ("a", second, [1.0, 2.0, 4.0]),
    ):
        learner.learn(name, features.take(trials), np.array(seconds))
        assert learner.model is not base

    def relative(task: list[float]) -> list[float]:
        return [y / max(task) for y in task]

    assert relative(labels[1]) == pytest.approx([0.5, 1.0])
    a, b = np.array([0, 1, 5, 6, 7]), np.array([2, 3, 4])
    assert relative(np.array(labels[3])[a].tolist()) == pytest.approx([0.25, 0.5, 1.0, 0.5, 0.25])
    assert relative(np.array(labels[3])[b].tolist()) == pytest.approx([1.0, 0.5, 0.25])


def test_the_best_of_poor_trials_is_not_taken_for_the_best_there_is() -> None:
    features, labels, task = labelled_programs(tasks=1)
    seen: list[list[float]] = []
    base = remembering(seen)()
    base.fit(features, labels, task)
    said = base.predict(features)
    poor = np.argsort(said)[20:30]
    learner = Learner(base)
    learner.learn("a", features.take(poor), 1e-3 / labels[poor])
    assert learner.model is not base
    assert max(seen[-1]) == pytest.approx(said[poor].max(), rel=0.5)
    assert max(seen[-1]) < 0.5

"""What a search knows of how fast programs are: a trained model, and the trials so far."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from balto.data.features import FeatureTable
from balto.models import create
from balto.models.base import CostModel

#: The cost model of a search that starts with none.
DEFAULT = "xgb:features=decisions+loops"


class Learner:
    """Learns from trials without forgetting what a trained model knew.

    The trained model becomes a source of a new one of its kind, which is trained on the trials:
    its predictions are a column beside the features, and what the new one predicts is drawn
    towards them while trials are few (`balto.models.prior`). Labels are y = T / T_max with the
    best throughput measured so far as T_max; failures are never trained on.

    A search measures what the model believes to be fast and nothing else, and from those alone the
    new model could not tell that the rest is slow. So it is also trained on *anchors*: other
    programs of the task, labelled by the trained model, in units of the trials.

    Args:
        base: a fitted model; None to start from nothing.
        seed: of what is trained.
    """

    def __init__(self, base: CostModel | None, seed: int = 0) -> None:
        self._base = base
        self._seed = seed
        self._features: list[FeatureTable] = []
        self._latency_s: list[NDArray[np.float64]] = []
        self._task: list[NDArray[np.int32]] = []
        self._anchors: dict[int, FeatureTable] = {}
        self._tasks: dict[Hashable, int] = {}
        self._trained: CostModel | None = None

    @property
    def model(self) -> CostModel | None:
        """What to ask: trained on the trials, or else the base; None if there is neither."""
        return self._trained or self._base

    @property
    def feature_sets(self) -> tuple[str, ...]:
        """What `model` reads, or will read."""
        return (self.model or create(DEFAULT)).feature_sets

    def learn(
        self,
        task: Hashable,
        features: FeatureTable,
        latency_s: NDArray[np.float64],
        anchors: FeatureTable | None = None,
    ) -> None:
        """Take in trials of a task, and train anew.

        Args:
            task: says which trials share a T_max.
            features: of `n` programs.
            latency_s: `n`, seconds; NaN for a failure.
            anchors: other programs of the task; the first that are given count.
        """
        worked = np.flatnonzero(np.isfinite(latency_s))
        if not len(worked):
            return
        number = self._tasks.setdefault(task, len(self._tasks))
        self._features.append(features.take(worked))
        self._latency_s.append(latency_s[worked])
        self._task.append(np.full(len(worked), number, np.int32))
        latencies, tasks = np.concatenate(self._latency_s), np.concatenate(self._task)
        best = np.full(len(self._tasks), np.inf)
        np.minimum.at(best, tasks, latencies)
        if anchors is not None and self._base is not None:
            self._anchors.setdefault(number, anchors)
        measured, labels = FeatureTable.concatenate(self._features), best[tasks] / latencies
        tables, more, of = self._labelled_anchors(measured, labels, tasks)
        self._trained = self._fresh()
        self._trained.fit(
            FeatureTable.concatenate([measured, *tables]),
            np.concatenate([labels, *more]),
            np.concatenate([tasks, *of]),
        )

    def _labelled_anchors(
        self, measured: FeatureTable, labels: NDArray[np.float64], tasks: NDArray[np.int32]
    ) -> tuple[list[FeatureTable], list[NDArray[np.float64]], list[NDArray[np.int32]]]:
        """Anchors, labels and tasks: the base's predictions, scaled to fit each task's trials."""
        tables, more, of = [], [], []
        for number, anchors in self._anchors.items():
            here = np.flatnonzero(tasks == number)
            said = self._relative(measured.take(here), tasks[here])
            scale = float(labels[here].sum() / max(said.sum(), 1e-12))
            task = np.full(len(anchors), number, np.int32)
            tables.append(anchors)
            more.append(np.clip(scale * self._relative(anchors, task), 1e-4, 1.0))
            of.append(task)
        return tables, more, of

    def _relative(self, features: FeatureTable, task: NDArray[np.int32]) -> NDArray[np.float64]:
        assert self._base is not None
        return self._base.to_relative_throughput(self._base.predict(features), task)

    def _fresh(self) -> CostModel:
        if self._base is None:
            return create(DEFAULT, self._seed)
        model = type(self._base)(seed=self._seed, **self._base.parameters())
        model.warm_start(self._base)
        return model

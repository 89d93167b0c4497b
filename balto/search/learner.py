"""What a search knows of how fast programs are: a trained model, and the trials so far."""

from __future__ import annotations

import sys
from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from balto.data.features import FeatureTable
from balto.learn.tmax import TMaxEstimator
from balto.models import create
from balto.models.base import CostModel
from balto.models.xgb import XGB
from balto.search.cost import TrialCost
from balto.search.surrogate import Belief

#: However many trials there are: labels stay in the units of the anchors' labels.
_T_MAX = TMaxEstimator(trusted=sys.maxsize)
#: The smallest label of an anchor: labels are above 0.
_LEAST = 1e-4
#: The cost model of a search that starts with none.
DEFAULT = "xgb:features=decisions+loops+cycles"


class Learner:
    """Learns from trials without forgetting what a trained model knew.

    A new model of its kind starts from the trained one, and is trained on the trials:
    its predictions are a column beside the features, and what the new one predicts is drawn
    towards them while trials are few (`balto.models.prior`). Labels are y = T / T_max, where T_max
    is what the trained model takes it to be (`balto.learn.tmax`); failures are never trained on.

    A search measures what the model believes to be fast and nothing else, and from those alone the
    new model could not tell that the rest is slow. So it is also trained on *anchors*: other
    programs of the task, labelled by the trained model.

    Attributes:
        base: as given.
        belief: what the search is told by a trained forest and the trials, with nothing trained;
            None where the base is another kind of model, or there is none.
        cost: what trials take; None where that decides nothing.

    Args:
        base: a fitted model; None to start from nothing.
        seed: of what is trained.
    """

    def __init__(self, base: CostModel | None, seed: int = 0) -> None:
        self.base = base
        self._seed = seed
        self._features: list[FeatureTable] = []
        self._latency_s: list[NDArray[np.float64]] = []
        self._task: list[NDArray[np.int32]] = []
        self._anchors: dict[int, FeatureTable] = {}
        self._tasks: dict[Hashable, int] = {}
        self._trained: CostModel | None = None
        self.belief = Belief(base) if isinstance(base, XGB) else None
        self.cost: TrialCost | None = None

    @property
    def model(self) -> CostModel | None:
        """What to ask: trained on the trials, or else the base; None if there is neither."""
        if self._trained is None and self._features:
            self._train()
        return self._trained or self.base

    @property
    def feature_sets(self) -> tuple[str, ...]:
        """What `model` reads, or will read."""
        return (self.base or create(DEFAULT)).feature_sets

    def knows(self, task: Hashable) -> bool:
        """Whether anything was learnt of a task."""
        return task in self._tasks

    def learn(
        self,
        task: Hashable,
        features: FeatureTable,
        latency_s: NDArray[np.float64],
        anchors: FeatureTable | None = None,
    ) -> None:
        """Take in trials of a task; `model` is trained anew when it is asked for.

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
        if anchors is not None and self.base is not None:
            self._anchors.setdefault(number, anchors)
        self._trained = None

    def _train(self) -> None:
        latencies, tasks = np.concatenate(self._latency_s), np.concatenate(self._task)
        best = np.full(len(self._tasks), np.inf)
        np.minimum.at(best, tasks, latencies)
        measured, labels = FeatureTable.concatenate(self._features), best[tasks] / latencies
        labels *= _T_MAX.shares(
            *(measured, labels, tasks, self.feature_sets, self._seed), start_from=self.base
        )
        tables, more, of = self._labelled_anchors()
        self._trained = self._fresh()
        self._trained.fit(
            FeatureTable.concatenate([measured, *tables]),
            np.concatenate([labels, *more]),
            np.concatenate([tasks, *of]),
        )

    def _labelled_anchors(
        self,
    ) -> tuple[list[FeatureTable], list[NDArray[np.float64]], list[NDArray[np.int32]]]:
        """Anchors of all tasks, what the base says of them, and their tasks."""
        tables, more, of = [], [], []
        for number, anchors in self._anchors.items():
            assert self.base is not None
            task = np.full(len(anchors), number, np.int32)
            said = self.base.to_relative_throughput(self.base.predict(anchors), task)
            tables.append(anchors)
            more.append(np.maximum(said, _LEAST))
            of.append(task)
        return tables, more, of

    def _fresh(self) -> CostModel:
        if self.base is None:
            return create(DEFAULT, self._seed)
        model = self.base.fresh(self._seed)
        # Anchors have the base's own labels: they are no evidence for it.
        model.start_from(self.base, weigh=False)
        return model

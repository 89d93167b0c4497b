"""XGBoost on pooled program features: balto's default cost model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import xgboost
from numpy.typing import NDArray

from balto.errors import InputError, ModelNotFitted
from balto.models.base import CostModel
from balto.models.chunks import chunks
from balto.models.pooled import pool_stores
from balto.programs.features import Features

Floats = NDArray[np.float64]

#: Programs that are pooled at a time: memory stays flat over millions.
CHUNK = 16_384
#: Groups of tasks that are kept apart from each other to correct T_max.
FOLDS = 3
#: Programs, evenly spaced, that `distinct_columns` looks at.
SAMPLE = 1024


@dataclass(frozen=True)
class XGBSettings:
    """Hyper-parameters of `XGB`; `docs/models.md` says how they were chosen.

    Attributes:
        rounds: boosting rounds.
        members: trees grown side by side in each round, on different programs; also the members
            of `XGB.ensemble`.
        depth: of each tree.
        eta: learning rate.
        min_child_weight: least sum of weights (y of the programs) in a leaf.
        row_share: share of the programs that each tree sees.
        column_share: share of the columns that each split may use.
        bins: histogram bins a column.
        trusted: a task with fewer labels has its T_max corrected by what other tasks teach.
    """

    rounds: int = 16
    members: int = 4
    depth: int = 6
    eta: float = 0.5
    min_child_weight: float = 0.3
    row_share: float = 0.6
    column_share: float = 0.5
    bins: int = 64
    trusted: int = 50


class XGB(CostModel):
    """A boosted forest that regresses sqrt(y), weighted by y, from pooled store features.

    Both the root and the weight move effort to where the model is asked: which of the fast
    programs is the fastest. Scores are squared back into relative throughput.

    Trained on one thread: histogram sums on several threads may be added in another order, which
    would make the model depend on the machine (law 3). Prediction uses all cores: a program's
    score is added up by one of them.
    """

    name: ClassVar[str] = "xgb"

    def __init__(self, seed: int = 0, settings: XGBSettings | None = None) -> None:
        super().__init__(seed)
        self.settings = settings or XGBSettings()
        self._booster: xgboost.Booster | None = None
        self._columns: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._source: XGB | None = None

    def fit(
        self,
        features: Features,
        relative_throughput: Floats,
        task: NDArray[np.int32],
    ) -> None:
        """Train anew on everything labelled so far."""
        roots = np.sqrt(relative_throughput)
        if self._source is None:
            sample = np.arange(0, len(features), -(-len(features) // SAMPLE))
            self._columns = distinct_columns(pool_stores(features.take(sample)))
            expected = self._expected_by_others(features, roots, task)
        else:
            self._columns = self._source._columns
            expected = np.sqrt(np.abs(self._source.predict(features)))
        self._booster = self._train(features, on_the_scale_of(expected, roots, task))
        self._booster.set_param({"nthread": 0})

    def _expected_by_others(
        self, features: Features, roots: Floats, task: NDArray[np.int32]
    ) -> Floats:
        """Roots of the tasks with few labels, as a model of the *other* tasks predicts them.

        The best of a few labels counts as y = 1, however slow it is: the overestimation of the
        paper's section 3.3, which selection inherits. A model that has not seen the task knows
        better how good its labelled programs are. Tasks are taken in `FOLDS` groups.
        """
        _, group, counts = np.unique(task, return_inverse=True, return_counts=True)
        few = (counts < self.settings.trusted)[group]
        expected = roots.copy()
        for fold in range(FOLDS if few.any() and len(counts) > 1 else 0):
            held_out, others = group % FOLDS == fold, np.flatnonzero(group % FOLDS != fold)
            asked = np.flatnonzero(held_out & few)
            if len(asked) and len(others):
                booster = self._train(features.take(others), roots[others])
                pooled = pool_stores(features.take(asked), self._columns)
                expected[asked] = np.maximum(booster.inplace_predict(pooled), 0)
        return expected

    def _train(self, features: Features, roots: Floats) -> xgboost.Booster:
        s = self.settings
        labelled = _Labelled(features, roots, roots**2, self._columns)
        data = xgboost.QuantileDMatrix(labelled, max_bin=s.bins, nthread=1)
        return xgboost.train(
            {
                "objective": "reg:squarederror",
                "num_parallel_tree": s.members,
                "max_depth": s.depth,
                "eta": s.eta,
                "min_child_weight": s.min_child_weight,
                "subsample": s.row_share,
                "colsample_bynode": s.column_share,
                "max_bin": s.bins,
                "seed": self.seed,
                "nthread": 1,
            },
            data,
            num_boost_round=s.rounds,
            xgb_model=self._source._booster if self._source else None,
        )

    def predict(self, features: Features) -> Floats:
        """Predicted relative throughput, unclipped."""
        predict = self._fitted().inplace_predict
        scores: Floats = self._by_chunks(features, 1, lambda pooled: predict(pooled)[None])[0]
        return scores

    def ensemble(self, features: Features) -> Floats:
        """The members of the forest: member `k` is the `k`-th tree of every round, scaled up.

        All trees of a round fit the same residual, each on its own sample of the programs, so
        members differ as bagged models do, at the price of one training.
        """
        booster, members = self._fitted(), self.settings.members
        base, values = _leaf_values(booster)

        def predict(pooled: NDArray[np.float32]) -> Floats:
            leaves = booster.predict(xgboost.DMatrix(pooled, nthread=1), pred_leaf=True)
            leaves = leaves.reshape(len(pooled), -1).astype(np.int64)
            trees = np.stack([values[t][leaves[:, t]] for t in range(len(values))])
            return base + members * np.stack([trees[k::members].sum(0) for k in range(members)])

        return self._by_chunks(features, members, predict)

    def state(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Hyper-parameters and columns, and the trees as UBJSON."""
        trees = bytes(self._fitted().save_raw("ubj"))
        config = {"seed": self.seed, "settings": asdict(self.settings)}
        return {**config, "columns": self._columns.tolist()}, {"trees.ubj": trees}

    @classmethod
    def from_state(cls, config: dict[str, Any], payload: dict[str, bytes]) -> Self:
        """The inverse of `state`."""
        model = cls(config["seed"], XGBSettings(**config["settings"]))
        model._columns = np.array(config["columns"], dtype=np.int64)
        model._booster = xgboost.Booster()
        model._booster.load_model(bytearray(payload["trees.ubj"]))
        return model

    def _adopt(self, source: XGB) -> None:
        """Boost on from the trees of `source`; it also decides on the columns."""
        source._fitted()
        if source.settings.members != self.settings.members:
            raise InputError(
                f"the source grows {source.settings.members} trees a round, "
                f"this model {self.settings.members}: their forests cannot be joined"
            )
        self._source = source

    def _fitted(self) -> xgboost.Booster:
        if self._booster is None:
            raise ModelNotFitted(f"the {self.name} cost model has not been trained yet")
        return self._booster

    def _by_chunks(
        self, features: Features, members: int, predict: Callable[[NDArray[np.float32]], Floats]
    ) -> Floats:
        """Relative throughput by `predict`, which maps pooled rows to `members x n` roots."""
        scores = np.empty((members, len(features)))
        for place, part in chunks(features, CHUNK):
            scores[:, place] = predict(pool_stores(part, self._columns))
        return scores * np.abs(scores)  # squared, the sign of an unlikely negative root kept


def on_the_scale_of(expected: Floats, labels: Floats, task: NDArray[np.int32]) -> Floats:
    """Labels of each task times the factor, 0.1 to 1, that brings them closest to `expected`.

    The best of a few labels counts as 1, however slow it is. A model that has seen more knows
    better where on the scale the task's labels are; a factor changes no order within a task.
    """
    tasks, group = np.unique(task, return_inverse=True)
    products = np.bincount(group, weights=expected * labels, minlength=len(tasks))
    factor = products / np.bincount(group, weights=labels**2, minlength=len(tasks))
    return np.asarray(np.clip(factor, 0.1, 1.0)[group] * labels, dtype=np.float64)


class _Labelled(xgboost.DataIter):
    """Feeds XGBoost pooled programs, targets and weights in parts: all at once is gigabytes."""

    def __init__(
        self, features: Features, target: Floats, weight: Floats, columns: NDArray[np.int64]
    ) -> None:
        super().__init__()
        self._features, self._columns = features, columns
        self._target, self._weight = target, weight
        self.reset()

    def reset(self) -> None:
        """Begin again."""
        self._parts = chunks(self._features, CHUNK)

    def next(self, input_data: Callable[..., Any]) -> bool:
        """Hand over the next part, if there is one."""
        place, part = next(self._parts, (None, None))
        if place is None or part is None:
            return False
        pooled = pool_stores(part, self._columns)
        input_data(data=pooled, label=self._target[place], weight=self._weight[place])
        return True


def _leaf_values(booster: xgboost.Booster) -> tuple[float, list[Floats]]:
    """The base score, and for each tree the value of every leaf by node number."""
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    base = json.loads(learner["learner_model_param"]["base_score"])
    trees = learner["gradient_booster"]["model"]["trees"]
    # At a leaf, XGBoost keeps the value where an inner node keeps its threshold.
    return float(np.ravel(base)[0]), [np.array(tree["split_conditions"]) for tree in trees]


def distinct_columns(pooled: NDArray[np.float32]) -> NDArray[np.int64]:
    """Which columns vary and rank the programs unlike any earlier column, ascending.

    A tree can split a column and a monotone function of it in the same places, and a constant
    column nowhere; about half of the pooled columns are such, and cost training time.
    """
    seen: dict[bytes, int] = {}
    for column in range(pooled.shape[1]):
        values, ranks = np.unique(pooled[:, column], return_inverse=True)
        if len(values) > 1:
            seen.setdefault(ranks.astype(np.int32).tobytes(), column)
    return np.array(list(seen.values()) or [0], dtype=np.int64)

"""TenSet's XGBoost: a tree ensemble over store rows, whose sum is the program's score."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import xgboost
from numpy.typing import NDArray

from balto.arguments import check_field, check_type
from balto.data.features import STORE, FeatureTable
from balto.data.plausible import LARGEST_WEIGHT
from balto.errors import ModelNotFitted
from balto.models.base import StackedModel
from balto.models.chunks import chunks
from balto.models.xgb import CHUNK, Floats


@dataclass(frozen=True, kw_only=True)
class PackSumSettings:
    """TenSet's hyper-parameters; its code leaves base score and the rest at XGBoost's defaults.

    Attributes:
        num_boost_round: boosting rounds.
        max_depth: of each tree.
        gamma: least gain of a split.
        min_child_weight: least sum of weights in a leaf.
        learning_rate: of a round.
        base_score: what a program's prediction begins with.
    """

    num_boost_round: int = 300
    max_depth: int = 6
    gamma: float = 0.003
    min_child_weight: float = 2.0
    learning_rate: float = 0.2
    base_score: float = 0.5

    def __post_init__(self) -> None:
        check_field(self, "num_boost_round", 1, 100_000, whole=True)
        check_field(self, "max_depth", 1, 64, whole=True)
        for name in ("gamma", "min_child_weight", "learning_rate", "base_score"):
            check_field(self, name, 0, 1e9)


class PackSumXGB(StackedModel):
    """TenSet's pack-sum semantics and preset, for results that compare with the paper's.

    Every store row is a training row, and f(program) = sum of f(row) over its rows. Under the
    square error (f(program) - y)^2 / 2 the gradient of each row is f(program) - y; the hessian
    is taken as 1, as TenSet does. TenSet's nine operator tags are not among the 164 columns.
    """

    name: ClassVar[str] = "xgb-tenset"

    defaults: ClassVar[PackSumSettings] = PackSumSettings()

    def __init__(self, seed: int = 0, **settings: Any) -> None:
        super().__init__(seed, **settings)
        self._booster: xgboost.Booster | None = None

    def fit_own(
        self,
        features: FeatureTable,
        relative_throughput: Floats,
        task: NDArray[np.int32],  # noqa: ARG002
    ) -> None:
        """Train the booster."""
        s, store = self.settings, self.store_rows(features)
        first, stores = store.offsets[:-1], store.counts

        def square_error(rows: Any, _: xgboost.DMatrix) -> tuple[Any, Any]:
            gradient = np.add.reduceat(rows, first) - relative_throughput
            return np.repeat(gradient, stores), np.ones(len(rows))

        self._booster = xgboost.train(
            {
                "max_depth": s.max_depth,
                "gamma": s.gamma,
                "min_child_weight": s.min_child_weight,
                "eta": s.learning_rate,
                "base_score": s.base_score,
                "seed": self.seed,
                "nthread": 1,
            },
            xgboost.QuantileDMatrix(store.rows, nthread=1),
            num_boost_round=s.num_boost_round,
            obj=square_error,
        )

    def predict(self, features: FeatureTable) -> Floats:
        """Predicted relative throughput, unclipped."""
        check_type("features", features, FeatureTable, "pool.features has them")
        return self.prior.blend(self._by_chunks(features, [0])[0], self.taught(features))

    def ensemble(self, features: FeatureTable) -> Floats:
        """A virtual ensemble: the booster cut off after 1/32, 1/16, ... of its rounds.

        The preset trains without randomness, so members cannot differ as those of `XGB` do.
        """
        rounds = self._fitted().num_boosted_rounds()
        members = self._by_chunks(features, [max(1, rounds >> k) for k in range(5, -1, -1)])
        return self.prior.blend(members, self.taught(features))

    def state(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Hyper-parameters, and the trees as XGBoost's JSON."""
        trees = bytes(self._fitted().save_raw("json"))
        return {"seed": self.seed, "settings": asdict(self.settings)}, {"trees.json": trees}

    @classmethod
    def from_state(cls, config: dict[str, Any], payload: dict[str, bytes]) -> Self:
        """The inverse of `state`.

        Raises:
            ValueError: If XGBoost could not follow the trees.
        """
        model = cls(config["seed"], **config["settings"])
        trees = json.loads(payload["trees.json"])
        _check_trees(trees, STORE.width + config["sources"])
        model._booster = xgboost.Booster({"nthread": 1})
        # Written anew: what was checked is what is loaded.
        model._booster.load_model(bytearray(json.dumps(trees).encode()))
        return model

    def _fitted(self) -> xgboost.Booster:
        if self._booster is None:
            raise ModelNotFitted(f"the {self.name} cost model has not been trained yet")
        return self._booster

    def _by_chunks(self, features: FeatureTable, ends: Any) -> Floats:
        """Scores of the first `end` trees for each of the `K` ends, `K x n`."""
        booster = self._fitted()
        scores = np.empty((len(ends), len(features)))
        for place, part in chunks(features, CHUNK):
            store = self.store_rows(part)
            for member, end in zip(scores, ends, strict=True):
                rows = booster.inplace_predict(store.rows, iteration_range=(0, int(end)))
                member[place] = np.add.reduceat(rows, store.offsets[:-1])
        return scores


def _check_trees(content: dict[str, Any], width: int) -> None:
    """Refuse trees by which XGBoost, which checks little itself, would read beyond its arrays.

    Raises:
        ValueError: If a tree points out of its arrays, or is not what this model grows.
    """
    learner = content["learner"]
    booster = learner["gradient_booster"]
    trees = booster["model"]["trees"]
    kinds = booster["name"], learner["objective"]["name"], learner["learner_model_param"]
    rounds = booster["model"].get("iteration_indptr", list(range(len(trees) + 1)))
    for holds, expected in (
        (kinds[:2] == ("gbtree", "reg:squarederror"), "trees of square error"),
        (int(kinds[2]["num_feature"]) == width, f"{width} columns"),
        (int(kinds[2]["num_class"]) == 0 and int(kinds[2]["num_target"]) == 1, "one output"),
        (0 < len(trees) == len(booster["model"]["tree_info"]), "at least one tree"),
        (int(booster["model"]["gbtree_model_param"]["num_trees"]) == len(trees), "their number"),
        (not any(booster["model"]["tree_info"]), "trees of the one output"),
        (rounds == list(range(len(trees) + 1)), "a tree a round"),
        (
            abs(float(str(kinds[2]["base_score"]).strip("[]"))) <= LARGEST_WEIGHT,
            f"a base of at most {LARGEST_WEIGHT:g}",
        ),
    ):
        if not holds:
            raise ValueError(f"no such trees: expected {expected}")
    for tree in trees:
        _check_tree(tree, width)


def _check_tree(tree: dict[str, Any], width: int) -> None:
    left, right, parents = (
        np.array(tree[name], np.int64) for name in ("left_children", "right_children", "parents")
    )
    count = len(left)
    nodes, leaf = np.arange(count), left == -1
    numbers = ("base_weights", "loss_changes", "split_conditions", "sum_hessian")
    others = ("split_indices", "split_type", "default_left")
    params = {name: int(tree["tree_param"][name]) for name in ("num_nodes", "num_feature")}
    columns = np.array(tree["split_indices"], np.int64)
    categories = [name for name in tree if name.startswith("categor") and tree[name]]
    for holds, expected in (
        (count > 0 and params == {"num_nodes": count, "num_feature": width}, "its nodes"),
        (int(tree["tree_param"].get("size_leaf_vector", 1)) == 1, "one value a leaf"),
        (all(len(tree[n]) == count for n in (*numbers, *others)), "a value of each node"),
        (len(right) == count == len(parents), "two children of each node"),
        (bool(((right == -1) == leaf).all()), "two children or none"),
        (
            all(bool(((c > nodes) & (c < count) | leaf).all()) for c in (left, right)),
            "children after their parents",
        ),
        (
            all(bool((parents[c[~leaf]] == nodes[~leaf]).all()) for c in (left, right)),
            "parents of their children",
        ),
        (int(parents[0]) in (-1, 2**31 - 1), "a root without a parent"),
        (bool(((columns >= 0) & (columns < width)).all()), f"columns below {width}"),
        (all(np.isfinite(np.array(tree[n], np.float64)).all() for n in numbers), "finite numbers"),
        (
            all(
                (np.abs(np.array(values, np.float64)) <= LARGEST_WEIGHT).all()
                for values in (tree["base_weights"], np.array(tree["split_conditions"])[leaf])
            ),
            f"values of at most {LARGEST_WEIGHT:g}",
        ),
        (not any(tree["split_type"]) and not categories, "no categories"),
    ):
        if not holds:
            raise ValueError(f"no such tree: expected {expected}")

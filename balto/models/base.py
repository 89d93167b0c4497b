"""The contract of every cost model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from balto.arguments import LARGEST_SEED, check_number, check_type, check_vector
from balto.data.features import STORE, Features, FeatureTable
from balto.errors import InputError
from balto.models.prior import Prior, folds


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    """For a cost model without hyper-parameters."""


class CostModel(ABC):
    """Predicts how fast a program is, relative to the best of its task, from its features.

    Laws, which every model keeps and `balto.testing.CostModelContract` checks:

    1. `predict` gives one finite float64 score a program; a higher score is a faster program.
       A program's score does not depend on which other programs are asked about.
    2. `to_relative_throughput` maps scores into [0, 1] for the selectors, keeping their order
       within a task (ties may be made, never broken).
    3. The same seed, labels and order of calls give the same scores, in another process too.
    4. A model written with `balto.save_model` and loaded in another process predicts bit-equal.

    Args:
        seed: fixes every random choice of training.
        settings: hyper-parameters, in the place of those in `defaults`.

    Raises:
        InputError: If there is no such hyper-parameter, or its value is out of range.

    Attributes:
        name: how the model is called on the command line.
        defaults: a frozen dataclass with the hyper-parameters.
        seed: as given.
        settings: `defaults` with what was given.
        started_from: models of other devices, whose predictions are columns of this one's table.
        weighs_start: whether `fit` finds out from its labels how much those count.
        prior: how much they count, learnt by `fit`.
    """

    name: ClassVar[str]
    defaults: ClassVar[Any] = NoSettings()

    def __init__(self, seed: int = 0, **settings: Any) -> None:
        self.seed: int = check_number("seed", seed, 0, LARGEST_SEED, whole=True)
        self.started_from: tuple[CostModel, ...] = ()
        self.weighs_start = True
        self.prior = Prior()
        try:
            self.settings = replace(self.defaults, **settings)
        except TypeError:
            known = ", ".join(asdict(self.defaults)) or "none"
            raise InputError(
                f"expected hyper-parameters of the cost model {self.name} ({known}), "
                f"got {', '.join(settings)}"
            ) from None

    def __repr__(self) -> str:
        given = {"seed": self.seed, **self.parameters()}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in given.items())})"

    @property
    def feature_sets(self) -> tuple[str, ...]:
        """Names of the feature sets that the model reads, those of `started_from` included.

        Empty before `fit` if it takes whatever sets the programs have.
        """
        return self._all_sets(self.reads)

    def sets_for(self, features: FeatureTable) -> tuple[str, ...]:
        """Names of the feature sets that the model reads, or would read, of these programs.

        Args:
            features: of programs that the model may be trained on.

        Returns:
            The names, those of `started_from` included.
        """
        return self._all_sets(self.reads or features.names)

    def _all_sets(self, own: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the model itself, and those of the models that it started from."""
        theirs = (name for model in self.started_from for name in model.feature_sets)
        return tuple(dict.fromkeys([*own, *theirs]))

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the feature sets that the model itself reads."""
        return (STORE.name,)

    def parameters(self) -> dict[str, Any]:
        """The hyper-parameters that are not the defaults, for JSON.

        Returns:
            Values by name.
        """
        defaults = asdict(self.defaults)
        return {k: v for k, v in asdict(self.settings).items() if v != defaults[k]}

    @abstractmethod
    def fit(
        self,
        features: FeatureTable,
        relative_throughput: NDArray[np.float64],
        task: NDArray[np.int32],
    ) -> None:
        """Train on everything labelled so far.

        Called again each round with more labels and with labels rescaled by a new T_max.

        Args:
            features: of `n` programs, grouped in any way.
            relative_throughput: `n`, y = T / T_max of the task, in (0, 1]; never a sentinel.
            task: `n`, which task each program belongs to.

        Raises:
            InputError: If there are no programs, or the arguments are not of the same programs.
        """

    @abstractmethod
    def predict(self, features: FeatureTable) -> NDArray[np.float64]:
        """Scores of `n` programs, `n` float64.

        Args:
            features: of `n` programs.

        Returns:
            One a program; higher is faster.

        Raises:
            ModelNotFitted: If the model was neither trained nor loaded before.
        """

    def fresh(self, seed: int | None = None) -> Self:
        """An untrained model of the same kind and hyper-parameters, which starts from the same.

        Args:
            seed: of its training; that of this model if None.

        Returns:
            The model; it shares nothing that training changes.
        """
        model = type(self)(self.seed if seed is None else seed, **asdict(self.settings))
        model.started_from = self.started_from
        model.weighs_start = self.weighs_start
        return model

    def start_from(self, *models: CostModel, weigh: bool = True) -> None:
        """Give every later `fit` what models of other devices know; call before `fit`.

        What each of them predicts is one more column beside the features ("stacking"). While
        labels are few the model's own prediction is also averaged with theirs
        (`balto.models.prior`). They may be of any kind.

        Args:
            models: fitted models; they take the place of those of an earlier call.
            weigh: whether `fit` finds out from its labels how much they count. Not where labels
                are their own predictions, which say nothing for them.

        Raises:
            ModelNotFitted: If one of them has not been trained.
        """
        for model in models:
            model.state()
        self.started_from = models
        self.weighs_start = weigh

    def taught(self, features: FeatureTable) -> NDArray[np.float32]:
        """What the models of `started_from` predict for `n` programs, a column each.

        Args:
            features: of `n` programs.

        Returns:
            ``n x len(started_from)``.
        """
        columns = np.empty((len(features), len(self.started_from)), np.float32)
        for column, model in zip(columns.T, self.started_from, strict=True):
            column[:] = model.predict(features)
        return columns

    def store_rows(self, features: FeatureTable) -> Features:
        """The store rows, each with what `started_from` predicts for its program.

        Args:
            features: of `n` programs.

        Returns:
            As many rows as before, ``len(started_from)`` columns wider.
        """
        store = features[STORE.name]
        if not self.started_from:
            return store
        taught = np.repeat(self.taught(features), store.counts, axis=0)
        return Features(np.concatenate([store.rows, taught], axis=1), store.offsets)

    def to_relative_throughput(
        self,
        scores: NDArray[np.float64],
        task: NDArray[np.int32],  # noqa: ARG002
    ) -> NDArray[np.float64]:
        """Map scores of programs of `task` into [0, 1], as the selectors want them.

        The default is for models that regress y itself: clipping.

        Args:
            scores: `n`, as `predict` gives them.
            task: `n`, which task each program belongs to.

        Returns:
            `n`, in [0, 1].
        """
        return np.clip(scores, 0.0, 1.0)

    @abstractmethod
    def ensemble(self, features: FeatureTable) -> NDArray[np.float64]:
        """Predictions of `K` members that one training gave, for uncertainty and diversity.

        Members are parts of the one model (subsets of trees, dropout masks), not models that were
        trained apart. Their mean is close to `predict`, not equal to it.

        Args:
            features: of `n` programs.

        Returns:
            `K x n` float64, K >= 2, in the units of `predict`, before `to_relative_throughput`.

        Raises:
            ModelNotFitted: If the model was neither trained nor loaded before.
        """

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The model as ``(values for JSON, named payloads)``, for `balto.save_model`.

        Returns:
            The two, for `from_state`.
        """

    @classmethod
    @abstractmethod
    def from_state(cls, config: dict[str, Any], payload: dict[str, bytes]) -> CostModel:
        """The inverse of `state`.

        Both come from a file that anybody may have written. Whatever does not fit has to be refused
        here, by any exception, since `predict` relies on it.

        Args:
            config: the values.
            payload: the bytes, by name.

        Returns:
            The model, fitted.
        """


class StackedModel(CostModel):
    """A model that learns how much those that it started from count beside its own say.

    A subclass trains by `fit_own`, and blends what it predicts by ``self.prior``.
    """

    def fit(
        self,
        features: FeatureTable,
        relative_throughput: NDArray[np.float64],
        task: NDArray[np.int32],
    ) -> None:
        """Train anew on everything labelled so far."""
        check_labels(features, relative_throughput, task)
        self.fit_own(features, relative_throughput, task)
        self.prior = Prior()
        if self.started_from:
            self._lean(features, relative_throughput, task)

    @abstractmethod
    def fit_own(
        self,
        features: FeatureTable,
        relative_throughput: NDArray[np.float64],
        task: NDArray[np.int32],
    ) -> None:
        """Train the model itself; `fit` has checked the arguments, and sets `prior` afterwards.

        Args:
            features: of `n` programs.
            relative_throughput: `n`, in (0, 1].
            task: `n`.
        """

    def _lean(
        self,
        features: FeatureTable,
        relative_throughput: NDArray[np.float64],
        task: NDArray[np.int32],
    ) -> None:
        """Learn how much `started_from` counts, by cross-validation with copies of the model."""
        own, unseen = self.predict(features), np.full(len(features), np.nan)
        for shown, held_out in folds(task, self.seed) if self.weighs_start else ():
            copy = self.fresh()
            copy.fit_own(features.take(shown), relative_throughput[shown], task[shown])
            unseen[held_out] = copy.predict(features.take(held_out))
        self.prior = Prior.of(self.taught(features), own, unseen, relative_throughput, task)


def check_labels(
    features: FeatureTable, relative_throughput: NDArray[np.float64], task: NDArray[np.int32]
) -> None:
    """Refuse what `CostModel.fit` cannot learn from; every model of ours begins with it.

    Raises:
        InputError: If there are no programs, there are more or fewer labels or tasks than programs,
            or a label or feature is not finite.
    """
    check_type("features", features, FeatureTable, "pool.features.take(...) has them")
    check_vector("the labels", relative_throughput)
    check_vector("the tasks", task)
    counts = [len(features), len(relative_throughput), len(task)]
    if not len(features) or len(set(counts)) != 1:
        raise InputError(
            "expected a label and a task for each of at least one program, "
            f"got {counts[0]} programs, {counts[1]} labels and {counts[2]} tasks"
        )
    if not np.isfinite(relative_throughput).all():
        raise InputError("expected finite labels, programs whose measurement failed left out")
    for name in features.names:
        rows = features[name].rows
        if len(rows) and not np.isfinite([rows.min(), rows.max()]).all():
            raise InputError(f"expected finite features, the set {name} has NaN or infinity")

"""`CostModel`, for ``ms.tune_tir(cost_model=...)`` and ``tune_relax``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import tvm_ffi
from numpy.typing import NDArray
from tvm.ir.utils import derived_object
from tvm.s_tir.meta_schedule.cost_model import PyCostModel

from balto import models
from balto.data.features import FEATURE_SETS, Features, FeatureTable
from balto.errors import InputError, ModelNotFitted
from balto.programs.extract import Drawn, extract
from balto.programs.sample import trace_json
from balto.search.learner import Learner

#: Programs of a task that keep the model from forgetting (`Learner`).
_ANCHORS = 128

Mode = Literal["frozen", "finetune"]


@derived_object
class CostModel(PyCostModel):  # type: ignore[misc]
    """A trained cost model of balto inside MetaSchedule's own search.

    It never returns random scores: what it was trained on is there from the first trial, unlike
    in TVM's ``XGBModel``, which returns random numbers until it has 100 results.

    Args:
        model: a model file, or a fitted model.
        mode: ``frozen`` leaves the model as it is; ``finetune`` learns from the trials too
            (`balto.search.learner.Learner`).
        seed: of what ``finetune`` trains.

    Raises:
        InputError: If there is no such mode.
        ModelFileError: If the file is no model file.
        ModelNotFitted: If the model has not been trained.
    """

    def __init__(
        self, model: str | Path | models.CostModel, mode: Mode = "frozen", seed: int = 0
    ) -> None:
        super().__init__()
        if mode not in get_args(Mode):
            raise InputError(f"expected mode {' or '.join(get_args(Mode))}, got {mode!r}")
        self.mode = mode
        self.seed = seed
        self._start_from(model)

    def _start_from(self, model: str | Path | models.CostModel) -> None:
        base = model if isinstance(model, models.CostModel) else models.load(model)[0]
        base.state()  # raises ModelNotFitted now, not in the middle of a search
        self.learner = Learner(base, self.seed)
        self.anchors: dict[int, FeatureTable] = {}  # by task: the first programs asked about

    def load(self, path: str) -> None:
        """Start again from a model file; forgets the trials."""
        self._start_from(path)

    def save(self, path: str) -> None:
        """Write the model as it is now, as a model file."""
        models.save(_model(self.learner), path, {"by": f"balto.tune.CostModel, {self.mode}"})

    def update(self, context: Any, candidates: Sequence[Any], results: Sequence[Any]) -> None:
        """Learn from trials; nothing if ``frozen``."""
        if self.mode == "frozen" or not len(candidates):
            return
        latency_s = np.array([_seconds(result) for result in results])
        features = _features(context, candidates, self.learner.feature_sets)
        task = tvm_ffi.structural_hash(context.mod)
        self.learner.learn(task, features, latency_s, self.anchors.get(task))

    def predict(self, context: Any, candidates: Sequence[Any]) -> NDArray[np.float64]:
        """Scores of candidates; a higher score is a faster program."""
        if not len(candidates):
            return np.empty(0)
        model = _model(self.learner)
        features = _features(context, candidates, model.feature_sets)
        if self.mode == "finetune":
            task = tvm_ffi.structural_hash(context.mod)
            self.anchors.setdefault(task, features.slice(0, min(len(features), _ANCHORS)))
        return model.predict(features)


def _model(learner: Learner) -> models.CostModel:
    if learner.model is None:
        raise ModelNotFitted("the cost model has not been trained")
    return learner.model


def _seconds(result: Any) -> float:
    """Median of a ``RunnerResult``; NaN for a failure."""
    if result.error_msg is not None or not result.run_secs:
        return math.nan
    return float(np.median([float(s) for s in result.run_secs]))


def _features(context: Any, candidates: Sequence[Any], names: Sequence[str]) -> FeatureTable:
    schedules = [candidate.sch for candidate in candidates]
    drawn = Drawn(context, schedules, _Traces(schedules))
    return FeatureTable(
        {
            name: Features.from_programs(rows, FEATURE_SETS[name].width)
            for name, rows in extract(drawn, names).items()
        }
    )


class _Traces(Sequence[str]):
    """JSON of the schedules' traces, made when asked for: a millisecond each."""

    def __init__(self, schedules: Sequence[Any]) -> None:
        self._schedules = schedules

    def __len__(self) -> int:
        return len(self._schedules)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return _Traces(self._schedules[index])
        return trace_json(self._schedules[index])

"""The active-learning loop over all tasks, and its metrics (paper 3, 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from balto.lazy import lazily

if TYPE_CHECKING:
    from balto.learn.all_labels import Reference
    from balto.learn.loop import ActiveLearner
    from balto.learn.metrics import Accuracy, evaluate
    from balto.learn.result import Result
    from balto.learn.round import Round
    from balto.learn.saturation import Outlook
    from balto.learn.settings import LoopSettings
    from balto.learn.split import Split
    from balto.learn.store import OutcomeStore, RoundLog, Selection
    from balto.learn.tmax import TMaxEstimator

__all__ = [
    "Accuracy",
    "ActiveLearner",
    "LoopSettings",
    "OutcomeStore",
    "Outlook",
    "Reference",
    "Result",
    "Round",
    "RoundLog",
    "Selection",
    "Split",
    "TMaxEstimator",
    "evaluate",
]

__getattr__, __dir__ = lazily(__name__)

"""What one round of the loop gave, and its form in JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from balto.learn.metrics import Accuracy


@dataclass(frozen=True)
class Round:
    """What one round chose, what it cost, and how good the model was after it.

    Attributes:
        round: 1-based.
        rules: which rule chose how many programs, e.g. ``{"biased-diversity": 96}``.
        measurements: programs selected so far, all rounds together.
        seconds: what building and measuring those cost so far, seconds.
        failures: how many of those failed so far, by status.
        accuracy: on the held-out programs; None where there are none.
        task_accuracy: the same for each task.
        select_s: seconds this round's selection took.
        fit_s: seconds this round's training took.
    """

    round: int
    rules: dict[str, int]
    measurements: int
    seconds: float
    failures: dict[str, int]
    accuracy: Accuracy | None
    task_accuracy: dict[int, Accuracy] = field(repr=False)
    select_s: float
    fit_s: float


def round_to_dict(result: Round) -> dict[str, Any]:
    """A round for JSON; what is not a number is null."""
    return {
        **{k: v for k, v in vars(result).items() if k not in ("accuracy", "task_accuracy")},
        "accuracy": accuracy_to_dict(result.accuracy) if result.accuracy else None,
        "task_accuracy": {str(k): accuracy_to_dict(a) for k, a in result.task_accuracy.items()},
    }


def round_from_dict(record: Mapping[str, Any]) -> Round:
    """The inverse of `round_to_dict`."""
    return Round(
        **{
            **record,
            "accuracy": accuracy_from_dict(record["accuracy"]) if record["accuracy"] else None,
            "task_accuracy": {
                int(k): accuracy_from_dict(a) for k, a in record["task_accuracy"].items()
            },
        }
    )


def accuracy_to_dict(accuracy: Accuracy) -> dict[str, float | None]:
    """An accuracy for JSON; what is not a number is null."""
    return {k: v if math.isfinite(v) else None for k, v in accuracy.to_dict().items()}


def accuracy_from_dict(values: Mapping[str, float | None]) -> Accuracy:
    """The inverse of `accuracy_to_dict`."""
    return Accuracy(**{k: math.nan if v is None else v for k, v in values.items()})

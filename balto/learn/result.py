"""What a replay or a campaign gives back."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from balto.errors import InputError
from balto.learn.metrics import Accuracy
from balto.learn.round import Round
from balto.learn.saturation import Outlook
from balto.models.base import CostModel
from balto.select.base import Selector


@dataclass(frozen=True)
class Result:
    """The rounds of one selector, and the model that they trained.

    Attributes:
        selector: the one that chose the programs.
        model: trained on all that was selected.
        rounds: what each round gave.
        picks: the selected programs of each task, by its name, in the order of choice.
        outlook: what another 2 % of the programs would bring; None where that cannot be said.
        compared: the result of the selector that ran beside it for comparison; None if none did.
    """

    selector: Selector = field(repr=False)
    model: CostModel = field(repr=False)
    rounds: Sequence[Round] = field(repr=False)
    picks: Mapping[str, Sequence[int]] = field(repr=False)
    outlook: Outlook | None = field(default=None, repr=False)
    compared: Result | None = field(default=None, repr=False)

    @property
    def accuracy(self) -> Accuracy | None:
        """Of the last round; None without held-out programs."""
        return self.rounds[-1].accuracy

    @property
    def measurements(self) -> int:
        """How many programs were selected, all rounds together."""
        return self.rounds[-1].measurements

    @property
    def seconds(self) -> float:
        """What building and measuring those cost, seconds."""
        return self.rounds[-1].seconds

    def __str__(self) -> str:
        top1 = f", Top-1 {self.accuracy.top1:.3f}" if self.accuracy else ""
        return (
            f"{self.selector.name} with {self.model.name}: {len(self.rounds)} rounds, "
            f"{self.measurements} measurements{top1}"
        )

    __repr__ = __str__

    def to_frame(self) -> Any:
        """The curve as a DataFrame, one row a round: of pandas, or of polars where only that is.

        Returns:
            A column for each number of `Round`, and one for each of its accuracy.

        Raises:
            InputError: If neither pandas nor polars is installed.
        """
        rows = [
            {
                "round": r.round,
                "measurements": r.measurements,
                "seconds": r.seconds,
                "failures": sum(r.failures.values()),
                **(r.accuracy.to_dict() if r.accuracy else {}),
            }
            for r in self.rounds
        ]
        for library in ("pandas", "polars"):
            if importlib.util.find_spec(library) is not None:
                return importlib.import_module(library).DataFrame(rows)
        raise InputError("a DataFrame needs pandas or polars: pip install pandas")

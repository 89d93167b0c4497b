"""What is fixed before the first round of the loop."""

from __future__ import annotations

from dataclasses import dataclass

from balto.arguments import (
    LARGEST_SEED,
    LEAST_SECONDS,
    MOST_ROUNDS,
    MOST_SECONDS,
    check_field,
    check_share,
    check_type,
)
from balto.errors import InputError


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """What is fixed before the first round.

    Attributes:
        budget: share of the selectable programs that is measured, in (0, 1].
        rounds: T, from 1 to 10,000.
        test_share: share of each task's programs held out for the test, in [0, 1). A tenth, the
            paper's, where held-out programs cost measurements too; a replay has them for nothing,
            and takes a quarter.
        seed: fixes the split and every selection.
        until_saturated: stop before the budget is used up, when the next measurements are expected
            to bring little (`balto.learn.saturation`).
        budget_s: seconds of building and timing that the selected programs may take, in the place
            of `budget`; None for a share. What the held-out programs take comes on top, as there.

    Raises:
        InputError: If a value is out of its range.
    """

    budget: float = 0.05
    rounds: int = 15
    test_share: float = 0.1
    seed: int = 0
    until_saturated: bool = False
    budget_s: float | None = None

    def __post_init__(self) -> None:
        budget = check_share("budget", self.budget, open_low=True)
        test_share = check_share("test share", self.test_share, open_high=True)
        object.__setattr__(self, "budget", budget)
        object.__setattr__(self, "test_share", test_share)
        if self.budget_s is not None:
            check_field(self, "budget_s", LEAST_SECONDS, MOST_SECONDS)
        check_field(self, "rounds", 1, MOST_ROUNDS, whole=True)
        check_field(self, "seed", 0, LARGEST_SEED, whole=True)
        check_type("until_saturated", self.until_saturated, bool, "True or False")
        if self.until_saturated and not self.test_share:
            raise InputError("expected a test share above 0: until_saturated is judged by it")

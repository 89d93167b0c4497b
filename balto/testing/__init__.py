"""The laws of each contract as test suites, for our own parts and other people's.

A subclass says how to make the part, and pytest collects the rest::

    import balto
    import balto.testing


    class Slowest(balto.Selector):
        name = "slowest"

        def choose(self, state, budget, rng):
            free = state.unlabelled
            return free[state.scores()[free].argsort(kind="stable")[:budget]]


    class TestSlowest(balto.testing.SelectorContract):
        def make(self):
            return Slowest()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from balto.lazy import lazily

if TYPE_CHECKING:
    from balto.testing.executors import ExecutorContract
    from balto.testing.measurer import MeasurerContract
    from balto.testing.models import CostModelContract
    from balto.testing.pools import made_up_pool
    from balto.testing.selectors import SelectorContract
    from balto.testing.stores import OutcomeStoreContract, RoundLogContract

__all__ = [
    "CostModelContract",
    "ExecutorContract",
    "MeasurerContract",
    "OutcomeStoreContract",
    "RoundLogContract",
    "SelectorContract",
    "made_up_pool",
]

__getattr__, __dir__ = lazily(__name__)

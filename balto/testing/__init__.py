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

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

_WHERE = {
    "CostModelContract": "models",
    "ExecutorContract": "executors",
    "MeasurerContract": "measurer",
    "OutcomeStoreContract": "stores",
    "RoundLogContract": "stores",
    "SelectorContract": "selectors",
    "made_up_pool": "pools",
}


def __getattr__(name: str) -> Any:
    """Load a suite when it is asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)

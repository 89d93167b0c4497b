"""The laws of each contract as test suites, for our own parts and other people's.

A subclass says how to make the part, and pytest collects the rest::

    class TestMine(balto.testing.SelectorContract):
        def make(self):
            return Mine()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from balto.testing.measurer import MeasurerContract
    from balto.testing.models import CostModelContract
    from balto.testing.pools import made_up_pool
    from balto.testing.selectors import SelectorContract

__all__ = ["CostModelContract", "MeasurerContract", "SelectorContract", "made_up_pool"]

_WHERE = {
    "CostModelContract": "models",
    "MeasurerContract": "measurer",
    "SelectorContract": "selectors",
    "made_up_pool": "pools",
}


def __getattr__(name: str) -> Any:
    """Load a suite when it is asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)

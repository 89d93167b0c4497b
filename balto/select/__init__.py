"""Selectors: Algorithm 1, Algorithm 2, the D_KL switch, and baselines (paper 2.3, 3.3)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from balto.select.base import Selector, TaskState
from balto.select.registry import SELECTORS, get
from balto.select.tasks import select_tasks

if TYPE_CHECKING:
    from balto.select.alt import ALT
    from balto.select.balto import Balto, KLSwitch
    from balto.select.biased_diversity import BiasedDiversity
    from balto.select.biased_lcmd import BiasedLCMD
    from balto.select.gsx import GSx
    from balto.select.gsy import GSy
    from balto.select.igs import IGS
    from balto.select.lcmd import LCMD
    from balto.select.output_diversity import OutputDiversity
    from balto.select.random import Random

__all__ = [
    "ALT",
    "IGS",
    "LCMD",
    "SELECTORS",
    "Balto",
    "BiasedDiversity",
    "BiasedLCMD",
    "GSx",
    "GSy",
    "KLSwitch",
    "OutputDiversity",
    "Random",
    "Selector",
    "TaskState",
    "get",
    "select_tasks",
]

_WHERE = {
    "ALT": "alt",
    "IGS": "igs",
    "LCMD": "lcmd",
    "Balto": "balto",
    "BiasedDiversity": "biased_diversity",
    "BiasedLCMD": "biased_lcmd",
    "GSx": "gsx",
    "GSy": "gsy",
    "KLSwitch": "balto",
    "OutputDiversity": "output_diversity",
    "Random": "random",
}


def __getattr__(name: str) -> Any:
    """Load a selector when it is asked for: some compile code."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)

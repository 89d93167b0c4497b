"""Selectors: Algorithm 1, Algorithm 2, the D_KL switch, and baselines (paper 2.3, 3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from balto.lazy import lazily

if TYPE_CHECKING:
    from balto.select.alt import ALT
    from balto.select.balto import Balto, KLSwitch
    from balto.select.base import Selector, TaskState
    from balto.select.biased_diversity import BiasedDiversity
    from balto.select.biased_lcmd import BiasedLCMD
    from balto.select.gsx import GSx
    from balto.select.gsy import GSy
    from balto.select.igs import IGS
    from balto.select.lcmd import LCMD
    from balto.select.output_diversity import OutputDiversity
    from balto.select.random import Random
    from balto.select.registry import SELECTORS, get
    from balto.select.tasks import select_tasks

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

__getattr__, __dir__ = lazily(__name__)

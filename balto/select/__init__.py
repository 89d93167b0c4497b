"""Selectors: Algorithm 1, Algorithm 2, the D_KL switch, and baselines (paper 2.3, 3.3)."""

from balto.select.registry import SELECTORS, get
from balto.select.tasks import select_tasks

__all__ = ["SELECTORS", "get", "select_tasks"]

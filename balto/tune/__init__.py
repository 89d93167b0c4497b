"""balto inside MetaSchedule's own search (paper 4.2, 4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from balto.tune.builder import Builder
    from balto.tune.runner import Runner

__all__ = ["Builder", "Runner"]


def __getattr__(name: str) -> Any:
    """Load the parts only when they are asked for: they import TVM."""
    if name == "Builder":
        from balto.tune.builder import Builder

        return Builder
    if name == "Runner":
        from balto.tune.runner import Runner

        return Runner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

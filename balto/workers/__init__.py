"""Worker processes, and how TVM is loaded in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from balto.lazy import lazily

if TYPE_CHECKING:
    from balto.workers.executor import Executor
    from balto.workers.local import LocalExecutor
    from balto.workers.ray import RayExecutor
    from balto.workers.worker import Worker

__all__ = [
    "Executor",
    "LocalExecutor",
    "RayExecutor",
    "Worker",
]

__getattr__, __dir__ = lazily(__name__)

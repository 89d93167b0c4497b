"""An append-only file of records that survives kill -9, as campaigns and tunings keep it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from balto.lazy import lazily

if TYPE_CHECKING:
    from balto.journal.file import Follower, Journal

__all__ = [
    "Follower",
    "Journal",
]

__getattr__, __dir__ = lazily(__name__)

"""What the tests share: pools that are made up, but not random: latency follows the features."""

from __future__ import annotations

from pathlib import Path

import pytest

from balto.data.pool import Pool
from balto.data.pool_writer import write_pool
from balto.testing import made_up_pool


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: where several processes share the files, short ones end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def pool() -> Pool:
    """Three tasks of sixty programs."""
    return made_up_pool()


@pytest.fixture
def pool_path(tmp_path: Path, pool: Pool) -> Path:
    """The same, as a folder in the exchange format."""
    write_pool(pool, tmp_path / "pool")
    return tmp_path / "pool"

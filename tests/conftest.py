"""What the tests share: pools that are made up, but not random: latency follows the features."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from balto.data.pool import Pool
from balto.data.pool_writer import write_pool
from balto.testing import made_up_pool

# No test knows what another one has tuned, and none touches the store of whoever runs them.
os.environ["BALTO_STORE"] = "none"
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="balto-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_DATA_HOME"], ignore_errors=True)


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

"""What the tests share: pools that are made up, but not random: latency follows the features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from balto.measure.outcome import Outcome, Status
from balto.pool.exchange import write_pool
from balto.pool.pool import Pool
from balto.programs.features import COLUMNS, Features
from balto.tasks.task import Task


def make_pool(tasks: int = 3, programs: int = 60, seed: int = 0, failures: bool = True) -> Pool:
    """A pool whose latencies a cost model can learn; a few programs fail, as real ones do."""
    rng = np.random.default_rng(seed)
    weights = np.random.default_rng(99).normal(size=COLUMNS) * (np.arange(COLUMNS) < 4)
    features, outcomes, known = [], [], []
    for k in range(tasks):
        known.append(
            Task(
                f"op{k}_{8 * (k + 1)}", f"op{k}", f"[{8 * (k + 1)}]", 1 + k, '{"kind": "llvm"}', "a"
            )
        )
        for p in range(programs):
            rows = rng.uniform(0, 8, (1 + p % 3, COLUMNS)).astype(np.float32)
            features.append(rows)
            total = np.log2(np.exp2(rows).sum(axis=0))  # columns are log counts
            latency = 1e-4 * (k + 1) * float(np.exp(0.4 * weights @ total))
            if failures and p % 17 == 5:
                outcomes.append(Outcome(Status.BUILD_ERROR, build_s=0.2))
            else:
                outcomes.append(Outcome(Status.OK, latency, latency * 1.1, 0.1, 0.3))
    return Pool(
        tasks=known,
        offsets=np.arange(tasks + 1, dtype=np.int64) * programs,
        features=Features.from_programs(features),
        traces=[f"[{i}]" for i in range(tasks * programs)],
        outcomes=list(outcomes),
    )


@pytest.fixture
def pool() -> Pool:
    """Three tasks of sixty programs."""
    return make_pool()


@pytest.fixture
def pool_path(tmp_path: Path, pool: Pool) -> Path:
    """The same, as a folder in the exchange format."""
    write_pool(pool, tmp_path / "pool")
    return tmp_path / "pool"

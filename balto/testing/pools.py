"""A pool that is made up, but not random: latency follows the features."""

from __future__ import annotations

import numpy as np

from balto.data.features import STORE, Features, FeatureTable
from balto.data.outcome import Outcome, Status
from balto.data.outcomes import Outcomes
from balto.data.pool import Pool
from balto.data.target import LLVM
from balto.data.task import Task


def made_up_pool(
    tasks: int = 3, programs: int = 60, seed: int = 0, *, failures: bool = True
) -> Pool:
    """A pool whose latencies a cost model can learn; a few programs fail, as real ones do.

    Args:
        tasks: how many.
        programs: of each task, with one to three stores.
        seed: fixes the features.
        failures: whether one program in seventeen fails to build.

    Returns:
        The pool, the same for the same arguments.
    """
    rng = np.random.default_rng(seed)
    weights = np.random.default_rng(99).normal(size=STORE.width) * (np.arange(STORE.width) < 4)
    features, outcomes, known = [], [], []
    for k in range(tasks):
        size = 8 * (k + 1)
        known.append(Task(f"op{k}_{size}", f"op{k}", f"[{size}]", 1 + k, LLVM, "a"))
        for p in range(programs):
            rows = rng.uniform(0, 8, (1 + p % 3, STORE.width)).astype(np.float32)
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
        features=FeatureTable({STORE.name: Features.from_programs(features)}),
        traces=[f"[{i}]" for i in range(tasks * programs)],
        outcomes=Outcomes.of(outcomes),
    )

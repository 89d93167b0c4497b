"""A whole MetaSchedule search in a process of its own, for the tests."""

from __future__ import annotations

import tempfile
from typing import Any

from balto.measure.tvm_setup import import_tvm

TARGET = '{"kind": "llvm", "num-cores": 1}'


def tune_matmul(trials: int) -> list[list[float]]:
    """Tune a small matmul with `balto.tune`; the seconds that the database recorded."""
    import json

    tvm = import_tvm(TARGET)
    from tvm.s_tir import meta_schedule as ms
    from tvm.s_tir.meta_schedule.testing.te_workload import matmul

    from balto.tune import Builder, Runner

    database: Any = ms.tune_tir(
        mod=tvm.te.create_prim_func(matmul(64, 64, 64)),
        target=tvm.target.Target(json.loads(TARGET)),
        work_dir=tempfile.mkdtemp(),
        max_trials_global=trials,
        num_trials_per_iter=trials,
        builder=Builder(),
        runner=Runner(),
        cost_model="random",
        num_tuning_cores=1,
        seed=1,
    )
    return [[float(s) for s in record.run_secs] for record in database.get_all_tuning_records()]

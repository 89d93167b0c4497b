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


def tune_network(trials: int) -> tuple[int, float]:
    """Tune a small Relax network with `balto.tune`; records, and the error of what was compiled."""
    import json

    import numpy as np

    tvm = import_tvm(TARGET)
    from tvm import relax
    from tvm.s_tir import meta_schedule as ms

    from balto.tune import Builder, Runner

    target = tvm.target.Target(json.loads(TARGET))
    blocks = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((8, 16), "float32"))
    w = relax.Var("w", relax.TensorType((16, 32), "float32"))
    with blocks.function("main", [x, w]):
        with blocks.dataflow():
            product = blocks.emit(relax.op.matmul(x, w))
            result = blocks.emit_output(relax.op.nn.relu(product))
        blocks.emit_func_output(result)
    with target:
        module = relax.get_pipeline("zero")(blocks.finalize())
    database = ms.relax_integration.tune_relax(
        mod=module,
        params={},
        target=target,
        work_dir=tempfile.mkdtemp(),
        max_trials_global=trials,
        num_trials_per_iter=trials,
        builder=Builder(),
        runner=Runner(),
        cost_model="random",
        seed=1,
    )
    compiled = ms.relax_integration.compile_relax(database, module, target, params={})
    machine = relax.VirtualMachine(compiled, tvm.cpu())
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=s).astype("float32") for s in ((8, 16), (16, 32)))
    got = machine["main"](tvm.runtime.tensor(a), tvm.runtime.tensor(b)).numpy()
    error = float(np.abs(got - np.maximum(a @ b, 0)).max())
    return len(database.get_all_tuning_records()), error

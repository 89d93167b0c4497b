"""TVM is loaded quickly, and whole as far as our targets need it."""

from __future__ import annotations

import time

import pytest

from balto.measure.worker import Worker

pytest.importorskip("tvm")


def loaded(target: str) -> dict[str, bool]:
    """Runs in a worker: what is there after `import_tvm`."""
    import os
    import sys

    from balto.measure.tvm_setup import import_tvm

    before = dict(os.environ)
    started = time.perf_counter()
    tvm = import_tvm(target)
    import tvm.s_tir.tensor_intrin  # what every TuneContext does; 27 s without stand-ins

    seconds = time.perf_counter() - started
    return {
        "quick": seconds < 10,
        "torch": sys.modules.get("torch") is not None,
        "environment": dict(os.environ) == before,
        "random": tvm.get_global_func("tvm.contrib.random.random_fill", True) is not None,
        "x86": hasattr(sys.modules["tvm.s_tir.tensor_intrin.x86"], "VNNI_DOT_16x4_INTRIN"),
        "cuda": hasattr(sys.modules["tvm.s_tir.tensor_intrin.cuda"], "get_wmma_load_intrin"),
    }


def test_a_cpu_target_loads_its_own_intrinsics_and_nothing_else() -> None:
    with Worker() as worker:
        found = worker.call(
            "tests.measure.test_tvm_setup:loaded",
            '{"kind": "llvm", "mtriple": "x86_64-linux-gnu"}',
            deadline_s=60,
        )
    assert found == {
        "quick": True,
        "torch": False,
        "environment": True,
        "random": True,
        "x86": True,
        "cuda": False,
    }

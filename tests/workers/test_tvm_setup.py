"""TVM is loaded quickly, and whole as far as our targets need it."""

from __future__ import annotations

import pytest

from balto.data.target import Target
from balto.workers.worker import Worker

pytest.importorskip("tvm")


def test_a_cpu_target_loads_its_own_intrinsics_and_nothing_else() -> None:
    with Worker() as worker:
        found = worker.call(
            "tests.workers.calls:loaded_tvm",
            Target.from_dict({"kind": "llvm", "mtriple": "x86_64-linux-gnu"}),
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

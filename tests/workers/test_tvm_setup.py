"""TVM is loaded whole as far as our targets need it."""

from __future__ import annotations

import pytest

from balto.data.target import Target
from balto.workers.worker import Worker

pytest.importorskip("tvm")


def test_a_cpu_target_loads_no_other_back_ends_intrinsics_and_no_torch() -> None:
    with Worker() as worker:
        found = worker.call(
            "tests.workers.calls:loaded_tvm",
            Target.from_dict({"kind": "llvm", "mtriple": "x86_64-linux-gnu"}),
            deadline_s=60,
        )
    assert found == {
        "torch": False,
        "environment": True,
        "random": True,
        "x86": True,
        "cuda": False,
        "stacks": True,
    }


@pytest.mark.slow
def test_a_gpus_intrinsics_are_loaded_where_there_is_none() -> None:
    target = Target.from_dict({"kind": "cuda", "arch": "sm_80"})
    with Worker() as worker:
        found = worker.call("tests.workers.calls:loaded_tvm", target, deadline_s=120)
    assert found["cuda"]
    assert found["stacks"], "they have their source lines again"

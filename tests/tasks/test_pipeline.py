"""What is done to a network on its way to tasks, and what is left where TVM does not go along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from balto.data.target import LLVM
from balto.workers.worker import Worker
from tests.tasks.files import normal, onnx_file

pytest.importorskip("tvm")
pytestmark = pytest.mark.slow


def read_where_passes_fail(spec: str, failing: list[str]) -> Any:
    """Runs in a worker: what is read, and its error, where some of our passes raise."""
    from balto.deploy.compile import read
    from balto.tasks import layouts, pipeline

    def fails(_module: Any) -> Any:
        raise MemoryError("std::bad_alloc")

    with pytest.MonkeyPatch.context() as patched:
        for name in failing:
            patched.setattr(layouts if name == "channels_last" else pipeline, name, fails)
        return read(spec, LLVM)


@pytest.mark.parametrize(
    ("failing", "layout", "notes"),
    [
        ([], "NHWC", []),
        (
            ["channels_last"],
            "NCHW",
            ["convolutions in NCHW: TVM cannot change it: std::bad_alloc"],
        ),
        (
            ["simplified"],
            "NCHW",
            ["its operators stay as they are: TVM cannot change them: std::bad_alloc"],
        ),
        (
            ["searchable"],
            "NCHW",
            [
                "convolutions in NCHW: TVM cannot change it: std::bad_alloc",
                "its operators stay as they are: TVM cannot change them: std::bad_alloc",
            ],
        ),
    ],
)
def test_a_pass_that_fails_leaves_the_network_as_it_is_and_says_so(
    failing: list[str], layout: str, notes: list[str], tmp_path: Path
) -> None:
    from onnx import helper

    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
        helper.make_node("Sigmoid", ["c"], ["y"]),
    ]
    shapes = {"x": [1, 4, 8, 8]}, {"y": None}
    spec = onnx_file(tmp_path / "net.onnx", nodes, *shapes, w=normal(4, 4, 3, 3))
    with Worker() as worker:  # of its own: what is read is kept
        call = "tests.tasks.test_pipeline:read_where_passes_fail"
        found = worker.call(call, spec, failing, deadline_s=120)
    assert found.layout == layout
    assert found.notes == notes
    assert any(task.op.startswith("conv2d") for task in found.tasks)

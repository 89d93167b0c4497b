"""Shapes that fit together can be built by TVM; others are refused with the reason."""

from __future__ import annotations

import pytest

from balto.errors import InputError
from balto.tasks import extract_tasks, operators
from balto.workers.worker import Worker

pytest.importorskip("tvm")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("conv2d_nhwc:1x8x8x6x8x3x1x1x1x4", "CI=6 to be divisible by groups=4"),
        ("conv2d_nhwc:1x8x8x8x6x3x1x1x1x4", "CO=6 to be divisible by groups=4"),
        ("conv3d_ndhwc:1x8x8x8x6x8x3x1x1x1x4", "CI=6 to be divisible by groups=4"),
        ("conv2d_nhwc:1x8x8x8x8x9", "a window of 9 does not fit H=8 padded to 8"),
        ("conv2d_nhwc:1x8x4x8x8x5x1x0", "a window of 5 does not fit W=4 padded to 4"),
        ("conv2d_nhwc:1x8x8x8x8x3x1x0x4", "a window of 9 does not fit"),
        ("conv2d_nhwc:1x8x8x8x8x3x11x1", "a stride of 11 goes past H=8 padded to 10"),
        ("conv2d_nchw:1x8x8x8x8x3x11x1x1", "a window of 11 does not fit w=8 padded to 10"),
        ("conv1d_nlc:1x4x8x8x5", "does not fit L=4"),
        ("max_pool2d_nchw:1x1x8x8x0", "a window of 2 does not fit h=1"),
        ("depthwise_conv2d_nhwc:1x8x8x8x3x1x1x1x2", "factor 1 only"),
        ("conv2d_transpose_nhwc:1x1x8x8x8x3x1x2", "leaves nothing of H=1"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(spec, words):
    with pytest.raises(InputError, match=words) as caught:
        operators.parse(spec)
    assert spec in str(caught.value)


@pytest.mark.parametrize(
    "spec",
    [
        "conv2d_nhwc:1x8x8x8x8x3x1x1x1x4",
        "conv2d_nhwc:1x8x8x8x8x8",
        "conv2d_nhwc:1x8x8x8x8x3x10x1",
        "conv2d_nchw:1x8x8x8x8x3x10x1x1",
        "conv1d_nlc:1x4x8x8x4",
        "max_pool2d_nchw:1x2x2x8x0",
        "conv2d_transpose_nhwc:1x2x2x8x8x3x2x1",
    ],
)
def test_shapes_that_only_just_fit_can_be_built(spec, worker):
    [task] = extract_tasks(operator_specs=[spec], worker=worker).tasks
    assert task.flop > 0


@pytest.fixture(scope="module")
def worker():
    """One warm worker for all tests here."""
    with Worker() as warm:
        yield warm

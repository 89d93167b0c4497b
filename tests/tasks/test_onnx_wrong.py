"""What TVM computes wrongly of ONNX is refused by name and place, or written as what is right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from balto.data.target import LLVM, Target
from balto.errors import WorkerRaised
from balto.workers.worker import Worker
from tests.tasks.files import normal, onnx_file

pytest.importorskip("tvm")
pytestmark = pytest.mark.slow
node = helper.make_node
IMAGE = [1, 4, 6, 6]
F32 = np.float32
TRUE = np.array(True)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """One warm worker for all tests here."""
    with Worker() as warm:
        yield warm


def refusal(worker: Worker, spec: str) -> str:
    with pytest.raises(WorkerRaised) as raised:
        worker.call("balto.deploy.compile:read", spec, LLVM, deadline_s=120)
    assert raised.value.kind == "InputError"
    return str(raised.value)


#: What is said, the operator's inputs after x, its attributes, number of outputs, and weights.
WRONG: list[tuple[str, list[str], dict[str, Any], int, dict[str, Any]]] = [
    (
        "BatchNormalization with training_mode",
        ["s", "b", "m", "v"],
        {"training_mode": 1},
        3,
        {k: np.ones(4, F32) for k in "sbmv"},
    ),
    (
        "ConvTranspose with output_shape",
        ["w"],
        {"output_shape": [9, 9]},
        1,
        {"w": normal(4, 1, 3, 3)},
    ),
    ("Dropout with training_mode", ["r", "t"], {}, 1, {"r": F32(0.5), "t": TRUE}),
    ("Dropout with its mask as an output", ["r", "t"], {}, 2, {"r": F32(0.5), "t": TRUE}),
    ("Mod of floats with fmod=0", ["d"], {}, 1, {"d": F32(2)}),
    (
        "Resize with align_corners and scales that give no whole size",
        ["", "s"],
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        1,
        {"s": np.array([1, 1, 0.6, 0.6], F32)},
    ),
    (
        "RoiAlign with mode=max",
        ["r", "i"],
        {"mode": "max", "output_height": 2, "output_width": 2},
        1,
        {"r": np.array([[0, 0, 3, 3]], F32), "i": np.array([0])},
    ),
]


@pytest.mark.parametrize(("said", "inputs", "attributes", "outputs", "weights"), WRONG)
def test_what_tvm_computes_wrongly_is_refused_with_its_place(
    said: str,
    inputs: list[str],
    attributes: dict[str, Any],
    outputs: int,
    weights: dict[str, Any],
    worker: Worker,
    tmp_path: Path,
) -> None:
    names = [f"y{k}" for k in range(outputs)]
    nodes = [node(said.split()[0], ["x", *inputs], names, name="here", **attributes)]
    spec = onnx_file(
        tmp_path / "net.onnx", nodes, {"x": IMAGE}, dict.fromkeys(names), 21, **weights
    )
    if "Dropout with its mask" in said:
        model = onnx.load(spec)
        model.graph.output[1].type.tensor_type.elem_type = TensorProto.BOOL
        onnx.save(model, spec)
    assert f"has {said} (here), which TVM computes wrongly" in refusal(worker, spec)


def casting(tmp_path: Path, operator: str, kind: int, outputs: list[str], **more: Any) -> str:
    """A file that casts x, and has an operator of that; its outputs are cast back."""
    weights = more.pop("weights", {})
    nodes = [
        node("Cast", ["x"], ["c"], to=kind),
        node(operator, ["c", *weights], [f"{each}_" for each in outputs], name="here", **more),
        *(node("Cast", [f"{each}_"], [each], to=TensorProto.FLOAT) for each in outputs),
    ]
    path = tmp_path / "net.onnx"
    return onnx_file(path, nodes, {"x": [2, 4]}, dict.fromkeys(outputs), 21, **weights)


@pytest.mark.parametrize("shift", [-1, 32])
def test_a_shift_by_bits_that_a_number_does_not_have_is_refused(
    shift: int, worker: Worker, tmp_path: Path
) -> None:
    weights: dict[str, Any] = {"s": np.array(shift, np.int32).view(np.uint32)}
    spec = casting(
        tmp_path, "BitShift", TensorProto.UINT32, ["y"], direction="LEFT", weights=weights
    )
    assert "BitShift by less than 0 bits or all of them (here)" in refusal(worker, spec)


@pytest.mark.parametrize("sign", ["negative", "positive"])
def test_infinity_of_one_sign_is_refused(sign: str, worker: Worker, tmp_path: Path) -> None:
    spec = casting(tmp_path, "IsInf", TensorProto.FLOAT, ["y"], **{f"detect_{sign}": 0})
    assert "IsInf of one sign (here)" in refusal(worker, spec)


def test_the_greatest_of_numbers_that_tvm_does_not_sort_are_refused(
    worker: Worker, tmp_path: Path
) -> None:
    weights: dict[str, Any] = {"k": np.array([2])}
    spec = casting(tmp_path, "TopK", TensorProto.UINT64, ["v", "i"], weights=weights)
    assert "TopK of uint64 (here)" in refusal(worker, spec)


def same(worker: Worker, spec: str, folder: Path, *arrays: Any) -> None:
    names = [each.name for each in onnx.load(spec).graph.input]
    expected = ReferenceEvaluator(spec).run(None, dict(zip(names, arrays, strict=True)))
    arguments = (spec, arrays, folder)
    got = worker.call("tests.tasks.files:computed", *arguments, deadline_s=120)
    for one, other in zip(got, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("repeats", [[1, 1, 1, 4], [1, 2, 3, 7], [2, 1, 5, 1], [1, 1, 1, 1]])
def test_tile_is_right(repeats: list[int], worker: Worker, tmp_path: Path) -> None:
    nodes = [node("Tile", ["x", "r"], ["t"]), node("Relu", ["t"], ["y"])]
    shape = [2, 3, 4, 4]
    weights: dict[str, Any] = {"r": np.array(repeats)}
    spec = onnx_file(tmp_path / "net.onnx", nodes, {"x": shape}, {"y": None}, **weights)
    same(worker, spec, tmp_path, normal(*shape))


def test_tile_leaves_no_remainder_of_an_index_for_llvm(worker: Worker, tmp_path: Path) -> None:
    nodes = [node("Tile", ["x", "r"], ["t"]), node("Exp", ["t"], ["y"])]
    weights: dict[str, Any] = {"r": np.array([1, 4])}
    spec = onnx_file(tmp_path / "net.onnx", nodes, {"x": [4, 4]}, {"y": None}, **weights)
    target: Target = worker.call("balto.tasks.devices:resolve", LLVM, deadline_s=120)
    assert "mcpu" in str(target)  # what is vectorised depends on it
    network = worker.call("balto.deploy.compile:read", spec, target, deadline_s=120)
    [task] = network.tasks
    assert "FloorMod" not in task.module
    assert "concat" in task.op


def test_layer_normalization_has_its_mean_and_deviation(worker: Worker, tmp_path: Path) -> None:
    nodes = [node("LayerNormalization", ["x", "s", "b"], ["y", "mean", "deviation"], axis=-1)]
    outputs = dict.fromkeys(["y", "mean", "deviation"])
    weights: dict[str, Any] = {"s": normal(8), "b": normal(8)}
    spec = onnx_file(tmp_path / "net.onnx", nodes, {"x": [3, 8]}, outputs, **weights)
    same(worker, spec, tmp_path, normal(3, 8))


@pytest.mark.parametrize(
    ("mode", "order"), [("DCR", [0, 3, 5, 1, 2, 4]), ("CRD", [0, 1, 3, 5, 2, 4])]
)
def test_space_to_depth_puts_channels_last_or_first(
    mode: str, order: list[int], worker: Worker, tmp_path: Path
) -> None:
    nodes = [node("SpaceToDepth", ["x"], ["y"], blocksize=2, mode=mode)]
    opset = onnx.defs.get_schema("SpaceToDepth").since_version
    spec = onnx_file(tmp_path / "net.onnx", nodes, {"x": IMAGE}, {"y": None}, opset)
    x = normal(*IMAGE)
    [got] = worker.call("tests.tasks.files:computed", spec, [x], tmp_path, deadline_s=120)
    expected = x.reshape(1, 4, 3, 2, 3, 2).transpose(order).reshape(1, 16, 3, 3)
    np.testing.assert_array_equal(got, expected)


def test_boxes_that_overlap_as_much_as_the_threshold_stay(worker: Worker, tmp_path: Path) -> None:
    inputs = ["boxes", "scores", "most", "overlap"]
    nodes = [node("NonMaxSuppression", inputs, ["n"]), node("Cast", ["n"], ["y"], to=1)]
    weights: dict[str, Any] = {"most": np.array([3]), "overlap": np.array([0.5], F32)}
    weights["scores"] = np.array([[[0.9, 0.8]]], F32)
    spec = onnx_file(tmp_path / "net.onnx", nodes, {"boxes": [1, 2, 4]}, {"y": None}, **weights)
    boxes = np.array([[[0, 0, 1, 1], [0, 0, 1, 0.5]]], F32)
    got = worker.call("tests.tasks.files:computed", spec, [boxes], tmp_path, deadline_s=120)
    assert got[0].tolist() == [[0, 0, 0], [0, 0, 1]]


def test_a_shape_is_an_output_and_expands_to_what_the_file_says(
    worker: Worker, tmp_path: Path
) -> None:
    nodes = [
        node("Shape", ["x"], ["n"]),
        node("Cast", ["n"], ["shape"], to=TensorProto.FLOAT),
        node("Expand", ["x", "wide"], ["y"]),
    ]
    outputs = dict.fromkeys(["shape", "y"])
    weights: dict[str, Any] = {"wide": np.array([5, 3, 8])}
    spec = onnx_file(tmp_path / "net.onnx", nodes, {"x": [3, 8]}, outputs, **weights)
    same(worker, spec, tmp_path, normal(3, 8))


def test_a_row_of_minus_infinity_is_known_as_one(worker: Worker, tmp_path: Path) -> None:
    nodes = [
        node("ReduceMax", ["x", "axes"], ["most"]),
        node("Equal", ["most", "lowest"], ["is"]),
        node("Cast", ["is"], ["y"], to=TensorProto.FLOAT),
    ]
    weights: dict[str, Any] = {"axes": np.array([-1]), "lowest": np.array([-np.inf], F32)}
    spec = onnx_file(tmp_path / "net.onnx", nodes, {"x": [2, 4]}, {"y": None}, **weights)
    same(worker, spec, tmp_path, np.array([[-np.inf] * 4, [1, 2, -np.inf, 0]], F32))

"""ONNX files as people bring them, compiled and compared with ONNX's own evaluator."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import balto
from balto.cli import cli
from balto.data.target import LLVM
from balto.errors import ConfigurationChanged, InputError, WorkerRaised
from balto.tasks import extract_tasks
from balto.workers.worker import Worker
from tests.tasks.files import normal, onnx_file

pytest.importorskip("tvm")
pytestmark = pytest.mark.slow
node = helper.make_node


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """One warm worker for all tests here."""
    with Worker() as warm:
        yield warm


@pytest.fixture
def same(worker: Worker, tmp_path: Path) -> Any:
    """Compares what a file computes, compiled, with ONNX's evaluator."""

    def compare(spec: str, *arrays: Any, **shapes: list[int]) -> None:
        names = [each.name for each in onnx.load(spec).graph.input]
        expected = ReferenceEvaluator(spec).run(None, dict(zip(names, arrays, strict=True)))
        arguments = (spec, arrays, tmp_path, shapes)
        got = worker.call("tests.tasks.files:computed", *arguments, deadline_s=120)
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)

    return compare


def refusal(worker: Worker, spec: str, **shapes: list[int]) -> str:
    with pytest.raises(WorkerRaised) as raised:
        worker.call("balto.deploy.compile:read", spec, LLVM, shapes, deadline_s=120)
    assert raised.value.kind == "InputError"
    return str(raised.value)


def test_dimensions_get_sizes_by_name_or_with_an_inputs_shape(
    worker: Worker, same: Any, tmp_path: Path
) -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["h"]),
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["batch"]),
        node("Concat", ["batch", "rest"], ["t"], axis=0),
        node("Reshape", ["h", "t"], ["y"]),
    ]
    weights = {"w": normal(8, 6), "zero": np.array([0]), "rest": np.array([2, 3])}
    shapes = {"x": ["batch", 8]}, {"y": ["batch", "a", "b"]}
    spec = onnx_file(tmp_path / "net.onnx", nodes, *shapes, **weights)
    same(spec, normal(4, 8), batch=[4])
    same(spec, normal(3, 8), x=[3, 8])
    said = refusal(worker, spec)
    assert "x is batchx8" in said
    assert "--shape batch=1" in said
    assert "there are batch, x" in refusal(worker, spec, batch=[1], heads=[2])
    [task] = extract_tasks([spec], worker=worker, shapes={"batch": 4}).tasks
    assert task.flop >= 2 * 4 * 8 * 6
    with pytest.raises(InputError, match="--shape batch=1"):
        extract_tasks([spec], worker=worker)


def test_a_network_is_tuned_for_a_shape_and_goes_on_with_that_alone(tmp_path: Path) -> None:
    nodes = [node("MatMul", ["input.1", "w"], ["y"])]
    shapes = {"input.1": ["batch", 8]}, {"y": ["batch", 6]}
    spec = onnx_file(tmp_path / "net.onnx", nodes, *shapes, w=normal(8, 6))
    command = ["tune", spec, "-o", str(tmp_path / "tuned"), "--trials", "2"]
    done = CliRunner().invoke(cli, [*command, "--shape", "batch=2"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    tuned = balto.load_tuned(tmp_path / "tuned")
    [y] = tuned.run({"input.1": normal(2, 8)})
    np.testing.assert_allclose(y, normal(2, 8) @ normal(8, 6), rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigurationChanged, match="give another folder"):
        balto.tune_network(spec, trials=2, out=tmp_path / "tuned", shapes={"batch": 3})
    refused = CliRunner().invoke(cli, ["tasks", spec, "--shape", "batch"])
    assert refused.exit_code == 2
    assert "expected NAME=SIZES" in refused.output


def test_inputs_have_the_names_of_the_file(worker: Worker, tmp_path: Path) -> None:
    nodes = [node("MatMul", ["input.1", "w"], ["c"]), node("Add", ["c", "2"], ["y"])]
    inputs = {"input.1": [4, 8], "2": [1, 6]}
    spec = onnx_file(tmp_path / "net.onnx", nodes, inputs, {"y": [4, 6]}, w=normal(8, 6))
    found = worker.call("balto.deploy.compile:read", spec, LLVM, deadline_s=120)
    assert [name for name, _, _ in found.inputs] == ["input.1", "2"]


def test_an_output_of_no_shape_and_an_if_of_what_is_constant_are_taken(
    same: Any, tmp_path: Path
) -> None:
    out = helper.make_tensor_value_info("t", TensorProto.FLOAT, None)
    squeezed = helper.make_graph([node("Squeeze", ["c", "one"], ["t"])], "then", [], [out])
    as_it_is = helper.make_graph([node("Identity", ["c"], ["t"])], "else", [], [out])
    nodes = [
        node("MatMul", ["x", "w"], ["c"]),
        node("Shape", ["c"], ["s"]),
        node("Gather", ["s", "one"], ["d"]),
        node("Equal", ["d", "one"], ["p"]),
        node("If", ["p"], ["y"], then_branch=squeezed, else_branch=as_it_is),
    ]
    weights = {"w": normal(8, 6), "one": np.array([1])}
    spec = onnx_file(tmp_path / "net.onnx", nodes, {"x": [4, 1, 8]}, {"y": None}, 17, **weights)
    same(spec, normal(4, 1, 8))


@pytest.mark.parametrize(
    ("op", "attributes", "shape", "opset"),
    [
        ("Celu", {"alpha": 1.5}, [4, 6], 18),
        ("MeanVarianceNormalization", {}, [1, 6, 5, 5], 18),
        ("Swish", {"alpha": 0.5}, [4, 6], 24),
        ("Gelu", {"approximate": "tanh"}, [4, 6], 20),
        ("Mish", {}, [4, 6], 18),
        ("Shrink", {"lambd": 0.1, "bias": 0.2}, [4, 6], 18),
    ],
)
def test_operators_that_onnx_defines_by_others_are_taken(
    op: str, attributes: dict[str, Any], shape: list[int], opset: int, same: Any, tmp_path: Path
) -> None:
    nodes = [node("Mul", ["x", "w"], ["c"]), node(op, ["c"], ["y"], **attributes)]
    spec = onnx_file(tmp_path / "net.onnx", nodes, {"x": shape}, {"y": shape}, opset, w=normal(1))
    same(spec, normal(*shape))


@pytest.mark.parametrize("op", ["GroupNormalization", "RMSNormalization", "LayerNormalization"])
def test_normalisations_are_taken(op: str, same: Any, tmp_path: Path) -> None:
    shape, size = ([1, 6, 5, 5], 6) if op.startswith("Group") else ([2, 4, 6], 6)
    weights = {name: normal(size) for name in ("s" if op.startswith("RMS") else "sb")}
    more = {"num_groups": 3} if op.startswith("Group") else {}
    nodes = [node(op, ["x", *weights], ["y"], **more)]
    spec = onnx_file(tmp_path / "net.onnx", nodes, {"x": shape}, {"y": shape}, 23, **weights)
    same(spec, normal(*shape))


def test_attention_is_onnxs_own_and_not_that_of_the_same_name(same: Any, tmp_path: Path) -> None:
    nodes = [node("Attention", ["q", "k", "v"], ["y"], q_num_heads=2, kv_num_heads=2)]
    shapes = {name: [1, 4, 8] for name in "qkv"}
    spec = onnx_file(tmp_path / "net.onnx", nodes, shapes, {"y": [1, 4, 8]}, 23)
    same(spec, *(normal(1, 4, 8) * k for k in (1, 2, 3)))


def test_functions_of_the_file_are_inlined(same: Any, tmp_path: Path) -> None:
    opsets = [helper.make_opsetid("", 18)]
    add = node("Add", ["a", "a"], ["b"])
    twice = helper.make_function("own", "Twice", ["a"], ["b"], [add], opsets)
    nodes = [node("MatMul", ["x", "w"], ["c"]), node("Twice", ["c"], ["y"], domain="own")]
    shapes = {"x": [4, 8]}, {"y": [4, 6]}
    spec = onnx_file(tmp_path / "net.onnx", nodes, *shapes, functions=[twice], w=normal(8, 6))
    same(spec, normal(4, 8))


def test_weights_beside_the_file_are_read(same: Any, tmp_path: Path) -> None:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    spec = onnx_file(tmp_path / "net.onnx", nodes, {"x": [4, 80]}, {"y": None}, w=normal(80, 60))
    model = onnx.load(spec)
    onnx.save(model, spec, save_as_external_data=True, location="net.data")
    assert (tmp_path / "net.data").stat().st_size == 4 * 80 * 60
    same(spec, normal(4, 80))


def test_all_that_tvm_lacks_is_named_at_once_with_its_places(
    worker: Worker, tmp_path: Path
) -> None:
    nodes = [
        node("Det", ["x"], ["d"], name="first"),
        node("Col2Im", ["x", "size", "size"], ["c"], name="second"),
        node("Det", ["x"], ["e"], name="third"),
        node("Add", ["d", "e"], ["y"]),
    ]
    shapes = {"x": [2, 4, 4]}, {"y": None, "c": None}
    spec = onnx_file(tmp_path / "net.onnx", nodes, *shapes, size=np.array([2, 2]))
    said = refusal(worker, spec)
    assert "Det (first, third)" in said
    assert "Col2Im (second)" in said


WAYS = [
    *itertools.product(["nearest"], ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]),
    *itertools.product(["linear", "cubic"], [None]),
]


@pytest.mark.parametrize(("mode", "rounding"), WAYS)
@pytest.mark.parametrize(
    ("shape", "given"),
    [
        ([1, 2, 9, 9], {"s": np.array([1, 1, 1.5, 1.5], np.float32)}),
        ([1, 2, 9, 9], {"s": np.array([1, 1, 2, 0.6], np.float32)}),
        ([1, 2, 9, 9], {"z": np.array([1, 2, 13, 5])}),
    ],
)
def test_every_way_to_resize_is_onnx_runtimes(
    mode: str,
    rounding: str | None,
    shape: list[int],
    given: dict[str, Any],
    worker: Worker,
    tmp_path: Path,
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    inputs = ["x", "", "s"] if "s" in given else ["x", "", "", "z"]
    ways = ["half_pixel", "pytorch_half_pixel", "asymmetric"]
    if "z" in given:  # of a scale that gives no whole size it is refused: ONNX has another one
        ways.append("align_corners")
    more = {"nearest_mode": rounding} if rounding else {}
    nodes = [
        node("Resize", inputs, [way], mode=mode, coordinate_transformation_mode=way, **more)
        for way in ways
    ]
    outputs = dict.fromkeys(ways)
    spec = onnx_file(tmp_path / "net.onnx", nodes, {"x": shape}, outputs, 19, **given)
    x = normal(*shape)
    session = runtime.InferenceSession(spec, providers=["CPUExecutionProvider"])
    arguments = (spec, [x], tmp_path)
    got = worker.call("tests.tasks.files:computed", *arguments, deadline_s=120)
    for way, one, other in zip(ways, got, session.run(None, {"x": x}), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4, err_msg=way)

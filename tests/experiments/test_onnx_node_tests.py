"""What becomes of one node test: each verdict has a test that ends so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from balto.workers.worker import Worker
from experiments.onnx_node_tests import Result, page, verdict, with_constants

onnx = pytest.importorskip("onnx")

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def case(operator: str, inputs: list[Any], outputs: list[Any], version: int = 18) -> Any:
    """A node test of one operator, as the ``onnx`` package makes them."""
    from onnx import helper

    def values(kind: str, arrays: list[Any]) -> list[Any]:
        return [
            helper.make_tensor_value_info(
                f"{kind}{k}", helper.np_dtype_to_tensor_dtype(each.dtype), each.shape
            )
            for k, each in enumerate(arrays)
        ]

    given, made = values("x", inputs), values("y", outputs)
    node = helper.make_node(operator, [v.name for v in given], [v.name for v in made])
    graph = helper.make_graph([node], "test", given, made)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", version)], ir_version=10
    )
    name = f"test_{operator.lower()}"
    data_sets = [(inputs, outputs)]
    return SimpleNamespace(name=name, model=model, data_sets=data_sets, rtol=1e-3, atol=1e-7)


def test_short_inputs_after_the_first_become_constants() -> None:
    from onnx.reference import ReferenceEvaluator

    reshaped = case("Reshape", [X, np.array([3, 2])], [X.reshape(3, 2)])
    content, given = with_constants(reshaped.model, reshaped.data_sets[0][0])
    model = onnx.ModelProto.FromString(content)
    assert [each.name for each in model.graph.input] == ["x0"]
    assert [each.shape for each in given] == [(2, 3)]
    [got] = ReferenceEvaluator(model).run(None, {"x0": X})
    np.testing.assert_array_equal(got, X.reshape(3, 2))
    assert len(reshaped.model.graph.input) == 2  # the test itself is as it was


@pytest.mark.slow
def test_every_verdict(tmp_path: Path) -> None:
    pytest.importorskip("tvm")
    short = np.zeros(2, np.float32)
    expected = {
        "right": (case("Relu", [X - 2], [np.maximum(X - 2, 0)]), ""),
        "wrong": (case("Relu", [X - 2], [X - 2]), "output 0 is 6.67e+03 tolerances off"),
        "refused": (case("Det", [np.eye(3, dtype=np.float32)], [np.float32(1)]), "Det"),
        "left out": (case("Relu", [X], [X]), "not all"),
    }
    expected["left out"][0].data_sets = [([[short]], [short])]  # a sequence
    with Worker() as worker:
        for how, (each, words) in expected.items():
            got, why = verdict(each, worker, tmp_path)
            assert got == how, why
            assert words in why
            assert "\n" not in why
    assert not any(tmp_path.iterdir())


def test_the_page_has_a_row_an_operator_and_says_which_tests_are_wrong() -> None:
    results = [
        Result("test_relu", "Relu", "right", "", 1.0),
        Result("test_mod", "Mod", "right", "", 1.0),
        Result("test_mod_float", "Mod", "wrong", "output 0 is 2 tolerances off | <b>", 1.0),
    ]
    lines = page(results).splitlines()
    assert any(line.startswith("| Mod | 1 |") for line in lines)
    assert any(line.startswith("| **all** | 2 | 0 | 1 | 0 | 0 |") for line in lines)
    assert any(line.startswith("| `test_mod_float` | output 0 is 2") for line in lines)
    assert "<b>" not in "".join(lines)

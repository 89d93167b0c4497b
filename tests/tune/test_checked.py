"""A network is compared with where it came from before anything is searched."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

import balto
from balto.data.target import LLVM
from balto.deploy import reference
from balto.deploy.tolerance import Tolerance
from balto.deploy.verify import Comparison, distance
from balto.errors import InputError
from balto.workers.worker import Worker
from tests.tune.small_networks import save_graph, save_onnx, save_relu_of_int16

pytest.importorskip("tvm")

FLOATS = Tolerance(1e-4)


class Applied(torch.nn.Module):
    """A linear layer, and a function of what it gives."""

    def __init__(self, function: Callable[[Any], Any], width: int = 8) -> None:
        torch.manual_seed(0)
        super().__init__()
        self.linear, self.function = torch.nn.Linear(width, width), function

    def forward(self, x: Any) -> Any:
        return self.function(self.linear(x))


def nan_or_number(h: Any) -> Any:
    """NaN where a number is negative. TVM's maximum loses a NaN, PyTorch's keeps it."""
    return torch.maximum(torch.log(h), h)


def save_torch(path: Path, module: torch.nn.Module, *inputs: Any) -> str:
    torch.export.save(torch.export.export(module.eval(), inputs), path)
    return str(path)


def check(worker: Worker, spec: str) -> Comparison:
    found = worker.call("balto.deploy.compile:read", spec, LLVM, deadline_s=120)
    called = "balto.deploy.verify:check_untuned"
    comparison: Comparison = worker.call(called, spec, found.inputs, LLVM, deadline_s=120)
    return comparison


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as made:
        yield made


# How far two outputs are apart


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1), st.integers(-3, 3))
def test_what_is_equal_is_right_in_every_unit(values: list[float], unit: int) -> None:
    expected = np.array(values, "float32")
    assert distance(expected, expected, FLOATS) == 0
    got = expected + np.float32(0.5) * np.abs(expected).max()
    scaled = (each * np.float32(2.0) ** np.float32(unit) for each in (got, expected))
    assert distance(*scaled, FLOATS) == pytest.approx(distance(got, expected, FLOATS))
    assert distance(got, expected, FLOATS) > 1 or not expected.any()


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (np.zeros(3, "float32"), np.zeros(3, "float16")),
        (np.zeros(3, "int32"), np.zeros(3, "int64")),
        (np.zeros((3, 1), "float32"), np.zeros(3, "float32")),
        (np.array([1.0, 2.0]), np.array([1.0, np.nan])),
        (np.array([1.0, np.nan]), np.array([1.0, 2.0])),
        (np.array([1.0, np.inf]), np.array([1.0, -np.inf])),
        (np.array([1.0, np.inf]), np.array([1.0, np.nan])),
    ],
)
def test_another_type_shape_or_nan_is_wrong_whatever_the_tolerance(
    got: np.ndarray, expected: np.ndarray
) -> None:
    assert distance(got, expected, Tolerance(0.1)) == np.inf


def test_nan_and_infinity_in_the_same_places_are_right() -> None:
    values = np.array([1.0, np.nan, np.inf, -np.inf])
    assert distance(values + 1e-6, values, FLOATS) < 1


def test_where_no_number_is_a_float_every_bit_counts() -> None:
    expected = np.arange(10_000)
    got = expected.copy()
    got[0] = 1
    assert distance(expected, expected, Tolerance(0.0)) == 0
    assert distance(got, expected, Tolerance(0.0)) == np.inf
    assert distance(got, expected, FLOATS) <= 1  # one rank of ten thousand, of floats


def test_of_truth_values_the_share_that_differs_counts() -> None:
    expected = np.zeros(1000, bool)
    got = expected.copy()
    got[:2] = True
    assert distance(got, expected, Tolerance(2e-3)) <= 1 < distance(got, expected, Tolerance(1e-3))


def test_few_values_may_be_a_step_off_but_not_all() -> None:
    expected = np.linspace(-1, 1, 160)
    few, every = expected.copy(), expected + 0.01
    few[:10] += 0.01  # a sixteenth
    steps = Tolerance(0.0101, stepped=True)
    assert distance(few, expected, steps) <= 1 < distance(every, expected, steps)


# Where the tolerance comes from


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "roundoff"), [("FLOAT16", 2.0**-11), ("FLOAT", 2.0**-24)])
def test_the_tolerance_grows_with_the_root_of_what_is_summed(
    tmp_path: Path, worker: Worker, dtype: str, roundoff: float
) -> None:
    found = []
    for width in (16, 64):
        kind = np.dtype("float16" if dtype == "FLOAT16" else "float32")
        weight = np.ones((width, 8), kind)
        spec = save_graph(
            tmp_path / f"{width}.onnx",
            [("MatMul", ["x", "w"], ["h"], {}), ("Cast", ["h"], ["y"], {"to": TensorProto.FLOAT})],
            {"x": (dtype, [4, width])},
            {"y": ("FLOAT", [4, 8])},
            {"w": weight},
        )
        found.append(check(worker, spec).tolerance)
        summed = 4 * roundoff * width**0.5
        assert found[-1] == pytest.approx(max(1e-4, summed), rel=0.1)
    assert all(b >= a for a, b in pairwise(found))


@pytest.mark.slow
def test_what_is_rounded_to_bytes_may_be_a_step_off(tmp_path: Path, worker: Worker) -> None:
    constants = {
        "s": np.float32(0.02),
        "z": np.uint8(128),
        "w": np.random.default_rng(0).normal(size=(16, 8)).astype("float32"),
    }
    spec = save_graph(
        tmp_path / "net.onnx",
        [
            ("QuantizeLinear", ["x", "s", "z"], ["q"], {}),
            ("DequantizeLinear", ["q", "s", "z"], ["d"], {}),
            ("MatMul", ["d", "w"], ["y"], {}),
        ],
        {"x": ("FLOAT", [4, 16])},
        {"y": ("FLOAT", [4, 8])},
        constants,
        version=13,  # ONNX's evaluator begins at 19
    )
    found = check(worker, spec)
    assert found.error <= 1
    assert found.judge == reference.ONNX_RUNTIME
    assert found.tolerance == pytest.approx(2.0**-7, rel=1e-3)


# Who judges


def test_onnx_runtime_judges_and_the_evaluator_where_it_does_not_run_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    arrays = [np.random.default_rng(0).normal(size=(4, 16)).astype("float32")]
    save_onnx(tmp_path / "net.onnx")
    save_relu_of_int16(tmp_path / "int16.onnx")
    judge, [expected] = reference.expected(str(tmp_path / "net.onnx"), arrays)
    assert judge == "ONNX Runtime"
    assert reference.expected(str(tmp_path / "int16.onnx"), arrays)[0] == reference.EVALUATOR
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    judge, [second] = reference.expected(str(tmp_path / "net.onnx"), arrays)
    assert judge == reference.EVALUATOR
    np.testing.assert_allclose(expected, second, atol=1e-5)


def test_what_nothing_runs_is_refused_with_both_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    weights = {"w": np.ones((8, 4, 3, 3), "float32")}
    spec = save_graph(
        tmp_path / "net.onnx",
        [("ConvTranspose", ["x", "w"], ["y"], {"group": 2})],  # ONNX's evaluator raises
        {"x": ("FLOAT", [1, 8, 4, 4])},
        {"y": ("FLOAT", [1, 8, 6, 6])},
        weights,
    )
    with pytest.raises(InputError, match="ONNX Runtime is not installed; ONNX's reference eval"):
        reference.expected(spec, [np.ones((1, 8, 4, 4), "float32")])


@pytest.mark.slow
def test_a_network_that_tvm_computes_otherwise_is_refused_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    save_torch(tmp_path / "net.pt2", Applied(nan_or_number), torch.zeros(4, 8))
    done = subprocess.run(
        [sys.executable, "-m", "balto", "tune", "net.pt2", "-o", "new/tuned"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    for words in (
        "TVM computes something else than PyTorch for net.pt2 with nothing tuned",
        "where PyTorch has nan",
        "begins at aten.maximum.default",
        "nothing was searched",
    ):
        assert words in last
    assert sorted(each.name for each in tmp_path.iterdir()) == ["net.pt2"]


@pytest.mark.slow
def test_of_an_onnx_file_three_are_asked_where_it_begins(tmp_path: Path, worker: Worker) -> None:
    pytest.importorskip("onnxruntime")
    spec = save_graph(
        tmp_path / "net.onnx",
        [
            ("MatMul", ["x", "w"], ["h"], {}),
            ("Log", ["h"], ["l"], {}),
            ("Max", ["l", "h"], ["m"], {"name": "larger"}),
            ("Relu", ["m"], ["y"], {}),
        ],
        {"x": ("FLOAT", [4, 16])},
        {"y": ("FLOAT", [4, 8])},
        {"w": np.random.default_rng(0).normal(size=(16, 8)).astype("float32")},
    )
    found = worker.call("balto.deploy.compile:read", spec, LLVM, deadline_s=120)
    assert check(worker, spec).error == np.inf
    first = "balto.deploy.difference:first_difference"
    told = worker.call(first, spec, found.inputs, LLVM, {}, deadline_s=120)
    assert told.startswith("the difference begins at Max larger (m), which has ")
    assert "where ONNX Runtime has nan" in told
    assert told.endswith("ONNX's reference evaluator agrees with ONNX Runtime")


# All kinds of inputs and outputs


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's exporter warns about itself
@pytest.mark.parametrize(
    ("function", "types"),
    [
        (lambda h: h.sum(), ["float32"]),
        (lambda h: h.argmax(-1), ["int64"]),
        (lambda h: (h > 0, h.half(), h.double()), ["bool", "float16", "float64"]),
        (lambda h: h.bfloat16(), ["bfloat16"]),
        (lambda h: ((h * 10).to(torch.int8), (h * 10).int()), ["int8", "int32"]),
        (lambda h: h[:, :0], ["float32"]),
        (lambda h: h[:, :, None, None].expand(8, 8, 400, 400) + h[0, 0], ["float32"]),
        (lambda h: {"b": h, "a": (h, h + 1)}, ["float32"] * 3),
    ],
    ids=["one number", "index", "truth", "bfloat16", "integers", "empty", "large", "nested"],
)
def test_outputs_of_every_kind_are_compared(
    tmp_path: Path, worker: Worker, function: Callable[[Any], Any], types: list[str]
) -> None:
    spec = save_torch(tmp_path / "net.pt2", Applied(function), torch.zeros(8, 8))
    found = worker.call("balto.deploy.compile:read", spec, LLVM, deadline_s=120)
    assert [dtype for _, _, dtype in found.outputs] == types
    comparison = check(worker, spec)
    assert comparison.error <= 1, comparison.problem
    assert comparison.judge == "PyTorch"


class LookedUp(torch.nn.Module):
    """Rows of a table, where a mask allows, and bytes beside them."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__()
        self.table, self.linear = torch.nn.Embedding(5, 8), torch.nn.Linear(8, 8)

    def forward(self, index: Any, mask: Any, image: Any) -> Any:
        h = self.linear(self.table(index))
        return torch.where(mask, h, 0.0) + image.float()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's exporter warns about itself
def test_inputs_may_be_indices_truth_values_and_bytes(tmp_path: Path, worker: Worker) -> None:
    inputs = (torch.zeros(3, dtype=torch.int64), torch.ones(3, 8, dtype=torch.bool))
    image = torch.zeros(3, 8, dtype=torch.uint8)
    spec = save_torch(tmp_path / "net.pt2", LookedUp(), *inputs, image)
    comparison = check(worker, spec)
    assert comparison.error <= 1, comparison.problem


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's exporter warns about itself
def test_what_a_tuning_says_of_its_outputs(tmp_path: Path) -> None:
    module, example = Applied(torch.relu, 32), (torch.zeros(4, 32),)
    found = balto.tune_network(module, example, trials=2, out=tmp_path / "tuned")
    about = json.loads((tmp_path / "tuned" / "tuned.json").read_text())
    assert (found.judge, found.tolerance) == ("PyTorch", 1e-4)
    assert (about["network"]["judge"], about["network"]["tolerance"]) == ("PyTorch", 1e-4)
    assert found.error <= 1
    journal = (tmp_path / "tuned" / "journal.jsonl").read_bytes()
    assert balto.tune_network(module, example, trials=2, out=tmp_path / "tuned") == found
    records = tmp_path / "tuned" / "database" / "database_tuning_record.json"
    whole = records.read_bytes()
    for damage in (lambda: records.write_bytes(b""), records.unlink):
        damage()
        with pytest.raises(InputError, match="run the same balto tune again"):
            balto.load_tuned(tmp_path / "tuned")
        balto.tune_network(module, example, trials=2, out=tmp_path / "tuned")
        assert records.read_bytes() == whole
        assert (tmp_path / "tuned" / "journal.jsonl").read_bytes() == journal

"""Tasks from real graphs and operators, through torch, ONNX and TVM themselves."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from balto.data.target import LLVM, Target
from balto.errors import InputError, WorkerDied
from balto.tasks import extract_tasks, operators
from balto.tasks.extract import _family
from balto.tasks.zoo import build
from balto.workers.worker import Worker
from tests.workers.killing import killed


@pytest.fixture(scope="module")
def worker():
    """One warm worker for all tests here."""
    with Worker() as warm:
        yield warm


class Twins(torch.nn.Module):
    """Two identical convolutions with batch norm, and one more."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = torch.nn.Sequential(
            *(
                torch.nn.Sequential(
                    torch.nn.Conv2d(8, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.ReLU()
                )
                for _ in range(2)
            ),
            torch.nn.Conv2d(8, 4, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(x)


def save_pt2(path):
    with torch.no_grad():
        program = torch.export.export(Twins().eval(), (torch.zeros(1, 8, 12, 12),))
    torch.export.save(program, path)


def save_onnx(path, size=16):
    weight = helper.make_tensor(
        "w", TensorProto.FLOAT, [size, 32], np.ones(size * 32, np.float32).tolist()
    )
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 32])],
        [weight],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


@pytest.mark.filterwarnings("ignore")  # torch's exporter warns about itself
@pytest.mark.slow
def test_identical_operators_of_a_pt2_file_are_one_task_with_their_weight(tmp_path, worker):
    save_pt2(tmp_path / "twins.pt2")
    tasks = extract_tasks([str(tmp_path / "twins.pt2")], worker=worker).tasks
    convolutions = {t.name: t.weight for t in tasks if t.op.startswith("conv2d")}
    assert sorted(convolutions.values()) == [1, 2]
    twin = next(t for t in tasks if t.weight == 2 and t.op.startswith("conv2d"))
    assert json.loads(twin.args)[:2] == [[1, 12, 12, 8], [8, 3, 3, 8]]
    assert twin.flop >= 2 * 12 * 12 * 8 * 8 * 9
    tuned = worker.call(
        "balto.deploy.compile:read", str(tmp_path / "twins.pt2"), LLVM, deadline_s=120
    ).tasks
    assert tuned == tasks  # so a model knows what it is asked about
    own = extract_tasks([str(tmp_path / "twins.pt2")], worker=worker, own_layout=True).tasks
    twin = next(t for t in own if t.weight == 2 and t.op.startswith("conv2d"))
    assert json.loads(twin.args)[:2] == [[1, 8, 12, 12], [8, 8, 3, 3]]


def test_an_onnx_file_and_its_operator_merge_across_networks(tmp_path, worker):
    save_onnx(tmp_path / "a.onnx")
    save_onnx(tmp_path / "b.onnx")
    save_onnx(tmp_path / "c.onnx", size=24)
    paths = [str(tmp_path / f"{n}.onnx") for n in "abc"]
    tasks = extract_tasks(paths, worker=worker).tasks
    assert [(t.op, t.weight) for t in tasks] == [("matmul_relu", 2), ("matmul_relu", 1)]
    assert tasks[0].flop >= 2 * 4 * 16 * 32


def test_operators_by_name_and_shape(worker):
    found = extract_tasks(
        operator_specs=["matmul:16x32x64", "conv2d_nhwc:1x8x8x4x8x3x1x1", "matmul:16x32x64"],
        target=Target("llvm", cores=2, mcpu="x86-64-v2"),
        device="a board",
        worker=worker,
    )
    assert [(t.op, t.weight) for t in found.tasks] == [("matmul", 2), ("conv2d_nhwc", 1)]
    assert found.tasks[0].flop == 2 * 16 * 32 * 64
    assert found.tasks[0].target == Target("llvm", cores=2, mcpu="x86-64-v2")
    assert found.tasks[0].device == "a board"


@pytest.mark.parametrize("name", operators.OPERATORS)
def test_every_operator_of_the_table_can_be_built(name, worker):
    names = operators.OPERATORS[name]
    sizes = {"stride": 1, "padding": 1, "kernel": 3, "kh": 3, "kw": 3}
    required = [n for n in names if "=" not in n]
    spec = f"{name}:{'x'.join(str(sizes.get(n, 8)) for n in required)}"
    (task,) = extract_tasks(operator_specs=[spec], worker=worker).tasks
    assert task.op == name
    assert task.flop > 0


def test_a_target_that_tvm_does_not_know_is_refused(worker):
    with pytest.raises(InputError, match="TVM refuses the target"):
        extract_tasks(operator_specs=["matmul:8x8x8"], target=Target("abacus"), worker=worker)


def test_cuda_without_a_gpu_is_refused_in_one_line(worker):
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(InputError, match="no CUDA device"):
        extract_tasks(operator_specs=["matmul:8x8x8"], target=Target("cuda"), worker=worker)


@pytest.mark.parametrize("stage", ["start", ""], ids=["starting", "extracting"])
def test_a_worker_that_is_killed_twice_while_it_extracts_costs_nothing(stage, worker):
    specs = ["matmul:16x32x64", "conv2d_nhwc:1x8x8x4x8x3x1x1"]
    calm = extract_tasks(operator_specs=specs, device="a", worker=worker)
    with Worker() as victim, killed(victim, stage, times=2) as pids:
        found = extract_tasks(operator_specs=specs, device="a", worker=victim)
    assert len(pids) == 2
    assert found == calm


def test_a_worker_that_is_killed_again_and_again_is_one_clear_line():
    with (
        Worker() as victim,
        killed(victim, "", times=9),
        pytest.raises(WorkerDied, match=r"TVM did not survive matmul:8x8x8.*SIGKILL"),
    ):
        extract_tasks(operator_specs=["matmul:8x8x8"], worker=victim)


@pytest.mark.parametrize(
    ("tvm_name", "op"),
    [
        ("fused_conv2d22_add13_relu10", "conv2d_add_relu"),
        ("fused_matmul5_add3_tir_tanh", "matmul_add_tanh"),
        ("max_pool2d1", "max_pool2d"),
        ("layer_norm", "layer_norm"),
    ],
)
def test_the_operator_family_is_tvms_name_without_its_numbers(tvm_name, op):
    assert _family(tvm_name) == op


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "gflop", "heavy"),
    [
        ("resnet-50", 8.2, "conv2d"),
        ("mobilenet-v2", 0.6, "conv2d"),
        ("resnext-50", 8.5, "conv2d"),
        ("bert-tiny", 5.0, "matmul"),
        ("bert-base", 22.5, "matmul"),
    ],
)
def test_the_papers_networks_have_their_published_size(name, gflop, heavy, worker):
    tasks = extract_tasks([name], worker=worker).tasks
    total = sum(t.flop * t.weight for t in tasks)
    assert total == pytest.approx(gflop * 1e9, rel=0.1)
    assert sum(t.flop * t.weight for t in tasks if heavy in t.op) > 0.9 * total
    assert len({t.name for t in tasks}) == len(tasks)


@pytest.mark.parametrize(("name", "millions"), [("resnet-50", 25.5), ("mobilenet-v2", 3.5)])
def test_the_networks_have_their_published_parameters(name, millions):
    network, example = build(name)
    # Folding turns the four vectors of a batch norm into one bias: slightly fewer parameters.
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(millions * 1e6, rel=0.02)
    with torch.no_grad():
        assert network(*example).shape == (1, 1000)

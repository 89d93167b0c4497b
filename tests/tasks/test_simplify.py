"""Networks in fewer operators: batch normalisations and ONNX's sums, as right as before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from balto.data.target import LLVM
from balto.deploy.compile import Network
from balto.errors import InputError
from balto.tasks import extract_tasks
from balto.tasks.extract import Extracted
from balto.workers.worker import Worker

pytest.importorskip("tvm")
pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)


class Normalised(torch.nn.Module):
    """Batch normalisations after all kinds of convolutions, and after none."""

    def __init__(self) -> None:
        super().__init__()
        nn = torch.nn
        self.first = nn.BatchNorm2d(4, eps=0.1)
        self.line = nn.Sequential(nn.Conv1d(4, 6, 3), nn.BatchNorm1d(6))
        self.image = nn.Sequential(
            *(nn.Conv2d(4, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8, affine=False)),
            *(nn.Conv2d(8, 8, 1, groups=2), nn.BatchNorm2d(8)),
            *(nn.ConvTranspose2d(8, 5, 2, bias=False), nn.BatchNorm2d(5)),
        )
        self.space = nn.Sequential(nn.Conv3d(4, 6, 2), nn.BatchNorm3d(6))
        self.shared = nn.Conv2d(4, 4, 1, bias=False)
        self.last, self.other = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        with torch.no_grad():
            for each in self.modules():
                if isinstance(each, nn.modules.batchnorm._BatchNorm):
                    each.running_mean.normal_()
                    each.running_var.uniform_(0.5, 2)
                    if each.affine:
                        each.weight.normal_()
                        each.bias.normal_()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        shared = self.shared(x)
        space = torch.stack([x, 2 * x], 2)
        of_input = torch.nn.functional.conv2d(x, x[:, :, :3, :3].repeat(4, 1, 1, 1))
        return (
            *(self.first(x), self.line(x[:, :, 0]), self.image(x), self.space(space)),
            *(
                self.last(shared),
                shared,
                self.last(self.shared(3 * x)),
                self.other(self.shared(x + 1)),
            ),
            *(self.other(of_input), self.other(self.shared(x) + self.first(x))),
        )


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """For all tests, since it takes seconds to read a network for the first time."""
    with Worker() as made:
        yield made


def outputs(worker: Worker, path: Path, x: np.ndarray) -> list[np.ndarray]:
    """Of the network in a file, compiled for this machine."""
    call = "tests.tasks.test_fast_math:outputs"
    [found] = worker.call(call, str(path), path.with_suffix(".so"), [x], deadline_s=120)
    return found


def save_onnx(path: Path, nodes: list[onnx.NodeProto], outputs: int, **weights: np.ndarray) -> None:
    """A network of one input, 1x4x8x8, and several outputs ``y0``, ``y1`` and so on."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])],
        [
            helper.make_tensor_value_info(f"y{k}", TensorProto.FLOAT, [1, 4, 8, 8])
            for k in range(outputs)
        ],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def test_normalised_batches_are_a_scale_and_a_shift(worker: Worker, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, x = Normalised().eval(), torch.from_numpy(normal(1, 4, 9, 9))
    with torch.no_grad():
        torch.export.save(torch.export.export(module, (x,)), tmp_path / "net.pt2")
    found = outputs(worker, tmp_path / "net.pt2", x.numpy())
    with torch.no_grad():
        right = module.double()(x.double())
    for each, exact in zip(found, right, strict=True):
        np.testing.assert_allclose(each, exact.numpy(), rtol=1e-5, atol=1e-5)
    ops = {task.op for task in extract_tasks([str(tmp_path / "net.pt2")], worker=worker).tasks}
    assert not any("divide" in op or "subtract" in op for op in ops)
    scaled = {op for op in ops if op.startswith("conv") and "multiply" in op}
    # The kernel is an input; something else was added; a transposed one: none is folded.
    kinds = ("conv2d", "conv2d_add", "conv2d_transpose")
    assert scaled == {f"{kind}_multiply_add" for kind in kinds}
    assert "multiply_add" in " ".join(ops - scaled)  # what follows no convolution


@pytest.mark.parametrize(
    ("name", "reduced"), [("Sum", np.sum), ("Mean", np.mean), ("Max", np.max), ("Min", np.min)]
)
def test_what_onnx_reduces_over_tensors_is_copied_nowhere(
    worker: Worker, tmp_path: Path, name: str, reduced
) -> None:
    weight, x = normal(4, 1, 8), normal(1, 4, 8, 8)
    relu = helper.make_node("Relu", ["x"], ["r"])
    nodes = [
        relu,
        helper.make_node(name, ["x", "r", "w"], ["y0"]),
        helper.make_node(name, ["r"], ["y1"]),
    ]
    save_onnx(tmp_path / "net.onnx", nodes, 2, w=weight)
    found = outputs(worker, tmp_path / "net.onnx", x)
    parts = np.stack(np.broadcast_arrays(x, np.maximum(x, 0), weight))
    np.testing.assert_allclose(found[0], reduced(parts, axis=0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found[1], np.maximum(x, 0))
    tasks = extract_tasks([str(tmp_path / "net.onnx")], worker=worker)
    names = [task.name for task in tasks.tasks] + [name for name, _ in tasks.left_out]
    assert not any(word in name for name in names for word in ("stack", "concatenate")), names


def test_a_stack_that_is_reduced_along_another_axis_stays(worker: Worker, tmp_path: Path) -> None:
    class Stacked(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            stack = torch.stack([x, 2 * x], 0)
            kept = stack.sum(0, keepdim=True)
            wide = [each[:1].expand(3, 5) for each in (x, 2 * x)]
            return stack.sum(1), stack.sum((0, 1)), kept, stack.mean(0), torch.stack(wide).sum(0)

    x = torch.from_numpy(normal(3, 5))
    torch.export.save(torch.export.export(Stacked(), (x,)), tmp_path / "net.pt2")
    found = outputs(worker, tmp_path / "net.pt2", x.numpy())
    for each, right in zip(found, Stacked()(x), strict=True):
        np.testing.assert_allclose(each, right.numpy(), rtol=1e-6, atol=1e-6)


def test_no_tensor_is_transposed_back_and_forth(worker: Worker, tmp_path: Path) -> None:
    class LastOfAll(torch.nn.Module):
        """A convolution whose channels are normalised, in front of as in the last axis."""

        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.norm = torch.nn.Conv2d(4, 4, 1), torch.nn.LayerNorm(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            last = self.norm(self.convolution(x).permute(0, 2, 3, 1))
            return self.convolution(last.permute(0, 3, 1, 2)).transpose(2, 3)

    module, x = LastOfAll().eval(), torch.from_numpy(normal(1, 4, 8, 8))
    with torch.no_grad():
        torch.export.save(torch.export.export(module, (x,)), tmp_path / "net.pt2")
        right = module(x).numpy()
    [found] = outputs(worker, tmp_path / "net.pt2", x.numpy())
    np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-5)
    tasks = extract_tasks([str(tmp_path / "net.pt2")], worker=worker)
    assert {task.op for task in tasks.tasks} == {"conv2d_add", "layer_norm"}
    assert len(tasks.left_out) == 2  # the input and the output, which change their layout


@pytest.mark.parametrize(("groups", "last"), [(1, True), (2, False), (3, True), (24, True)])
def test_groups_that_vectors_do_not_fit_keep_their_layout(
    worker: Worker, tmp_path: Path, groups: int, last: bool
) -> None:
    """24 channels: two groups of 12, three of 8, 24 of one, which is depthwise."""
    module, x = torch.nn.Conv2d(24, 24, 3, groups=groups).eval(), torch.zeros(2, 24, 8, 8)
    with torch.no_grad():
        torch.export.save(torch.export.export(module, (x,)), tmp_path / "net.pt2")
    found = extract_tasks([str(tmp_path / "net.pt2")], worker=worker)
    assert [task.name.startswith("conv2d_add_2x8x8x24") for task in found.tasks] == [last]
    assert found.notes == []


def test_a_convolution_of_an_open_batch_needs_its_size(worker: Worker, tmp_path: Path) -> None:
    module, x = torch.nn.Conv2d(4, 4, 3).eval(), torch.zeros(2, 4, 8, 8)
    shapes = ({0: torch.export.Dim("batch", min=2, max=8)},)
    with torch.no_grad():
        program = torch.export.export(module, (x,), dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "net.pt2")
    [size] = map(str, torch.export.load(tmp_path / "net.pt2").range_constraints)
    with pytest.raises(InputError, match=f"--shape {size}=1"):
        extract_tasks([str(tmp_path / "net.pt2")], worker=worker)
    found = extract_tasks([str(tmp_path / "net.pt2")], worker=worker, shapes={size: 2})
    assert [task.op for task in found.tasks] == ["conv2d_add"]


def tasks_with_desired(spec: str, desired: dict[str, list[str]]) -> Extracted:
    """Runs in a worker: as if TVM's pass were asked for other layouts."""
    from balto.tasks import layouts
    from balto.tasks.extract import extract_in_worker

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(layouts, "DESIRED", desired)
        return extract_in_worker([spec], [], LLVM, None, own_layout=False, shapes={})


def read_with_desired(spec: str, desired: dict[str, list[str]]) -> Network:
    """The same of what tuning reads."""
    from balto.deploy.compile import read
    from balto.tasks import layouts

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(layouts, "DESIRED", desired)
        return read(spec, LLVM)


def test_a_network_that_tvm_cannot_change_keeps_its_layout_and_says_so(
    worker: Worker, tmp_path: Path
) -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 1), torch.nn.ConvTranspose2d(4, 4, 2))
    with torch.no_grad():
        program = torch.export.export(module.eval(), (torch.zeros(1, 4, 8, 8),))
    torch.export.save(program, tmp_path / "net.pt2")
    spec = str(tmp_path / "net.pt2")
    assert extract_tasks([spec], worker=worker).notes == []
    desired = {"relax.nn.conv2d": ["NHWC", "OHWI"]}
    call = "tests.tasks.test_simplify:tasks_with_desired"
    [note] = worker.call(call, spec, desired, deadline_s=120).notes
    assert note == (
        f"{spec}: convolutions in NCHW: TVM cannot change it: it has no conv2d_transpose in NHWC"
    )
    call = "tests.tasks.test_simplify:read_with_desired"
    found = worker.call(call, spec, desired, deadline_s=120)
    assert found.layout == "NCHW"
    assert found.notes == [note.removeprefix(f"{spec}: ")]


def test_a_residual_network_of_onnx_is_tuned_channels_last(worker: Worker, tmp_path: Path) -> None:
    def block(x: str, k: int, y: str) -> list[onnx.NodeProto]:
        norm = [f"{name}{k}" for name in ("scale", "bias", "mean", "variance")]
        return [
            helper.make_node("Conv", [x, f"w{k}"], [f"c{k}"], pads=[1] * 4),
            helper.make_node("BatchNormalization", [f"c{k}", *norm], [f"n{k}"]),
            helper.make_node("Mul", [f"n{k}", "gain"], [f"m{k}"]),
            helper.make_node("Sum", [f"m{k}", x], [f"s{k}"]),
            helper.make_node("Relu", [f"s{k}"], [y]),
        ]

    weights = {"gain": normal(4, 1, 1)}
    for k in (0, 1):
        weights |= {f"{name}{k}": normal(4) for name in ("scale", "bias", "mean")}
        weights |= {f"variance{k}": normal(4) ** 2 + 1, f"w{k}": normal(4, 4, 3, 3)}
    save_onnx(tmp_path / "net.onnx", [*block("x", 0, "h"), *block("h", 1, "y0")], 1, **weights)
    spec = str(tmp_path / "net.onnx")
    found = worker.call("balto.deploy.compile:read", spec, LLVM, deadline_s=120)
    assert found.layout == "NHWC"
    assert {task.op for task in found.tasks} == {"conv2d_add_multiply_add_relu"}
    worker.call(
        "balto.deploy.compile:compile_network", spec, LLVM, {}, tmp_path / "net.so", deadline_s=120
    )
    checked = (spec, tmp_path / "net.so", found.inputs, LLVM)
    assert worker.call("balto.deploy.verify:compare", *checked, deadline_s=60).error <= 1

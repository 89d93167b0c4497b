"""Programs of ``torch.export`` as people bring them, compiled and compared with PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import balto
from balto.data.target import LLVM
from balto.errors import InputError, WorkerRaised
from balto.tasks.torch_module import as_spec
from balto.workers.worker import Worker

pytest.importorskip("tvm")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """One warm worker for all tests here."""
    with Worker() as warm:
        yield warm


def saved(path: Path, module: Any, args: tuple[Any, ...], kwargs: Any = None, **more: Any) -> str:
    with torch.no_grad():
        torch.export.save(torch.export.export(module.eval(), args, kwargs, **more), path)
    return str(path)


class Nested(torch.nn.Module):
    """Takes tensors in a dictionary and a list, a number, and a keyword argument."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(8, 8)

    def forward(self, x: Any, more: Any, twice: int = 1, *, scale: Any) -> Any:
        return {"y": self.linear(x) * more["a"] * twice, "z": (more["b"][0] + scale,)}


def test_tensors_of_keywords_dictionaries_and_lists_are_inputs_by_name(
    worker: Worker, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    module, leaves = Nested(), [torch.randn(4, 8), *torch.randn(3, 8)]
    x, a, b, scale = leaves
    args, kwargs = (x, {"a": a, "b": [b]}, 2), {"scale": scale}
    spec = saved(tmp_path / "net.pt2", module, args, kwargs)
    found = worker.call("balto.deploy.compile:read", spec, LLVM, deadline_s=120)
    assert [name for name, _, _ in found.inputs] == ["x", "more_a", "more_b_0", "scale"]
    arrays = [leaf.numpy() for leaf in leaves]
    arguments = (spec, arrays, tmp_path)
    got = worker.call("tests.tasks.files:computed", *arguments, deadline_s=120)
    with torch.no_grad():
        result = module(*args, **kwargs)
    for one, other in zip(got, [result["y"], result["z"][0]], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    compiled = (spec, LLVM, {}, tmp_path / "net.so")
    worker.call("balto.deploy.compile:compile_network", *compiled, deadline_s=120)
    checked = (spec, tmp_path / "net.so", found.inputs, LLVM)
    assert worker.call("balto.deploy.verify:compare", *checked, deadline_s=60).error <= 1


def test_an_open_dimension_gets_its_size_by_its_name(worker: Worker, tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Flatten())
    shapes = ({0: torch.export.Dim("batch", min=2, max=8)},)
    spec = saved(tmp_path / "net.pt2", module, (torch.zeros(4, 8),), dynamic_shapes=shapes)
    program = torch.export.load(spec)
    [name] = map(str, program.range_constraints)
    x = torch.randn(5, 8)
    arguments = (spec, [x.numpy()], tmp_path, {name: [5]})
    [got] = worker.call("tests.tasks.files:computed", *arguments, deadline_s=120)
    with torch.no_grad():
        np.testing.assert_allclose(got, module(x), rtol=1e-4, atol=1e-5)
    read = ("balto.deploy.compile:read", spec, LLVM)
    with pytest.raises(WorkerRaised, match=f"--shape {name}=1"):
        worker.call(*read, {}, deadline_s=120)
    with pytest.raises(WorkerRaised, match=f"exported for {name} from 2 to 8, got 9"):
        worker.call(*read, {name: [9]}, deadline_s=120)
    with pytest.raises(InputError, match=f"no dimension or input 'batch'; there are {name}, input"):
        balto.extract_tasks([spec], worker=worker, shapes={"batch": 3, name: 3})


class Counts(torch.nn.Module):
    """Keeps state in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.mean.mul_(0.9).add_(0.1 * x.mean(0))
        return x - self.mean


class Writes(torch.nn.Module):
    """Writes to what it is given."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x.add_(1)
        return x * 2


@pytest.mark.parametrize(
    ("module", "what"), [(Counts(), "the buffer mean"), (Writes(), "the input x")]
)
def test_a_network_that_keeps_state_is_refused(
    module: torch.nn.Module, what: str, worker: Worker, tmp_path: Path
) -> None:
    spec = saved(tmp_path / "net.pt2", module, (torch.zeros(4, 8),))
    with pytest.raises(InputError, match=f"keeps state: it writes to {what}"):
        balto.extract_tasks([spec], worker=worker)


def test_a_module_is_left_in_the_mode_that_it_was_in() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Dropout(), torch.nn.ReLU())
    module[1].eval()
    for inputs in ((torch.zeros(1, 8),), {"input": torch.zeros(1, 8)}):
        with as_spec(module, inputs) as (_, name):
            assert name == "Sequential"
        assert [each.training for each in module.modules()] == [True, True, False, True]
    with pytest.raises(InputError, match="cannot export"), as_spec(module, (torch.zeros(1, 9),)):
        pass
    assert [each.training for each in module.modules()] == [True, True, False, True]


class Cache(torch.nn.Module):
    """Writes rows of a cache, in one of three ways."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.linear, self.way = torch.nn.Linear(8, 8), way

    def forward(self, cache: torch.Tensor, x: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        new = self.linear(x)
        if self.way == "copy":
            return cache.index_copy(1, at, new) * 2
        cache = cache.clone()
        if self.way == "axis":
            cache[:, at] = new
        else:
            cache[1, at] = new[0]
        return cache * 2


class Grouped(torch.nn.Module):
    """A convolution, a group normalisation and an activation."""

    def __init__(self) -> None:
        super().__init__()
        norm = torch.nn.GroupNorm(2, 6)
        self.layers = torch.nn.Sequential(torch.nn.Conv2d(4, 6, 3), norm, torch.nn.SiLU())
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x * 3 + 1)


class Counted(torch.nn.Module):
    """What transformers count positions with: sums of bools, one after the other and together."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        above = x > 0
        return above.cumsum(-1) + above.sum(-1, keepdim=True) * 100 + above.sum() * 10_000


def half(module: torch.nn.Module) -> torch.nn.Module:
    return module.half()


def upsampling() -> torch.nn.Module:
    return torch.nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2)


CACHE = (torch.ones(2, 16, 8), torch.arange(48.0).reshape(2, 3, 8) / 48, torch.tensor([4, 9, 6]))


@pytest.mark.parametrize(
    ("make", "inputs", "tolerance"),
    [
        (lambda: Cache("axis"), CACHE, 1e-4),
        (lambda: Cache("copy"), CACHE, 1e-4),
        (lambda: Cache("both"), CACHE, 1e-4),
        (Counted, (torch.linspace(-1, 2, 24).reshape(4, 6),), 0),
        (Grouped, (torch.linspace(-1, 2, 400).reshape(1, 4, 10, 10),), 1e-4),
        (lambda: torch.nn.ConvTranspose1d(4, 6, 4, 2, 1), (torch.ones(1, 4, 9),), 1e-4),
        (upsampling, (torch.ones(1, 4, 5, 5),), 1e-4),
        (lambda: half(torch.nn.Linear(8, 8)), (torch.ones(4, 8).half(),), 1e-2),
        (lambda: half(torch.nn.Conv2d(4, 6, 3)), (torch.ones(1, 4, 8, 8).half(),), 1e-2),
    ],
    ids=[
        "axis",
        "copy",
        "both",
        "counted",
        "groups",
        "transposed",
        "in groups",
        "half",
        "half convolution",
    ],
)
def test_what_tvm_reads_wrong_or_not_at_all_is_right(
    make: Any, inputs: tuple[torch.Tensor, ...], tolerance: float, worker: Worker, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    module = make()
    spec = saved(tmp_path / "net.pt2", module, inputs)
    arguments = (spec, [each.numpy() for each in inputs], tmp_path)
    [got] = worker.call("tests.tasks.files:computed", *arguments, deadline_s=120)
    with torch.no_grad():
        expected = module(*inputs)
    assert got.dtype == expected.numpy().dtype
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def test_group_normalisations_and_transposed_convolutions_can_be_searched(
    worker: Worker, tmp_path: Path
) -> None:
    spec = saved(tmp_path / "net.pt2", Grouped(), (torch.zeros(1, 4, 10, 10),))
    tasks = balto.extract_tasks([spec], worker=worker).tasks
    [norm] = (task for task in tasks if task.op.startswith("group_norm"))
    assert len(balto.sample(norm, 4).traces) == 4
    up = torch.nn.ConvTranspose1d(4, 6, 4, 2, 1)
    spec = saved(tmp_path / "up.pt2", up, (torch.ones(1, 4, 9),))
    [task] = balto.extract_tasks([spec], worker=worker).tasks
    # TVM lays weights out wrong that are read backwards.
    assert "layout_free_buffers" not in task.module


def test_what_is_not_there_is_named_at_once_with_its_places(worker: Worker, tmp_path: Path) -> None:
    class Fourier(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.fft.rfft(x).real + torch.linalg.det(x @ x.mT)

    spec = saved(tmp_path / "net.pt2", Fourier(), (torch.ones(8, 8),))
    with pytest.raises(InputError, match=r"TVM does not have .*_fft_r2c\.default \(.*, .*det"):
        balto.extract_tasks([spec], worker=worker)

"""What is loaded again and again: its memory, its file, its NaNs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from balto.data.target import LLVM
from balto.workers.worker import Worker
from tests.tune.small_networks import save_graph
from tests.tune.test_checked import save_torch

pytest.importorskip("tvm")
pytestmark = pytest.mark.slow

WIDTH = 1024  # 4 MiB of weights


def save_wide(path: Path, seed: int) -> str:
    weight = np.random.default_rng(seed).normal(size=(WIDTH, WIDTH)).astype("float32")
    tensors = {"x": ("FLOAT", [1, WIDTH])}, {"y": ("FLOAT", [1, WIDTH])}
    return save_graph(path, [("MatMul", ["x", "w"], ["y"], {})], *tensors, {"w": weight})


def compiled(spec: str, library: Path) -> None:
    """Runs in a worker."""
    from balto.deploy.compile import compile_network, read

    compile_network(spec, read(spec, LLVM).tasks[0].target, {}, library)


def load_often(library: Path, times: int) -> tuple[int, int]:
    """Runs in a worker: bytes that loading and running once takes, and then as often again."""
    from balto.deploy.machine import load, outputs

    x = np.ones((1, WIDTH), "float32")

    def load_and_run() -> Any:
        machine = load(library, LLVM)
        outputs(machine["main"], [x], LLVM)
        return machine

    process = psutil.Process()
    held, before = [load_and_run()], process.memory_info().rss
    held += [load_and_run() for _ in range(times)]  # all at the same time
    assert len({id(each) for each in held}) == times + 1
    return process.memory_info().rss - before, library.stat().st_size


def run_each(library: Path, others: list[Path]) -> list[np.ndarray]:
    """Runs in a worker: what a library gives whose file is replaced again and again."""
    from balto.deploy.machine import load, outputs

    found, machines = [], []
    for other in others:
        shutil.copy(other, f"{library}.new")
        Path(f"{library}.new").replace(library)
        machines.append(load(library, LLVM)["main"])
        found += outputs(machines[-1], [np.ones((1, WIDTH), "float32")], LLVM)
    again = outputs(machines[0], [np.ones((1, WIDTH), "float32")], LLVM)  # the first lives on
    return [*found, *again]


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as made:
        yield made


def test_a_network_that_is_loaded_twenty_times_has_its_weights_once(
    tmp_path: Path, worker: Worker
) -> None:
    library = tmp_path / "network.so"
    spec = save_wide(tmp_path / "net.onnx", 0)
    worker.call("tests.deploy.test_loaded:compiled", spec, library, deadline_s=120)
    with Worker() as fresh:
        grown, size = fresh.call("tests.deploy.test_loaded:load_often", library, 20, deadline_s=120)
    assert size > 4 * WIDTH * WIDTH
    assert grown < 2 * size  # twenty would be twenty times as much


def test_a_library_that_was_replaced_is_not_taken_for_the_one_before(
    tmp_path: Path, worker: Worker
) -> None:
    libraries = [tmp_path / "0.so", tmp_path / "1.so"]
    for seed, library in enumerate(libraries):
        spec = save_wide(tmp_path / f"{seed}.onnx", seed)
        worker.call("tests.deploy.test_loaded:compiled", spec, library, deadline_s=120)
    arguments = (tmp_path / "network.so", [*libraries, libraries[0]])
    with Worker() as fresh:
        a, b, c, d = fresh.call("tests.deploy.test_loaded:run_each", *arguments, deadline_s=120)
    assert not np.allclose(a, b)
    np.testing.assert_array_equal(a, c)
    np.testing.assert_array_equal(a, d)


class Function(torch.nn.Module):
    """A function, as a module."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


def outputs_of(spec: str, library: Path, x: np.ndarray) -> list[np.ndarray]:
    """Runs in a worker."""
    from balto.deploy.machine import load, outputs

    compiled(spec, library)
    return outputs(load(library, LLVM)["main"], [x], LLVM)


@pytest.mark.filterwarnings("ignore")  # torch's exporter warns about itself
@pytest.mark.parametrize(
    "function",
    [
        torch.relu,
        lambda x: torch.clamp(x, -1, 1),
        torch.nn.functional.relu6,
        torch.nn.functional.hardsigmoid,
        torch.nn.functional.hardswish,
        torch.nn.functional.elu,
        torch.nn.functional.leaky_relu,
        torch.erf,
        torch.exp,
        torch.tanh,
        torch.sigmoid,
        torch.nn.functional.gelu,
        lambda x: torch.softmax(x, -1),
        lambda x: torch.relu(x * 2 + 1),
    ],
)
def test_nan_in_is_nan_out(tmp_path: Path, worker: Worker, function: Callable[[Any], Any]) -> None:
    x = torch.tensor([[1.0, np.nan, -2.0, 3.0, -0.5, 0.0, 7.0, 9.0]] * 3 + [[1.0] * 8])
    spec = save_torch(tmp_path / "net.pt2", Function(function), x)
    called = "tests.deploy.test_loaded:outputs_of"
    [y] = worker.call(called, spec, tmp_path / "network.so", x.numpy(), deadline_s=120)
    np.testing.assert_allclose(y, function(x).numpy(), rtol=1e-4, atol=1e-6, equal_nan=True)

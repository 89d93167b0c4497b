"""Exponentials of a network for CPUs: arithmetic that vectorises, as right as the C library's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from balto.data.target import LLVM
from balto.tasks import extract_tasks
from balto.workers.worker import Worker

pytest.importorskip("tvm")

CALLS = ("exp", "erf", "tanh", "sigmoid")
X = torch.linspace(-30, 30, 4096).reshape(16, 256)


class Exponentials(torch.nn.Module):
    """One of each operator that has an exponential in it."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        f = torch.nn.functional
        small = torch.minimum(x, torch.tensor(10.0))
        return (
            *(torch.exp(small), torch.erf(x), torch.tanh(x), torch.sigmoid(x)),
            *(f.gelu(x), f.silu(x), torch.softmax(x, -1), torch.softmax(x, 0)),
        )


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The network as a file."""
    path = tmp_path_factory.mktemp("fast") / "exponentials.pt2"
    torch.export.save(torch.export.export(Exponentials(), (X,)), path)
    return str(path)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """For all tests, since it takes seconds to read a network for the first time."""
    with Worker() as made:
        yield made


def outputs(spec: str, library: Path, inputs: list[np.ndarray]) -> list[list[np.ndarray]]:
    """Runs in a worker: what the compiled network gives for each input."""
    from balto.deploy import verify
    from balto.deploy.compile import compile_network, read

    target = read(spec, LLVM).tasks[0].target
    compile_network(spec, target, {}, library)
    main = verify.load(library, target)["main"]
    return [verify.outputs(main, [x], target) for x in inputs]


def called(own_layout: bool, path: str, worker: Worker) -> set[str]:
    """Functions of the C library that the tasks call."""
    tasks = extract_tasks([path], own_layout=own_layout, worker=worker).tasks
    modules = " ".join(task.require_module() for task in tasks)
    return {name for name in CALLS if f"tirx.{name}" in modules}


def test_what_is_tuned_calls_no_function_an_element(path: str, worker: Worker) -> None:
    assert called(own_layout=False, path=path, worker=worker) == set()
    assert called(own_layout=True, path=path, worker=worker) >= {"exp", "erf"}  # as it came


@pytest.mark.slow
def test_they_are_as_right_as_the_c_librarys_and_where_nothing_is_finite(
    path: str, worker: Worker, tmp_path: Path
) -> None:
    wild = X.clone()
    wild[:, 7] = torch.tensor([torch.inf, -torch.inf, 1e30, -1e30, 88.8, -88.8, -104.0, 0.0] * 2)
    both = worker.call(
        "tests.tasks.test_fast_math:outputs",
        *(path, tmp_path / "network.so", [X.numpy(), wild.numpy()]),
        deadline_s=120,
    )
    for x, got in zip((X, wild), both, strict=True):
        for each, right in zip(got, Exponentials()(x.double()), strict=True):
            np.testing.assert_allclose(each, right.numpy(), rtol=1e-6, atol=1e-6)

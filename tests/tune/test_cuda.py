"""Tuning on a GPU: an operator and a network, right and loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import balto
from balto.tune.operators import tune_operators
from balto.workers.worker import Worker
from tests.tune.small_networks import Small

pytest.importorskip("tvm")


@pytest.fixture(scope="module", autouse=True)
def _needs_a_device() -> None:
    with Worker() as worker:
        if not worker.call("tests.workers.calls:cuda_target", deadline_s=120):
            pytest.skip("needs a CUDA device")


def run(folder: str, inputs: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """Runs in a worker, as a deployment: the output, and seconds."""
    tuned = balto.load_tuned(folder)
    output = tuned.run(inputs)
    return np.asarray(output[0] if isinstance(output, list) else output), (
        tuned.benchmark().latency_s
    )


@pytest.mark.gpu
def test_an_operator_is_tuned_and_right(tmp_path: Path) -> None:
    out = tmp_path / "tuned"
    [tuned] = tune_operators(["softmax_mn:256x256"], out, start_from=None, trials=8, target="cuda")
    assert tuned.latency_s <= tuned.untuned_s, "the untuned program has TVM's default schedule"
    x = np.random.default_rng(0).normal(size=(256, 256)).astype("float32")
    with Worker() as worker:
        got, seconds = worker.call("tests.tune.test_cuda:run", str(out), [x], deadline_s=120)
    exp = np.exp(x - x.max(axis=1, keepdims=True))
    np.testing.assert_allclose(got, exp / exp.sum(axis=1, keepdims=True), rtol=1e-4)
    assert seconds > 0


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore")  # torch's exporter warns about itself
def test_a_network_is_tuned_and_right(tmp_path: Path) -> None:
    out, module = tmp_path / "tuned", Small()
    found = balto.tune_network(
        module, (torch.zeros(1, 3, 16, 16),), start_from=None, trials=8, out=out, target="cuda"
    )
    assert found.error <= 1
    assert found.latency_s <= found.untuned_s
    x = torch.randn(1, 3, 16, 16)
    with Worker() as worker:
        got, _ = worker.call("tests.tune.test_cuda:run", str(out), [x.numpy()], deadline_s=120)
    with torch.no_grad():
        expected = module.eval()(x)
    expected = expected[0] if isinstance(expected, tuple) else expected
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-3, atol=1e-4)

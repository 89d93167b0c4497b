"""Networks tuned, beside PyTorch and ONNX Runtime on the same core; batch 1, one thread.

    python experiments/networks.py [--trials 200] [--out WORK] [NETWORK ...]

Prints a Markdown table: TVM's default pipeline untuned, tuned by ``balto tune``, PyTorch (eager),
and ONNX Runtime where it is installed; a row of what is not there says so. Resumable: what was
measured is in WORK.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from balto.tune.networks import tune_network
from balto.workers.worker import Worker

NETWORKS = ("resnet-50", "mobilenet-v2", "bert-tiny")


def median_s(run: Callable[[], object]) -> float:
    """Of at least five runs and two seconds, after one to warm up."""
    run()
    seconds: list[float] = []
    until = time.monotonic() + 2
    while len(seconds) < 5 or time.monotonic() < until:
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))


def pytorch(name: str) -> float:
    """Runs in a worker on one core: seconds of a run, eager."""
    import torch

    from balto.tasks.networks import build

    torch.set_num_threads(1)
    network, example = build(name)
    with torch.inference_mode():
        return median_s(lambda: network(*example))


def onnx_runtime(name: str) -> float | None:
    """Runs in a worker on one core: seconds of a run; None if ONNX Runtime is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    import torch

    from balto.tasks.networks import build

    network, example = build(name)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = f"{folder}/network.onnx"
        torch.onnx.export(network, example, path, dynamo=False)
        session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    given = {name: each.numpy() for name, each in zip(names, example, strict=True)}
    return median_s(lambda: session.run(None, given))


def beside(name: str) -> tuple[float, float | None]:
    """PyTorch's and ONNX Runtime's seconds, on the last of our cores."""
    with Worker(cpus=sorted(os.sched_getaffinity(0))[-1:]) as worker:
        torch_s = worker.call("experiments.networks:pytorch", name, deadline_s=600)
        return torch_s, worker.call("experiments.networks:onnx_runtime", name, deadline_s=600)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("networks"))
    settings = parser.parse_args()
    print("| network | trials | untuned | tuned | PyTorch | ONNX Runtime |", flush=True)
    print("|---|---|---|---|---|---|", flush=True)
    for name in settings.networks:
        done = tune_network(name, trials=settings.trials, out=settings.out / name)
        torch_s, runtime_s = beside(name)
        runtime = "not installed" if runtime_s is None else f"{1e3 * runtime_s:,.1f} ms"
        print(
            f"| {name} | {done.trials} | {1e3 * done.untuned_s:,.1f} ms | "
            f"{1e3 * done.latency_s:,.1f} ms | {1e3 * torch_s:,.1f} ms | {runtime} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

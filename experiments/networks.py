"""Networks tuned, beside PyTorch and ONNX Runtime on the same core; batch 1, one thread.

    python experiments/networks.py [--trials 200] [--out WORK] [NETWORK ...]

Prints a Markdown table, all four run in turns in one process: TVM's default pipeline untuned, tuned
by ``balto tune``, PyTorch (eager), and ONNX Runtime, if it is installed, on what ``torch.onnx``
exports. Resumable: what is in WORK is timed again, but not tuned again. On a machine that others
use, ``chrt --rr 1 python experiments/networks.py`` keeps them off the core while it is timed.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for our workers

from balto.data.files import write_atomically
from balto.data.target import Target
from balto.deploy import machine, reference
from balto.deploy.assemble import LIBRARY
from balto.deploy.load import METADATA, read_metadata
from balto.tune.network import tune_network
from balto.workers.worker import Worker

NETWORKS = ("resnet-50", "mobilenet-v2", "bert-tiny")
#: In a network's folder, beside what is tuned.
UNTUNED, EXPORTED = "untuned.so", "network.onnx"


def times(name: str, folder: Path, metadata: dict[str, Any]) -> dict[str, float]:
    """Runs in a worker on one core: seconds of a run, by what runs it."""
    import torch

    from balto.deploy.compile import compile_network

    target, inputs = Target.from_dict(metadata["target"]), metadata["network"]["inputs"]
    if not (folder / UNTUNED).exists():
        with write_atomically(folder / UNTUNED) as partial:
            compile_network(name, target, {}, partial, suited=False)
    export(name, folder / EXPORTED)
    torch.set_num_threads(1)
    arrays = machine.random_inputs(inputs)
    ways = dict(zip(("untuned", "tuned"), (folder / UNTUNED, folder / LIBRARY), strict=True))
    runs = dict(zip(ways, machine.runs_of(list(ways.values()), inputs, target), strict=True))
    with (
        reference.runtime(name, arrays, 1) as eager,
        reference.runtime(str(folder / EXPORTED), arrays, 1) as runtime,
    ):
        runs.update(each for each in (eager, runtime) if each is not None)
        return dict(zip(runs, machine.time_in_turns(list(runs.values())), strict=True))


def export(name: str, path: Path) -> None:
    """A built-in network as ONNX."""
    import torch

    from balto.tasks.zoo import build

    if path.exists():
        return
    network, example = build(name)
    with warnings.catch_warnings(), write_atomically(path) as partial:
        warnings.simplefilter("ignore")  # about the older exporter, which needs no other package
        torch.onnx.export(network, example, str(partial), dynamo=False)


def row(name: str, trials: int, out: Path) -> str:
    folder = out / name
    if not (folder / METADATA).exists():
        tune_network(name, trials=trials, out=folder, store="none")
    metadata = read_metadata(folder)
    spent = sum(task["trials"] for task in metadata["tasks"].values())
    with Worker(cpus=sorted(os.sched_getaffinity(0))[-1:], env={"TVM_NUM_THREADS": "1"}) as worker:
        found = worker.call(
            "experiments.networks:times", *(name, folder, metadata), deadline_s=1800
        )
    cells = [
        f"{1e3 * found[way]:,.1f} ms" if way in found else "not installed"
        for way in ("untuned", "tuned", reference.PYTORCH, reference.ONNX_RUNTIME)
    ]
    return f"| {name} | {spent} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("networks"))
    settings = parser.parse_args()
    settings.out.mkdir(parents=True, exist_ok=True)
    print("| network | trials | untuned | tuned | PyTorch | ONNX Runtime |", flush=True)
    print("|---|---|---|---|---|---|", flush=True)
    for name in settings.networks:
        print(row(name, settings.trials, settings.out), flush=True)


if __name__ == "__main__":
    main()

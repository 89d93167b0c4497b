"""Table 2: networks tuned with models of all labels, of random labels, and of a selector's choice.

    python experiments/table2.py --scale small   # MobileNet-v2 and BERT-tiny, 100 trials, one seed
    python experiments/table2.py --scale paper   # all five, 1,000 trials, 5 seeds

Every cell is a tuned folder, ``<out>/<network>/<model>/<seed>``, so that the script goes on where
it was interrupted, even within a network. The models are of a recorded pool's labels: all of them,
and 5 % drawn at random or chosen by each selector. Latency is the compiled network's, batch 1, on
as many cores as the pool's target says; all of a network are timed in turns, PyTorch beside them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import _tuning as tuning
import matplotlib.pyplot as plt
import numpy as np
from _study import main
from matplotlib.figure import Figure

import balto
from balto.data.target import Target
from balto.deploy.assemble import LIBRARY
from balto.deploy.load import read_metadata
from balto.tune import tune_network
from balto.workers.worker import Worker

NETWORKS = {
    "small": ("mobilenet-v2", "bert-tiny"),
    "paper": ("resnet-50", "mobilenet-v2", "resnext-50", "bert-tiny", "bert-base"),
}
#: Name -> selector, budget.
MODELS = {
    "all labels": ("full", 1.0),
    "random 5 %": ("random", 0.05),
    "balto 5 %": ("balto", 0.05),
    "biased-lcmd 5 %": ("biased-lcmd", 0.05),
    "output-diversity 5 %": ("output-diversity", 0.05),
    "gsx 5 %": ("gsx", 0.05),
    "gsy 5 %": ("gsy", 0.05),
    "igs 5 %": ("igs", 0.05),
    "alt 5 %": ("alt", 0.05),
}
SMALL_MODELS = ("all labels", "random 5 %", "balto 5 %", "biased-lcmd 5 %")
TRIALS = {"small": 100, "paper": 1000}


def study() -> None:
    parser = tuning.arguments(__doc__, "table2")
    parser.add_argument("--trials", type=int, help="of a network [default: by the scale]")
    parser.add_argument("--network", action="append", help="in the place of the scale's")
    options = parser.parse_args()
    small = options.scale == "small"
    networks = options.network or NETWORKS[options.scale]
    names = SMALL_MODELS if small else tuple(MODELS)
    seeds = options.seeds if small else max(options.seeds, 5)
    trials = options.trials or TRIALS[options.scale]
    rows = tuning.Rows(options.out)
    models = {
        name: rows.get(
            ["model", name],
            partial(tuning.model_of, options.out, options.pool, name, *MODELS[name]),
        )
        for name in names
    }
    target = balto.read_pool(options.pool).tasks[0].target
    found = []
    for network in networks:
        folders = {
            (name, seed): options.out / network / Path(models[name]["path"]).stem / str(seed)
            for name in names
            for seed in range(seeds)
        }
        for (name, seed), folder in folders.items():
            folder.parent.mkdir(parents=True, exist_ok=True)
            model = models[name]["path"]
            tune_network(
                network,
                start_from=model,
                trials=trials,
                out=folder,
                target=target,
                seed=seed,
                store="none",
            )
            print(network, name, seed, "tuned", flush=True)
        of = ["timed", network, trials, *(f"{name} {seed}" for name, seed in folders)]
        row = rows.get(of, partial(timed, network, list(folders.values())))
        found += [
            {"network": network, "model": n, "seed": s, "trials": trials, "latency_s": latency_s}
            for (n, s), latency_s in zip(folders, row["latency_s"], strict=True)
        ]
        found += [
            {"network": network, "model": n, "seed": 0, "trials": 0, "latency_s": latency_s}
            for n, latency_s in row["reference"].items()
        ]
    tuning.publish(options.out, "table2", draw(found), found)
    (options.out / "table2.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(table(found))


def timed(network: str, folders: Sequence[Path]) -> tuning.Row:
    """Seconds of a run of each folder's network, all in turns in one process, PyTorch's too.

    What each tuning says of itself was measured minutes apart, under other loads.
    """
    began = time.perf_counter()
    about = read_metadata(folders[0])
    target, inputs = Target.from_dict(about["target"]), about["network"]["inputs"]
    cores = target.cores or 1
    cpus = sorted(os.sched_getaffinity(0))[-cores:]
    with Worker(cpus=cpus, env={"TVM_NUM_THREADS": str(cores)}) as worker:
        latency_s, reference, _ = worker.call(
            "balto.deploy.verify:time_beside",
            *([folder / LIBRARY for folder in folders], network, inputs, target),
            deadline_s=1800,
        )
    seconds = time.perf_counter() - began
    return {"latency_s": latency_s, "reference": reference, "seconds": seconds}


def cell(found: list[tuning.Row], network: str, name: str) -> np.ndarray:
    """Latencies of all seeds, ms."""
    return np.array(
        [r["latency_s"] * 1e3 for r in found if (r["network"], r["model"]) == (network, name)]
    )


def table(found: list[tuning.Row]) -> str:
    """As in the paper: mean and, of several seeds, standard deviation, ms."""
    networks = list(dict.fromkeys(row["network"] for row in found))
    names = list(dict.fromkeys(row["model"] for row in found))
    lines = ["| model | " + " | ".join(networks) + " |", "|---" * (len(networks) + 1) + "|"]
    for name in names:
        cells = [cell(found, network, name) for network in networks]
        words = [
            f"{each.mean():.2f}" + (f" ± {each.std():.2f}" if len(each) > 1 else "")
            for each in cells
        ]
        lines.append(f"| {name} | " + " | ".join(words) + " |")
    return "\n".join(lines)


def draw(found: list[tuning.Row]) -> Figure:
    """Latency of each network relative to that with the model of all labels."""
    networks = list(dict.fromkeys(row["network"] for row in found))
    names = list(dict.fromkeys(row["model"] for row in found))
    figure, ax = plt.subplots(figsize=(3 + 1.9 * len(networks), 4), layout="constrained")
    for k, name in enumerate(names):
        relative = [
            cell(found, network, name).mean() / cell(found, network, names[0]).mean()
            for network in networks
        ]
        places = np.arange(len(networks)) + (k - len(names) / 2 + 0.5) * 0.8 / len(names)
        colour = tuning.COLOURS[k % len(tuning.COLOURS)]
        ax.bar(places, relative, 0.8 / len(names), color=colour, label=name)
    ax.axhline(1, color="black", linewidth=0.8)
    ax.set_xticks(range(len(networks)), networks)
    ax.set(ylabel=f"latency relative to {names[0]}", title="Table 2")
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


if __name__ == "__main__":
    main(study)

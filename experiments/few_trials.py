"""How fast is a network with none or few trials, beside what 400 make of it?

    python experiments/few_trials.py resnet18.onnx squeezenet.onnx --seeds 2 --out few-trials

Each network is tuned with 0 trials, with one a task, and with 16, 32, 100 and 400, each in a folder
of its own in ``--out``: a script that is interrupted goes on, and what is finished is only read. At
the end all compiled networks of a seed are timed in turns, and the table has their speed relative
to that of 400 trials, the mean over the seeds and its standard error where there are several.
Single operators, ``--operator``, count as networks of one task, whose libraries are timed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for our workers

import numpy as np

from balto.data.target import Target
from balto.deploy.load import METADATA, Tuned, load_tuned, read_metadata
from balto.deploy.machine import runs_of, time_in_turns
from balto.tune.network import tune_network
from balto.tune.operators import tune_operators
from balto.workers.worker import Worker

#: None stands for one trial a task.
TRIALS: tuple[int | None, ...] = (0, None, 16, 32, 100, 400)


def tuned(what: str, operator: bool, trials: int | None, seed: int, out: Path) -> Path:
    """The folder of one tuning, done if it is not yet."""
    name = Path(what).stem.replace(":", "_")
    folder = out / name / f"seed-{seed}" / ("one-a-task" if trials is None else str(trials))
    if (folder / METADATA).exists():
        return folder
    if trials is None:
        trials = 1 if operator else tasks_of(folder.parent / "0")
    if operator:
        tune_operators([what], folder, trials=trials, seed=seed)
    else:
        tune_network(what, out=folder, trials=trials, seed=seed)
    return folder


def tasks_of(folder: Path) -> int:
    """How many tasks a network has, from its tuning without trials."""
    about = read_metadata(folder)
    return len(about["tasks"]) + len(about["untried"])


def times(folders: list[Path], operator: bool) -> list[float]:
    """Runs in a worker on one core: seconds of what each folder deploys."""
    if operator:
        return [_operator_s(folder) for folder in folders]
    about = [read_metadata(folder) for folder in folders]
    libraries = [f / each["network"]["library"] for f, each in zip(folders, about, strict=True)]
    target = Target.from_dict(about[0]["target"])
    return time_in_turns(runs_of(libraries, about[0]["network"]["inputs"], target))


def _operator_s(folder: Path) -> float:
    loaded = load_tuned(folder)
    assert isinstance(loaded, Tuned)
    return loaded.benchmark().latency_s


def speeds(what: str, operator: bool, seed: int, out: Path) -> list[float]:
    """Of each of `TRIALS`, the speed relative to that of the last."""
    folders = [tuned(what, operator, trials, seed, out) for trials in TRIALS]
    cpus, env = sorted(os.sched_getaffinity(0))[-1:], {"TVM_NUM_THREADS": "1"}
    with Worker(cpus=cpus, env=env) as worker:
        found: list[float] = worker.call(
            "experiments.few_trials:times", folders, operator, deadline_s=1800
        )
    return [found[-1] / seconds for seconds in found]


def cell(values: Any) -> str:
    """A mean, and its standard error if there are several."""
    mean = f"{np.mean(values):.2f}"
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{mean} ± {error:.2f}" if error else mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", help="names or files of networks")
    parser.add_argument("--operator", nargs="+", default=[], dest="operators")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("few-trials"))
    options = parser.parse_args()
    head = ["one a task" if trials is None else str(trials) for trials in TRIALS]
    print(f"| trials | {' | '.join(head)} |\n|---{'|---' * len(head)}|", flush=True)
    every = [*((name, False) for name in options.networks), *((o, True) for o in options.operators)]
    for what, operator in every:
        rows = np.array([speeds(what, operator, s, options.out) for s in range(options.seeds)])
        cells = [cell(rows[:, k]) for k in range(len(TRIALS))]
        print(f"| {Path(what).stem} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

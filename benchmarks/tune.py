"""Tuning with a pre-trained model: our search against MetaSchedule's own, from scratch.

The rival is TVM's evolutionary search with its XGBModel from scratch, given our Builder and
Runner, so that only search and model differ; ours has a tenth and a twentieth of its trials, and
the model that ships with balto, which was trained on `pools/` and on none of the operators. Ours
times its fastest programs again before it names the best, and that time counts. They run in
turns, and the final programs of both are timed again together. Needs a processor that runs znver3
code.

    python benchmarks/tune.py --quick
    python benchmarks/tune.py --online       # nothing trained before, at equal trials
    python benchmarks/tune.py --rows rows.jsonl   # keeps what is measured, and goes on from it

One operator is also tuned as a user of TVM would: with its own LocalBuilder and LocalRunner. That
takes many times as long, so it has `--local-trials` trials and half an hour.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

_ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(_ROOT))  # for this process and our workers

import balto  # noqa: E402
from balto.data.candidate import Candidate  # noqa: E402
from balto.data.target import Target  # noqa: E402
from balto.data.task import Task  # noqa: E402
from balto.errors import WorkerTimeout  # noqa: E402
from balto.measure.live import LiveMeasurer  # noqa: E402
from balto.metaschedule.stock import stock_search  # noqa: E402
from balto.models.starter import PATH  # noqa: E402
from balto.search.session import Session  # noqa: E402

TARGET = Target("llvm", cores=1, mcpu="znver3")
QUICK = (
    "matmul:720x480x960",
    "conv2d_nhwc:1x28x28x96x128x3x1x1",
    "depthwise_conv2d_nhwc:1x28x28x160x3x1x1",
)
OPERATORS = (
    *QUICK,
    "batch_matmul_nkkm:8x192x96x64",
    "softmax_mn:1024x256",
    "conv2d_nhwc:1x14x14x256x256x3x2x1",
)
#: Times that the final programs are measured again, all of an operator in turns.
AGAIN = 5
#: Seconds that TVM's own builder and runner get.
LOCAL_S = 1800.0

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three operators, one seed")
    parser.add_argument("--online", action="store_true", help="without a model, equal trials")
    parser.add_argument("--trials", type=int, default=320, help="of the rival, with a model")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--operator", action="append", help="in the place of the usual ones")
    parser.add_argument("--local-trials", type=int, default=64, help="0 leaves that row out")
    parser.add_argument("--rows", type=Path, help="file of what is measured, to go on from")
    options = parser.parse_args()
    operators = options.operator or (QUICK if options.quick else OPERATORS)
    rows = Rows(options.rows)
    compile_once()
    for seed in range(1 if options.quick else options.seeds):
        for spec in operators:
            if options.online:
                rows.add(["online", spec, seed], lambda task, s=seed: online(task, s))
            else:
                trials = options.trials
                rows.add(["model", spec, seed], lambda t, n=trials, s=seed: modelled(t, n, s))
    if options.local_trials and not options.quick and not options.online:
        count = options.local_trials
        rows.add(["local", operators[0], 0], lambda task: local(task, count))
    kind = "online" if options.online else "model"
    print_table(rows.found)
    print(json.dumps(summary([row for row in rows.found if row["of"][0] == kind])))


def compile_once() -> None:
    """What numba compiles on its first use in a new checkout, 10 s, is in no search's time."""
    [task] = balto.extract_tasks([], ["matmul:32x32x32"], TARGET).tasks
    ours(task, balto.load_model(PATH)[0], 8, 0)


class Rows:
    """What was measured; with a file, also by earlier runs of the same command."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path is not None and path.exists() else []
        self._kept = [json.loads(line) for line in lines]
        self.found: list[Row] = []

    def add(self, of: list[Any], measure: Any) -> None:
        """A row of the file, or else one that is measured now."""
        known = [row for row in self._kept if row["of"] == of]
        row = known[0] if known else self._measured(of, measure)
        self.found.append(row)
        print(json.dumps({k: v for k, v in row.items() if k != "traces"}), flush=True)

    def _measured(self, of: list[Any], measure: Any) -> Row:
        [task] = balto.extract_tasks([], [of[1]], TARGET).tasks
        row = {"of": of, **measure(task)}
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps(row) + "\n")
        return row


def modelled(task: Task, trials: int, seed: int) -> Row:
    """Ours with the shipped model at a tenth and a twentieth, then the rival."""
    model, card = balto.load_model(PATH)
    assert task.name not in card["tasks"], f"the shipped model has seen {task.name}"
    counts = {"1_10": trials // 10, "1_20": trials // 20}
    runs = {name: ours(task, model, count, seed) for name, count in counts.items()}
    runs["rival"] = stock(task, trials, seed)
    latency = timed(task, {name: run["trace"] for name, run in runs.items()})
    return {
        **{f"{name}_us": latency[name] * 1e6 for name in runs},
        **{f"{name}_s": run["seconds"] for name, run in runs.items()},
        **{f"latency_ratio_{name}": latency["rival"] / latency[name] for name in counts},
        **{
            f"wall_ratio_{name}": runs["rival"]["seconds"] / runs[name]["seconds"]
            for name in counts
        },
        **{f"asking_share_{name}": runs[name]["asking_share"] for name in counts},
        "traces": {name: run["trace"] for name, run in runs.items()},
    }


def online(task: Task, seed: int) -> Row:
    """Ours and the rival with nothing trained before, at 64 and 128 trials."""
    runs = {}
    for count in (64, 128):
        runs[f"online_{count}"] = ours(task, None, count, seed)
        runs[f"rival_{count}"] = stock(task, count, seed)
    latency = timed(task, {name: run["trace"] for name, run in runs.items()})
    return {
        **{f"{name}_us": latency[name] * 1e6 for name in runs},
        **{f"{name}_s": run["seconds"] for name, run in runs.items()},
        **{f"latency_ratio_{n}": latency[f"rival_{n}"] / latency[f"online_{n}"] for n in (64, 128)},
        **{f"asking_share_{n}": runs[f"online_{n}"]["asking_share"] for n in (64, 128)},
    }


def local(task: Task, trials: int) -> Row:
    """TVM's search with its own builder and runner, as a user would run it."""
    began = time.perf_counter()
    try:
        found = stock_search(task, trials, own=True, limit_s=LOCAL_S)
    except WorkerTimeout:
        return {"local_trials": trials, "local_s": time.perf_counter() - began, "finished": False}
    seconds = time.perf_counter() - began
    latency = timed(task, {"local": found.trace})
    return {"local_us": latency["local"] * 1e6, "local_trials": trials, "local_s": seconds}


def ours(task: Task, model: Any, count: int, seed: int) -> Row:
    began = time.perf_counter()
    with LiveMeasurer.for_target(TARGET) as measurer:
        session = Session(measurer, model, seed=seed)
        tuned = session.tune(task, count)
        session.close()
    seconds = time.perf_counter() - began
    return {
        "trace": tuned.trace,
        "seconds": seconds,
        "asking_share": tuned.asking_s / seconds,
    }


def stock(task: Task, trials: int, seed: int) -> Row:
    began = time.perf_counter()
    found = stock_search(task, trials, seed)
    seconds = time.perf_counter() - began
    return {"trace": found.trace, "seconds": seconds}


def timed(task: Task, traces: dict[str, str]) -> dict[str, float]:
    """Smallest of several medians of each program, all measured in turns."""
    candidates = [Candidate(task, 0, k, trace) for k, trace in enumerate(traces.values())] * AGAIN
    found: dict[int, list[float]] = {}
    with LiveMeasurer.for_target(TARGET) as measurer:
        for k, outcome in measurer.measure(candidates):
            found.setdefault(k % len(traces), []).append(outcome.latency_median_s)
    return {name: float(np.nanmin(found[k])) for k, name in enumerate(traces)}


def summary(rows: list[Row]) -> Row:
    """The last line: means by operator, and the geometric means of the ratios over all rows."""
    by_operator: dict[str, list[Row]] = {}
    for row in rows:
        by_operator.setdefault(row["of"][1], []).append(row)
    ratios = sorted(name for name in rows[0] if name.startswith("latency_ratio_"))
    result: Row = {
        "operators": {
            spec: {
                name: round(float(np.mean([r[name] for r in found])), 4)
                for name in found[0]
                if name not in ("of", "traces")
            }
            for spec, found in by_operator.items()
        },
        **{f"geomean_{name}": geomean([r[name] for r in rows]) for name in ratios[::-1]},
    }
    if "wall_ratio_1_10" in rows[0]:
        result["wall_ratio_1_10"] = geomean([r["wall_ratio_1_10"] for r in rows])
    asking = "asking_share_1_10" if "asking_share_1_10" in rows[0] else "asking_share_64"
    result["asking_share"] = round(float(np.mean([r[asking] for r in rows])), 3)
    return result


def print_table(rows: list[Row]) -> None:
    """One line a row: latencies in us, and seconds of wall clock."""
    for row in rows:
        names = [name.removesuffix("_us") for name in row if name.endswith("_us")]
        parts = [
            f"{name} {row[f'{name}_us']:,.1f} us in {row[f'{name}_s']:.0f} s" for name in names
        ]
        if row["of"][0] == "local":
            kind = f"TVM's own builder and runner, {row['local_trials']} trials"
            parts = parts or [f"not finished after {row['local_s']:.0f} s"]
            parts.insert(0, kind)
        print(f"{row['of'][1]:42s} seed {row['of'][2]}: {'; '.join(parts)}")


def geomean(values: list[float]) -> float:
    return round(float(np.exp(np.mean(np.log(values)))), 4)


if __name__ == "__main__":
    main()

"""Training and prediction speed of our cost models against TVM's own, on the same data.

    python benchmarks/training.py [POOL] [--repeats 5]

Both sides train on the same measured programs and predict the same held-out ones, in turns, once
for each seed. Prediction is timed on all programs of the pool, as a round of selection asks for.
TVM's side is TVM's own code: `XGBModel` and `MLPModel` of MetaSchedule with their default
settings, given all tasks as one data set (as their `load` would) and trained by one call of their
`update`. Before the clock starts, ours is trained once on a few programs: Numba keeps compiled code
in a cache, and only the first use on a machine waits for the compiler. Features are handed over
ready on both sides, so their extraction costs neither anything. Two adaptations were needed:
`MLPModel` is told that rows have 164 columns (it can read 172), and the `verbose` argument that it
passes to torch's StepLR, which torch has since removed, is dropped.

Prints a table, and as the last line one JSON object; seconds are medians over the repeats, Top-1
and Top-5 means over the held-out tasks and repeats.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch  # before TVM: its MLPModel is a torch module

from balto.data.features import STORE, FeatureTable
from balto.data.pool_reader import read_pool
from balto.learn.metrics import relative_throughput, top_k
from balto.learn.split import held_out_indices
from balto.models import create
from balto.workers.tvm_setup import import_tvm

POOL = Path(__file__).resolve().parents[1] / "pools" / "epyc-avx2"
TEST_SHARE = 0.25
#: Times that each trained model predicts the whole pool.
PREDICTIONS = 5


class Data:
    """One split of a pool: what to train on, and what to predict."""

    def __init__(self, pool: Any, seed: int) -> None:
        held_out = np.concatenate(
            [
                held_out_indices(len(pool.programs(k)), TEST_SHARE, seed, task.name)
                + pool.offsets[k]
                for k, task in enumerate(pool.tasks)
            ]
        )
        measured = np.isfinite(pool.latency_s)
        is_test = np.zeros(len(pool), dtype=bool)
        is_test[held_out] = True
        self.train, self.test = np.flatnonzero(measured & ~is_test), np.flatnonzero(is_test)
        self.features = pool.features.take(self.train)
        self.latency = pool.latency_s[self.train]
        self.task = pool.task_of_program[self.train]
        self.y = relative_throughput(self.latency, self.task)
        self.test_features = pool.features.take(self.test)
        self.test_task = pool.task_of_program[self.test]
        self.test_y = relative_throughput(pool.latency_s[self.test], self.test_task)

    def accuracy(self, scores: np.ndarray, k: int) -> float:
        """Top-k on the held-out programs, mean over the tasks."""
        tasks = [self.test_task == t for t in np.unique(self.test_task)]
        return float(
            np.mean([top_k(scores[m], self.test_y[m], k) for m in tasks if self.test_y[m].any()])
        )


class Ready:
    """Stands where TVM's feature extractor stands; candidates are the feature arrays."""

    def extract_from(self, _context: Any, candidates: list[np.ndarray]) -> list[Any]:
        """The features of candidates that are features already."""
        return [SimpleNamespace(numpy=lambda rows=rows: rows) for rows in candidates]


def rows_of(features: FeatureTable) -> list[np.ndarray]:
    store = features[STORE.name]
    return [store[i] for i in range(len(store))]


def contexts(tvm: Any, tasks: int) -> list[Any]:
    """A tuning context a task: TVM's models ask only for the structural hash of its module."""
    from tvm import te

    def module(size: int) -> Any:
        a = te.placeholder((size,), name="a")
        b = te.compute((size,), lambda i: a[i] + 1.0, name="b")
        return tvm.IRModule({"main": te.create_prim_func([a, b])})

    return [SimpleNamespace(mod=module(k + 1)) for k in range(tasks)]


def by_task(data: Data) -> list[tuple[int, list[np.ndarray], np.ndarray]]:
    parts = []
    for k in np.unique(data.task):
        members = np.flatnonzero(data.task == k)
        parts.append((int(k), rows_of(data.features.take(members)), data.latency[members]))
    return parts


def results_of(latency: np.ndarray) -> list[Any]:
    return [SimpleNamespace(run_secs=[seconds]) for seconds in latency]


def tvm_xgb(data: Data, seed: int, ctx: list[Any]) -> tuple[Callable[[], None], Callable[..., Any]]:
    from tvm.s_tir.meta_schedule.cost_model import xgb_model as m

    model = m.XGBModel(config=m.XGBConfig(seed=seed))._inst
    model.extractor = Ready()
    *first, (last, rows, latency) = by_task(data)
    for k, features, costs in first:
        key = m.shash2hex(ctx[k].mod)
        model.data[key] = m.FeatureGroup(key, features, costs.astype("float32"))
        model.data_size += len(features)
    return (
        lambda: model.update(ctx[last], rows, results_of(latency)),
        lambda candidates: model.predict(ctx[0], candidates),
    )


def tvm_mlp(data: Data, seed: int, ctx: list[Any]) -> tuple[Callable[[], None], Callable[..., Any]]:
    from tvm.s_tir.meta_schedule.cost_model import mlp_model as m

    random.seed(seed)
    torch.manual_seed(seed)
    state = m.State(model_config=m.SegmentSumMLPConfig(input_dim=164), extractor=Ready())
    model = m.MLPModel(trainer=m.SegmentSumMLPTrainer(state=state))._inst
    *first, (last, rows, latency) = by_task(data)
    for k, features, costs in first:
        state.add_to_group(features, costs.astype("float32"), m.shash2hex(ctx[k].mod))
    return (
        lambda: model.update(ctx[last], rows, results_of(latency)),
        lambda candidates: model.predict(ctx[0], candidates),
    )


def without_verbose() -> None:
    """Let torch's StepLR take, and ignore, the argument that TVM still passes."""
    original = torch.optim.lr_scheduler.StepLR

    def step_lr(*args: Any, verbose: bool = False, **kwargs: Any) -> Any:  # noqa: ARG001
        return original(*args, **kwargs)

    torch.optim.lr_scheduler.StepLR = step_lr  # type: ignore[assignment, misc]


def timed(work: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - started, result


def warm_up(name: str, pool: Any) -> None:
    """Train and predict once on a few programs: loads libraries and compiled code."""
    data = Data(pool, 0)
    few = np.arange(0, len(data.train), 20)
    model = create(name, 0)
    model.fit(data.features.take(few), data.y[few], data.task[few])
    model.predict(pool.features)


def compare(name: str, pool: Any, repeats: int, ctx: list[Any]) -> dict[str, float]:
    """Train and predict `repeats` times on each side, in turns."""
    theirs_of = {"xgb": tvm_xgb, "mlp": tvm_mlp}[name]
    runs: dict[str, list[float]] = {}
    candidates = rows_of(pool.features)
    warm_up(name, pool)

    def add(**values: float) -> None:
        for key, value in values.items():
            runs.setdefault(key, []).append(value)

    for seed in range(repeats):
        data = Data(pool, seed)
        update, predict = theirs_of(data, seed, ctx)
        trained, _ = timed(update)
        predicted = np.median([timed(predict, candidates)[0] for _ in range(PREDICTIONS)])
        add(tvm_seconds=trained, tvm_predict_s=predicted / len(pool))
        scores = predict(rows_of(data.test_features))
        add(tvm_top1=data.accuracy(scores, 1), tvm_top5=data.accuracy(scores, 5))
        model = create(name, seed)
        trained, _ = timed(model.fit, data.features, data.y, data.task)
        predicted = np.median([timed(model.predict, pool.features)[0] for _ in range(PREDICTIONS)])
        add(seconds=trained, predict_s=predicted / len(pool))
        scores = model.predict(data.test_features)
        add(top1=data.accuracy(scores, 1), top5=data.accuracy(scores, 5))
        print(
            f"{name} seed {seed}: {runs['seconds'][-1]:.2f} s, Top-1 {runs['top1'][-1]:.3f}; "
            f"TVM's {runs['tvm_seconds'][-1]:.2f} s, Top-1 {runs['tvm_top1'][-1]:.3f}",
            flush=True,
        )
    result = {
        key: float(np.mean(values) if "top" in key else np.median(values))
        for key, values in runs.items()
    }
    result["ratio"] = result["tvm_seconds"] / result["seconds"]
    result["predict_ratio"] = result["tvm_predict_s"] / result["predict_s"]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pool", nargs="?", default=POOL, help="folder of a recorded pool")
    parser.add_argument("--repeats", type=int, default=5, help="splits and seeds (default 5)")
    parser.add_argument("--models", nargs="+", default=["xgb", "mlp"], choices=["xgb", "mlp"])
    args = parser.parse_args()
    tvm = import_tvm()
    without_verbose()
    pool = read_pool(args.pool)
    ctx = contexts(tvm, len(pool.tasks))
    result = {name: compare(name, pool, args.repeats, ctx) for name in args.models}
    for name, r in result.items():
        print(
            f"{name:4s} training {r['seconds']:.2f} s against {r['tvm_seconds']:.2f} s: "
            f"{r['ratio']:.1f} times faster; prediction {1e6 * r['predict_s']:.1f} us a program "
            f"against {1e6 * r['tvm_predict_s']:.1f}: {r['predict_ratio']:.1f} times; "
            f"Top-1 {r['top1']:.3f} against {r['tvm_top1']:.3f}, "
            f"Top-5 {r['top5']:.3f} against {r['tvm_top5']:.3f}"
        )
    print(json.dumps({k: {m: round(v, 6) for m, v in r.items()} for k, r in result.items()}))


if __name__ == "__main__":
    main()

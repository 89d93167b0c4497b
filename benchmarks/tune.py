"""Tuning with a pre-trained model: our search against MetaSchedule's own, from scratch.

The rival is TVM's evolutionary search with its XGBModel from scratch, given our Builder and
Runner, so that only search and model differ; ours has a tenth and a twentieth of its trials, and a
model of `pools/epyc-avx2`, which holds none of the operators. They run in turns, and the final
programs of both are timed again together. Needs a processor that runs znver3 code.

    python benchmarks/tune.py --quick
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
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
from balto.measure.live import LiveMeasurer  # noqa: E402
from balto.programs.sample import trace_json  # noqa: E402
from balto.tune.session import Session  # noqa: E402
from balto.workers.tvm_setup import import_tvm  # noqa: E402
from balto.workers.worker import Worker  # noqa: E402

TARGET = Target("llvm", cores=1, mcpu="znver3")
QUICK = (
    "matmul:512x512x512",
    "conv2d_nhwc:1x56x56x64x64x3x1x1",
    "depthwise_conv2d_nhwc:1x56x56x96x3x1x1",
)
OPERATORS = (
    *QUICK,
    "batch_matmul_nkkm:12x128x64x128",
    "softmax_mn:1024x256",
    "conv2d_nhwc:1x14x14x256x256x3x2x1",
)
#: Times that the final programs are measured again, all of an operator in turns.
AGAIN = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three operators, one seed")
    parser.add_argument("--trials", type=int, default=320, help="of the rival")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--operator", action="append", help="in the place of the usual ones")
    options = parser.parse_args()
    operators = options.operator or (QUICK if options.quick else OPERATORS)
    model = trained([spec.partition(":")[0] + "_" + spec.partition(":")[2] for spec in operators])
    ours = {"1_10": options.trials // 10, "1_20": options.trials // 20}
    rows: dict[str, list[dict[str, Any]]] = {}
    for seed in range(1 if options.quick else options.seeds):
        for spec in operators:
            [task] = balto.extract_tasks([], [spec], TARGET).tasks
            row = compared(task, model, ours, options.trials, seed)
            rows.setdefault(spec, []).append(row)
            print(seed, spec, json.dumps(row), flush=True)
    every = [row for found in rows.values() for row in found]
    result = {
        "operators": {
            spec: {name: round(float(np.mean([r[name] for r in found])), 4) for name in found[0]}
            for spec, found in rows.items()
        },
        **{
            f"geomean_latency_ratio_{n}": geomean([r[f"latency_ratio_{n}"] for r in every])
            for n in ours
        },
        **{f"wall_ratio_{n}": geomean([r[f"wall_ratio_{n}"] for r in every]) for n in ours},
        "asking_share": round(float(np.mean([r["asking_share_1_10"] for r in every])), 3),
    }
    print(json.dumps(result))


def trained(operators: list[str]) -> Any:
    """A model of all labels of a pool that has none of the operators."""
    pool = balto.read_pool(_ROOT / "pools" / "epyc-avx2")
    assert not {task.name for task in pool.tasks} & set(operators)
    return balto.replay(pool, selector="full", test_share=0.0).model


def compared(
    task: Task, model: Any, ours: dict[str, int], trials: int, seed: int
) -> dict[str, float]:
    traces, seconds, asking = {}, {}, {}
    for name, count in ours.items():
        began = time.perf_counter()
        with LiveMeasurer.for_target(TARGET) as measurer:
            session = Session(measurer, model, seed=seed)
            tuned = session.tune(task, count)
            session.close()
        traces[name], seconds[name] = tuned.trace, time.perf_counter() - began
        asking[name] = tuned.asking_s / seconds[name]
    began = time.perf_counter()
    with Worker() as worker:
        traces["rival"] = worker.call(
            "benchmarks.tune:rival", task.module, trials, seed, deadline_s=3600
        )
    seconds["rival"] = time.perf_counter() - began
    latency = timed(task, traces)
    return {
        **{f"{name}_us": latency[name] * 1e6 for name in traces},
        **{f"{name}_s": seconds[name] for name in traces},
        **{f"latency_ratio_{name}": latency["rival"] / latency[name] for name in ours},
        **{f"wall_ratio_{name}": seconds["rival"] / seconds[name] for name in ours},
        **{f"asking_share_{name}": asking[name] for name in ours},
    }


def timed(task: Task, traces: dict[str, str]) -> dict[str, float]:
    """Smallest of several medians of each program, all measured in turns."""
    candidates = [Candidate(task, 0, k, trace) for k, trace in enumerate(traces.values())] * AGAIN
    found: dict[int, list[float]] = {}
    with LiveMeasurer.for_target(TARGET) as measurer:
        for k, outcome in measurer.measure(candidates):
            found.setdefault(k % len(traces), []).append(outcome.latency_median_s)
    return {name: float(np.min(found[k])) for k, name in enumerate(traces)}


def rival(module: str, trials: int, seed: int) -> str:
    """Runs in a worker: the best trace of TVM's own search and model."""
    tvm = import_tvm(TARGET)
    from tvm.s_tir import meta_schedule as ms

    from balto.tune import Builder, Runner

    with tempfile.TemporaryDirectory() as folder, LiveMeasurer.for_target(TARGET) as measurer:
        database = ms.tune_tir(
            mod=tvm.ir.load_json(module),
            target=tvm.target.Target(TARGET.to_dict()),
            work_dir=folder,
            max_trials_global=trials,
            builder=Builder(),
            runner=Runner(measurer),
            cost_model="xgb",
            seed=seed + 1,
        )
        records = database.get_all_tuning_records()
        best = min(
            records, key=lambda record: float(np.median([float(s) for s in record.run_secs]))
        )
        made = tvm.s_tir.Schedule(best.workload.mod, debug_mask=0, error_render_level="none")
        best.trace.apply_to_schedule(made, remove_postproc=False)
        return trace_json(made)


def geomean(values: list[float]) -> float:
    return round(float(np.exp(np.mean(np.log(values)))), 4)


if __name__ == "__main__":
    main()

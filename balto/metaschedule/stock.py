"""What balto's search is measured against: TVM's evolutionary search with its XGBModel.

The model starts from nothing, as it does wherever MetaSchedule is used. Both parts are TVM's own,
unchanged; by default they are given balto's builder and runner, so that only search and model
differ from ours.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balto.arguments import check_number
from balto.data.target import Target
from balto.data.task import Task, task_seed
from balto.journal.file import Journal, numbered
from balto.journal.records import at, text_of
from balto.measure.live import LiveMeasurer
from balto.programs.sample import trace_json
from balto.search.finalists import running_best
from balto.workers.tvm_setup import import_tvm, tvm_target
from balto.workers.worker import Worker

#: In a tuned folder: what the stock search measured of the same operators.
STOCK = "stock.jsonl"
#: TVM records a failed program as taking this long, or longer.
_FAILED_S = 1e9


@dataclass(frozen=True, kw_only=True)
class StockSearch:
    """What a stock search did.

    Attributes:
        trace: JSON of the best program's trace; empty if none worked.
        latency_s: of every trial, seconds, in order; NaN for a failure.
        seconds: wall clock of the search, without the start of its process.
    """

    trace: str
    latency_s: Sequence[float]
    seconds: float

    @property
    def best(self) -> float:
        """Smallest latency of all, seconds; NaN if nothing worked."""
        return min((s for s in self.latency_s if not math.isnan(s)), default=math.nan)

    @property
    def best_s(self) -> list[float]:
        """Smallest latency after each trial, seconds; infinity before the first success."""
        return running_best(self.latency_s)


def stock_search(
    task: Task, trials: int, seed: int = 0, *, own: bool = False, limit_s: float = 4 * 3600.0
) -> StockSearch:
    """Search a task with TVM's own search and model, in a process of its own.

    Args:
        task: with its module.
        trials: programs to measure.
        seed: of the search.
        own: build and run with TVM's own ``LocalBuilder`` and ``LocalRunner``.
        limit_s: seconds that it may take.

    Raises:
        WorkerTimeout: it took longer.
        WorkerError: TVM did not survive it.
    """
    with Worker() as worker:
        found: StockSearch = worker.call(
            "balto.metaschedule.stock:search_in_worker",
            *(task.module, task.target, trials, seed, own),
            deadline_s=limit_s,
        )
    return found


def compare_with_stock(
    out: Path, tasks: Sequence[Task], trials: int, seed: int = 0
) -> Iterator[tuple[str, StockSearch]]:
    """Search a tuned folder's tasks, and keep it there for its report; resumable by task.

    Args:
        out: the folder.
        tasks: with their modules.
        trials: of each.
        seed: of the searches.

    Yields:
        Each task's name and search, when it is known.

    Raises:
        WorkerError: TVM did not survive one.
    """
    with Journal.open(out / STOCK) as journal:
        known = read_stock(out)
        for task in tasks:
            if task.name not in known:
                found = known[task.name] = stock_search(task, trials, task_seed(seed, task.name))
                latency_s = [None if math.isnan(s) else s for s in found.latency_s]
                record = {"trace": found.trace, "latency_s": latency_s, "seconds": found.seconds}
                journal.append({"kind": "stock", "task": task.name, **record})
                journal.sync()
            yield task.name, known[task.name]


def read_stock(out: Path) -> dict[str, StockSearch]:
    """The stock searches that a tuned folder holds, by task.

    Raises:
        CampaignError: their file is damaged.
    """
    if not (out / STOCK).exists():
        return {}
    found = {}
    for place, each in numbered(out / STOCK):
        with at(f"{out / STOCK}: {place}"):
            latency_s = [
                math.nan if s is None else check_number("latency_s", s, 0)
                for s in each["latency_s"]
            ]
            seconds = check_number("seconds", each["seconds"], 0)
            found[text_of(each, "task")] = StockSearch(
                trace=text_of(each, "trace"), latency_s=latency_s, seconds=seconds
            )
    return found


def search_in_worker(module: str, target: Target, trials: int, seed: int, own: bool) -> StockSearch:
    """The search itself. Runs in a worker."""
    tvm = import_tvm(target)
    from tvm.s_tir import meta_schedule as ms

    database = ms.database.MemoryDatabase()  # keeps the order of the trials; the default sorts them
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        parts = {} if own else _our_parts(stack, target)
        began = time.perf_counter()
        ms.tune_tir(
            mod=tvm.ir.load_json(module),
            target=tvm_target(target),
            work_dir=folder,
            max_trials_global=trials,
            cost_model="xgb",
            database=database,
            seed=seed % (2**31 - 2) + 1,
            **parts,
        )
        seconds = time.perf_counter() - began
    records = database.get_all_tuning_records()
    latency_s = [_median(record) for record in records]
    worked = [(s, k) for k, s in enumerate(latency_s) if not math.isnan(s)]
    if not worked:
        return StockSearch(trace="", latency_s=latency_s, seconds=seconds)
    best = records[min(worked)[1]]
    made = tvm.s_tir.Schedule(best.workload.mod, debug_mask=0, error_render_level="none")
    best.trace.apply_to_schedule(made, remove_postproc=False)
    return StockSearch(trace=trace_json(made), latency_s=latency_s, seconds=seconds)


def _our_parts(stack: contextlib.ExitStack, target: Target) -> dict[str, Any]:
    from balto.metaschedule.builder import Builder
    from balto.metaschedule.runner import Runner

    measurer = stack.enter_context(LiveMeasurer.for_target(target))
    return {"builder": Builder(), "runner": Runner(measurer)}


def _median(record: Any) -> float:
    seconds = sorted(float(s) for s in record.run_secs)
    middle = seconds[len(seconds) // 2] if seconds else math.inf
    return middle if middle < _FAILED_S else math.nan

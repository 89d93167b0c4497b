"""A fleet of two devices and builds elsewhere, against one machine that builds and times.

    python benchmarks/fleet.py [--programs 120]

Starts a TVM tracker and two RPC servers on the loopback interface, has worker processes of this
machine build, and times on the two servers. Prints the timers' idle share, programs a second, and
the same programs with one machine that does both in each worker. On few cores the servers, the
builders and the clients share them: then the ratio says what the fleet's way costs, and a real
fleet has the devices' cores on top. A third run times what the second one has built, as if builds
cost nothing: how busy devices are kept where there are builders enough. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import balto
from balto.data.candidate import Candidate
from balto.measure.measurer import Measurer
from balto.measure.remote import Tracker
from balto.measure.rpc import RpcMeasurer, RpcSettings
from balto.measure.settings import MeasureSettings
from balto.workers.executor import Executor
from balto.workers.local import LocalExecutor
from balto.workers.worker import Worker

PRELOAD = "balto.workers.tvm_setup:import_tvm"
OPERATORS = ("matmul:128x128x128", "conv2d_nhwc:1x14x14x64x64x3x1x1", "softmax_mn:256x256")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def fleet(servers: int) -> Iterator[Tracker]:
    """A tracker and its servers."""

    def start(module: str, *options: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", module, "--host", "127.0.0.1", "--silent", *map(str, options)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    port = free_port()
    started = [start("tvm.exec.rpc_tracker", "--port", port, "--port-end", port + 1)]
    for _ in range(servers):
        own = free_port()
        where = ("--tracker", f"127.0.0.1:{port}", "--key", "bench")
        started.append(
            start("balto.measure.rpc_server", *where, "--port", own, "--port-end", own + 1)
        )
    try:
        yield Tracker("127.0.0.1", port, "bench")
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Kept(Executor):
    """Another executor, whose results are kept: the same call again costs nothing."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner
        self._known: dict[tuple[str, str], Future[Any]] = {}

    @property
    def slots(self) -> int:
        """Those of the other."""
        return self._inner.slots

    def submit(self, function: str, *args: object, deadline_s: float) -> Future[Any]:
        """The future of the same call before, if there was one."""
        key = (function, repr(args))
        future = self._known.get(key)
        if future is None or future.cancelled():
            future = self._known[key] = self._inner.submit(function, *args, deadline_s=deadline_s)
        return future

    def close(self) -> None:
        """Close the other."""
        self._inner.close()


def run(measurer: Measurer, candidates: list[Candidate]) -> dict[str, Any]:
    """Warm up on a few programs, then measure the others."""
    dict(measurer.measure(candidates[:6]))
    started = time.perf_counter()
    outcomes = list(dict(measurer.measure(candidates[6:])).values())
    seconds = time.perf_counter() - started
    busy: dict[str, float] = defaultdict(float)
    for each in outcomes:
        busy[each.device] += each.measure_s if each.measure_s == each.measure_s else 0.0
    return {
        "programs_per_s": len(outcomes) / seconds,
        "failed": sum(not each.ok for each in outcomes),
        "seconds": seconds,
        "idle": {device: 1 - s / seconds for device, s in sorted(busy.items())},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=120)
    count = parser.parse_args().programs
    tasks = balto.extract_tasks(operator_specs=OPERATORS).tasks
    pool = balto.sample(tasks, count // len(tasks) + 2)
    candidates = [
        Candidate(task, k, p, pool.trace(k, p))
        for p in range(count // len(tasks) + 2)
        for k, task in enumerate(tasks)
    ]
    target = tasks[0].target
    with balto.LiveMeasurer.for_target(target) as measurer:
        both = run(measurer, candidates)
    print(f"one machine builds and times: {both['programs_per_s']:.2f} programs/s", flush=True)
    cpus = sorted(os.sched_getaffinity(0))
    builders = LocalExecutor([Worker(preload=[(PRELOAD, target)]) for _ in cpus])
    with Kept(builders) as executor, fleet(2) as tracker:
        settings = RpcSettings(tracker=tracker, measure=MeasureSettings(), grace_s=60.0)
        time.sleep(10)  # the servers register
        with RpcMeasurer(target, settings, executor) as measurer:
            apart = run(measurer, candidates)
            print(f"two devices, builds elsewhere: {words(apart, both)}", flush=True)
            built = run(measurer, candidates)
    print(f"the same, built before: {words(built, both)}")
    ratio = apart["programs_per_s"] / both["programs_per_s"]
    found = {"one_machine": both, "fleet": apart, "built_before": built, "ratio": ratio}
    print(json.dumps({"cpus": len(cpus), **found}))


def words(found: dict[str, Any], both: dict[str, Any]) -> str:
    """One run of the fleet, against one machine."""
    idle = ", ".join(f"{name} {share:.0%}" for name, share in found["idle"].items())
    ratio = found["programs_per_s"] / both["programs_per_s"]
    speed = f"{found['programs_per_s']:.2f} programs/s, {ratio:.2f} times the one machine's"
    return f"{speed}; idle: {idle}"


if __name__ == "__main__":
    main()

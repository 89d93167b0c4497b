"""Kills worker processes from outside, really and at a chosen stage; tells whether one is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

import psutil

from balto.workers.worker import Worker


@contextlib.contextmanager
def killed(
    worker: Worker, stage: str, times: int, number: int = signal.SIGKILL
) -> Iterator[list[int]]:
    """Kill the next `times` processes of a worker when they are at a stage; yields their pids.

    With another signal, such as SIGSTOP, they get that.
    Starting takes milliseconds, too few to be hit: here it takes longer.
    """
    if stage == "start":
        worker.kill()
        worker._preload.append(("time:sleep", 0.05))
    pids: list[int] = []
    over = threading.Event()

    def kill() -> None:
        while len(pids) < times and not over.is_set():
            pid = worker.pid
            at_it = worker.stage == stage and (worker.ready or stage == "start")
            if pid is not None and pid not in pids and at_it:
                pids.append(pid)
                os.kill(pid, number)
            time.sleep(0.002)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield pids
    finally:
        over.set()
        killer.join()


def gone(pid: int) -> bool:
    """Within some seconds; a zombie that nobody waits for is gone."""
    for _ in range(200):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False

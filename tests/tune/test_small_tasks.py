"""A task that cannot matter is not searched; one that only has few FLOP is."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future

import pytest

import balto
from balto.data.candidate import Candidate
from balto.data.outcome import Outcome, Status
from balto.measure.measurer import Measurer
from balto.search import makers
from balto.search.listener import SessionListener
from balto.search.session import Session
from balto.search.slices import search_in_slices
from balto.search.task import SearchSettings

SMALL = SearchSettings(population=8, drafted=64, verified=1, generations=1, batch=4)


class ByTask(Measurer):
    """All programs of a task take the same time."""

    def __init__(self, latency_s: dict[str, float]) -> None:
        self.latency_s = latency_s
        self.measured: list[tuple[str, str]] = []

    def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
        for k, candidate in enumerate(candidates):
            self.measured.append((candidate.task.name, candidate.trace or ""))
            seconds = self.latency_s[candidate.task.name]
            yield k, Outcome(Status.OK, seconds, seconds, 0.1, 0.1, 3, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("small_s", [1e-9, 1e-3], ids=["small", "slow-for-its-flop"])
def test_a_task_of_few_flop_is_searched_only_if_it_takes_long(small_s: float) -> None:
    pytest.importorskip("tvm")
    large, small = balto.extract_tasks([], ["matmul:64x64x64", "matmul:2x4x4"]).tasks
    device = ByTask({large.name: 1e-3, small.name: small_s})
    session = Session(device, None, settings=SMALL, seed=3)
    try:
        listener = SessionListener()
        found, untried = search_in_slices(session, [large, small], 600, SMALL, listener)
    finally:
        session.close()
    programs = [trace for name, trace in device.measured if name == small.name and trace]
    if small_s < 1e-6:
        assert [each.task.name for each in found] == [large.name]
        assert untried == [(small.name, "under 0.1% of the network's latency each")]
        assert not programs
        assert (small.name, "") in device.measured  # FLOP alone do not say so
    else:
        assert [each.task.name for each in found] == [large.name, small.name]
        assert not untried
        assert programs


def test_what_is_waited_for_is_told_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(makers, "_TELL_S", 0.01)
    told: list[float] = []
    made: Future[str] = Future()
    threading.Thread(target=lambda: (time.sleep(0.2), made.set_result("programs"))).start()
    assert makers.waited(made, told.append) == "programs"
    assert len(told) > 1
    assert told == sorted(told)

"""`balto.tune.Builder` and `Runner` inside MetaSchedule's own search."""

from __future__ import annotations

import pytest

from balto.workers.worker import Worker

pytest.importorskip("tvm")


@pytest.mark.slow
def test_a_search_measures_every_trial() -> None:
    with Worker() as worker:
        recorded = worker.call("tests.tune.whole_searches:tune_matmul", 8, deadline_s=120)
    assert len(recorded) == 8
    assert all(0 < seconds < 0.1 for run in recorded for seconds in run)


@pytest.mark.slow
def test_a_network_is_tuned_and_computes_what_it_should() -> None:
    with Worker() as worker:
        recorded, error = worker.call("tests.tune.whole_searches:tune_network", 6, deadline_s=240)
    assert recorded == 6
    assert error < 1e-4


@pytest.mark.slow
def test_a_slow_task_with_the_argument_shapes_of_a_fast_one_is_timed_as_precisely() -> None:
    with Worker() as worker:
        fast, slow = worker.call("tests.tune.whole_searches:equal_shapes", deadline_s=120)
    assert fast == slow == [3, 3, 3]

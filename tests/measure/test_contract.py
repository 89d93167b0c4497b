"""Replay and live measuring keep the laws of every `Measurer`; RPC's turn is in `test_rpc`."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from balto.data.candidate import Candidate
from balto.data.outcome import Status
from balto.measure.live import LiveMeasurer
from balto.measure.measurer import Measurer
from balto.measure.replay import ReplayMeasurer
from balto.measure.settings import MeasureSettings
from balto.testing import made_up_pool
from balto.testing.measurer import MeasurerContract
from tests.measure.programs import TARGET, candidate


class TestReplay(MeasurerContract):
    pool = made_up_pool()

    def make(self) -> Measurer:
        return ReplayMeasurer(self.pool)

    def _recorded(self, ok: bool) -> list[Candidate]:
        return [
            Candidate(task, k, p)
            for k, task in enumerate(self.pool.tasks)
            for p, index in enumerate(self.pool.programs(k))
            if self.pool.outcomes[index].ok == ok  # type: ignore[union-attr]
        ][:5]

    def candidates(self) -> Sequence[Candidate]:
        return self._recorded(ok=True)

    def failures(self) -> Sequence[tuple[Candidate, Status]]:
        return [(each, Status.BUILD_ERROR) for each in self._recorded(ok=False)]


class RealPrograms(MeasurerContract):
    def candidates(self) -> Sequence[Candidate]:
        return [candidate("sound", i) for i in range(4)]

    def failures(self) -> Sequence[tuple[Candidate, Status]]:
        return [
            (candidate("segfault"), Status.CRASH),
            (candidate("raises"), Status.RUN_ERROR),
            (candidate("endless"), Status.RUN_TIMEOUT),
        ]


@pytest.mark.slow
class TestLive(RealPrograms):
    def make(self) -> Measurer:
        pytest.importorskip("tvm")
        return LiveMeasurer.for_target(TARGET, MeasureSettings(workers=2, run_timeout_s=2.0))

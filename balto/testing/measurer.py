"""The laws of `balto.measure.measurer.Measurer`, as tests for any measurer, ours or another's.

Subclass it in a test module, under a name that starts with ``Test``::

    from balto import Candidate, ReplayMeasurer, Status
    from balto.testing import MeasurerContract, made_up_pool

    POOL = made_up_pool()


    class TestReplay(MeasurerContract):
        def make(self):
            return ReplayMeasurer(POOL)

        def candidates(self):
            return [Candidate(POOL.tasks[0], 0, program) for program in (0, 1, 2)]

        def failures(self):
            return [(Candidate(POOL.tasks[0], 0, 5), Status.BUILD_ERROR)]
"""

from __future__ import annotations

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

import psutil

from balto.data.candidate import Candidate
from balto.data.outcome import Outcome, Status
from balto.measure.measurer import Measurer


class MeasurerContract(ABC):
    """One test a law; a subclass says what is measured, and with what."""

    @abstractmethod
    def make(self) -> Measurer:
        """A new measurer; the tests close it."""

    @abstractmethod
    def candidates(self) -> Sequence[Candidate]:
        """At least three programs that are right: their status is ``ok``."""

    @abstractmethod
    def failures(self) -> Sequence[tuple[Candidate, Status]]:
        """Programs that fail, at least one, and how."""

    def devices(self) -> Collection[int]:
        """Ids of our child processes that are devices; what those start is no measurer's."""
        return ()

    def test_every_candidate_has_one_outcome_under_its_own_index(self) -> None:
        """Law 1; in any order, and asked for twice as well."""
        asked = [*self.candidates(), *reversed(self.candidates())]
        with self.make() as measurer:
            seen = list(measurer.measure(asked))
        assert sorted(index for index, _ in seen) == list(range(len(asked)))
        for _, outcome in seen:
            check_outcome(outcome)
            assert outcome.ok, outcome

    def test_nothing_to_measure_is_no_outcome(self) -> None:
        """Law 1, for an empty sequence."""
        with self.make() as measurer:
            assert list(measurer.measure([])) == []

    def test_a_program_that_fails_costs_itself_alone(self) -> None:
        """Law 2: each failure between two programs that must not notice."""
        good = self.candidates()
        failures = self.failures()
        asked = [good[0]]
        for i, (bad, _) in enumerate(failures):
            asked += [bad, good[(i + 1) % len(good)]]
        with self.make() as measurer:
            outcomes = dict(measurer.measure(asked))
        assert len(outcomes) == len(asked)
        for index, outcome in outcomes.items():
            check_outcome(outcome)
            expected = failures[index // 2][1] if index % 2 else Status.OK
            assert outcome.status is expected, (index, outcome)

    def test_what_has_been_yielded_needs_nothing_of_what_is_to_come(self) -> None:
        """Law 3: the first outcome can be had, and the rest left; the measurer goes on."""
        with self.make() as measurer:
            iterator = measurer.measure(self.candidates())
            index, outcome = next(iterator)
            assert 0 <= index < len(self.candidates())
            check_outcome(outcome)
            iterator.close()  # type: ignore[attr-defined]  # a generator, where it can be left
            again = dict(measurer.measure(self.candidates()))
        assert len(again) == len(self.candidates())
        assert all(outcome.ok for outcome in again.values())

    def test_closing_twice_at_any_time_leaves_no_process_behind(self) -> None:
        """Law 4: before it has measured, while it measures, and after."""
        self.make().close()  # what is started once and stays, such as what workers are forked from
        before = _children(self.devices())
        for measured in range(3):
            measurer = self.make()
            iterator = measurer.measure(self.candidates())
            for _ in range(measured):
                next(iterator)
            measurer.close()
            measurer.close()
            iterator.close()  # type: ignore[attr-defined]
            assert _children(self.devices()) <= before

    def test_there_is_a_cpu_for_other_work(self) -> None:
        """`free_cpus` names at least one CPU that this process may use."""
        with self.make() as measurer:
            assert measurer.free_cpus
            assert set(measurer.free_cpus) <= set(psutil.Process().cpu_affinity())


def check_outcome(outcome: Outcome) -> None:
    """A latency if and only if it is ``ok``, a reason if and only if it is not."""
    assert outcome.seconds >= 0
    if outcome.ok:
        assert 0 < outcome.latency_s <= outcome.latency_median_s < math.inf
    else:
        assert math.isnan(outcome.latency_s)
        assert math.isnan(outcome.latency_median_s)
        assert "\n" not in outcome.message


def _children(devices: Collection[int]) -> set[int]:
    """Our own processes, and theirs, but none that a device has started."""
    found: set[int] = set()
    new = [psutil.Process()]
    while new:
        parent = new.pop()
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in parent.children():
                if _runs(child):
                    found.add(child.pid)
                    if child.pid not in devices:
                        new.append(child)
    return found


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False

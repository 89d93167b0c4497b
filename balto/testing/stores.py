"""The laws of `balto.OutcomeStore` and `balto.RoundLog` as test suites.

Subclass them in a test module, under names that start with ``Test``::

    from balto import OutcomeStore, RoundLog
    from balto.testing import OutcomeStoreContract, RoundLogContract


    class TestStoreInMemory(OutcomeStoreContract):
        def make(self, folder):
            return OutcomeStore()


    class TestLogInMemory(RoundLogContract):
        def make(self, folder):
            return RoundLog()
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from balto.data.outcome import Outcome, Status
from balto.data.outcomes import Outcomes
from balto.learn.round import Round
from balto.learn.store import OutcomeStore, RoundLog, Selection

#: Outcomes by task and program.
Known = Mapping[tuple[str, int], Outcome | None]
#: Tasks that the suites name, and how many programs each has.
TASKS, PROGRAMS = ("matmul_64x64x64", "größe"), 30


def made_up_outcome(rng: np.random.Generator) -> Outcome:
    """What a measurement may give: two in three are right."""
    build_s, measure_s = rng.uniform(0.01, 2, 2).tolist()
    if rng.random() < 1 / 3:
        return Outcome(Status.CRASH, build_s=build_s, measure_s=measure_s, message="signal 11")
    latency_s = float(rng.uniform(1e-6, 1e-2))
    return Outcome(
        *(Status.OK, latency_s, latency_s * 1.1, build_s, measure_s), repeats=5, spread=0.02
    )


class OutcomeStoreContract(ABC):
    """One test a law; a subclass says how to make a store."""

    @abstractmethod
    def make(self, folder: Path) -> OutcomeStore:
        """A new, empty store; it takes the outcomes of `PROGRAMS` programs of each of `TASKS`.

        Args:
            folder: empty, for what it keeps on disk.
        """

    def reopened(self, store: OutcomeStore, folder: Path) -> OutcomeStore:  # noqa: ARG002
        """The store that a new process would find in `folder`; in memory, the same one."""
        return store

    @pytest.fixture
    def store(self, tmp_path: Path) -> OutcomeStore:
        """A new store."""
        return self.make(tmp_path)

    def test_law_1_what_is_added_is_there_at_once(self, store: OutcomeStore) -> None:
        """Law 1, beside a plain dict."""
        rng = np.random.default_rng(0)
        known: dict[tuple[str, int], Outcome] = {}
        check_same(store, known)
        for task in TASKS:
            for program in rng.permutation(PROGRAMS).tolist():
                known[task, program] = made_up_outcome(rng)
                store.add(task, program, known[task, program])
            check_same(store, known)

    def test_law_1_of_a_size_there_is_a_place_for_each(self, store: OutcomeStore) -> None:
        """Law 1: what was not measured has no outcome."""
        assert len(store.of(TASKS[0], PROGRAMS)) >= PROGRAMS
        assert not store.of(TASKS[0], PROGRAMS).measured.any()
        assert len(store) == 0

    def test_law_2_a_later_outcome_takes_the_place_of_the_one_before(
        self, store: OutcomeStore
    ) -> None:
        """Law 2: of the same program, twice the same too."""
        first, last = (Outcome(Status.OK, s, s, build_s=0.1, measure_s=0.2) for s in (1e-3, 2e-3))
        for outcome in (first, last, last):
            store.add(TASKS[0], 3, outcome)
        check_same(store, {(TASKS[0], 3): last})

    def test_law_2_the_order_makes_no_difference(self, tmp_path: Path) -> None:
        """Law 2: of different programs."""
        rng = np.random.default_rng(1)
        known = {(task, k): made_up_outcome(rng) for task in TASKS for k in range(PROGRAMS)}
        for name, order in (("up", list(known)), ("down", list(known)[::-1])):
            (tmp_path / name).mkdir()
            store = self.make(tmp_path / name)
            for task, program in order:
                store.add(task, program, known[task, program])
            check_same(store, known)

    def test_laws_3_and_4_many_are_as_one_by_one(self, tmp_path: Path) -> None:
        """Laws 3 and 4: with a program that comes twice; and they are kept as well."""
        rng, store = np.random.default_rng(2), self.make(tmp_path)
        programs = np.array([4, 9, 4, 0])
        outcomes = Outcomes(len(programs))
        for place in range(len(programs)):
            outcomes[place] = made_up_outcome(rng)
        store.add_many(TASKS[0], programs, outcomes)
        known = {(TASKS[0], int(p)): outcomes[k] for k, p in enumerate(programs)}
        check_same(store, known)
        check_same(self.reopened(store, tmp_path), known)

    def test_law_4_what_was_added_is_known_where_it_is_opened_again(self, tmp_path: Path) -> None:
        """Law 4: after every outcome, without closing the store."""
        rng, store = np.random.default_rng(3), self.make(tmp_path)
        known: dict[tuple[str, int], Outcome] = {}
        for program in range(3):
            known[TASKS[1], program] = made_up_outcome(rng)
            store.add(TASKS[1], program, known[TASKS[1], program])
            check_same(self.reopened(store, tmp_path), known)


def check_same(store: OutcomeStore, known: Known) -> None:
    """The store says what a dict of outcomes by task and program says."""
    right = {key: outcome for key, outcome in known.items() if outcome is not None}
    for task in TASKS:
        column = store.of(task, PROGRAMS)
        for program in range(PROGRAMS):
            assert repr(column[program]) == repr(right.get((task, program)))
        fast = [o.latency_s for (name, _), o in right.items() if name == task and o.ok]
        assert store.best_s(task) == min(fast, default=None)
    assert set(store) >= {task for task, _ in right}
    assert len(store) == len(right)
    assert store.counts() == Counter(str(outcome.status) for outcome in right.values())
    assert math.isclose(store.seconds, sum(outcome.seconds for outcome in right.values()))


class RoundLogContract(ABC):
    """One test a law; a subclass says how to make a log."""

    @abstractmethod
    def make(self, folder: Path) -> RoundLog:
        """A new, empty log; its selections are of `PROGRAMS` programs of each of `TASKS`."""

    def reopened(self, log: RoundLog, folder: Path) -> RoundLog:  # noqa: ARG002
        """The log that a new process would find in `folder`; in memory, the same one."""
        return log

    def another(self) -> RoundLog | None:
        """A second log where the last one that was made is kept; None if a place is one log's."""
        return None

    @pytest.fixture
    def log(self, tmp_path: Path) -> RoundLog:
        """A new log."""
        return self.make(tmp_path)

    def test_laws_1_and_2_a_selection_is_what_was_given_last(self, log: RoundLog) -> None:
        """Laws 1 and 2: rounds in any order, and one that is chosen again for a late task."""
        first = Selection({TASKS[0]: [7, 3, 11]}, {"random": 3})
        more = Selection({TASKS[0]: [7, 3, 11], TASKS[1]: [2]}, {"random": 4})
        assert log.selection(1) is None
        log.add_selection(2, more)
        log.add_selection(1, first)
        check_selection(log, 1, first)
        log.add_selection(1, more)
        check_selection(log, 1, more)
        check_selection(log, 2, more)
        assert log.selection(3) is None

    def test_law_3_a_selection_is_kept_before_it_is_measured(self, tmp_path: Path) -> None:
        """Law 3: without closing the log."""
        log, chosen = self.make(tmp_path), Selection({TASKS[1]: [5, 0]}, {"balto": 2})
        log.add_selection(4, chosen)
        check_selection(self.reopened(log, tmp_path), 4, chosen)

    def test_law_4_results_change_no_selection(self, tmp_path: Path) -> None:
        """Law 4: a result that comes twice either."""
        log, chosen = self.make(tmp_path), Selection({TASKS[0]: [1]}, {"balto": 1})
        result = Round(
            *(1, {"balto": 1}, 1, 0.3, {}),
            accuracy=None,
            task_accuracy={},
            select_s=0.1,
            fit_s=0.2,
        )
        log.add_selection(1, chosen)
        for _ in range(2):
            log.add_round(result)
            check_selection(self.reopened(log, tmp_path), 1, chosen)

    def test_law_5_logs_in_one_place_do_not_show_in_each_other(self, tmp_path: Path) -> None:
        """Law 5: after they are opened again too."""
        log = self.make(tmp_path)
        another = self.another()
        if another is None:
            pytest.skip("a place is one log's")
        chosen = Selection({TASKS[0]: [1]}, {"balto": 1})
        log.add_selection(1, chosen)
        assert another.selection(1) is None
        another.add_selection(2, chosen)
        assert self.reopened(log, tmp_path).selection(2) is None

    def test_no_task_is_late_in_a_new_log(self, log: RoundLog) -> None:
        """As `RoundLog.late` says."""
        assert log.late == frozenset()


def check_selection(log: RoundLog, number: int, expected: Selection) -> None:
    """The log has this selection, in this order."""
    found = log.selection(number)
    assert found is not None
    assert {task: list(picks) for task, picks in found.picks.items()} == expected.picks
    assert dict(found.rules) == expected.rules

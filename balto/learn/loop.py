"""The active-learning loop over all tasks (paper section 3, Figure 3).

Round 1 measures random programs, for there is no model yet. Each later round asks the selector,
task by task, which programs to measure next, given the model's predictions; measures them; and
trains the model again. T_max of a task is the best throughput *measured so far* among the
selected programs, and every label y = T / T_max is computed anew as it moves (paper 3.3).

The loop knows neither where outcomes come from (`Measurer`) nor where they are kept (`Ledger`):
live campaigns, replays of recorded pools and resumed campaigns all run this code.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from balto.learn.metrics import Accuracy, evaluate
from balto.learn.round import Round
from balto.learn.split import rounds_of, selection_rng, share_out, test_programs
from balto.measure.measurer import Candidate, Measurer
from balto.measure.outcome import Outcome
from balto.models.base import CostModel
from balto.pool.pool import Pool
from balto.select import select_tasks
from balto.select.base import Selector, TaskState
from balto.select.program_features import program_features

Picks = dict[int, list[int]]


@dataclass(frozen=True)
class LoopSettings:
    """What is fixed before the first round.

    Attributes:
        fraction: budget as a share of the selectable programs, in (0, 1].
        rounds: T, at least 1.
        test_share: share of each task's programs held out for the test, in [0, 1).
        seed: fixes the split and every selection.
    """

    fraction: float
    rounds: int
    test_share: float
    seed: int


class Ledger:
    """Where the loop's facts are kept: here, in memory. A campaign's ledger journals them.

    A fact that is already there is never made again: that is all there is to resuming.
    """

    def __init__(self) -> None:
        self.outcomes: dict[tuple[int, int], Outcome] = {}

    def outcome(self, task_id: int, program_id: int) -> Outcome | None:
        """What measuring the program gave, if it was measured."""
        return self.outcomes.get((task_id, program_id))

    def add_outcome(self, task_id: int, program_id: int, outcome: Outcome) -> None:
        """Keep an outcome."""
        self.outcomes[task_id, program_id] = outcome

    def selection(self, round_number: int) -> tuple[Picks, dict[str, int]] | None:  # noqa: ARG002
        """The picks of a round by task, and its rules, if they were kept."""
        return None

    def add_selection(self, round_number: int, picks: Picks, rules: dict[str, int]) -> None:
        """Keep a round's picks, before they are measured."""

    def add_round(self, result: Round) -> None:
        """Keep a round's result."""


def measure_into(ledger: Ledger, measurer: Measurer, candidates: Sequence[Candidate]) -> None:
    """Measure `candidates` and keep each outcome as it comes."""
    if candidates:
        for i, outcome in measurer.measure(candidates):
            ledger.add_outcome(candidates[i].task_id, candidates[i].program_id, outcome)


class ActiveLearner:
    """Runs the rounds of one selector and one model on the programs of a pool.

    Args:
        pool: the programs; its outcomes are not looked at.
        measurer: measures what is selected.
        selector: which programs to measure next.
        model: trained anew every round.
        settings: budget, rounds, split and seed.
        ledger: what is known already, and where new facts go.
        prior: a fitted model of another device, which is asked in round 1 in the place of chance.
    """

    def __init__(
        self,
        pool: Pool,
        measurer: Measurer,
        selector: Selector,
        model: CostModel,
        settings: LoopSettings,
        ledger: Ledger | None = None,
        prior: CostModel | None = None,
    ) -> None:
        self.pool = pool
        self.measurer = measurer
        self.selector = selector
        self.model = model
        self.settings = settings
        self.ledger = ledger or Ledger()
        sizes = np.diff(pool.offsets)
        self.test: list[NDArray[np.int64]] = []
        self.train: list[NDArray[np.int64]] = []
        for task, size in zip(pool.tasks, sizes, strict=True):
            held_out = test_programs(int(size), settings.test_share, settings.seed, task.name)
            self.test.append(held_out)
            self.train.append(np.setdiff1d(np.arange(size), held_out))
        selectable = np.array([len(t) for t in self.train], dtype=np.int64)
        budget = max(1, round(settings.fraction * int(selectable.sum())))
        self.budget = share_out(budget, selectable)
        self.schedule = np.array([rounds_of(int(b), settings.rounds) for b in self.budget])
        self.picks: list[list[int]] = [[] for _ in pool.tasks]  # program ids, in order of choice
        self._features = [
            pool.features.slice(r.start, r.stop) for r in map(pool.programs, self._ids)
        ]
        self._asked: CostModel | None = None
        if prior is not None:
            self._ask(prior)

    @property
    def _ids(self) -> range:
        return range(len(self.pool.tasks))

    def measure_test(self) -> None:
        """Measure the held-out programs that have not been measured."""
        self._measure({k: self.test[k].tolist() for k in self._ids})

    def run(self) -> list[Round]:
        """Run all rounds; returns one result a round."""
        return [self.round(t) for t in range(1, self.settings.rounds + 1)]

    def round(self, number: int) -> Round:
        """Select, measure, train and evaluate once; `number` is 1-based.

        Raises:
            MeasurerError: measuring cannot go on.
            SelectionError: the model predicts something that is not finite.
        """
        started = time.perf_counter()
        kept = self.ledger.selection(number)
        picks, rules = kept or self._select(number)
        selected = time.perf_counter()
        if kept is None:
            self.ledger.add_selection(number, picks, rules)
        self._measure(picks)
        for task_id, programs in picks.items():
            self.picks[task_id].extend(programs)
        fit_started = time.perf_counter()
        self._fit()
        fitted = time.perf_counter()
        accuracy, task_accuracy = self._evaluate()
        outcomes = [o for k in self._ids for o in self._outcomes(k, self.picks[k])]
        failures: dict[str, int] = {}
        for outcome in outcomes:
            if not outcome.ok:
                failures[outcome.status.value] = failures.get(outcome.status.value, 0) + 1
        result = Round(
            round=number,
            rules=rules,
            measurements=len(outcomes),
            seconds=sum(o.seconds for o in outcomes),
            failures=failures,
            accuracy=accuracy,
            task_accuracy=task_accuracy,
            select_s=selected - started,
            fit_s=fitted - fit_started,
        )
        self.ledger.add_round(result)
        return result

    def labels(self, task_id: int) -> NDArray[np.float64]:
        """Labels y = T / T_max of a task's selected programs; NaN where the measurement failed."""
        latency = np.array([o.latency_s for o in self._outcomes(task_id, self.picks[task_id])])
        if not np.isfinite(latency).any():
            return np.full(len(latency), np.nan)
        return np.asarray(np.nanmin(latency) / latency)

    def trained_on(self) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int32]]:
        """Pool-wide indices, labels and tasks of the programs the model is trained on."""
        index, y, task = [], [], []
        for k in self._ids:
            labels = self.labels(k)
            good = np.isfinite(labels)
            index.append(np.array(self.picks[k], dtype=np.int64)[good] + self.pool.offsets[k])
            y.append(labels[good])
            task.append(np.full(int(good.sum()), k, dtype=np.int32))
        return np.concatenate(index), np.concatenate(y), np.concatenate(task)

    def _outcomes(self, task_id: int, programs: Iterable[int]) -> list[Outcome]:
        return [self.ledger.outcomes[task_id, int(p)] for p in programs]

    def _state(self, k: int) -> TaskState:
        train, features = self.train[k], self._features[k]
        picks = np.array(self.picks[k], dtype=np.int64)
        state = TaskState(
            name=self.pool.tasks[k].name,
            size=len(train),
            labelled=np.searchsorted(train, picks),
            labels=self.labels(k),
            seconds=np.array([o.seconds for o in self._outcomes(k, self.picks[k])]),
            program_features=lambda: program_features(features)[train],
        )
        asked = self._asked
        if asked is not None:
            scores = self._scores[self.pool.offsets[k] + train]
            state.predictions = asked.relative(scores, np.full(len(train), k, np.int32))
            state.ensemble_predictions = lambda: asked.ensemble(features.take(train))
        return state

    def _select(self, number: int) -> tuple[Picks, dict[str, int]]:
        budgets = [int(b) for b in self.schedule[:, number - 1]]
        rngs = [selection_rng(self.settings.seed, number, task.name) for task in self.pool.tasks]
        states = [self._state(k) for k in self._ids]
        chosen = select_tasks(self.selector, states, budgets, rngs)
        rules: dict[str, int] = {}
        for state, picks in zip(states, chosen, strict=True):
            if len(picks):
                rule = self.selector.rule(state)
                rules[rule] = rules.get(rule, 0) + len(picks)
        return {k: self.train[k][chosen[k]].tolist() for k in self._ids if len(chosen[k])}, rules

    def _measure(self, picks: Mapping[int, Sequence[int]]) -> None:
        candidates = [
            Candidate(self.pool.tasks[k], k, p, self.pool.traces[int(self.pool.offsets[k]) + p])
            for k, programs in sorted(picks.items())
            for p in programs
            if self.ledger.outcome(k, p) is None
        ]
        if not candidates:
            return
        for i, outcome in self.measurer.measure(candidates):
            self.ledger.add_outcome(candidates[i].task_id, candidates[i].program_id, outcome)

    def _fit(self) -> None:
        index, y, task = self.trained_on()
        if len(index):
            self.model.fit(self.pool.features.take(index), y, task)
            self._ask(self.model)

    def _ask(self, model: CostModel) -> None:
        """From now on, selections and accuracy are by this model's scores of all programs."""
        self._asked, self._scores = model, model.predict(self.pool.features)

    def _evaluate(self) -> tuple[Accuracy | None, dict[int, Accuracy]]:
        index = np.concatenate([self.test[k] + self.pool.offsets[k] for k in self._ids])
        if not len(index) or self._asked is None:
            return None, {}
        task = np.repeat(np.arange(len(self.test), dtype=np.int32), [len(t) for t in self.test])
        outcomes = [o for k in self._ids for o in self._outcomes(k, self.test[k])]
        latency = np.array([o.latency_s for o in outcomes])
        scores = self._scores[index]
        return evaluate(scores, self._asked.relative(scores, task), latency, task)

"""The active-learning loop over all tasks (paper section 3, Figure 3).

Round 1 measures random programs, for there is no model yet. Each later round asks the selector,
task by task, which programs to measure next, given the model's predictions; measures them; and
trains the model again. T_max of a task is the best throughput *measured so far* among the
selected programs, and every label y = T / T_max is computed anew as it moves (paper 3.3).

The loop knows neither where outcomes come from (`Measurer`) nor where facts are kept
(`OutcomeStore`, `RoundLog`): live campaigns, replays of recorded pools and resumed campaigns all
run this code.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from balto.arguments import check_number, check_type
from balto.data.outcome import SLOW
from balto.data.outcomes import Outcomes
from balto.data.pool import Pool
from balto.errors import InputError
from balto.learn.metrics import Accuracy, evaluate
from balto.learn.result import Result
from balto.learn.round import Round
from balto.learn.saturation import outlook
from balto.learn.seconds import SecondsBudget
from balto.learn.settings import LoopSettings
from balto.learn.split import (
    Split,
    allocate_budget,
    budget_by_round,
    selection_rng,
    total_budget,
)
from balto.learn.store import OutcomeStore, RoundLog, Selection, measure_missing
from balto.learn.tmax import TMaxEstimator
from balto.measure.measurer import Measurer
from balto.models import create
from balto.models.base import CostModel
from balto.select import get, select_tasks
from balto.select.base import Selector, TaskState
from balto.select.program_features import program_features
from balto.text import quoted


class ActiveLearner:
    """Runs the rounds of one selector and one model on the programs of a pool.

    Args:
        pool: the programs; its outcomes are not looked at.
        measurer: measures what is selected.
        selector: which programs to measure next; an object, or a name such as ``balto:C=0.5``.
        model: trained anew every round; an object, or a name, which gets the seed of `settings`.
        settings: budget, rounds, split and seed.
        store: the outcomes that are known already, and where new ones go.
        log: the same for selections and results of rounds.
        start_from: a fitted model of another device, which the selector asks in round 1; without
            one, round 1 is random.
        t_max: corrects the labels of tasks with few of them.

    Raises:
        InputError: If there is no such selector or model, an argument is of another type, or no
            task of `pool` has two programs.
    """

    def __init__(
        self,
        pool: Pool,
        measurer: Measurer,
        selector: Selector | str,
        model: CostModel | str,
        settings: LoopSettings,
        store: OutcomeStore | None = None,
        log: RoundLog | None = None,
        start_from: CostModel | None = None,
        t_max: TMaxEstimator | None = None,
    ) -> None:
        self.pool = check_type("pool", pool, Pool, "balto.read_pool(path) reads one")
        if not len(pool):
            raise InputError("expected a pool with at least one program, got none")
        if np.diff(pool.offsets).max() < 2:
            raise InputError(
                "expected a task with at least 2 programs, every task has only one: the best of "
                "one is itself, and a model learns nothing from it"
            )
        advice = "balto.ReplayMeasurer(pool), or balto.LiveMeasurer.for_target(target)"
        self.measurer = check_type("measurer", measurer, Measurer, advice)  # type: ignore[type-abstract]
        self.selector = get(selector)
        self.settings = check_type("settings", settings, LoopSettings, "LoopSettings(rounds=5)")
        self.model = create(model, settings.seed)
        self.store = OutcomeStore() if store is None else store
        self.log = RoundLog() if log is None else log
        self.split = Split.of(pool, settings.test_share, settings.seed)
        selectable = np.array([len(t) for t in self.split.train], dtype=np.int64)
        self.selectable = int(selectable.sum())
        self._seconds: SecondsBudget | None = None
        if settings.budget_s is not None:
            self._seconds = SecondsBudget(settings.budget_s, settings.rounds, pool.features)
        self.budget = allocate_budget(self._programs(), selectable)
        self.schedule = np.array([budget_by_round(int(b), settings.rounds) for b in self.budget])
        self.picks: list[list[int]] = [[] for _ in pool.tasks]  # program ids, in order of choice
        self._start_from = start_from
        self._t_max = t_max or TMaxEstimator()
        self._test_measured = False
        self._last: Round | None = None
        self._asked: CostModel | None = None
        if start_from is not None:
            self._ask(start_from)

    @property
    def _sets(self) -> tuple[str, ...]:
        """Names of the feature sets that the model reads."""
        return self.model.sets_for(self.pool.features)

    @property
    def rounds_done(self) -> int:
        """How many rounds have ended."""
        return self._last.round if self._last else 0

    def _programs(self) -> int:
        """How many programs will be measured; with a budget of seconds, about."""
        if self._seconds is None:
            return total_budget(self.settings.budget, self.selectable)
        about = self._seconds.seconds / float(self._seconds.expected.mean())
        return max(1, min(self.selectable, round(about)))

    @property
    def _ids(self) -> range:
        return range(len(self.pool.tasks))

    def run(
        self, on_round: Callable[[Round], None] | None = None, rounds: int | None = None
    ) -> Result:
        """Measure the held-out programs, then run all rounds.

        Args:
            on_round: called after each of them.
            rounds: how many. By default all; or, with `LoopSettings.until_saturated`, until the
                next measurements would bring little.

        Returns:
            Every round, the trained model, and what further measurements would bring.

        Raises:
            InputError: If `on_round` cannot be called.
            MeasurerError: If measuring cannot go on.
            SelectionError: If the model predicts something that is not finite.
        """
        if on_round is not None and not callable(on_round):
            raise InputError(
                f"expected on_round to be a function of a Round, got {quoted(on_round)}"
            )
        self.measure_test()
        done: list[Round] = []
        for number in range(1, (rounds or self.settings.rounds) + 1):
            done.append(self.round(number))
            if on_round is not None:
                on_round(done[-1])
            if self.settings.until_saturated and rounds is None:
                expected = outlook(done, self.selectable)
                if expected is not None and expected.saturated:
                    break
        return Result(
            selector=self.selector,
            model=self.model,
            rounds=done,
            outlook=outlook(done, self.selectable),
            picks={task.name: self.picks[k] for k, task in enumerate(self.pool.tasks)},
        )

    def measure_test(self) -> None:
        """Measure the held-out programs that have not been measured."""
        held_out = {k: self.split.test[k].tolist() for k in self._ids}
        self.measure(held_out)
        self._test_measured = True

    def measure(
        self,
        programs: Mapping[int, Sequence[int]],
        limits: NDArray[np.float64] | None = None,
    ) -> None:
        """Measure those programs that were not measured yet.

        Args:
            programs: of each task, by its place in the pool.
            limits: of all programs of the pool, seconds after which a build is ended as too dear;
                None for no such limits.

        Raises:
            MeasurerError: If measuring cannot go on.
        """
        measure_missing(self.pool, programs, self.store, self.measurer, limits)

    def round(self, number: int) -> Round:
        """Select, measure, train, and evaluate on the held-out programs; `number` is 1-based.

        Args:
            number: of the round, from 1.

        Returns:
            What the round chose, and how good the model is after it.

        Raises:
            InputError: If `number` is not from 1 to the number of rounds.
            MeasurerError: If measuring cannot go on.
            SelectionError: If the model predicts something that is not finite.
        """
        number = check_number("round", number, 1, self.settings.rounds, whole=True)
        if not self._test_measured:
            self.measure_test()
        started = time.perf_counter()
        kept = self.log.selection(number)
        selection = self._select(number, kept)
        selected = time.perf_counter()
        if selection is not kept:
            self.log.add_selection(number, selection)
        picks = {
            k: selection.picks[task.name]
            for k, task in enumerate(self.pool.tasks)
            if task.name in selection.picks
        }
        self.measure(picks, None if self._seconds is None else self._seconds.limits())
        for task_id, programs in picks.items():
            self.picks[task_id].extend(programs)
        select_s = selected - started
        if self._last is not None and not picks:  # nothing new to learn from
            result = replace(self._last, round=number, rules={}, select_s=select_s, fit_s=0.0)
        else:
            result = self._learn(number, selection, select_s)
        self._last = result
        self.log.add_round(result)
        return result

    def _learn(self, number: int, selection: Selection, select_s: float) -> Round:
        started = time.perf_counter()
        self._fit()
        fitted = time.perf_counter()
        accuracy, task_accuracy = self._evaluate()
        chosen = Outcomes.concatenate(self._outcomes(k, self.picks[k]) for k in self._ids)
        failures = {s: n for s, n in sorted(chosen.counts().items()) if s != "ok"}
        return Round(
            round=number,
            rules=dict(selection.rules),
            measurements=len(chosen),
            seconds=float(chosen.seconds.sum()),
            failures=failures,
            accuracy=accuracy,
            task_accuracy=task_accuracy,
            select_s=select_s,
            fit_s=fitted - started,
        )

    def labels(self, task_id: int) -> NDArray[np.float64]:
        """Labels y = T / T_max of a task's selected programs; NaN where the measurement failed.

        A program whose build was ended as too dear counts as slow, not as failed.

        Args:
            task_id: the task's place in the pool.

        Returns:
            One a selected program, in the order of choice, in (0, 1] or NaN.
        """
        outcomes = self._outcomes(task_id, self.picks[task_id])
        latency = outcomes.latency_s
        if not np.isfinite(latency).any():
            return np.full(len(latency), np.nan)
        return np.where(outcomes.too_dear, SLOW, np.nanmin(latency) / latency)

    def trained_on(self) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int32]]:
        """Pool-wide indices, labels and tasks of the programs the model is trained on.

        Returns:
            Three vectors of one length.
        """
        index, y, task = [], [], []
        for k in self._ids:
            labels = self.labels(k)
            good = np.isfinite(labels)
            index.append(np.array(self.picks[k], dtype=np.int64)[good] + self.pool.offsets[k])
            y.append(labels[good])
            task.append(np.full(int(good.sum()), k, dtype=np.int32))
        return np.concatenate(index), np.concatenate(y), np.concatenate(task)

    def _outcomes(self, k: int, programs: list[int] | NDArray[np.int64]) -> Outcomes:
        known = self.store.of(self.pool.tasks[k].name, len(self.pool.programs(k)))
        return known.take(np.asarray(programs, dtype=np.int64))

    def _state(self, k: int) -> TaskState:
        train, place = self.split.train[k], self.pool.programs(k)
        features = self.pool.features.slice(place.start, place.stop)
        picks = np.array(self.picks[k], dtype=np.int64)
        state = TaskState(
            name=self.pool.tasks[k].name,
            size=len(train),
            labelled=np.searchsorted(train, picks),
            labels=self.labels(k),
            seconds=self._outcomes(k, picks).seconds,
            cost=None if self._seconds is None else self._seconds.expected[place.start + train],
            program_features=lambda: program_features(features, self._sets)[train],
        )
        asked = self._asked
        if asked is not None:
            scores = self._scores[self.pool.offsets[k] + train]
            tasks = np.full(len(train), k, np.int32)
            state.predictions = asked.to_relative_throughput(scores, tasks)
            state.ensemble_predictions = lambda: asked.ensemble(features.take(train))
        return state

    def _select(self, number: int, kept: Selection | None) -> Selection:
        """The round's selection: as it was kept, completed by tasks that came too late for it."""
        left_s = self._left_s(number)
        ids = list(self._ids)
        if kept is not None:
            lacking = self.log.late - kept.picks.keys()
            ids = [k for k in ids if self.pool.tasks[k].name in lacking]
            left_s *= sum(len(self.split.train[k]) for k in ids) / self.selectable
        budgets = self._budgets(number, ids, left_s)
        ids = [k for k in ids if budgets[k]]
        if kept is not None and not ids:
            return kept
        names = [self.pool.tasks[k].name for k in ids]
        states = [self._state(k) for k in ids]
        rngs = [selection_rng(self.settings.seed, number, name) for name in names]
        chosen = select_tasks(self.selector, states, [budgets[k] for k in ids], rngs)
        chosen = self._that_fit(ids, chosen, left_s)
        rules: Counter[str] = Counter(kept.rules if kept else {})
        for state, some in zip(states, chosen, strict=True):
            rules[self.selector.rule(state)] += len(some)
        picks = {
            name: self.split.train[k][some].tolist()
            for k, name, some in zip(ids, names, chosen, strict=True)
            if len(some)
        }
        picks = {**(kept.picks if kept else {}), **picks}
        return Selection(picks, {rule: n for rule, n in rules.items() if n})

    def _left_s(self, number: int) -> float:
        """Seconds that a round may use, as what was measured before it says; else infinity."""
        if self._seconds is None:
            return math.inf
        picks = [np.array(self.picks[k], np.int64) + self.pool.offsets[k] for k in self._ids]
        outcomes = Outcomes.concatenate(self._outcomes(k, self.picks[k]) for k in self._ids)
        self._seconds.learn(np.concatenate(picks), outcomes)
        return self._seconds.left(number)

    def _budgets(self, number: int, ids: list[int], left_s: float) -> list[int]:
        """How many programs to choose of each task in a round: of those of `ids`, if any."""
        if self._seconds is None:
            return [
                n if k in ids else 0 for k, n in enumerate(self.schedule[:, number - 1].tolist())
            ]
        free = {k: np.setdiff1d(self.split.train[k], self.picks[k]) for k in ids}
        places = [some + self.pool.offsets[k] for k, some in free.items()]
        count = self._seconds.count(left_s, np.concatenate([np.empty(0, np.int64), *places]))
        count = max(count, 1) if number == 1 else count
        sizes = np.array([len(free.get(k, ())) for k in self._ids])
        found: list[int] = allocate_budget(count, sizes).tolist()
        return found

    def _that_fit(
        self, ids: list[int], chosen: list[NDArray[np.int64]], left_s: float
    ) -> list[NDArray[np.int64]]:
        """Of the programs chosen of some tasks, those for which there are seconds."""
        if self._seconds is None:
            return chosen
        places = {
            k: self.split.train[k][some] + self.pool.offsets[k]
            for k, some in zip(ids, chosen, strict=True)
        }
        first = not any(self.picks)  # a model needs something to learn from
        kept = self._seconds.fit(places, left_s, least=int(first))
        return [np.searchsorted(self.split.train[k], kept[k] - self.pool.offsets[k]) for k in ids]

    def _fit(self) -> None:
        index, y, task = self.trained_on()
        if len(index):
            features, seed = self.pool.features.take(index), self.settings.seed
            shares = self._t_max.shares(features, y, task, self._sets, seed, self._start_from)
            self.model.fit(features, shares * y, task)
            self._ask(self.model)

    def _ask(self, model: CostModel) -> None:
        """Let selections and accuracy go by this model's scores from now on."""
        self._asked, self._scores = model, model.predict(self.pool.features)

    def _evaluate(self) -> tuple[Accuracy | None, dict[int, Accuracy]]:
        test = self.split.test
        index = np.concatenate([test[k] + self.pool.offsets[k] for k in self._ids])
        if not len(index) or self._asked is None:
            return None, {}
        task = np.repeat(np.arange(len(test), dtype=np.int32), [len(t) for t in test])
        latency = np.concatenate([self._outcomes(k, test[k]).latency_s for k in self._ids])
        scores = self._scores[index]
        relative = self._asked.to_relative_throughput(scores, task)
        return evaluate(scores, relative, latency, task)

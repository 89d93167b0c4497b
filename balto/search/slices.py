"""The search of a network's tasks together: slices of trials, each where it promises most."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from balto.data.task import Task
from balto.errors import InputError
from balto.search.budget import (
    Share,
    latencies,
    network_s,
    next_task,
    next_untried,
    share_of,
)
from balto.search.favourite import UNTRAINED, Favourite
from balto.search.forecast import Standing
from balto.search.listener import SessionListener
from balto.search.pace import Pace
from balto.search.session import Session
from balto.search.task import SearchSettings
from balto.search.tuning import TaskTuning, TunedTask
from balto.text import one_line

#: With fewer trials a task than this, each has its favourite before the first trial.
_FEW = 2
#: A task of a smaller share of the network's latency is not searched.
_LEAST_SHARE = 1e-3
_TOO_SMALL = f"under {_LEAST_SHARE:.1%} of the network's latency each"


def search_in_slices(
    session: Session,
    tasks: Sequence[Task],
    trials: int | Pace,
    settings: SearchSettings,
    listener: SessionListener,
) -> tuple[list[TunedTask], list[tuple[str, str]]]:
    """Search tasks with so many trials together.

    Args:
        session: measures and learns.
        tasks: of one network, with their weights.
        trials: programs measured at most; 0 for none.
        settings: of the session.
        listener: is told what the network would take, and which task is left untuned.

    Returns:
        What was found, in the order in which the tasks were begun, then the favourites of tasks
        that had no trial; name and reason of the tasks that stay untuned.
    """
    search = _Search(session, tasks, listener)
    if session.trained and Pace.of(trials).most < _FEW * len(tasks):
        search.favour(range(len(tasks)))
    search.measure(trials, settings)
    search.recall()
    tuned = [each.finish() for each in search.begun.values()]
    untried = [k for k in range(len(tasks)) if k not in search.begun]
    if session.trained:
        search.favour(untried)
    favourites = [search.favourites[k] for k in untried if k in search.favourites]
    unmeasured, refused = session.checked(favourites)
    for name, reason in refused:
        listener.task_left_untuned(name, reason)
    reasons = {
        **{tasks[k].name: search.refused.get(k, UNTRAINED) for k in untried},
        **dict(refused),
    }
    for each in unmeasured:
        del reasons[each.task.name]
    return [*tuned, *unmeasured], list(reasons.items())


@dataclass
class _Search:
    """The tasks of a network, by number, on their way."""

    session: Session
    tasks: Sequence[Task]
    listener: SessionListener
    begun: dict[int, TaskTuning] = field(default_factory=dict)
    favourites: dict[int, Favourite] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shares = [Share(task.weight, task.flop) for task in self.tasks]

    def favour(self, which: Iterable[int]) -> None:
        """Let the model choose its favourite of tasks that have none yet."""
        missing = [k for k in which if k not in self.favourites and k not in self.refused]
        for done, k in enumerate(missing, 1):
            try:
                self.favourites[k] = self.session.favourite(self.tasks[k])
            except InputError as error:  # the other tasks go on
                self._refuse(k, error)
            self.listener.favourite(self.tasks[k].name, done, len(missing))

    def measure(self, trials: int | Pace, settings: SearchSettings) -> None:
        """Give out the trials."""
        pace = Pace.of(trials)
        pace.begin(len(self.tasks))
        self.session.price(pace)
        spent, shares, begun = 0, self.shares, self.begun
        while spent < (total := pace.trials(spent)):
            self._expect()
            if (k := next_task(shares)) is None:
                return
            # Few trials for many tasks: a good program of each is worth more than a best of some.
            size = max(1, min(settings.batch, total // (2 * len(self.tasks))))
            if k not in begun and self._is_too_small(k):
                shares[k].dry, self.refused[k] = True, _TOO_SMALL
                continue
            try:
                if k not in begun:
                    begun[k] = self._begin(k)
                stepping = spent >= total * (1 - settings.steps)
                measured = begun[k].advance(min(size, total - spent), stepping)
            except InputError as error:
                self._refuse(k, error)
                continue
            shares[k].dry = not measured
            shares[k].record(min(begun[k].best_s, default=math.inf))
            spent += measured
            self.listener.estimated(network_s(shares))
            self.session.foretell(self._standings(), total - spent, pace)

    def recall(self) -> None:
        """Take what a store knows of the tasks that had no trial, which costs none."""
        for k, task in enumerate(self.tasks):
            if k not in self.begun and self.session.knows(task):
                self.begun[k] = self.session.begin(task)

    def _standings(self) -> list[Standing]:
        """How far each task is."""
        trials = [self.begun[k].trials if k in self.begun else 0 for k in range(len(self.tasks))]
        known = zip(self.shares, latencies(self.shares), trials, strict=True)
        return [Standing(share.weight, seconds, count) for share, seconds, count in known]

    def _begin(self, k: int) -> TaskTuning:
        """A task that had no trial yet, begun; the one after it is drawn meanwhile."""
        shares = self.shares
        begun = self.session.begin(self.tasks[k], share_of(shares, k))
        shares[k].untuned_s = begun.untuned_s
        following = next_untried(shares)
        share = 0.0 if following is None else share_of(shares, following)
        if following is None or share < _LEAST_SHARE:
            self.session.expect(None)
        else:
            self.session.expect(self.tasks[following], share)
        return begun

    def _is_too_small(self, k: int) -> bool:
        """Whether a task that had no trial cannot matter, though it promises more than all others.

        One that is small by its FLOP is timed untuned: it may move much memory.
        """
        shares = self.shares
        if share_of(shares, k) >= _LEAST_SHARE:
            return False
        shares[k].untuned_s = self.session.untuned_s(self.tasks[k])
        return share_of(shares, k) < _LEAST_SHARE

    def _expect(self) -> None:
        """What the trials so far say of the favourites of the tasks that have none."""
        for k, favourite in self.favourites.items():
            if k not in self.begun:
                self.shares[k].favourite = favourite.expected

    def _refuse(self, k: int, error: InputError) -> None:
        self.shares[k].dry, reason = True, one_line(error)
        if k not in self.begun:
            self.refused[k] = reason
        self.listener.task_left_untuned(self.tasks[k].name, reason)

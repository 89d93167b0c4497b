"""The search of a network's tasks together: slices of trials, each where it promises most."""

from __future__ import annotations

import math
from collections.abc import Sequence

from balto.data.task import Task
from balto.errors import InputError
from balto.search.budget import Share, network_s, next_task, next_untried
from balto.search.listener import SessionListener
from balto.search.session import Session
from balto.search.task import SearchSettings
from balto.search.tuning import TaskTuning, TunedTask
from balto.text import one_line


def search_in_slices(
    session: Session,
    tasks: Sequence[Task],
    trials: int,
    settings: SearchSettings,
    listener: SessionListener,
) -> tuple[list[TunedTask], list[tuple[str, str]]]:
    """Search tasks with so many trials together.

    Args:
        session: measures and learns.
        tasks: of one network, with their weights.
        trials: programs measured at most.
        settings: of the session.
        listener: is told what the network would take, and which task is left untuned.

    Returns:
        What was found, in the order in which the tasks were begun; name and reason of the tasks
        that had no trial.
    """
    shares = [Share(task.weight, task.flop) for task in tasks]
    begun: dict[int, TaskTuning] = {}
    refused: dict[int, str] = {}
    # Few trials for many tasks: one good program of each is worth more than a best one of some.
    size = max(1, min(settings.batch, trials // (2 * len(tasks))))
    spent = 0
    while spent < trials and (k := next_task(shares)) is not None:
        try:
            if k not in begun:
                begun[k] = _begun(session, tasks, shares, k)
            stepping = spent >= trials * (1 - settings.steps)
            measured = begun[k].advance(min(size, trials - spent), stepping)
        except InputError as error:  # the other tasks go on
            shares[k].dry, reason = True, one_line(error)
            if k not in begun:
                refused[k] = reason
            listener.task_left_untuned(tasks[k].name, reason)
            continue
        shares[k].dry = not measured
        shares[k].record(min(begun[k].best_s, default=math.inf))
        spent += measured
        listener.estimated(network_s(shares))
    begun |= {  # what a store knows of the rest costs no trial
        k: session.begin(task)
        for k, task in enumerate(tasks)
        if k not in begun and session.knows(task)
    }
    reasons = [
        (task.name, refused.get(k, "other tasks promised more"))
        for k, task in enumerate(tasks)
        if k not in begun
    ]
    return [each.finish() for each in begun.values()], reasons


def _begun(session: Session, tasks: Sequence[Task], shares: Sequence[Share], k: int) -> TaskTuning:
    """A task that had no trial yet, begun; the one after it is drawn meanwhile."""
    begun = session.begin(tasks[k])
    shares[k].untuned_s = begun.untuned_s
    following = next_untried(shares)
    session.expect(None if following is None else tasks[following])
    return begun

"""The rounds of a campaign: select, measure, train; its model, and what that is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from balto.campaign.config import Config
from balto.campaign.facts import JournalledRounds
from balto.campaign.folder import Drawn, WorkFolder, start_from
from balto.campaign.listener import Listener
from balto.campaign.programs import read_features
from balto.campaign.records import MODEL, PROGRAMS, TASKS, Kind
from balto.data.pool import Pool
from balto.errors import CampaignError, InputError, ModelFileError
from balto.learn.all_labels import all_labels
from balto.learn.loop import ActiveLearner
from balto.learn.result import Result
from balto.learn.store import OutcomeStore
from balto.measure.measurer import Measurer
from balto.models import read_card, save
from balto.select import get


def is_finished(folder: WorkFolder) -> bool:
    """Whether nothing is left to do: no file is missing, the model is whole."""
    drawn = sum(programs.file is not None for programs in folder.facts.programs.values())
    there = len([*(folder.path / PROGRAMS).glob("[0-9]*.parquet")])
    listed = drawn == 0 or (folder.path / TASKS).exists()
    if not folder.facts.finished or there < drawn or not listed:
        return False
    try:
        read_card(folder.path / MODEL)
    except ModelFileError:
        return False  # it is made again from what the journal says
    return True


def sampled_pool(folder: WorkFolder, drawn: Sequence[Drawn]) -> Pool:
    """The programs that were drawn, with the feature sets that the model reads.

    Raises:
        InputError: If there are none.
    """
    if not drawn:
        raise InputError("no task is left: TVM could draw no programs for any of them")
    task, path = drawn[0]
    model = folder.config.new_model()
    start_from(folder.config, model)
    there = read_features(path, folder.facts.programs[task.name])
    return folder.pool(drawn, model.sets_for(there))


def learn(
    folder: WorkFolder,
    pool: Pool,
    measurer: Measurer,
    listener: Listener,
    kind: type[ActiveLearner] = ActiveLearner,
) -> Result:
    """Go through all rounds, write the model, and journal that all is done.

    Args:
        folder: the campaign's own, whose journal knows earlier rounds.
        pool: its programs.
        measurer: measures what is selected.
        listener: is told what happens.
        kind: of the learners.

    Returns:
        The main selector's rounds, and those of the one that it is compared with.

    Raises:
        CampaignError: If every program that was selected failed.
    """
    config = folder.config
    specs = [config.selector_spec, *filter(None, [config.compare_spec])]
    learners = [_learner(folder, spec, pool, measurer, listener, kind) for spec in specs]
    first = learners[0]
    # Round 1 is random for every selector, unless a model of another device can be asked.
    later = int(first.schedule[:, 0 if config.starting_models else 1 :].sum())
    held_out = sum(map(len, first.split.test))
    total = held_out + int(first.budget.sum()) + later * (len(learners) - 1)
    listener.planned(max(0, total - len(first.store)))
    results: list[Result] = []
    for spec, learner in zip(specs, learners, strict=True):
        rounds = len(results[0].rounds) if results else None  # compared at the same budget
        results.append(learner.run(partial(listener.round, spec), rounds))
        if learner is first:
            _check_trained(folder, first)
            save(first.model, folder.path / MODEL, trained_on(config, first))
    _judge_all_labels(folder, pool)
    if not folder.facts.finished:
        folder.facts.note({"kind": Kind.FINISHED})
        folder.journal.sync()
    return replace(results[0], compared=results[1] if len(results) > 1 else None)


def _judge_all_labels(folder: WorkFolder, pool: Pool) -> None:
    """Journal, once, the level that the report compares with.

    A recorded pool has every label; of a live campaign all that its selectors measured.
    """
    config, facts = folder.config, folder.facts
    if facts.reference is None:
        model = config.new_model()
        known = OutcomeStore.of_pool(pool) if config.pool else facts.outcomes
        found = all_labels(pool, known, model, config, start_from(config, model))
        if found is not None:
            facts.note_reference(found)


def _check_trained(folder: WorkFolder, learner: ActiveLearner) -> None:
    index, _, _ = learner.trained_on()
    if not len(index):
        failed = ", ".join(f"{n} {kind}" for kind, n in sorted(learner.store.counts().items()))
        raise CampaignError(
            f"there is nothing to train on: every program that was selected failed ({failed}); "
            f"balto status {folder.path} says what to do about each kind"
        )


def _learner(
    folder: WorkFolder,
    spec: str,
    pool: Pool,
    measurer: Measurer,
    listener: Listener,
    kind: type[ActiveLearner],
) -> ActiveLearner:
    config, model = folder.config, folder.config.new_model()
    is_main = spec == config.selector_spec
    return kind(
        pool,
        measurer,
        get(config.selector if is_main else config.compare or spec),
        model,
        config,
        folder.store(listener),
        JournalledRounds(folder.facts, spec),
        start_from(config, model),
    )


def trained_on(config: Config, learner: ActiveLearner) -> dict[str, Any]:
    """What a model file says about its training."""
    index, _, _ = learner.trained_on()
    tasks = learner.pool.tasks
    return {
        "targets": sorted({task.target.to_json() for task in tasks}),
        "devices": sorted({task.device for task in tasks}),
        "tasks": [task.name for task in tasks],
        "programs": len(learner.pool),
        "measurements": len(index),
        "selector": config.selector_spec,
        "budget": config.budget,
        **({} if config.budget_s is None else {"budget_s": config.budget_s}),
        "rounds": learner.rounds_done,
        "seed": config.seed,
    }

"""The level to compare with: a model that is trained on every label there is."""

from __future__ import annotations

from dataclasses import dataclass

from balto.data.pool import Pool
from balto.learn.loop import ActiveLearner
from balto.learn.metrics import Accuracy
from balto.learn.settings import LoopSettings
from balto.learn.split import Split
from balto.learn.store import OutcomeStore, RoundLog, Selection
from balto.measure.replay import ReplayMeasurer
from balto.models.base import CostModel
from balto.select.random import Random


@dataclass(frozen=True)
class Reference:
    """What all labels together reach.

    Attributes:
        measurements: programs that the model was trained on, those that failed included.
        accuracy: on the held-out programs.
    """

    measurements: int
    accuracy: Accuracy


def all_labels(
    pool: Pool,
    store: OutcomeStore,
    model: CostModel,
    settings: LoopSettings,
    start_from: CostModel | None = None,
) -> Reference | None:
    """Train `model` on every measured program outside the test share, and judge it.

    In one round, as the loop would: the same split, labels and correction of T_max.

    Args:
        pool: the programs.
        store: what is known of them; nothing is measured.
        model: untrained; fitted here.
        settings: whose `test_share` and `seed` make the split.
        start_from: a fitted model of another device, which corrects T_max.

    Returns:
        None where nothing is held out or no measured program ran: there is nothing to judge.
    """
    split = Split.of(pool, settings.test_share, settings.seed)
    if not any(map(len, split.test)):
        return None
    picks = {}
    for k, task in enumerate(pool.tasks):
        measured = store.of(task.name, len(pool.programs(k))).measured
        picks[task.name] = [p for p in split.train[k].tolist() if measured[p]]
    log = RoundLog()
    log.add_selection(1, Selection(picks, {}))
    learner = ActiveLearner(
        pool, ReplayMeasurer(pool), Random(), model, settings, store, log, start_from
    )
    result = learner.round(1)
    return Reference(result.measurements, result.accuracy) if result.accuracy else None

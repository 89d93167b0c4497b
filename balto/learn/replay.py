"""Active learning on a recorded pool: the same loop, with a replaying measurer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from balto.learn.loop import ActiveLearner, LoopSettings
from balto.learn.round import Round
from balto.measure.replay import ReplayMeasurer
from balto.models import create
from balto.pool.pool import Pool
from balto.select import get

#: Selector name that trains on the whole training share at once.
FULL = "full"


def replay(pool: Pool, selector: str, model: str, settings: LoopSettings) -> list[Round]:
    """Run the rounds of one seed on a recorded pool.

    Args:
        pool: read by `balto.pool.exchange.read_pool`; its outcomes stand for measurements.
        selector: a selector's name, or ``full``: one round with the whole training share.
        model: a cost model's name.
        settings: budget, rounds, test share and seed.

    Raises:
        InputError: no such selector or model.
    """
    if selector == FULL:
        settings = LoopSettings(1.0, 1, settings.test_share, settings.seed)
    chosen = get("random" if selector == FULL else selector)
    with ReplayMeasurer(pool) as measurer:
        learner = ActiveLearner(pool, measurer, chosen, create(model, settings.seed), settings)
        learner.measure_test()
        return learner.run()


def summary(
    selector: str, model: str, settings: LoopSettings, seeds: int, runs: Sequence[Sequence[Round]]
) -> dict[str, Any]:
    """What ``balto replay -f json`` prints: the last round of every seed."""
    last = [run[-1] for run in runs]
    return {
        "selector": selector,
        "model": model,
        "fraction": 1.0 if selector == FULL else settings.fraction,
        "rounds": 1 if selector == FULL else settings.rounds,
        "seeds": seeds,
        **{
            name: [getattr(r.accuracy, name) if r.accuracy else None for r in last]
            for name in ("top1", "top5", "pairwise", "rmse")
        },
        "measurements": [r.measurements for r in last],
        "measured_seconds": [r.seconds for r in last],
    }

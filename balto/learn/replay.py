"""Active learning on a recorded pool: the same loop, with a replaying measurer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from balto.arguments import check_type
from balto.data.pool import Pool
from balto.learn.loop import ActiveLearner
from balto.learn.result import Result
from balto.learn.round import Round
from balto.learn.settings import LoopSettings
from balto.measure.replay import ReplayMeasurer
from balto.models import create, load
from balto.models.base import CostModel
from balto.models.starter import model_path
from balto.select import get
from balto.select.base import Selector

#: Selector name that trains on the whole training share at once.
FULL = "full"


def replay(
    pool: Pool,
    *,
    selector: str | Selector = "biased-lcmd",
    model: str | CostModel = "xgb",
    budget: float = 0.05,
    rounds: int = 15,
    test_share: float = 0.25,
    seed: int = 0,
    until_saturated: bool = False,
    start_from: Sequence[str | CostModel] = (),
    budget_s: float | None = None,
    on_round: Callable[[Round], None] | None = None,
) -> Result:
    """Run the rounds of one seed on a recorded pool, whose outcomes stand for measurements.

    Args:
        pool: read by `balto.read_pool`.
        selector: an object, or a name such as ``balto:C=0.5``; ``full`` is one round with the
            whole training share.
        model: an object, or a name such as ``xgb:max_depth=8``, which gets `seed`.
        budget: share of the selectable programs that is measured, in (0, 1].
        rounds: T.
        test_share: share of each task's programs held out for the test, in [0, 1).
        seed: fixes the split, every selection, and a model that is given by its name.
        until_saturated: stop before the budget is used up, when another 2 % of the programs are
            expected to bring less than a point of Top-1 (`balto.learn.saturation`).
        start_from: models to learn from too, or their files; ``starter`` is the one that ships with
            balto. The first is asked in round 1.
        budget_s: seconds of building and timing, as they were recorded, in the place of `budget`;
            what the held-out programs took is not among them.
        on_round: called after each round.

    Returns:
        Every round's accuracy, and the trained model.

    Raises:
        InputError: If there is no such selector or model, a value is out of its range, or `pool` is
            not a `Pool`.
        ModelFileError: If a file of `start_from` is not a model file, or is damaged.

    Examples:
        >>> pool = balto.testing.made_up_pool()
        >>> result = balto.replay(pool, selector="balto", budget=0.2, rounds=3)
        >>> [each.measurements for each in result.rounds]
        [9, 18, 27]
        >>> 0 < result.accuracy.top1 <= 1
        True
    """
    check_type("pool", pool, Pool, "balto.read_pool(path) reads one")
    if isinstance(selector, str) and selector == FULL:
        selector, budget, rounds, budget_s = "random", 1.0, 1, None
    settings = LoopSettings(
        budget=budget,
        rounds=rounds,
        test_share=test_share,
        seed=seed,
        until_saturated=until_saturated,
        budget_s=budget_s,
    )
    one = isinstance(start_from, str | CostModel) or not isinstance(start_from, Iterable)
    given: list[Any] = [start_from] if one else list(start_from)
    learnt = [m if isinstance(m, CostModel) else load(model_path(m))[0] for m in given]
    fresh = create(model, seed)
    if learnt:
        fresh.start_from(*learnt)
    with ReplayMeasurer(pool) as measurer:
        learner = ActiveLearner(
            *(pool, measurer, get(selector), fresh, settings),
            start_from=learnt[0] if learnt else None,
        )
        return learner.run(on_round)


def summary(
    selector: str, model: str, settings: LoopSettings, seeds: int, results: Sequence[Result]
) -> dict[str, Any]:
    """What ``balto replay -f json`` prints: the last round of every seed."""
    return {
        "selector": selector,
        "model": model,
        "budget": 1.0 if selector == FULL else settings.budget,
        **({} if settings.budget_s is None else {"budget_s": settings.budget_s}),
        "rounds": 1 if selector == FULL else settings.rounds,
        "seeds": seeds,
        **{
            name: [getattr(r.accuracy, name) if r.accuracy else None for r in results]
            for name in ("top1", "top5", "pairwise", "rmse", "top1_halves")
        },
        "rounds_done": [len(r.rounds) for r in results],
        "outlook": [asdict(r.outlook) if r.outlook else None for r in results],
        "measurements": [r.measurements for r in results],
        "measured_seconds": [r.seconds for r in results],
    }

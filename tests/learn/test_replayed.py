"""What replays of the two recorded pools choose and reach does not change by accident.

`replayed.json` holds the results of `xgb` on the feature set that there was first, `store`, with
sixteen trees a round, since when all were recorded anew, on purpose; until then those of before the
package was restructured had held, and with the eight trees of then they hold still. T_max is
corrected by such a forest for every model, so the case of `xgb-tenset` moved too. Networks are not
among them: their last bits are those of the processor's kernels.

A change that is meant to move them is recorded by ``python tests/learn/test_replayed.py NAME...``
with the names of the cases, or ``all``.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from balto.data.pool import Pool
from balto.data.pool_reader import read_pool
from balto.learn.replay import replay

FILE = Path(__file__).parent / "replayed.json"
POOLS = Path(__file__).parents[2] / "pools"
RECORDED: dict[str, dict[str, Any]] = json.loads(FILE.read_text())

pool_called = cache(read_pool)


def replayed(name: str) -> dict[str, Any]:
    """What a case gives today; `name` is a pool, a selector and a model."""
    folder, selector, model = name.split()
    pool: Pool = pool_called(POOLS / folder)
    pool = replace(pool, features=pool.features.select(["store"]))
    result = replay(
        pool, selector=selector, model=model, budget=0.04, rounds=4, test_share=0.25, seed=1
    )
    picks = [list(map(int, result.picks[task.name])) for task in pool.tasks]
    return {
        "picks": hashlib.sha256(json.dumps(picks).encode()).hexdigest()[:16],
        "top1": [r.accuracy.top1 for r in result.rounds if r.accuracy],
        "rmse": [r.accuracy.rmse for r in result.rounds if r.accuracy],
        "seconds": result.seconds,
        "measurements": result.measurements,
        "rules": [r.rules for r in result.rounds],
    }


@pytest.mark.parametrize("name", RECORDED)
def test_a_replay_chooses_and_reaches_what_it_did(name: str) -> None:
    now, then = replayed(name), RECORDED[name]
    assert now["picks"] == then["picks"]
    assert now["rules"] == then["rules"]
    assert now["measurements"] == then["measurements"]
    assert now["top1"] == then["top1"]
    assert now["rmse"] == pytest.approx(then["rmse"], rel=0, abs=1e-12)
    assert now["seconds"] == pytest.approx(then["seconds"], rel=1e-12)


def test_every_selector_is_among_the_cases_on_both_pools() -> None:
    from balto.select import SELECTORS

    cases = {tuple(name.split()) for name in RECORDED}
    assert {(f, s, "xgb") for f in ("epyc-avx2", "epyc-sse") for s in SELECTORS} <= cases


if __name__ == "__main__":
    names = list(RECORDED) if sys.argv[1:] == ["all"] else sys.argv[1:]
    RECORDED.update({name: replayed(name) for name in names})
    FILE.write_text(json.dumps(RECORDED, indent=1) + "\n")

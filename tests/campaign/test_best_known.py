"""A measurer is told the best latency known of a task, in a resumed campaign as well."""

from __future__ import annotations

import pytest

from balto.campaign.campaign import Campaign
from balto.campaign.config import Config
from balto.data.pool_reader import read_pool
from balto.errors import MeasurerError
from balto.journal.file import read
from balto.measure.replay import ReplayMeasurer


class Listening(ReplayMeasurer):
    """Remembers what it is asked; gives up after so many measurements."""

    def __init__(self, pool, gives_up_after):
        super().__init__(pool)
        self.asked, self.left = [], gives_up_after

    def measure(self, candidates):
        self.asked.append(list(candidates))
        for index, outcome in super().measure(candidates):
            if not self.left:
                raise MeasurerError("no device is left")
            self.left -= 1
            yield index, outcome


def best_known(campaign, task):
    records = read(campaign.path / "journal.jsonl")
    known = [r["latency_s"] for r in records if r["kind"] == "measurement" and r["task"] == task]
    return min((s for s in known if s is not None), default=None)


def test_what_was_journalled_before_reaches_the_measurer(tmp_path, pool_path):
    config = Config(pool=str(pool_path), budget=0.4, rounds=3, test_share=0.25)
    pool = read_pool(pool_path)
    first, then = Listening(pool, 60), Listening(pool, 10**6)
    with Campaign(tmp_path / "w", config) as campaign, pytest.raises(MeasurerError):
        campaign.run(first)
    assert {each.best_s for each in first.asked[0]} == {None}
    with Campaign(tmp_path / "w", config) as campaign:
        expected = {task.name: best_known(campaign, task.name) for task in pool.tasks}
        campaign.run(then)
    assert then.asked[0]
    for each in then.asked[0]:
        assert each.best_s is not None
        assert each.best_s == expected[each.task.name]

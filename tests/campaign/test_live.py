"""A live campaign on this machine: real programs, compiled and timed; a task that crashes TVM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest

import balto
from balto.campaign.campaign import Campaign
from balto.campaign.config import Config
from balto.campaign.listener import Listener
from balto.campaign.pool import pool_of
from balto.campaign.status import status
from balto.data.candidate import Candidate
from balto.data.pool_reader import read_pool
from balto.data.pool_writer import write_pool
from balto.data.target import LLVM
from balto.errors import ConfigurationChanged
from balto.journal.file import read
from balto.learn.split import Split
from balto.measure.live import LiveMeasurer
from balto.measure.settings import MeasureSettings
from balto.tasks import extract_tasks
from balto.tasks.extract import Extracted
from balto.tasks.files import read_tasks, write_tasks

OPERATORS = ("matmul:32x32x32", "softmax_mn:32x32")


@pytest.mark.slow
def test_a_live_campaign_measures_what_it_selects(tmp_path):
    config = Config(operators=OPERATORS, programs=16, budget=0.5, rounds=2, test_share=0.25)
    with Campaign(tmp_path / "w", config) as campaign:
        campaign.run("live")
    now = status(tmp_path / "w")
    assert now.state == "finished"
    pool = pool_of(tmp_path / "w")
    measured = [o for i in range(len(pool)) if (o := pool.outcomes[i]) is not None]
    assert len(measured) == len(now.facts.outcomes) >= 8 + 2 * 4
    latencies = [o.latency_s for o in measured if o.ok]
    assert len(latencies) > 0.8 * len(measured)
    assert all(s > 0 for s in latencies)
    write_pool(pool, tmp_path / "pool")
    exported = read_pool(tmp_path / "pool")
    np.testing.assert_array_equal(exported.latency_s, [o.latency_s for o in measured])

    drawn = balto.sample(extract_tasks(operator_specs=OPERATORS).tasks, 16, seed=0)
    assert list(drawn.traces) == list(pool.traces)  # without a campaign the same are drawn
    np.testing.assert_array_equal(drawn.features["store"].rows, pool.features["store"].rows)

    again = [Candidate(exported.tasks[1], 1, p, exported.trace(1, p)) for p in range(3)]
    with LiveMeasurer.for_target(LLVM) as measurer:  # an exported pool has all that measuring needs
        assert any(outcome.ok for _, outcome in measurer.measure(again))


@pytest.mark.slow
def test_a_task_that_tvm_cannot_sample_is_left_out_and_the_others_go_on(tmp_path):
    config = Config(operators=OPERATORS, programs=8, budget=0.5, rounds=1, test_share=0.25)
    with LiveMeasurer.for_target(LLVM) as measurer, Campaign(tmp_path / "w", config) as campaign:
        listed = tmp_path / "w" / "tasks.json"
        tasks = extract_tasks(operator_specs=OPERATORS).tasks
        write_tasks(listed, Extracted([replace(tasks[0], module="{}"), tasks[1]]))
        campaign.run(measurer)
    now = status(tmp_path / "w")
    assert now.state == "finished"
    assert list(now.facts.left_out) == [tasks[0].name]
    assert set(now.facts.outcomes) == {tasks[1].name}
    assert read_tasks(listed).tasks[1] == tasks[1]


class Interrupting(balto.Listener):
    """Stops a campaign as a person does, after its first round."""

    def round(self, selector, result):  # noqa: ARG002
        raise KeyboardInterrupt


@pytest.mark.slow
def test_a_task_that_was_left_out_takes_part_in_every_round_once_it_is_retried(tmp_path):
    config = Config(operators=OPERATORS, programs=12, budget=0.5, rounds=3, test_share=0.25)
    listed = tmp_path / "w" / "tasks.json"
    bad, good = extract_tasks(operator_specs=OPERATORS).tasks
    with LiveMeasurer.for_target(LLVM) as measurer, Campaign(tmp_path / "w", config) as campaign:
        write_tasks(listed, Extracted([replace(bad, module="{}"), good]))
        before = campaign.run(measurer).picks
        write_tasks(listed, Extracted([bad, good]))
        assert campaign.run(measurer).picks == before  # nobody has asked
        assert campaign.finished
        with pytest.raises(KeyboardInterrupt):
            campaign.run(measurer, Interrupting(), retry_left_out=True)
        assert not campaign.finished
        again = campaign.run(measurer)
    now = status(tmp_path / "w")
    assert now.state == "finished"
    assert not now.facts.left_out
    assert again.picks[good.name] == before[good.name]
    assert len(again.picks[bad.name]) == len(set(again.picks[bad.name])) == 5
    assert again.rounds[-1].measurements == now.last.measurements == 5 + len(before[good.name])
    assert now.facts.reference.measurements == now.last.measurements
    counts = Counter((r["task"], r["program"]) for r in measured(tmp_path / "w" / "journal.jsonl"))
    assert set(counts.values()) == {1}


class KillsIdleWorkers(Listener):
    """After every so many measurements, kills every worker of a measurer; all are idle then."""

    def __init__(self, measurer, every):
        self.measurer, self.every, self.outcomes, self.kills = measurer, every, [], 0

    def measured(self, outcome):
        self.outcomes.append(outcome)
        if len(self.outcomes) % self.every == 0:
            for pid in self.measurer.pids():
                os.kill(pid, signal.SIGKILL)
                self.kills += 1


@pytest.mark.slow
def test_workers_that_are_killed_while_they_are_idle_change_nothing(tmp_path):
    config = Config(operators=OPERATORS, programs=16, budget=0.5, rounds=2, test_share=0.25)
    with (
        LiveMeasurer.for_target(LLVM, MeasureSettings(workers=1)) as measurer,
        Campaign(tmp_path / "w", config) as campaign,
    ):
        listener = KillsIdleWorkers(measurer, every=3)
        campaign.run(measurer, listener)
    now = status(tmp_path / "w")
    assert now.state == "finished"
    assert not now.facts.left_out
    assert listener.kills >= 5
    assert all("SIGKILL" not in outcome.message for outcome in listener.outcomes)


@dataclass(frozen=True)
class InTurn(balto.Selector):
    """The programs that are left, in their order: not one of balto's selectors."""

    name = "in-turn"
    needs_model = False
    start: int = 0

    def choose(self, state, budget, rng):  # noqa: ARG002
        return np.roll(state.unlabelled, -self.start)[:budget]


@pytest.mark.slow
def test_a_selector_of_ones_own_runs_a_live_campaign_and_resumes_it(tmp_path):
    settings = {"operators": OPERATORS, "programs": 12, "budget": 0.5, "rounds": 3}
    config = Config(**settings, selector=InTurn())
    with LiveMeasurer.for_target(LLVM) as measurer:
        with Campaign(tmp_path / "w", config) as campaign, pytest.raises(KeyboardInterrupt):
            campaign.run(measurer, Interrupting())
        before = measured(tmp_path / "w" / "journal.jsonl")
        assert status(tmp_path / "w").state == "interrupted"
        with pytest.raises(ConfigurationChanged, match=r'selector: "in-turn" .* "in-turn:start=2"'):
            Campaign(tmp_path / "w", Config(**settings, selector=InTurn(start=2)))
        with Campaign(tmp_path / "w", config) as campaign:
            result = campaign.run(measurer)
    after = measured(tmp_path / "w" / "journal.jsonl")
    assert after[: len(before)] == before
    assert set(Counter((r["task"], r["program"]) for r in after).values()) == {1}
    pool = pool_of(tmp_path / "w")
    train = Split.of(pool, config.test_share, config.seed).train
    for k, task in enumerate(pool.tasks):
        picks = list(result.picks[task.name])
        assert picks == train[k][: len(picks)].tolist()
    assert {rule for r in result.rounds for rule in r.rules} == {"in-turn"}
    assert np.isfinite(result.model.predict(pool.features)).all()
    now = status(tmp_path / "w")
    assert now.state == "finished"
    assert now.to_dict()["selector"] == "in-turn"
    assert balto.write_report(tmp_path / "w").exists()


def measured(journal):
    there = read(journal) if journal.exists() else ()
    return [r for r in there if r["kind"] == "measurement"]


@pytest.mark.slow
def test_kill_9_during_live_measuring_loses_nothing_that_was_journalled(tmp_path):
    command = [
        *(sys.executable, "-m", "balto", "pretrain", str(tmp_path / "w")),
        *("--operator", "matmul:64x64x64", "--programs", "32", "--budget", "50%", "--rounds", "3"),
    ]
    journal, kept = tmp_path / "w" / "journal.jsonl", []
    for more in (0, 1, 3, 4):  # the first while it starts
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(measured(journal)) < len(kept) + more:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it was gone before it was killed"
        now = measured(journal)
        assert now[: len(kept)] == kept
        kept = now
    assert len(kept) >= 8
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    assert set(Counter((r["task"], r["program"]) for r in measured(journal)).values()) == {1}
    assert status(tmp_path / "w").state == "finished"

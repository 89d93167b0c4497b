"""A live campaign on this machine: real programs, compiled and timed; a task that crashes TVM."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from balto.campaign.config import Config
from balto.campaign.programs import read_tasks, write_tasks
from balto.campaign.run import Campaign
from balto.campaign.status import pool_of, status
from balto.measure.live import LiveMeasurer
from balto.pool.exchange import read_pool, write_pool
from balto.pool.journal import read

OPERATORS = ("matmul:32x32x32", "softmax_mn:32x32")


def test_a_live_campaign_measures_what_it_selects(tmp_path):
    config = Config(operators=OPERATORS, programs=16, budget=0.5, rounds=2, test_share=0.25)
    with LiveMeasurer() as measurer, Campaign(tmp_path / "w", config) as campaign:
        campaign.run(measurer)
    now = status(tmp_path / "w")
    assert now.state == "finished"
    pool = pool_of(tmp_path / "w")
    measured = [o for o in pool.outcomes if o is not None]
    assert len(measured) == len(now.facts.outcomes) >= 8 + 2 * 4
    latencies = [o.latency_s for o in measured if o.ok]
    assert len(latencies) > 0.8 * len(measured)
    assert all(1e-8 < s < 1e-1 for s in latencies)
    write_pool(pool, tmp_path / "pool")
    np.testing.assert_array_equal(
        np.sort(read_pool(tmp_path / "pool").latency_s), np.sort([o.latency_s for o in measured])
    )


def test_a_task_that_tvm_cannot_sample_is_left_out_and_the_others_go_on(tmp_path):
    config = Config(operators=OPERATORS, programs=8, budget=0.5, rounds=1, test_share=0.25)
    with LiveMeasurer() as measurer, Campaign(tmp_path / "w", config) as campaign:
        listed = tmp_path / "w" / "tasks.json"
        from balto.tasks import extract_tasks

        tasks = extract_tasks(operator_specs=OPERATORS).tasks
        write_tasks(listed, [replace(tasks[0], module="{}"), tasks[1]], [])
        campaign.run(measurer)
    now = status(tmp_path / "w")
    assert now.state == "finished"
    assert list(now.facts.left_out) == [tasks[0].name]
    assert {name for name, _ in now.facts.outcomes} == {tasks[1].name}
    assert read_tasks(listed)[0][1] == tasks[1]


@pytest.mark.slow
def test_kill_9_during_live_measuring_loses_nothing_that_was_journalled(tmp_path):
    command = [
        *(sys.executable, "-m", "balto", "pretrain", str(tmp_path / "w")),
        *("--operator", "matmul:64x64x64", "--programs", "32", "--budget", "50%", "--rounds", "3"),
    ]
    journal, kept = tmp_path / "w" / "journal.jsonl", []
    for wait in (2.0, 4.0, 5.0, 6.0):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        now = list(read(journal)) if journal.exists() else []
        assert now[: len(kept)] == kept
        kept = now
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    records = [r for r in read(journal) if r["kind"] == "measurement"]
    assert set(Counter((r["task"], r["program"]) for r in records).values()) == {1}
    assert status(tmp_path / "w").state == "finished"

"""A live campaign over a Ray cluster of two nodes, one of which is killed while it runs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from balto.campaign.campaign import Campaign
from balto.campaign.status import status
from balto.journal.file import read
from tests.campaign.recorded import CONFIG, ByName, selections, traces
from tests.workers.cluster import Cluster

pytest.importorskip("tvm")
pytest.importorskip("ray")


def measured(work_dir: Path) -> list[tuple[str, int]]:
    journal = work_dir / "journal.jsonl"
    records = read(journal) if journal.exists() else ()
    return [(r["task"], r["program"]) for r in records if r["kind"] == "measurement"]


@pytest.mark.slow
def test_it_selects_what_a_local_one_selects_and_a_killed_node_costs_only_time(
    tmp_path: Path,
) -> None:
    work_dir = tmp_path / "ray"
    operators = [word for spec in CONFIG.operators for word in ("--operator", spec)]
    settings = ["--programs", "12", "--budget", "60%", "--rounds", "3", "--test-share", "25%"]
    with Cluster() as cluster:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "balto", "pretrain", str(work_dir)),
                *(*operators, *settings, "--ray", cluster.address),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        while process.poll() is None and len(measured(work_dir)) < 8:
            time.sleep(0.05)
        assert process.poll() is None, "it ended before a node was killed"
        cluster.kill_node(1)
        _, said = process.communicate(timeout=200)
        assert process.returncode == 0, said
    now = status(work_dir)
    assert now.state == "finished"
    assert not now.facts.left_out
    assert now.statuses["crash"] == 0
    assert set(Counter(measured(work_dir)).values()) == {1}

    again = tmp_path / "local"
    with Campaign(again, CONFIG) as campaign:
        campaign.run(ByName(now.facts.outcomes))
    assert traces(again) == traces(work_dir), "the same programs are drawn"
    assert selections(again) == selections(work_dir)

"""Shards on a shared folder make the campaign that one process makes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from balto.campaign import folder as module
from balto.campaign.campaign import Campaign
from balto.campaign.config import Config
from balto.campaign.folder import ShardId
from balto.campaign.merge import Merge
from balto.campaign.programs import make_pool
from balto.campaign.shards import Shard
from balto.campaign.status import status
from balto.data import mapped
from balto.data.pool import Pool
from balto.data.target import LLVM
from balto.errors import (
    CampaignError,
    CampaignLocked,
    ConfigurationChanged,
    InputError,
    PartsMissing,
)
from balto.journal.file import read
from balto.learn.store import OutcomeStore
from balto.measure.live import LiveMeasurer
from tests.campaign.recorded import CONFIG, ByName, selections, traces

pytest.importorskip("tvm")


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> OutcomeStore:
    """Every program of the campaign, measured here."""
    work_dir = tmp_path_factory.mktemp("all") / "w"
    everything = replace(CONFIG, budget=1.0, rounds=1)
    with LiveMeasurer.for_target(LLVM) as measurer, Campaign(work_dir, everything) as campaign:
        campaign.run(measurer)
        return campaign.facts.outcomes


@pytest.fixture(scope="module")
def alone(known: OutcomeStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of it."""
    work_dir = tmp_path_factory.mktemp("alone") / "w"
    with Campaign(work_dir, CONFIG) as campaign:
        campaign.run(ByName(known))
    return work_dir


def run_shard(work_dir: Path, number: int, known: OutcomeStore) -> bool:
    with Shard(work_dir, CONFIG, ShardId(number, 3)) as shard:
        return shard.follow(ByName(known))


def merge(work_dir: Path, *, partial: bool = False) -> str:
    """What is missing; empty when it is finished."""
    try:
        with Merge(work_dir, partial=partial) as merged:
            merged.run()
    except PartsMissing as missing:
        return str(missing)
    return ""


@pytest.mark.slow
def test_in_turns_they_select_what_one_process_selects(
    known: OutcomeStore, alone: Path, tmp_path: Path
) -> None:
    work_dir, rounds = tmp_path / "w", 0
    while True:
        finished = [run_shard(work_dir, number, known) for number in (1, 2, 3)]
        if not (missing := merge(work_dir)):
            break
        assert "not measured" in missing
        assert not any(finished)
        rounds += 1
    assert rounds == CONFIG.rounds
    assert selections(work_dir) == selections(alone)
    assert traces(work_dir) == traces(alone)
    assert status(work_dir).state == "finished"
    assert run_shard(work_dir, 1, known), "a shard learns that all is done"
    assert status(work_dir / "parts" / "1-of-3").progress.drawn == 2, "4 tasks in 3 shards"


@pytest.mark.slow
def test_a_merge_says_who_is_missing_or_goes_on_with_those_that_are_there(
    known: OutcomeStore, tmp_path: Path
) -> None:
    work_dir = tmp_path / "w"
    run_shard(work_dir, 1, known)
    run_shard(work_dir, 3, known)
    assert "the shard 2/3 has not drawn all programs yet" in merge(work_dir)
    assert not selections(work_dir)
    missing = merge(work_dir, partial=True)  # three of four tasks; round 1 is selected
    assert "the shards 1/3, 3/3 have not measured" in missing
    assert len(selections(work_dir)[0][2]) == 3
    for number in (1, 2, 3):
        run_shard(work_dir, number, known)
    for _ in range(CONFIG.rounds):  # now all four take part
        missing = merge(work_dir)
        for number in (1, 2, 3):
            run_shard(work_dir, number, known)
    assert not merge(work_dir)
    assert [len(picks) for _, _, picks in selections(work_dir)] == [3, 4, 4]


def test_what_cannot_be_merged_is_said_in_one_line(tmp_path: Path) -> None:
    for wrong in ("", "3", "0/4", "5/4", "1/0", "a/b", "-1/4", "1/4/4"):
        with pytest.raises(InputError, match="expected a shard such as 3/16"):
            ShardId.parse(wrong)
    with pytest.raises(CampaignError, match="w is no folder"):
        Merge(tmp_path / "w")
    (tmp_path / "w").mkdir()
    with pytest.raises(PartsMissing, match="no shard has begun"):
        Merge(tmp_path / "w")
    with pytest.raises(InputError, match="replayed by one process"):
        Shard(tmp_path / "w", Config(pool="p"), ShardId(1, 2))
    with Shard(tmp_path / "w", CONFIG, ShardId(1, 4)) as first:
        first.begin()
        with pytest.raises(CampaignLocked):
            Shard(tmp_path / "w", CONFIG, ShardId(1, 4))
    with pytest.raises(ConfigurationChanged, match="rounds: 3 before, 4 now"):
        Shard(tmp_path / "w", replace(CONFIG, rounds=4), ShardId(1, 4))
    with Shard(tmp_path / "w", replace(CONFIG, seed=1), ShardId(2, 4)) as other:
        other.begin()
    with pytest.raises(ConfigurationChanged, match="seed"):
        Merge(tmp_path / "w")
    (tmp_path / "w" / "parts" / "2-of-5").mkdir()
    with pytest.raises(CampaignError, match="different splits, into 4 and 5"):
        Merge(tmp_path / "w")


def command(work_dir: Path, *more: str) -> list[str]:
    operators = [word for spec in CONFIG.operators for word in ("--operator", spec)]
    settings = [
        "--programs",
        "12",
        "--budget",
        "60%",
        "--rounds",
        "3",
        "--test-share",
        "25%",
        "--wait",
    ]
    name = [sys.executable, "-m", "balto", "pretrain", str(work_dir)]
    return [*name, *operators, *settings, *more]


def measured(work_dir: Path) -> Iterator[tuple[str, int]]:
    journal = work_dir / "journal.jsonl"
    records = read(journal) if journal.exists() else ()
    return ((r["task"], r["program"]) for r in records if r["kind"] == "measurement")


@pytest.mark.slow
def test_a_shard_and_a_merge_killed_with_9_go_on_when_they_are_run_again(tmp_path: Path) -> None:
    work_dir = tmp_path / "w"
    part = work_dir / "parts" / "1-of-2"
    merging = [sys.executable, "-m", "balto", "merge", str(work_dir), "--wait"]

    def begin(arguments: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(arguments, stderr=subprocess.DEVNULL)

    def kill_after(process: subprocess.Popen[bytes], folder: Path, count: int) -> None:
        while process.poll() is None and len(list(measured(folder))) < count:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it was gone before it was killed"

    other = begin(command(work_dir, "--shard", "2/2"))
    kill_after(begin(command(work_dir, "--shard", "1/2")), part, 2)
    first = begin(command(work_dir, "--shard", "1/2"))
    kill_after(begin(merging), work_dir, 3)
    assert begin(merging).wait() == 0
    assert (first.wait(), other.wait()) == (0, 0)
    assert status(work_dir).state == "finished"
    for folder in (work_dir, part, work_dir / "parts" / "2-of-2"):
        assert set(Counter(measured(folder)).values()) == {1}, "nothing was measured twice"


@pytest.mark.slow
def test_a_live_campaign_unpacks_only_what_its_model_reads(
    known: OutcomeStore, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mapped from a file, as they are when they are many; it selects what it selected."""
    made, before = [], selections(alone)

    def watched(*args: Any, **options: Any) -> Pool:
        made.append(make_pool(*args, **options))
        return made[-1]

    monkeypatch.setattr(mapped, "MAPPED", -1)
    monkeypatch.setattr(module, "make_pool", watched)
    with Campaign(alone, CONFIG) as campaign:
        result = campaign.run(ByName(known))
    assert selections(alone) == before
    chosen = [picks for _, _, picks in before]
    assert {
        t: [p for each in chosen for p in each.get(t, [])] for t in result.picks
    } == result.picks
    pool = made[-1]  # those before it are of one task each, whose held-out programs are measured
    assert {each.features.names for each in made[:-1]} == {()}
    assert pool.features.names == ("decisions", "loops", "cycles")
    assert all(isinstance(pool.features[n].rows, np.memmap) for n in pool.features.names)

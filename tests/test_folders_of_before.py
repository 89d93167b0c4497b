"""Folders that an earlier balto wrote are read, and gone on with.

`tests/data/of-before` was written by the commit ddb12dd, for a target that every x86 processor
runs: a campaign that was interrupted after the fourth measurement of its first round (``balto
pretrain campaign --operator matmul:32x32x32 --operator softmax_mn:32x64 --programs 12 --budget 50%
--rounds 2 --from none --target TARGET``), and a tuning that is finished (``balto tune --operator
matmul:32x32x32 --trials 6 --model none --target TARGET -o tuning``).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import balto
from balto.campaign.campaign import Campaign
from balto.campaign.config import Config
from balto.journal.file import read
from balto.tune import tune_operators

pytest.importorskip("tvm")

BEFORE = Path(__file__).parent / "data" / "of-before"
TARGET = '{"kind":"llvm","mcpu":"x86-64-v2","num-cores":1}'


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of what was written before."""
    return Path(shutil.copytree(BEFORE / request.param, tmp_path / request.param))


def trials(folder: Path) -> list[dict[str, object]]:
    return [r for r in read(folder / "journal.jsonl") if r["kind"] in ("measurement", "trial")]


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["campaign"], indirect=True)
def test_an_interrupted_campaign_goes_on_and_measures_nothing_twice(folder: Path) -> None:
    before = trials(folder)
    assert balto.status(folder).state == "interrupted"
    config = Config(
        operators=("matmul:32x32x32", "softmax_mn:32x64"),
        programs=12,
        budget=0.5,
        rounds=2,
        start_from=(),
        target=TARGET,
    )
    with Campaign(folder, config) as campaign:
        campaign.run("live")
    assert balto.status(folder).state == "finished"
    after = trials(folder)
    assert after[: len(before)] == before
    assert len({(r["task"], r["program"]) for r in after}) == len(after) > len(before)
    balto.write_report(folder)


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["tuning"], indirect=True)
def test_a_finished_tuning_is_read_and_one_that_was_cut_off_goes_on(folder: Path) -> None:
    now = balto.status(folder)
    assert (now.state, now.trials) == ("finished", 6)
    assert balto.load_model(folder / "model.balto")
    x = np.eye(32, dtype=np.float32)
    np.testing.assert_allclose(balto.load_tuned(folder).run([2 * x, 3 * x]), 6 * x)

    journal = folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:6]))
    (folder / "tuned.json").unlink()
    before = trials(folder)
    [again] = tune_operators(["matmul:32x32x32"], folder, start_from=None, trials=6, target=TARGET)
    after = trials(folder)
    assert after[: len(before)] == before
    assert len(after) > len(before)
    assert again.trials == 6
    assert balto.status(folder).state == "finished"

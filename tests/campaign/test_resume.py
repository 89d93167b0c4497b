"""A campaign killed at any instant goes on, and selects what it would have selected."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest

from balto.campaign.config import Config
from balto.campaign.ledger import Facts
from balto.campaign.run import Campaign
from balto.campaign.status import pool_of, status
from balto.errors import (
    CampaignError,
    CampaignLocked,
    ConfigurationChanged,
    InputError,
    ModelFileError,
)
from balto.models import load
from balto.pool.exchange import read_pool
from balto.pool.journal import Journal, read

KILLS = 20


def command(work_dir, pool_path):
    options = "--budget 40% --rounds 4 --test-share 25% --compare random --selector balto"
    return [
        *(sys.executable, "-m", "balto", "pretrain", str(work_dir)),
        *("--pool", str(pool_path), *options.split()),
    ]


def records(work_dir, kind):
    journal = work_dir / "journal.jsonl"
    return [r for r in read(journal) if r["kind"] == kind] if journal.exists() else []


def selections(work_dir):
    return [(r["selector"], r["round"], r["picks"]) for r in records(work_dir, "selection")]


@pytest.mark.slow
def test_kill_9_at_twenty_random_moments_loses_nothing_and_changes_nothing(tmp_path, pool_path):
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    started = time.monotonic()
    subprocess.run(command(calm, pool_path), check=True, capture_output=True)
    whole = time.monotonic() - started
    rng = np.random.default_rng(0)
    kept: list[dict] = []
    for _ in range(KILLS):
        process = subprocess.Popen(command(killed, pool_path), stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.3, 1.0) * whole)
        process.send_signal(signal.SIGKILL)
        process.wait()
        journal = list(read(killed / "journal.jsonl")) if killed.exists() else []
        assert journal[: len(kept)] == kept  # nothing that was journalled is lost or changed
        kept = journal
    subprocess.run(command(killed, pool_path), check=True, capture_output=True)

    measured = Counter((r["task"], r["program"]) for r in records(killed, "measurement"))
    assert set(measured.values()) == {1}  # nothing was measured twice
    assert selections(killed) == selections(calm)
    features = read_pool(pool_path).features
    a, b = (load(path / "model.balto")[0].predict(features) for path in (calm, killed))
    np.testing.assert_array_equal(a, b)


def configuration(pool_path, **changes):
    values = {"pool": str(pool_path), "budget": 0.2, "rounds": 2, "test_share": 0.25}
    return Config(**{**values, **changes})


def test_a_finished_campaign_does_nothing_more(tmp_path, pool_path):
    for _ in range(2):
        with Campaign(tmp_path / "w", configuration(pool_path)) as campaign:
            campaign.run()
        journal = (tmp_path / "w" / "journal.jsonl").read_bytes()
        assert status(tmp_path / "w").state == "finished"
    assert (tmp_path / "w" / "journal.jsonl").read_bytes() == journal


def test_an_interrupted_campaign_goes_on_after_the_last_measurement(tmp_path, pool_path):
    with Campaign(tmp_path / "a", configuration(pool_path)) as campaign:
        campaign.run()
    whole = list(read(tmp_path / "a" / "journal.jsonl"))
    for cut in (1, 10, 46, 52, len(whole) - 1):
        work_dir = tmp_path / f"cut{cut}"
        with Campaign(work_dir, configuration(pool_path)):
            pass
        with Journal.open(work_dir / "journal.jsonl") as journal:
            for record in whole[:cut]:
                journal.append(record)
        assert status(work_dir).state == "interrupted"
        with Campaign(work_dir, configuration(pool_path)) as campaign:
            campaign.run()
        again = list(read(work_dir / "journal.jsonl"))
        assert without_times(again) == without_times(whole)


def without_times(journal):
    return [{k: v for k, v in r.items() if k not in ("select_s", "fit_s")} for r in journal]


def test_a_second_process_is_refused(tmp_path, pool_path):
    with Campaign(tmp_path / "w", configuration(pool_path)):
        assert status(tmp_path / "w").state == "running"
        with pytest.raises(CampaignLocked, match="in use by process"):
            Campaign(tmp_path / "w", configuration(pool_path))


def test_a_changed_configuration_is_refused_with_the_difference(tmp_path, pool_path):
    with Campaign(tmp_path / "w", configuration(pool_path)) as campaign:
        campaign.run()
    with pytest.raises(ConfigurationChanged, match=r"rounds: 2 before, 3 now.*seed: 0 before, 7"):
        Campaign(tmp_path / "w", configuration(pool_path, rounds=3, seed=7))


def test_a_changed_pool_is_noticed(tmp_path, pool_path):
    with Campaign(tmp_path / "w", configuration(pool_path)) as campaign:
        campaign.run()
    file = pool_path / "tasks.parquet"
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(ConfigurationChanged, match=r"digests: .*tasks\.parquet"):
        Campaign(tmp_path / "w", configuration(pool_path))


def test_what_never_began_can_be_started_with_other_settings(tmp_path, pool_path):
    tasks = pool_path / "tasks.parquet"
    whole = tasks.read_bytes()
    tasks.write_bytes(whole[:200])
    with (
        Campaign(tmp_path / "w", configuration(pool_path)) as campaign,
        pytest.raises(InputError, match=r"cannot read .*tasks\.parquet"),
    ):
        campaign.run()
    tasks.write_bytes(whole)
    with Campaign(tmp_path / "w", configuration(pool_path, seed=7)) as campaign:
        campaign.run()
    assert status(tmp_path / "w").state == "finished"


def test_a_model_that_cannot_be_started_from_is_refused_before_anything_is_made(
    tmp_path, pool_path
):
    with Campaign(tmp_path / "source", configuration(pool_path)) as campaign:
        campaign.run()
    source = tmp_path / "source" / "model.balto"
    other = configuration(pool_path, model="xgb-tenset", start_from=str(source))
    with pytest.raises(InputError, match="the model xgb-tenset cannot start from the model xgb"):
        Campaign(tmp_path / "w", other)
    source.write_bytes(source.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match="damaged"):
        Campaign(tmp_path / "w", configuration(pool_path, start_from=str(source)))
    assert not (tmp_path / "w").exists()


def test_a_directory_with_other_files_is_refused(tmp_path, pool_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "thesis.txt").write_text("precious")
    with pytest.raises(CampaignError, match="holds other files"):
        Campaign(tmp_path / "w", configuration(pool_path))


def test_a_damaged_configuration_is_named(tmp_path, pool_path):
    with Campaign(tmp_path / "w", configuration(pool_path)):
        pass
    (tmp_path / "w" / "config.json").write_text("{")
    with pytest.raises(CampaignError, match="is not a campaign's configuration"):
        Campaign(tmp_path / "w", configuration(pool_path))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"budget": 0.0}, "budget above 0 %"),
        ({"budget": 1.01}, "at most 100 %"),
        ({"test_share": 1.0}, "test share"),
        ({"rounds": 0}, "at least 1 round"),
        ({"compare": "balto"}, "another selector"),
        ({"operators": ("matmul:8x8x8",)}, "either networks and operators, or a recorded pool"),
        ({"pool": ""}, "at least one network, operator or pool"),
    ],
)
def test_an_impossible_configuration_is_refused(pool_path, changes, says):
    with pytest.raises(InputError, match=says):
        configuration(pool_path, **changes)


def test_exported_measurements_replay_as_they_were(tmp_path, pool_path):
    with Campaign(tmp_path / "w", configuration(pool_path)) as campaign:
        campaign.run()
        facts = Facts(read(campaign.journal.path))
    pool = pool_of(tmp_path / "w")
    measured = {
        (pool.tasks[k].name, p): pool.outcomes[i]
        for k in range(len(pool.tasks))
        for p, i in enumerate(pool.programs(k))
        if pool.outcomes[i] is not None
    }
    assert measured.keys() == facts.outcomes.keys()


def test_a_campaign_may_start_from_the_model_of_another_device(tmp_path, pool_path):
    with Campaign(tmp_path / "cold", configuration(pool_path)) as campaign:
        campaign.run()
    source = tmp_path / "cold" / "model.balto"
    warm = configuration(pool_path, start_from=str(source), rounds=1, selector="biased-diversity")
    with Campaign(tmp_path / "warm", warm) as campaign:
        campaign.run()
    (rules,) = [r["rules"] for r in records(tmp_path / "warm", "selection")]
    assert set(rules) == {"biased-diversity"}  # no random round: the other model was asked
    source.unlink()
    with pytest.raises(InputError, match="cannot read"):
        Campaign(tmp_path / "warm", warm)

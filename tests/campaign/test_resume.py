"""A campaign killed at any instant goes on, and selects what it would have selected."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest

from balto.campaign.campaign import Campaign
from balto.campaign.config import Config
from balto.campaign.pool import pool_of
from balto.campaign.status import status
from balto.data.pool_reader import read_pool
from balto.data.pool_writer import write_pool
from balto.errors import (
    CampaignError,
    CampaignLocked,
    ConfigurationChanged,
    InputError,
    ModelFileError,
)
from balto.journal.file import Journal, read
from balto.learn.replay import replay
from balto.learn.round import round_to_dict
from balto.models import XGB, load
from balto.select import Balto

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


def killed_at(process, journal, size):
    """Kill a process once its journal has `size` bytes, and make sure that it ran till then."""
    while process.poll() is None and not (journal.exists() and journal.stat().st_size >= size):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was gone before it was killed"


@pytest.mark.slow
def test_kill_9_at_twenty_random_moments_loses_nothing_and_changes_nothing(tmp_path, pool_path):
    """Half of the kills come while it starts, the others when it has written something new."""
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    subprocess.run(command(calm, pool_path), check=True, capture_output=True)
    whole, rng = (calm / "journal.jsonl").stat().st_size, np.random.default_rng(0)
    kept: list[dict] = []
    for size in np.sort(rng.uniform(0, 0.7, KILLS // 2)) * whole:
        for wait_for in (0, int(size)):
            process = subprocess.Popen(command(killed, pool_path), stderr=subprocess.DEVNULL)
            if not wait_for:
                time.sleep(rng.uniform(0, 0.5))
            killed_at(process, killed / "journal.jsonl", wait_for)
            has_begun = (killed / "journal.jsonl").exists()
            journal = list(read(killed / "journal.jsonl")) if has_begun else []
            assert journal[: len(kept)] == kept  # nothing that was journalled is lost or changed
            kept = journal
    assert 0 < len(kept) < len(list(read(calm / "journal.jsonl")))
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
    for where, cut in moments(whole).items():
        work_dir = tmp_path / where
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


def moments(journal):
    """How many records there are at each kind of moment."""
    kinds = [record["kind"] for record in journal]
    selected, learnt = kinds.index("selection"), kinds.index("round")
    return {
        "the first program is measured": 1,
        "some held-out programs are measured": selected // 2,
        "all held-out programs are measured": selected,
        "programs are selected": selected + 1,
        "some selected programs are measured": (selected + learnt) // 2,
        "all selected programs are measured": learnt,
        "a round has ended": learnt + 1,
        "all but the last word is said": len(journal) - 1,
    }


def without_times(journal):
    return [{k: v for k, v in r.items() if k not in ("select_s", "fit_s", "at")} for r in journal]


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
    with pytest.raises(ConfigurationChanged, match=r"pool: tasks\.parquet .* before"):
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
    source.write_bytes(source.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match="damaged"):
        Campaign(tmp_path / "w", configuration(pool_path, start_from=str(source)))
    assert not (tmp_path / "w").exists()


def test_a_directory_with_other_files_is_refused(tmp_path, pool_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "thesis.txt").write_text("precious")
    with pytest.raises(CampaignError, match="holds other files"):
        Campaign(tmp_path / "w", configuration(pool_path))


def test_a_damaged_configuration_is_named_and_made_again_from_the_journal(tmp_path, pool_path):
    with Campaign(tmp_path / "w", configuration(pool_path)) as campaign:
        saved = tmp_path / "w" / "config.json"
        whole = saved.read_bytes()
        saved.write_text("{")
        with pytest.raises(CampaignError, match=r"config\.json is damaged.*repeat the balto"):
            status(tmp_path / "w")
        campaign.run()
    assert status(tmp_path / "w").config == campaign.config
    with Campaign(tmp_path / "w", configuration(pool_path)):
        assert saved.read_bytes() == whole


@pytest.mark.parametrize(
    ("before", "now", "says"),
    [
        ({}, {"selector": "balto:C=0.5"}, 'selector: "biased-lcmd" before, "balto:C=0.5" now'),
        ({"selector": Balto(C=2.0)}, {}, 'selector: "balto:C=2.0" before, "biased-lcmd" now'),
        ({"model": "xgb:max_depth=4"}, {}, 'model: "xgb:max_depth=4" before, "xgb" now'),
        ({"compare": "random"}, {}, 'compare: "random" before, null now'),
    ],
    ids=str,
)
def test_other_hyper_parameters_are_refused(tmp_path, pool_path, before, now, says):
    with Campaign(tmp_path / "w", configuration(pool_path, **before)) as campaign:
        campaign.run()
    with pytest.raises(ConfigurationChanged) as error:
        Campaign(tmp_path / "w", configuration(pool_path, **now))
    assert says in str(error.value)


def test_the_same_hyper_parameters_may_be_written_in_another_way(tmp_path, pool_path):
    given = {"selector": "balto:C=0.5", "model": "xgb:max_depth=4,max_bins=32"}
    with Campaign(tmp_path / "w", configuration(pool_path, **given)) as campaign:
        first = campaign.run()
    again = {"selector": Balto(C=0.5), "model": XGB(max_depth=4, max_bins=32)}
    with Campaign(tmp_path / "w", configuration(pool_path, **again)) as campaign:
        assert campaign.finished
        assert campaign.run().picks == first.picks


def test_the_result_of_a_campaign_has_its_rounds_and_the_model_that_it_saved(tmp_path, pool_path):
    config = configuration(pool_path, compare="random")
    with Campaign(tmp_path / "w", config) as campaign:
        result = campaign.run()
    pool = read_pool(pool_path)
    saved, trained_on = load(tmp_path / "w" / "model.balto")
    np.testing.assert_array_equal(result.model.predict(pool.features), saved.predict(pool.features))
    now = status(tmp_path / "w")
    for each, name in ((result, "biased-lcmd"), (result.compared, "random")):
        assert each.selector.name == name
        told, kept = each.rounds, now.facts.curve(name)
        assert [round_to_dict(r) for r in told] == [round_to_dict(r) for r in kept]
        chosen = [r["picks"] for r in records(tmp_path / "w", "selection") if r["selector"] == name]
        for task in pool.tasks:
            assert list(each.picks[task.name]) == [p for c in chosen for p in c.get(task.name, [])]
    failures = sum(result.rounds[-1].failures.values())
    assert trained_on["measurements"] == result.measurements - failures

    with Campaign(tmp_path / "w", config) as campaign:  # finished: gone through again
        again = campaign.run(measurer=None)
    assert again.picks == result.picks
    assert repr(again.accuracy) == repr(result.accuracy)
    assert repr(again.compared.accuracy) == repr(result.compared.accuracy)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"budget": 0.0}, "budget to be a share from above 0 to 1"),
        ({"budget": 1.01}, "budget to be a share from above 0 to 1"),
        ({"test_share": 1.0}, "test share to be a share from 0 to under 1"),
        ({"rounds": 0}, "rounds to be a whole number from 1"),
        ({"programs": 1}, "programs to be a whole number from 2"),
        ({"compare": "biased-lcmd"}, "another selector than biased-lcmd"),
        ({"compare": "biased-lcmd:power=2.0"}, "another selector than biased-lcmd"),
        (
            {"operators": ("matmul:8x8x8",)},
            "either networks, operators and tasks, or a recorded pool",
        ),
        ({"pool": None}, "at least one network, operator, task or pool"),
    ],
)
def test_an_impossible_configuration_is_refused(pool_path, changes, says):
    with pytest.raises(InputError, match=says):
        configuration(pool_path, **changes)


def test_exported_measurements_replay_as_they_were(tmp_path, pool_path):
    with Campaign(tmp_path / "w", configuration(pool_path)) as campaign:
        campaign.run()
    now, original = status(tmp_path / "w"), read_pool(pool_path)
    assert write_pool(pool_of(tmp_path / "w"), tmp_path / "measured") == len(now.facts.outcomes)
    exported = read_pool(tmp_path / "measured")
    place = {trace: i for i, trace in enumerate(original.traces)}
    for i, trace in enumerate(exported.traces):
        assert repr(exported.outcomes[i]) == repr(original.outcomes[place[trace]])
    everything = replay(exported, selector="full", test_share=0.0)
    assert everything.measurements == len(now.facts.outcomes)
    assert everything.seconds == pytest.approx(now.seconds)


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

"""One bit of any file in WORK_DIR turns: an error in one line, or exactly the same values."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from balto.campaign.campaign import Campaign
from balto.campaign.config import Config
from balto.campaign.facts import JournalledFacts
from balto.campaign.pool import pool_of
from balto.campaign.programs import encode_programs
from balto.campaign.status import status
from balto.errors import BaltoError, CampaignError, ConfigurationChanged, StorageError
from balto.journal.file import Journal
from balto.journal.records import outcome_to_record
from balto.models import load
from balto.programs.sample import Sampled
from balto.tasks.extract import Extracted
from balto.tasks.files import write_tasks
from balto.testing import made_up_pool
from tests.hardening.damage import flips

TASK = "op0_8"


def write_sampled(work_dir, pool, facts):
    """What `Campaign` writes of tasks that TVM has sampled."""
    write_tasks(work_dir / "tasks.json", Extracted(pool.tasks, [("reshape", "computes nothing")]))
    for k, task in enumerate(pool.tasks):
        programs = pool.programs(k)
        rows = [pool.features["store"][i] for i in programs]
        traces = [pool.traces[i] for i in programs]
        path = work_dir / "programs" / f"{k:05d}.parquet"
        written, data = encode_programs(Sampled(traces, {"store": rows}, list(range(len(traces)))))
        path.write_bytes(data)
        facts.note({"kind": "programs", "task": task.name, **vars(written)})


@pytest.fixture
def sampled(tmp_path):
    """A campaign with programs of its own, some of them measured."""
    work_dir = tmp_path / "w"
    (work_dir / "programs").mkdir(parents=True)
    config = Config(operators=("matmul:8x8x8",), target="llvm")
    config.save(work_dir / "config.json")
    pool = made_up_pool(tasks=2, programs=12)
    with Journal.open(work_dir / "journal.jsonl") as journal:
        facts = JournalledFacts(journal)
        facts.note({"kind": "config", **config.to_dict()})
        write_sampled(work_dir, pool, facts)
        for k, task in enumerate(pool.tasks):
            for p, i in enumerate(pool.programs(k)):
                if p % 2:
                    outcome = outcome_to_record(pool.outcomes[i])
                    facts.note({"kind": "measurement", "task": task.name, "program": p, **outcome})
    return work_dir


def values_of(work_dir):
    """All that a person can get out of it, to compare."""
    now, pool = status(work_dir), pool_of(work_dir)
    outcomes = [repr(pool.outcomes[i]) for i in range(len(pool))]
    features = pool.features["store"].rows.tobytes()
    return (
        now.to_dict(),
        [repr(t.to_dict()) for t in pool.tasks],
        list(pool.traces),
        features,
        outcomes,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["config.json", "tasks.json", "journal.jsonl", "programs/00001"])
def test_a_flipped_bit_never_gives_other_values(sampled, name):
    path = sampled / (name + ".parquet" if name.startswith("programs") else name)
    before, whole = values_of(sampled), path.read_bytes()
    refused = 0
    for changed in flips(whole, 300):
        path.write_bytes(changed)
        try:
            assert values_of(sampled) == before
        except BaltoError:
            refused += 1
    path.write_bytes(whole)
    assert values_of(sampled) == before
    # The settings are in the journal: the other file is for people.
    assert (refused == 0) if name == "config.json" else refused > 200


def test_the_message_says_what_to_do_and_what_it_costs(sampled):
    path = sampled / "programs" / "00000.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(CampaignError, match=r"delete it.*drawn anew.*nothing measured is lost"):
        pool_of(sampled)
    path.unlink()
    with pytest.raises(CampaignError, match=r"No such file.*run balto pretrain again"):
        pool_of(sampled)


def test_swapped_files_of_programs_are_noticed(sampled):
    a, b = (sampled / "programs" / f"0000{k}.parquet" for k in (0, 1))
    one, two = a.read_bytes(), b.read_bytes()
    a.write_bytes(two)
    b.write_bytes(one)
    with pytest.raises(CampaignError, match="checksum"):
        pool_of(sampled)


def test_programs_that_are_drawn_anew_must_be_those_that_were_measured(sampled):
    with Journal.open(sampled / "journal.jsonl") as journal:
        facts = JournalledFacts(journal)
        write_sampled(sampled, made_up_pool(tasks=2, programs=12), facts)  # the same: no complaint
        with pytest.raises(BaltoError, match="others than those that were recorded"):
            write_sampled(sampled, made_up_pool(tasks=2, programs=13), facts)


def configuration(pool_path, **changes):
    return Config(**{"pool": str(pool_path), "budget": 0.2, "rounds": 2, **changes})


@pytest.mark.slow
def test_a_flipped_bit_never_makes_a_resumed_campaign_choose_otherwise(tmp_path, pool_path):
    with Campaign(tmp_path / "calm", configuration(pool_path)) as campaign:
        calm = campaign.run()
    features = made_up_pool().features
    scores = calm.model.predict(features)
    refused = []
    for name in ("journal.jsonl", "config.json", "model.balto"):
        whole = (tmp_path / "calm" / name).read_bytes()
        for changed in flips(whole, 12):
            shutil.rmtree(tmp_path / "w", ignore_errors=True)
            shutil.copytree(tmp_path / "calm", tmp_path / "w")
            (tmp_path / "w" / name).write_bytes(changed)
            try:
                with Campaign(tmp_path / "w", configuration(pool_path)) as campaign:
                    result = campaign.run()
            except CampaignError:
                refused.append(name)
                continue
            assert result.picks == calm.picks
            model, _ = load(tmp_path / "w" / "model.balto")
            np.testing.assert_array_equal(model.predict(features), scores)
    assert set(refused) == {"journal.jsonl"}  # the others are made again


def test_a_damaged_model_of_a_finished_campaign_is_made_again(tmp_path, pool_path):
    model = tmp_path / "w" / "model.balto"
    with Campaign(tmp_path / "w", configuration(pool_path)) as campaign:
        campaign.run()
    whole = model.read_bytes()
    model.write_bytes(whole[:1000])
    with Campaign(tmp_path / "w", configuration(pool_path)) as campaign:
        assert not campaign.finished
        campaign.run()
        assert campaign.finished
    assert model.read_bytes() == whole


def test_a_work_dir_that_is_deleted_while_it_runs_is_one_clear_line(tmp_path, pool_path):
    with Campaign(tmp_path / "w", configuration(pool_path)) as campaign:
        shutil.rmtree(tmp_path / "w")
        with pytest.raises(StorageError, match="was deleted while"):
            campaign.run()


def test_what_is_missing_of_a_deleted_work_dir_is_not_what_is_complained_of(tmp_path, pool_path):
    campaign, missing = Campaign(tmp_path / "w", configuration(pool_path)), CampaignError("a file")
    shutil.rmtree(tmp_path / "w")
    with pytest.raises(StorageError, match="was deleted while"):
        campaign.__exit__(CampaignError, missing, None)


MEASURED = {
    "kind": "measurement",
    "task": TASK,
    "program": 0,
    "status": "ok",
    "latency_s": 1e-3,
    "latency_median_s": 1e-3,
    "build_s": 0.1,
    "measure_s": 0.1,
    "repeats": 3,
    "spread": 0.1,
    "message": "",
}
CHOSEN = {"kind": "selection", "selector": "balto", "round": 1, "rules": {"random": 1}}


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"task": TASK}, "'kind' is missing"),
        ({"kind": "hearsay"}, "hearsay"),
        ([1, 2], "damaged"),
        ({**MEASURED, "status": "fine"}, "fine"),
        ({**MEASURED, "task": "op9"}, "a task of this campaign, got 'op9'"),
        ({**MEASURED, "task": None}, "a task of this campaign"),
        ({**MEASURED, "program": 12}, "from 0 to 11, got 12"),
        ({**MEASURED, "program": -1}, "got -1"),
        ({**MEASURED, "program": True}, "got True"),
        ({**MEASURED, "program": 2**62}, "from 0 to 11"),
        ({**MEASURED, "latency_s": "fast"}, "latency_s to be a number.*fast"),
        ({**MEASURED, "latency_s": -1.0}, "latency_s"),
        ({**MEASURED, "latency_s": None}, "latency_s above 0"),
        ({**MEASURED, "status": "crash"}, "null of another"),
        ({**MEASURED, "repeats": -3}, "repeats"),
        ({**MEASURED, "message": 7}, "message to be text"),
        ({**CHOSEN, "picks": {TASK: [3, 99]}}, "got 99"),
        ({**CHOSEN, "picks": {"op9": [0]}}, "op9"),
        ({**CHOSEN, "picks": {TASK: [1, 1]}}, "each program once"),
        ({**CHOSEN, "picks": [TASK]}, "programs by task"),
        ({**CHOSEN, "picks": {}, "round": 0}, "round"),
        ({"kind": "round", "selector": "balto", "round": 1}, "missing"),
        ({"kind": "programs", "task": TASK, "count": 10**12}, "damaged|count|missing"),
        ({"kind": "config", "pool": "p", "rounds": "many"}, "rounds"),
    ],
    ids=lambda v: str(v)[:60] if isinstance(v, str) else "",
)
def test_a_record_that_says_what_cannot_be_is_named_by_its_line(sampled, record, says):
    journal = sampled / "journal.jsonl"
    lines = journal.read_bytes().count(b"\n")
    with Journal.open(journal) as writer:
        writer.append(record)
    with pytest.raises(CampaignError, match=f"line {lines + 1}.*({says})") as error:
        status(sampled)
    assert "\n" not in str(error.value)


def test_a_pool_under_another_spelling_or_at_another_place_is_the_same(tmp_path, pool_path):
    with Campaign(tmp_path / "a", configuration(pool_path)) as campaign:
        campaign.run()
    source = tmp_path / "a" / "model.balto"
    first = configuration(pool_path, start_from=str(source))
    with Campaign(tmp_path / "w", first) as campaign:
        picks = campaign.run().picks
    link, moved = tmp_path / "link", tmp_path / "moved"
    link.symlink_to(pool_path)
    shutil.copytree(pool_path, moved)
    shutil.copy(source, tmp_path / "other-name.balto")
    for pool in (f"{pool_path}/.", f"{pool_path}/../{pool_path.name}", link, moved):
        again = configuration(pool, start_from=f"{pool_path}/../other-name.balto")
        with Campaign(tmp_path / "w", again) as campaign:
            assert campaign.run().picks == picks
    shutil.rmtree(pool_path)
    assert len(pool_of(tmp_path / "w")) == 180  # it knows where the pool is now
    file = moved / "programs.parquet"
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(ConfigurationChanged, match=r"pool: .*programs\.parquet"):
        Campaign(tmp_path / "w", configuration(moved, start_from=str(source)))


def test_a_network_that_moved_is_the_same_network(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"one")
    before = Config(networks=(str(tmp_path / "a.onnx"),)).resolve()
    (tmp_path / "a.onnx").rename(tmp_path / "b.ONNX")
    before.check_same(Config(networks=(f"{tmp_path}/./b.ONNX",)).resolve())
    (tmp_path / "b.ONNX").write_bytes(b"two")
    with pytest.raises(ConfigurationChanged, match="networks"):
        before.check_same(Config(networks=(str(tmp_path / "b.ONNX"),)).resolve())

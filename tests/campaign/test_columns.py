"""A folded journal, read by columns, says what its records say one by one."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balto.campaign.campaign import Campaign
from balto.campaign.columns import Measurements
from balto.campaign.config import Config
from balto.campaign.facts import Facts
from balto.campaign.status import Watcher, status
from balto.data.outcome import Outcome, Status
from balto.errors import CampaignError
from balto.journal import parts
from balto.journal.file import Journal, encode, encode_all, read
from balto.journal.records import outcome_to_record

TASKS, PROGRAMS = ("a", "b", "c"), 5

seconds = st.floats(0, 1e3) | st.just(math.nan)
latency = st.floats(1e-9, 1e3)
failures = st.sampled_from([each for each in Status if each is not Status.OK])
outcomes = st.builds(
    Outcome, st.just(Status.OK), latency, latency, seconds, seconds, st.integers(0, 9), seconds
) | st.builds(Outcome, failures, build_s=seconds, message=st.text(max_size=9))
devices = st.fixed_dictionaries(
    {}, optional={"device": st.sampled_from("xyz"), "probe_s": st.floats(1e-6, 1)}
)
measurements = st.builds(
    lambda task, program, outcome, device, at: {
        "kind": "measurement",
        "task": task,
        "program": program,
        **outcome_to_record(outcome),
        **device,
        **({} if at is None else {"at": at}),
    },
    st.sampled_from(TASKS),
    st.integers(0, PROGRAMS - 1),
    outcomes,
    devices,
    st.floats(0, 1e9) | st.none(),
)
others = st.sampled_from(
    [
        {"kind": "tasks", "count": 3},
        {"kind": "left_out", "task": "d", "reason": "none"},
        {"kind": "retry", "task": "d"},
        {"kind": "selection", "selector": "gsx", "round": 1, "picks": {"a": [1, 0]}, "rules": {}},
        {"kind": "finished"},
    ]
)
begin = [
    {"kind": "programs", "task": name, "count": PROGRAMS, "file": None, "traces": None}
    for name in TASKS
]


def said(facts: Facts) -> str:
    """Everything that facts hold, as text: equal texts, equal facts, NaN included."""
    known = {n: list(facts.outcomes.of(n, PROGRAMS))[:PROGRAMS] for n in facts.outcomes}
    tallies = {name: vars(device) for name, device in facts.fleet.devices.items()}
    plain = {k: v for k, v in vars(facts).items() if k not in ("outcomes", "fleet")}
    totals = (facts.outcomes.seconds, facts.outcomes.counts(), len(facts.outcomes))
    return repr((known, tallies, plain, totals))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(measurements | others, max_size=40), st.data())
def test_columns_say_what_the_records_say_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[dict[str, Any]], data: st.DataObject
) -> None:
    records = [*begin, *drawn]
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(records)), max_size=3)))
    with pytest.MonkeyPatch.context() as patch:
        for start, stop in zip([0, *cuts], [*cuts, len(records)], strict=True):
            with Journal.open(path) as journal:
                for record in records[start:stop]:
                    journal.append(record)
            patch.setattr(parts, "LIMIT", -1)
            Journal.open(path).close()  # folds it
            patch.undo()
    assert list(read(path)) == records
    assert said(Facts.read(path)) == said(Facts(records))


WRONG = {
    "no such task": {"task": "d"},
    "no such program": {"program": PROGRAMS},
    "below the first program": {"program": -1},
    "no latency": {"latency_s": None},
    "a latency of 0": {"latency_median_s": 0.0},
    "less than nothing": {"build_s": -1.0},
    "too large": {"measure_s": 1e31},
    "repeats": {"repeats": -1},
    "no such status": {"status": "fine"},
    "a failure with a latency": {"status": "crash"},
    "a time before all": {"at": -1.0},
    "another kind": {"kind": "measured"},
    "no message": {"message": None},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_measurement_is_refused_and_named(tmp_path: Path, wrong: dict[str, Any]) -> None:
    right = Outcome(Status.OK, 1.0, 1.0, 0.1, 0.1, 3, 0.0)
    record = {"kind": "measurement", "task": "a", "program": 1, **outcome_to_record(right)}
    records = [*begin, record, {**record, **wrong}, record]
    first = parts.write_part(tmp_path, [], records)
    assert sum(map(len, parts.read_parts(tmp_path, first))) == len(records)
    path = tmp_path / "journal.jsonl"
    path.write_bytes(encode(first))
    with pytest.raises(CampaignError, match="record 5 of the folded part") as refused:
        Facts.read(path)
    path.write_bytes(encode_all(records))
    with pytest.raises(CampaignError, match="line 5") as one_by_one:
        Facts.read(path)
    reason = str(refused.value).replace("record 5 of the folded part", "line 5")
    assert reason == str(one_by_one.value)


BELIEVED = {
    "no time": {"latency_s": 1e-30, "latency_median_s": 1e-30},
    "a million years": {"latency_s": 1e14, "latency_median_s": 1e14},
    "a median under the smallest": {"latency_median_s": 0.5},
    "a probe of no time": {"probe_s": 1e-30},
}


@pytest.mark.parametrize("wrong", BELIEVED.values(), ids=BELIEVED)
def test_what_an_older_balto_believed_of_a_device_is_a_failure_that_names_it(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    right = Outcome(Status.OK, 1.0, 1.0, 0.1, 0.1, 3, 0.0)
    record = {"kind": "measurement", "task": "a", "program": 1, **outcome_to_record(right)}
    believed = {**record, "program": 2, "device": "10.0.0.7:9090", **wrong}
    first = parts.write_part(tmp_path, [], [*begin, record, believed])
    path = tmp_path / "journal.jsonl"
    for lines in ([first], [*begin, record, believed]):
        path.write_bytes(encode_all(lines))
        outcomes = Facts.read(path).outcomes.of("a")
        assert repr(outcomes[1]) == repr(right)  # some of it is NaN
        found = outcomes[2]
        assert found is not None
        assert found.status is Status.RUN_ERROR
        assert "the device 10.0.0.7:9090 gave " in found.message


def test_right_measurements_are_taken_by_columns(tmp_path: Path) -> None:
    """Or all would be slow and right, and no other test could tell."""
    right = Outcome(Status.OK, 1.0, 1.0, 0.1, 0.1, 3, 0.0)
    record = {"kind": "measurement", "task": "a", "program": 1, **outcome_to_record(right)}
    facts = Facts(begin)
    (batch,) = parts.read_parts(tmp_path, parts.write_part(tmp_path, [], [record] * 3))
    taken = Measurements.of(batch, facts.programs)
    assert taken is not None
    assert len(taken.outcomes) == 3


def test_a_campaign_says_the_same_before_and_after_folding(
    tmp_path: Path, pool_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(pool=str(pool_path), budget=0.4, rounds=4, test_share=0.25)
    with Campaign(tmp_path / "w", config) as campaign:
        campaign.run()
    watcher = Watcher(tmp_path / "w")
    before = json.dumps(watcher.look().to_dict())
    monkeypatch.setattr(parts, "LIMIT", 1000)
    Journal.open(tmp_path / "w" / "journal.jsonl").close()
    assert (tmp_path / "w" / "journal.jsonl").stat().st_size < 1000
    for now in (status(tmp_path / "w"), watcher.look(), watcher.look()):
        assert json.dumps(now.to_dict()) == before


@pytest.mark.slow
def test_a_running_campaign_folds_its_journal_and_goes_on(
    tmp_path: Path, pool_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Again and again, with somebody watching; what comes of it is the same."""
    config = Config(pool=str(pool_path), budget=0.4, rounds=4, test_share=0.25)
    with Campaign(tmp_path / "whole", config) as campaign:
        whole = campaign.run()
    monkeypatch.setattr(parts, "LIMIT", 4000)
    with Campaign(tmp_path / "folded", config) as campaign:
        watcher, seen = Watcher(tmp_path / "folded"), []
        monkeypatch.setattr(
            campaign.facts, "note_reference", lambda _: seen.append(watcher.look().progress)
        )
        folded = campaign.run()
    assert folded.picks == whole.picks
    assert len(list((tmp_path / "folded").glob("journal.*.parquet"))) > 3
    assert seen[-1].measured == len(status(tmp_path / "whole").facts.outcomes)
    assert len(status(tmp_path / "folded").facts.outcomes) == seen[-1].measured

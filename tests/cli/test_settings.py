"""``balto settings``, and the options KEY=VALUE that set what it lists."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from balto.cli import cli
from balto.cli.settings import GROUPS, Setting, make, measurer, parse, settings_of
from balto.data.target import LLVM
from balto.deploy.settings import DeploySettings
from balto.errors import InputError
from balto.journal.file import read
from balto.measure.measurer import Measurer
from balto.measure.rpc import RpcSettings
from balto.measure.settings import MeasureSettings
from balto.measure.timing import TimingSettings
from balto.search.task import SearchSettings

EVERY = [(group, each) for group in GROUPS for each in settings_of(group).values()]
every = pytest.mark.parametrize(("group", "setting"), EVERY, ids=lambda x: getattr(x, "name", x))


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], standalone_mode=False)


@every
def test_every_setting_has_a_meaning_and_a_default(group: str, setting: Setting) -> None:
    assert len(setting.meaning.split()) >= 3, f"what is --{group} {setting.name}?"
    assert setting.meaning.rstrip().endswith(".")
    assert type(setting.default) is setting.kind


def written(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


@every
def test_every_setting_can_be_set_to_its_default(group: str, setting: Setting) -> None:
    said = f"{setting.name}={written(setting.default)}"
    assert parse(group, [said]) == {setting.owner: {setting.name: setting.default}}


def test_no_field_is_left_out_but_those_that_have_an_option_of_their_own():
    listed = {(each.owner, each.name) for _, each in EVERY}
    owners = (MeasureSettings, TimingSettings, RpcSettings, SearchSettings, DeploySettings)
    there = {(owner, each.name) for owner in owners for each in fields(owner)}
    assert {name for _, name in there - listed} == {"timing", "tracker", "measure", "leave_out"}


def test_the_list_has_all_of_them_as_a_table_and_as_json():
    found = json.loads(invoke("settings", "-f", "json").output)
    assert {group: set(found[group]) for group in found} == {
        group: set(settings_of(group)) for group in GROUPS
    }
    assert found["search"]["batch"] == {
        "default": 8,
        "meaning": settings_of("search")["batch"].meaning,
    }
    table = invoke("settings").output
    for option in ("--measure", "--rpc-setting", "--search", "--deploy"):
        assert option in table


@pytest.mark.parametrize(
    ("group", "long", "short"),
    [
        ("measure", "build_timeout_s", "build_timeout"),
        ("measure", "memory_bytes", "memory"),
        ("rpc", "grace_s", "grace"),
        ("deploy", "compile_timeout_s", "compile_timeout"),
    ],
)
def test_the_unit_at_the_end_of_a_key_may_be_left_out(group: str, long: str, short: str) -> None:
    assert parse(group, [f"{short}=7"]) == parse(group, [f" {long} = 7 "])
    assert long in next(iter(parse(group, [f"{short}=7"]).values()))


def test_several_pairs_and_several_options_count_together_the_last_of_a_key_wins():
    said = ["batch=2,steps=.5", "batch=3"]
    assert parse("search", said) == {SearchSettings: {"batch": 3, "steps": 0.5}}
    assert make("search", said) == SearchSettings(batch=3, steps=0.5)
    assert make("search", []) is None


@pytest.mark.parametrize(
    ("group", "said", "words"),
    [
        ("search", "batch", "expected --search KEY=VALUE, got 'batch'; see balto settings"),
        ("search", "", "expected --search KEY=VALUE, got ''"),
        ("search", "batch=3,", "expected --search KEY=VALUE, got ''"),
        ("search", "speed=3", "--search has no 'speed'; expected one of population, "),
        ("measure", "batch=3", "--measure has no 'batch'; expected one of workers, "),
        ("measure", "timing=3", "--measure has no 'timing'"),
        ("search", "batch=many", "expected batch to be a whole number, got 'many'"),
        ("search", "batch=2.5", "expected batch to be a whole number, got '2.5'"),
        ("search", "batch=", "expected batch to be a whole number, got ''"),
        ("measure", "run_timeout=ten", "expected run_timeout_s to be a number, got 'ten'"),
        ("measure", "run_timeout=1_0", "expected run_timeout_s to be a number, got '1_0'"),
    ],
)
def test_what_is_no_setting_or_no_value_of_its_type_is_refused(group, said, words) -> None:
    with pytest.raises(InputError) as refused:
        parse(group, [said])
    assert str(refused.value).startswith(words)


@given(st.text(max_size=30))
def test_no_text_gets_through_but_as_a_setting(text: str) -> None:
    found: dict[type, dict[str, Any]] = {}
    with suppress(InputError):
        found = parse("search", [text])
    assert set(found) <= {SearchSettings}
    assert set(found.get(SearchSettings, ())) <= set(settings_of("search"))


@pytest.mark.parametrize(("group", "said"), [("search", "batch=0"), ("deploy", "run_timeout=0")])
def test_a_value_out_of_its_range_is_refused(group: str, said: str) -> None:
    with pytest.raises(InputError, match=r"expected (batch|run_timeout_s)"):
        make(group, [said])


def test_what_is_said_of_measuring_reaches_the_measurer(monkeypatch: pytest.MonkeyPatch) -> None:
    from balto.measure.live import LiveMeasurer

    asked: list[Any] = []

    def opened(target: Any, settings: Any, executor: Any) -> Any:
        asked.append((target, settings, executor))

    monkeypatch.setattr(LiveMeasurer, "for_target", opened)
    said = {"measure": ["build_timeout=60,max_repeats=3", "workers=2"], "rpc": []}
    measurer(LLVM, None, (), said, workers=5)
    [(target, settings, _)] = asked
    assert target == LLVM
    assert settings == MeasureSettings(
        workers=2, build_timeout_s=60.0, timing=TimingSettings(max_repeats=3)
    )


@pytest.mark.parametrize(
    "words",
    [
        ("pretrain", "w", "--operator", "matmul:8x8x8", "--measure", "speed=1"),
        ("tune", "--operator", "matmul:8x8x8", "--search", "speed=1"),
        ("tune", "--operator", "matmul:8x8x8", "--deploy", "speed=1"),
        ("tune", "lenet-5", "--measure", "speed=1"),
    ],
)
def test_the_commands_refuse_a_wrong_key_before_anything_is_made(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = invoke(*words)
    assert isinstance(refused.exception, InputError)
    assert "has no 'speed'" in str(refused.exception)
    assert not list(tmp_path.iterdir())


def test_settings_of_a_tracker_need_a_tracker() -> None:
    refused = invoke("tune", "--operator", "matmul:8x8x8", "--rpc-setting", "tries=3")
    assert "need --rpc" in str(refused.exception)


@pytest.mark.slow
def test_what_is_said_of_a_search_is_in_its_journal_and_decides_its_batches(
    tmp_path: Path,
) -> None:
    pytest.importorskip("tvm")
    out = tmp_path / "tuned"
    words = ("tune", "--operator", "matmul:32x32x32", "--trials", 6, "-o", out, "-f", "json")
    done = invoke(*words, "--search", "batch=3,population=16", "--measure", "max_repeats=3")
    assert done.exception is None, done.exception
    config, *records = read(out / "journal.jsonl")
    assert config["settings"] == {"batch": 3, "population": 16}
    sizes = [0]
    for each in records:
        sizes[-1] += each["kind"] == "trial" and bool(each["trace"])
        sizes += [0] if each["kind"] == "batch" else []
    assert sum(sizes) == 6
    assert max(sizes) <= 3
    trials = [each for each in records if each["kind"] == "trial" and each["trace"]]
    assert max(each["repeats"] for each in trials) <= 3
    refused = invoke(*words)
    assert "settings" in str(refused.exception)


def test_a_measurer_is_what_comes_of_it():
    pytest.importorskip("tvm")
    with measurer(LLVM, None, (), {"measure": ["workers=1"], "rpc": []}) as made:
        assert isinstance(made, Measurer)

"""What is given by mistake costs one line that says what was expected; NumPy's numbers are none."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

import balto
from balto import arguments
from balto.arguments import decimal_number, whole_number
from balto.data.features import Features, FeatureTable
from balto.errors import InputError, PoolError
from balto.measure.remote import Tracker
from balto.measure.replay import ReplayMeasurer
from balto.measure.timing import TimingSettings

TRACKER = Tracker("127.0.0.1", 9190, "pi")


def refused(says: str, kind: type[InputError] = InputError):
    """A context in which one line is raised."""
    return pytest.raises(kind, match=rf"\A[^\n]*{says}[^\n]*\Z")


@pytest.mark.parametrize("given", [3, None, ["balto"], ..., b"balto"], ids=repr)
@pytest.mark.parametrize("name", ["selector", "model"])
def test_what_is_no_selector_or_model(pool, name, given):
    what = {"selector": "expected a selector: an object, or a name", "model": "a cost model: an"}
    with refused(what[name]):
        balto.replay(pool, **{name: given})
    with refused(what[name]):
        balto.Config(pool="p", **{name: given})


@pytest.mark.parametrize(
    "given", [{"selector": balto.select.Balto}, {"model": balto.models.XGB}], ids=str
)
def test_a_class_is_not_one_of_its_objects(pool, given):
    with refused("got the class (Balto|XGB)"):
        balto.replay(pool, **given)


@pytest.mark.parametrize("given", ["pools/epyc-avx2", Path("p"), None, {}], ids=repr)
def test_what_is_no_pool(tmp_path, given):
    with refused(r"expected pool to be a Pool.*balto.read_pool\(path\)"):
        balto.replay(given)
    with refused(r"balto.read_pool\(path\)"):
        balto.write_pool(given, tmp_path / "p")


def test_parts_of_a_learner_that_are_others(pool):
    settings = balto.LoopSettings()
    with refused("expected measurer to be a Measurer"):
        balto.ActiveLearner(pool, "live", "random", "xgb", settings)
    with refused("expected settings to be a LoopSettings"):
        balto.ActiveLearner(pool, ReplayMeasurer(pool), "random", "xgb", {"rounds": 3})


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (balto.MeasureSettings, {"workers": "2"}),
        (balto.MeasureSettings, {"workers": 1.5}),
        (balto.MeasureSettings, {"workers": -1}),
        (balto.MeasureSettings, {"memory_bytes": None}),
        (balto.MeasureSettings, {"run_timeout_s": float("nan")}),
        (balto.MeasureSettings, {"build_timeout_s": 0}),
        (balto.MeasureSettings, {"timing": {"slow": 3}}),
        (TimingSettings, {"min_repeats": "3"}),
        (TimingSettings, {"max_repeats": 2}),
        (TimingSettings, {"precision": None}),
        (TimingSettings, {"flush_cache": "no"}),
        (balto.RpcSettings, {"tracker": "127.0.0.1:9190/pi"}),
        (balto.RpcSettings, {"tracker": TRACKER, "tries": 0}),
        (balto.RpcSettings, {"tracker": TRACKER, "measure": 3}),
        (balto.RpcSettings, {"tracker": TRACKER, "leave_out": 3}),
        (balto.LoopSettings, {"until_saturated": "yes"}),
        (balto.LoopSettings, {"rounds": "3"}),
        (balto.Config, {"operators": 3}),
        (balto.Config, {"networks": [None]}),
        (balto.Config, {"operators": ("matmul:8x8x8",), "target": 3}),
        (balto.Config, {"operators": ("matmul:8x8x8",), "device": 3}),
        (balto.Config, {"operators": ("matmul:8x8x8",), "compare": 3}),
        (balto.Config, {"operators": ("matmul:8x8x8",), "start_from": 3}),
        (balto.models.XGB, {"max_depth": "6"}),
        (balto.select.BiasedLCMD, {"power": None}),
    ],
    ids=str,
)
def test_settings_of_another_type(make, given):
    with refused("expected "):
        make(**given)


@pytest.mark.parametrize(
    "made",
    [
        balto.LoopSettings(rounds=np.int64(3), seed=np.uint8(7), budget=np.float32(0.25)),
        balto.MeasureSettings(workers=np.int32(2), run_timeout_s=np.float64(3.0)),
        TimingSettings(max_repeats=np.int64(20), slow=np.float32(2)),
        balto.RpcSettings(tracker=TRACKER, tries=np.int64(3)),
        balto.Config(pool="p", programs=np.int64(64), rounds=np.int16(2)),
        balto.select.BiasedLCMD(power=np.float32(1.5)),
        balto.models.XGB(seed=np.int64(5), max_depth=np.int64(3)).settings,
    ],
    ids=lambda made: type(made).__name__,
)
def test_numbers_of_numpy_are_kept_as_pythons(made):
    for each in fields(made):
        value = getattr(made, each.name)
        assert not isinstance(value, np.generic), each.name
    same = {f.name: getattr(made, f.name) for f in fields(made) if f.init}
    assert type(made)(**same) == made


def test_numbers_of_numpy_replay_as_pythons_do(pool):
    given = {"budget": 0.25, "rounds": 3, "seed": 5}
    numpy = {"budget": np.float64(0.25), "rounds": np.int64(3), "seed": np.int64(5)}
    assert balto.replay(pool, **numpy).picks == balto.replay(pool, **given).picks
    json.dumps(balto.Config(pool="p", **numpy).to_dict())


@pytest.mark.parametrize("given", ["matmul", 5, None, [None], {"a": 1}], ids=repr)
def test_what_is_no_task_cannot_be_sampled(given):
    with refused(r"to be a Task, got .*: balto.extract_tasks\(...\).tasks has them"):
        balto.sample(given, 5)


@pytest.mark.parametrize("numbers", [{"count": 0}, {"count": "5"}, {"seed": -1}, {"seed": 0.5}])
def test_numbers_that_cannot_be_sampled(pool, numbers):
    with refused("expected (count|seed) to be a whole number"):
        balto.sample(pool.tasks, **numbers)


@pytest.mark.parametrize("given", [None, 3, b"p", "a\0b", ["p"]], ids=repr)
def test_what_is_no_path(pool, given):
    model = balto.replay(pool, rounds=1).model if given is None else None
    for function in (balto.load_model, balto.read_model_card, balto.load_tuned, balto.pool_of):
        with refused("expected a path, got"):
            function(given)
    with refused("expected a path, got"):
        balto.write_pool(pool, given)
    with refused("expected a path, got"):
        balto.Campaign(given, balto.Config(pool="p"))
    if model is not None:
        with refused("expected a path, got"):
            balto.save_model(model, given, {})


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda pool: balto.replay(pool, on_round=3), "on_round to be a function"),
        (lambda pool: balto.replay(pool, start_from="no.balto"), "no.balto"),
        (lambda _: balto.save_model("xgb", "m", {}), "expected model to be a CostModel"),
        (lambda pool: balto.models.XGB().predict(pool), "expected features to be a FeatureTable"),
        (lambda _: balto.Campaign("w", {}), "expected config to be a Config"),
        (lambda _: balto.LiveMeasurer.for_target("llvm", 3), "settings to be a MeasureSettings"),
        (lambda _: balto.FeatureTable({"store": 3}), "expected the feature set store to be a"),
        (lambda _: balto.Features.from_programs("x"), "expected an array of numbers a program"),
        (lambda _: balto.Outcomes(None), "expected size to be a whole number"),
        (lambda _: balto.ReplayMeasurer("p"), r"balto.read_pool\(path\)"),
        (lambda _: balto.Target("llvm", host="llvm"), "host of a target to be a Target"),
        (lambda _: balto.Target.parse(None), "expected a target"),
        (lambda pool: pool.features[0], "expected the feature set 0"),
    ],
)
def test_other_arguments_of_another_type(pool, call, says):
    with refused(says):
        call(pool)


def test_a_pool_whose_parts_are_of_other_programs(pool):
    for changes in (
        {"traces": pool.traces[:5]},
        {"features": pool.features.slice(0, 50)},
        {"outcomes": balto.Outcomes(7)},
    ):
        with refused("expected a pool's columns for 180 programs, got .*(5|50|7)"):
            replace(pool, **changes)
    for offsets in ([0, 60, 180], [0, 120, 60, 180], [60, 60, 120, 180]):
        with refused("expected offsets from 0 that ascend, one more than the 3 tasks"):
            replace(pool, offsets=np.array(offsets))
    with refused("expected tasks of different names, got .* 3 times"):
        replace(pool, tasks=[pool.tasks[0]] * 3)
    outcomes = balto.Outcomes.of(list(pool.outcomes))
    outcomes.numbers["latency_s"][outcomes.ok.argmax()] = 0.0
    with refused("expected latencies that can be, program 0 has a latency of 0 s"):
        replace(pool, outcomes=outcomes)
    none = balto.Pool([], np.array([0]), pool.features.slice(0, 0), [], balto.Outcomes())
    with refused("expected a pool with at least one program"):
        balto.replay(none)


@pytest.mark.parametrize("name", ["xgb", "xgb-tenset", "mlp"])
def test_labels_that_nobody_can_learn_from(pool, name):
    if name == "mlp":
        pytest.importorskip("torch")
    model, features = balto.create_model(name), pool.features
    three = np.zeros(3, np.int32)
    with refused("got 180 programs, 3 labels and 3 tasks"):  # was read beyond the labels' end
        model.fit(features, np.ones(3), three)
    with refused("got 0 programs"):
        model.fit(features.slice(0, 0), np.ones(0), three[:0])
    with refused("expected finite labels"):
        model.fit(features.slice(0, 3), np.array([1.0, np.nan, 0.5]), three)
    wrong = features.take(np.arange(3))
    wrong["store"].rows[0, 5] = np.inf
    with refused("expected finite features, the set store has NaN or infinity"):
        model.fit(wrong, np.ones(3), three)


def test_what_is_no_executor(tmp_path):
    with (
        balto.Campaign(tmp_path / "w", balto.Config(operators=("matmul:8x8x8",))) as campaign,
        refused("expected executor to be a Executor, got 3"),
    ):
        campaign.run("live", executor=3)


def test_networks_that_are_none():
    with refused("expected networks to be text, such as a name, got 3"):
        balto.extract_tasks(3)
    with refused("resnet-51"):  # one text is one network, not ten letters
        balto.extract_tasks("resnet-51")
    with refused("expected a target: .* got 3"):
        balto.extract_tasks("resnet-50", target=3)


def test_feature_sets_that_this_balto_does_not_know_are_not_written(pool, tmp_path):
    rows = np.ones((len(pool), 3), np.float32)
    of_theirs = Features(rows, np.arange(len(pool) + 1))
    for name in ("theirs", "decisions"):
        more = FeatureTable({"store": pool.features["store"], name: of_theirs})
        with refused(f"expected the feature sets.*'{name}' with 3 columns", PoolError):
            balto.write_pool(replace(pool, features=more), tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_a_round_measures_what_it_is_judged_by(pool):
    settings = balto.LoopSettings(budget=0.3, rounds=2, test_share=0.25)
    alone, whole = (
        balto.ActiveLearner(pool, ReplayMeasurer(pool), "random", "xgb", settings) for _ in "ab"
    )
    assert alone.round(1).accuracy == whole.run().rounds[0].accuracy
    assert np.isfinite(alone.round(2).accuracy.top1)
    for number in (0, 3, None):
        with refused("expected round to be a whole number from 1 to 2"):
            alone.round(number)


@pytest.mark.parametrize("text", ["80", "+80", "-3", "0"])
def test_whole_numbers_are_read_as_python_reads_them(text):
    assert whole_number(text) == int(text)


@pytest.mark.parametrize("text", ["8_0", "", " 8", "8.0", "1e3", "٣", "0x8", "--8", "9" * 20])
def test_what_python_takes_for_a_whole_number_and_people_do_not(text):
    with pytest.raises(ValueError, match="is not a whole number"):
        whole_number(text)


@pytest.mark.parametrize("text", ["0.05", "5", ".5", "5.", "-1e-3", "1E6"])
def test_numbers_are_read_as_python_reads_them(text):
    assert decimal_number(text) == float(text)


@pytest.mark.parametrize("text", ["1_0", "nan", "inf", "-Infinity", "", "1e", "٣", "1e9999"])
def test_what_python_takes_for_a_number_and_people_do_not(text):
    with pytest.raises(ValueError, match="is not a number"):
        decimal_number(text)


@pytest.mark.parametrize("given", [np.array(3), np.ones((3, 1)), 3, 0.5], ids=repr)
def test_what_is_no_vector(pool, given):
    features, three = pool.features.take(np.arange(3)), np.zeros(3, np.int32)
    for call in (
        lambda: balto.create_model("xgb").fit(features, given, three),
        lambda: balto.create_model("xgb").fit(features, np.ones(3), given),
        lambda: pool.features.take(given),
        lambda: pool.outcomes.take(given),
        lambda: Features(np.ones((3, 164), np.float32), given),
        lambda: replace(pool, offsets=given),
    ):
        with refused("to be a vector, one value each, got "):
            call()
    with refused("expected features of rows and columns, got "):
        Features(np.float32(3), np.arange(4))


def test_an_empty_name_is_none():
    for name in ("device", "pool"):
        with refused(f"expected {name} to be text, such as a name, got ''"):
            balto.Config(operators=("matmul:8x8x8",), **{name: ""})
    old = {**balto.Config(operators=("matmul:8x8x8",)).to_dict(), "device": ""}
    assert balto.Config.from_dict(old).device is None, "an older balto took it for none"


def test_the_page_of_files_tells_the_bounds_of_arguments():
    page = Path(__file__).parents[1] / "docs" / "files.md"
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([\d,]+) ", page.read_text(), re.MULTILINE)
    said = {name: int(value.replace(",", "")) for name, value in rows}
    constants = {n: v for n, v in vars(arguments).items() if n.isupper() and isinstance(v, int)}
    assert said == constants

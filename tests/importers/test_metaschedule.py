"""MetaSchedule's databases as pools: from real searches, and written by hand."""

from __future__ import annotations

import base64
import json
import warnings

import pytest

from balto.data.pool_reader import read_pool
from balto.data.target import Target
from balto.errors import InputError
from balto.importers.metaschedule import RECORDS, WORKLOADS, import_metaschedule
from balto.programs.features import with_all_features
from balto.workers.worker import Worker

TARGET = {"kind": "llvm", "keys": ["cpu"], "mcpu": "znver3", "num-cores": 4, "tag": ""}
ARGUMENTS = [["TENSOR", "float32", [64, 64]]] * 3


def trace(inner=1, block="GetSBlock"):
    """A matmul's first axis, tiled."""
    factors, loops = [f"v{i}" for i in range(4)], [f"l{i}" for i in range(4)]
    instructions = [
        [block, [], ["C", "main"], ["b0"]],
        ["Annotate", ["b0", '"SSRSRS"'], ["meta_schedule.tiling_structure"], []],
        ["GetLoops", ["b0"], [], ["i"]],
        ["SamplePerfectTile", ["i"], [4, 64], factors],
        ["Split", ["i", *factors], [1, 0], loops],
    ]
    return [instructions, [[3, [64 // inner, 1, 1, inner]]]]


def record(workload=0, of=None, seconds=(1e-3,), target=None):
    seconds = list(seconds) if isinstance(seconds, tuple) else seconds
    return json.dumps([workload, [of or trace(), seconds, target or TARGET, ARGUMENTS]])


def database(folder, records, workloads=1):
    """A database whose modules are JSON of a version that TVM does not read."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"root": 0, "nodes": []}).encode()
    encoded = base64.b64encode(len(text).to_bytes(8, "little") + text).decode()
    lines = [json.dumps([str(k), encoded]) for k in range(workloads)]
    (folder / WORKLOADS).write_text("".join(f"{each}\n" for each in lines))
    (folder / RECORDS).write_text("".join(f"{each}\n" for each in records))
    return folder


@pytest.fixture(autouse=True)
def without_tvm(request, monkeypatch):
    """Most of it needs no TVM; what does is marked slow."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)


def imported(tmp_path, records, **options):
    result = import_metaschedule(database(tmp_path / "db", records), tmp_path / "pool", **options)
    return result, read_pool(tmp_path / "pool")


def test_records_of_two_targets_are_two_tasks(tmp_path):
    other = {**TARGET, "mcpu": "skylake-avx512"}
    records = [record(target=TARGET), record(target=other), record(of=trace(2)), record(1)]
    result, pool = imported(tmp_path, records)
    assert [len(pool.programs(k)) for k in range(3)] == [2, 1, 1]
    assert pool.tasks[0].target == Target("llvm", cores=4, mcpu="znver3")
    assert [task.device for task in pool.tasks] == ["znver3", "skylake-avx512", "znver3"]
    assert len({task.name for task in pool.tasks}) == result.tasks == 3
    assert (pool.tasks[0].op, json.loads(pool.tasks[0].args)) == ("C", [[64, 64]] * 3)


def test_a_program_that_is_there_twice_is_taken_once_and_rather_where_it_worked(tmp_path):
    records = [
        *(record(seconds=[1e10]), record(seconds=[2e-3, 4e-3]), record(seconds=[1e-3])),
        *(record(of=trace(2)), record(of=trace(2, "GetBlock"), seconds=[9.0])),
    ]
    result, pool = imported(tmp_path, records)
    assert result.skipped == {"the same program again": 3}
    assert pool.latency_s.tolist() == [2e-3, 1e-3]
    assert pool.outcomes[0].latency_median_s == pytest.approx(3e-3)


def test_failures_and_what_was_not_measured(tmp_path):
    records = [record(seconds=[1e10]), record(of=trace(2), seconds=None), record(of=trace(4))]
    result, pool = imported(tmp_path, records, device="my board")
    assert [outcome.status.value for outcome in (pool.outcomes[0], pool.outcomes[1])] == [
        "run_error", "ok",
    ]  # fmt: skip
    assert result.skipped == {"not measured": 1}
    assert pool.tasks[0].device == "my board"


def test_old_names_of_instructions_are_todays(tmp_path):
    _, pool = imported(tmp_path, [record(of=trace(2, "GetBlock"))])
    assert json.loads(pool.traces[0]) == trace(2)
    assert json.loads(pool.traces[0])[0][0][0] == "GetSBlock"


def bad_traces():
    instructions, decided = trace()
    yield [instructions]
    yield [instructions, {}]
    yield [instructions, []]
    yield [[["GetSBlock"]], []]
    yield [[[[], [], [], []]], []]
    yield [instructions, [[3, [1, 2]]]]
    yield [instructions, [[3, [1e308, 1, 1, "x"]]]]
    yield [[*instructions, ["SampleComputeLocation", [], [], ["l9"]]], [*decided, [5, 1e300]]]


@pytest.mark.parametrize("number", [1e300, float("inf"), float("nan")])
def test_a_number_that_is_no_decision_is_skipped_without_a_warning(tmp_path, number):
    instructions, decided = trace()
    tile = [instructions, [[3, [number, 1, 1, 1]]]]
    loop = [[*instructions, ["SampleComputeLocation", ["b0"], [], ["l9"]]], [*decided, [5, number]]]
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        result, pool = imported(tmp_path, [record(of=loop), record(of=tile), record()])
    assert not given
    assert result.skipped["a trace that makes no sense"] == 3 - len(pool) >= 1


@pytest.mark.parametrize("bad", list(bad_traces()))
def test_a_line_that_is_no_record_is_skipped(tmp_path, bad):
    lines = [record(of=bad), "", record()[:50], "[" * 9999, "7", record(-1), record()]
    result, pool = imported(tmp_path, lines)
    assert len(pool) == 1
    assert sum(result.skipped.values()) == 5


def test_without_a_database_it_says_what_was_expected(tmp_path):
    with pytest.raises(InputError, match=f"found no {WORKLOADS}"):
        import_metaschedule(tmp_path, tmp_path / "pool")
    database(tmp_path / "db", ["[]"])
    with pytest.raises(InputError, match="1 line skipped: 1 no whole record"):
        import_metaschedule(tmp_path / "db", tmp_path / "pool")


@pytest.mark.slow
def test_a_database_that_a_search_wrote_has_every_feature(tmp_path):
    with Worker() as worker:
        call = "tests.tune.whole_searches:tune_matmul"
        seconds = worker.call(call, 6, str(tmp_path / "db"), deadline_s=300)
    result = import_metaschedule(tmp_path / "db", tmp_path / "pool")
    pool = read_pool(tmp_path / "pool")
    measured = sorted(min(each) for each in seconds)
    assert sorted(pool.latency_s.tolist()) == pytest.approx(measured)
    assert not result.skipped
    assert not result.notes
    assert pool.tasks[0].flop == 2 * 64**3
    whole = with_all_features(pool, 1)
    assert set(whole.features.names) == {"store", "decisions", "loops", "cycles"}


@pytest.mark.slow
def test_records_that_this_tvm_cannot_apply_are_skipped_and_the_task_keeps_its_module(tmp_path):
    with Worker() as worker:
        call = "tests.tune.whole_searches:tune_matmul"
        worker.call(call, 4, str(tmp_path / "db"), deadline_s=300)
    path = tmp_path / "db" / RECORDS
    good = path.read_text().splitlines()
    unknown, elsewhere = json.loads(good[0]), json.loads(good[0])
    unknown[1][0][0].insert(0, ["OfAnotherTVM", [], [], []])
    elsewhere[1][0][0][0][2] = ["no_such_block", "main"]
    bad = [json.dumps(each) for each in (elsewhere, unknown)]
    path.write_text("".join(f"{line}\n" for line in [*bad, *good, bad[1]]))
    result = import_metaschedule(tmp_path / "db", tmp_path / "pool")
    pool = read_pool(tmp_path / "pool")
    assert result.skipped == {"a trace that this TVM cannot apply": 3}
    assert (len(pool), pool.tasks[0].flop) == (len(good), 2 * 64**3)
    assert not result.notes
    assert "loops" in with_all_features(pool, 1).features


@pytest.mark.slow
def test_a_database_that_balto_tune_wrote(tmp_path):
    from balto.models.starter import model_path
    from balto.tune.operators import tune_operators

    tune_operators(
        ["matmul:64x64x64"], tmp_path / "out", start_from=model_path("starter"), trials=6
    )
    result = import_metaschedule(tmp_path / "out", tmp_path / "pool")
    pool = read_pool(tmp_path / "pool")
    assert len(pool) == result.programs >= 1
    assert pool.outcomes.ok.all()
    assert "loops" in with_all_features(pool, 1).features


@pytest.mark.slow
def test_modules_that_this_tvm_does_not_read_leave_the_decisions(tmp_path):
    result, pool = imported(tmp_path, [record()])
    assert pool.tasks[0].module is None
    assert "1 of 1 workloads are not read by this TVM" in result.notes[0]

"""Every file that comes from outside, damaged in every way: one line, or the same values."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from balto.campaign.campaign import Campaign
from balto.campaign.config import Config
from balto.campaign.status import status
from balto.data.files import read_json, write_json
from balto.data.outcome import Outcome, Status
from balto.data.pool_reader import read_pool
from balto.data.pool_writer import write_pool
from balto.deploy.load import read_metadata
from balto.errors import BaltoError, CampaignError, InputError, ModelFileError, PoolError
from balto.journal.file import Journal, encode_all, read
from balto.journal.parts import read_parts, records_of, write_part
from balto.journal.records import outcome_to_record
from balto.models import create, load, read_card, save, starter
from balto.search.records import read_records
from balto.tasks import extract_tasks
from balto.tasks.extract import Extracted
from balto.tasks.files import read_tasks, write_tasks
from balto.testing import made_up_pool
from balto.testing.models import labelled_programs
from balto.workers.worker import Worker
from tests.hardening.damage import damaged


def trained(name="xgb", **settings):
    model = create(name) if not settings else type(create(name))(0, **settings)
    model.fit(*labelled_programs(40, 2))
    return model


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model.balto"
    save(trained(), path, {"device": "a CPU"})
    return path


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(path, parts, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def refused(path, says="."):
    """Both commands read by the same reader: neither takes what the other does not."""
    with pytest.raises(ModelFileError, match=says) as error:
        load(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


def predictions(path):
    model, card = load(path)
    return model.predict(labelled_programs(8, 1, seed=1)[0]).tolist(), card


def model_of(path, seed):
    """With a source within, which counts: both files are one."""
    source, model = create("xgb", seed), create("xgb", seed)
    features, y, task = labelled_programs(40, 2)
    source.fit(features, y, task)
    model.start_from(source)
    model.fit(features, y, task)
    save(model, path, {"device": f"CPU {seed}"})


def starter_of(path, seed):
    """The model that ships with balto; another one as the other file."""
    path.write_bytes(starter.PATH.read_bytes()) if not seed else save(trained(), path, {})


def config_of(path, seed):
    Config(operators=("matmul:8x8x8",), seed=seed, start_from=()).save(path)


def tasks_of(path, seed):
    tasks = made_up_pool(2, 5, seed=seed).tasks
    write_tasks(path, Extracted(tasks, [("reshape", "computes nothing")], ["convolutions in NCHW"]))


def trial(number):
    outcome = outcome_to_record(Outcome(Status.OK, 1e-3, 1e-3, 0.1, 0.2, 3, 0.1))
    return {"kind": "trial", "task": "matmul", "trace": f"[[], [{number}]]", **outcome}


def journal_of(path, seed):
    first = {"kind": "config", **Config(operators=("matmul:8x8x8",), seed=seed).to_dict()}
    left_out = [{"kind": "left_out", "task": f"op{k}", "reason": f"why {seed}"} for k in range(9)]
    path.write_bytes(encode_all([first, *left_out]))


def folded_of(path, seed):
    """The part of a long journal that was folded: read by way of the journal that names it."""
    first = write_part(path.parent, [], [trial(seed + k) for k in range(9)])
    (part,) = first["parts"]
    (path.parent / part["file"]).rename(path)
    if not seed:
        part["file"] = path.name
        (path.parent / "first").write_text(json.dumps(first))


def folded_in(path):
    first = json.loads((path.parent / "first").read_bytes())
    return [each for run in read_parts(path.parent, first) for each in records_of(run)]


def trials_of(path, seed):
    path.write_bytes(encode_all([{"kind": "config", "seed": seed}, trial(1), trial(2)]))


def tuned_of(path, seed):
    path.parent.joinpath("matmul.so").write_bytes(b"ELF")
    digest = hashlib.sha256(b"ELF").hexdigest()
    operator = {"library": "matmul.so", "sha256": digest, "latency_s": 1e-3 + seed}
    write_json(path, {"format": 2, "cores": 1, "operators": {"matmul": operator}})


def library_of(path, seed):
    tuned_of(path.parent / "tuned.json", 0)
    path.write_bytes(b"ELF" if not seed else b"FLE and more")


def tasks_in(path):
    found = read_tasks(path)
    return repr([task.to_dict() for task in found.tasks]), found.left_out, found.notes


#: File name -> how to write one from a seed, how to read it, and whether a part of it is one too.
READERS = {
    "model.balto": (model_of, predictions, False),
    "starter.balto": (starter_of, predictions, False),
    "config.json": (config_of, Config.load, False),
    "tasks.json": (tasks_of, tasks_in, False),
    "journal.jsonl": (journal_of, lambda path: list(read(path)), True),
    "journal.9.parquet": (
        folded_of,
        folded_in,
        False,
    ),
    "trials.jsonl": (trials_of, read_records, True),
    "tuned.json": (tuned_of, lambda path: read_metadata(path.parent), False),
    "matmul.so": (library_of, lambda path: read_metadata(path.parent), False),
}


@pytest.mark.parametrize("name", READERS)
def test_whatever_is_done_to_a_file_it_is_refused_in_one_line_or_says_the_same(tmp_path, name):
    write, reader, grows = READERS[name]
    path, elsewhere = tmp_path / name, tmp_path / "other" / name
    elsewhere.parent.mkdir()
    write(elsewhere, 1)
    write(path, 0)
    whole, other, expected = path.read_bytes(), elsewhere.read_bytes(), reader(path)
    refused: list[str] = []
    for changed in damaged(whole, other, 60):
        path.write_bytes(changed)
        try:
            found = reader(path)
        except BaltoError as error:
            refused.append(str(error))
            continue
        if grows and found == expected[: len(found)]:  # cut off: the rest is measured again
            continue
        # A zip is read from its end: joined with another file's end, it is that file.
        assert found == expected or changed.endswith(other[-200:])
    assert len(refused) > 60
    assert all("\n" not in each and len(each) < 1000 for each in refused)
    path.write_bytes(whole)
    assert reader(path) == expected


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"kind": "hearsay"}, "hearsay"),
        ({"task": "matmul"}, "'kind' is missing"),
        ({"kind": "config"}, "expected the settings, then trials"),
        ({**trial(1), "task": 7}, "task to be text"),
        ({**trial(1), "trace": None}, "trace to be text"),
        ({**trial(1), "latency_s": "fast"}, "latency_s to be a number.*fast"),
        ({**trial(1), "latency_s": -1.0}, "latency_s"),
        ({**trial(1), "status": "fine"}, "fine"),
        ({**trial(1), "repeats": None}, "repeats"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_a_trial_that_cannot_be_is_named_by_its_line(tmp_path, record, says):
    path = tmp_path / "trials.jsonl"
    trials_of(path, 0)
    with Journal.open(path) as journal:
        journal.append(record)
    with pytest.raises(CampaignError, match=f"line 4.*({says})") as error:
        read_records(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=str
)
def test_a_compressed_model_file_is_refused_before_it_is_unpacked(model_path, tmp_path, method):
    bomb = {**members(model_path), "zeros": bytes(50_000_000)}
    refused(written(tmp_path / "m.balto", bomb, method), "no compression")


def test_parts_that_nobody_needs_an_encrypted_one_and_a_member_twice(model_path, tmp_path):
    parts = members(model_path)
    refused(written(tmp_path / "m.balto", {**parts, "notes.txt": b"?"}), "notes.txt")
    data = bytearray(model_path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "e.balto").write_bytes(data)
    refused(tmp_path / "e.balto", "encryption")
    with (
        zipfile.ZipFile(tmp_path / "m.balto", "a") as archive,
        pytest.warns(UserWarning, match="Duplicate"),
    ):
        archive.writestr("meta.json", b"{}")
    refused(tmp_path / "m.balto", "each once")
    refused(tmp_path, "Is a directory")
    with pytest.raises(InputError, match="expected a path"):
        load(f"{tmp_path}/a\0b")
    refused(tmp_path / ("m" * 3000), "too long")


@pytest.mark.parametrize(
    "text",
    [b"", b"null", b"[]", b"7", b"{}", b'{"format": 2}', b"[" * 100_000, b"\xff\xfe", b'{"a":'],
)
def test_a_card_that_is_none(model_path, tmp_path, text):
    refused(written(tmp_path / "m.balto", {**members(model_path), "meta.json": text}))


def test_a_file_of_the_format_before_gets_one_line(model_path, tmp_path):
    parts = members(model_path)
    meta = {**json.loads(parts["meta.json"]), "format": 1}
    for versions in ({"balto": "0.0.9"}, None, "x"):
        card = json.dumps({**meta, "versions": versions}).encode()
        path = written(tmp_path / "m.balto", {**parts, "meta.json": card})
        refused(path, "model format 1, this balto reads 2.*train again")


@pytest.mark.parametrize(
    ("where", "value"),
    [
        *((("config", "base"), v) for v in (None, "x", 7, float("nan"), 1e400, 1e308, [])),
        *((("config", "seed"), v) for v in (None, "abc", -1, 0.5, True, 2**70)),
        *((("config", "settings"), v) for v in (None, [], {"max_depth": 3}, {"no": 1})),
        *((("config", "settings"), {"features": v}) for v in (["none"], [], 7, [[]])),
        (("config",), None),
        *((("features",), v) for v in (None, [], [None], {"name": "store"})),
        *((("model",), v) for v in (None, "", "oracle", ["xgb"], "lstm", "xgb-tenset")),
        *((("trained_on",), v) for v in (None, [])),
        *((("trained_on", "targets"), v) for v in (5, None, "llvm", ["x"], [None])),
        (("trained_on", "device"), json.loads("[" * 900 + "]" * 900)),
        *((("versions",), v) for v in (None, 3)),
        *((("payload",), v) for v in (None, [], ["feature.npy"], [{}], ["meta.json"])),
    ],
)
def test_metadata_that_does_not_fit(model_path, tmp_path, where, value):
    parts = members(model_path)
    meta = json.loads(parts["meta.json"])
    inner = meta
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    card = json.dumps(meta).encode()
    refused(written(tmp_path / "m.balto", {**parts, "meta.json": card}))


def _npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def _changed(name, change):
    def of(parts):
        array = np.load(io.BytesIO(parts[name]))
        return {name: _npy(change(array))}

    return of


def _each(change):
    def of(parts):
        names = [name for name in parts if name.endswith(".npy")]
        return {name: _npy(change(np.load(io.BytesIO(parts[name])))) for name in names}

    return of


def _put(value):
    def change(array):
        array.flat[3] = value
        return array

    return change


@pytest.mark.parametrize(
    "change",
    [
        _changed("feature.npy", _put(65535)),
        _changed("feature.npy", _put(1000)),
        _changed("threshold.npy", _put(np.nan)),
        _changed("threshold.npy", _put(-np.inf)),
        _changed("value.npy", _put(np.inf)),
        _changed("value.npy", _put(np.nan)),
        _changed("value.npy", lambda a: a.astype(np.float64)),
        _changed("value.npy", lambda a: a.astype(object)),
        _changed("value.npy", lambda a: a[:, :1]),
        _each(lambda array: array[:0]),
        _each(lambda array: array[:, :3]),
        _each(lambda array: array[..., :0]),
        lambda _: {"value.npy": b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, "
                   b"'shape': (99999999999, 8, 64)}" + b" " * 40 + b"\n"},
    ],
)  # fmt: skip
def test_trees_that_nobody_has_grown(model_path, tmp_path, change):
    parts = members(model_path)
    refused(written(tmp_path / "m.balto", {**parts, **change(parts)}), "cannot load the xgb model")


@pytest.mark.slow
def test_networks_are_refused_before_they_take_memory(tmp_path):
    save(trained("mlp", epochs=1, least_steps=1, hidden=8), tmp_path / "good.balto", {})
    parts = members(tmp_path / "good.balto")
    meta = json.loads(parts["meta.json"])
    meta["config"]["settings"]["hidden"] = 65536  # 34 GB of weights
    card = json.dumps(meta).encode()
    refused(written(tmp_path / "m.balto", {**parts, "meta.json": card}), "no such network")
    (name,) = (n for n in parts if n.endswith("safetensors"))
    bad = parts[name][:-4] + np.float32("nan").tobytes()
    refused(written(tmp_path / "m.balto", {**parts, name: bad}), "layer1.0.weight is not within")
    load(tmp_path / "good.balto")


def same(a, b):
    return (
        repr([t.to_dict() for t in a.tasks]) == repr([t.to_dict() for t in b.tasks])
        and list(a.traces) == list(b.traces)
        and np.array_equal(a.features["store"].rows, b.features["store"].rows)
        and np.array_equal(a.outcomes.status, b.outcomes.status)
        and np.array_equal(a.latency_s, b.latency_s, equal_nan=True)
    )


@pytest.mark.slow
def test_a_damaged_pool_is_refused_or_read_as_it_was(tmp_path):
    pool, path = tmp_path / "pool", tmp_path / "pool"
    write_pool(made_up_pool(2, 20), pool)
    write_pool(made_up_pool(2, 20, seed=5), tmp_path / "other")
    expected, changed_silently = read_pool(pool), []
    for name in ("tasks.parquet", "programs.parquet"):
        path = pool / name
        whole, other = path.read_bytes(), (tmp_path / "other" / name).read_bytes()
        for number, changed in enumerate(damaged(whole, other, 150)):
            path.write_bytes(changed)
            try:
                found = read_pool(pool)
            except PoolError:
                continue
            if not same(found, expected) and changed != other:
                changed_silently.append((name, number))
        path.write_bytes(whole)
    assert not changed_silently


def rewritten(folder, name, change):
    table = pq.read_table(folder / name)
    metadata = table.schema.metadata
    pq.write_table(change(table).replace_schema_metadata(metadata), folder / name)


def _column(name, values):
    def change(table):
        place = table.column_names.index(name)
        return table.set_column(place, name, pa.array(values(len(table))))

    return change


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        ("tasks.parquet", _column("weight", lambda n: [-3] * n), "weight"),
        ("tasks.parquet", _column("name", lambda n: ["same"] * n), "unique"),
        ("tasks.parquet", _column("task_id", lambda n: [7] * n), "task_id"),
        ("tasks.parquet", _column("name", lambda n: [[1]] * n), "wrong type"),
        ("programs.parquet", _column("status", lambda n: ["fine"] * n), "status"),
        ("programs.parquet", _column("latency_s", lambda n: [-1.0] * n), "latency_s"),
        ("programs.parquet", _column("latency_s", lambda n: [1e999] * n), "latency_s"),
        ("programs.parquet", _column("features_store", lambda n: [[[3e38] * 164]] * n), "finite"),
        ("programs.parquet", _column("features_store", lambda n: [[[1.0] * 163]] * n), "."),
        ("programs.parquet", _column("features_store", lambda n: [[1.0] * 164] * n), "."),
        ("programs.parquet", _column("features_store", lambda n: [[]] * n), "."),
        ("programs.parquet", _column("features_store", lambda n: ["x"] * n), "."),
        ("programs.parquet", lambda t: t.drop_columns(["trace"]), "missing column trace"),
        ("programs.parquet", lambda t: t.slice(1), "."),
    ],
)
def test_a_pool_with_impossible_values_is_refused(pool_path, file, change, says):
    rewritten(pool_path, file, change)
    with pytest.raises(PoolError, match=says) as error:
        read_pool(pool_path)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_column_that_would_fill_the_memory_is_refused_before_it_is_unpacked(pool_path):
    def of_one_program(count):
        values = pa.array(np.zeros(count * 164, np.float32))
        rows = pa.FixedSizeListArray.from_arrays(values, 164)
        return pa.LargeListArray.from_arrays(pa.array([0, count], pa.int64()), rows)

    table = pq.read_table(pool_path / "programs.parquet").slice(0, 1)
    place = table.column_names.index("features_store")
    pq.write_table(
        table.set_column(place, "features_store", of_one_program(500_000)),
        pool_path / "programs.parquet",
        compression="zstd",
    )
    with pytest.raises(PoolError, match="would grow from"):
        read_pool(pool_path)


@pytest.mark.slow
def test_a_damaged_onnx_file_is_one_line_or_gives_tasks(tmp_path):
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weight = helper.make_tensor("w", kind, [8, 8], np.ones(64, np.float32).tolist())
    shape = {name: helper.make_tensor_value_info(name, kind, [8, 8]) for name in "wxy"}
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        *("g", [shape["w"], shape["x"]], [shape["y"]], [weight]),
    )
    opset = [helper.make_opsetid("", 9)]
    model = helper.make_model(graph, ir_version=3, opset_imports=opset)
    path = tmp_path / "UP.ONNX"
    whole = model.SerializeToString()
    path.write_bytes(whole)
    with Worker() as worker:
        (task,) = extract_tasks([str(path)], worker=worker).tasks  # the weight comes first
        assert task.op == "matmul"
        for changed in damaged(whole, whole[::-1], 15):
            path.write_bytes(changed)
            try:
                extract_tasks([str(path)], worker=worker)
            except InputError as error:
                lines = str(error).splitlines()
            else:
                lines = [""]
            assert len(lines) == 1
            assert "InputError:" not in lines[0]


def test_the_card_can_be_read_alone(model_path):
    assert read_card(model_path).trained_on == {"device": "a CPU"}


def test_nothing_but_an_error_of_ours_comes_out_of_a_path(tmp_path):
    for path in (f"{tmp_path}/a\0b", str(tmp_path / ("p" * 3000)), "", "/dev/null/x"):
        for use in (
            lambda p: load(p),
            lambda p: read_pool(p),
            lambda p: status(p),
            lambda p: extract_tasks([f"{p}.onnx"]),
            lambda p: Campaign(tmp_path / "w", Config(pool=p or "none")),
            lambda p: Campaign(p or "/dev/null", Config(pool=str(tmp_path))),
            lambda p: write_pool(made_up_pool(1, 5), p or "/dev/null"),
        ):
            with pytest.raises(BaltoError):
                use(path)


def balto(*args, cwd):
    return subprocess.run(
        [sys.executable, "-m", "balto", *map(str, args)],
        capture_output=True, text=True, cwd=cwd, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_names_and_paths_that_are_too_long_cost_one_line_in_every_command(tmp_path, pool_path):
    long, deep = "n" * 3000, "/".join(["d" * 200] * 30)
    for name in (long, deep):
        for args in (
            ("tasks", name), ("tasks", f"{name}.onnx"), ("tasks", "--operator", name),
            ("tasks", "resnet-50", "--target", name), ("status", name), ("report", name),
            ("export", name, "p"), ("model", name), ("replay", name),
            ("replay", pool_path, "--selector", name), ("replay", pool_path, "--model", name),
            ("pretrain", name, "--pool", pool_path), ("pretrain", "w", "--pool", name),
            ("pretrain", "w", "--pool", pool_path, "--from", name), ("features", name),
            ("pretrain", "w", "--pool", pool_path, "--compare", name),
            ("tune", "--operator", name), ("sample", "x", "--operator", name),
            ("tune", "--operator", "matmul:8x8x8", "--model", name),
        ):  # fmt: skip
            result = balto(*args, cwd=tmp_path)
            assert result.returncode == 2, (args[0], result.stderr[-500:])
            lines = [x for x in result.stderr.splitlines() if "folds their constants" not in x]
            assert len(lines) == 1, result.stderr[-500:]
            assert len(result.stderr) < 2000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("left_children", 999_999), ("right_children", 0), ("parents", -7), ("split_indices", 164),
        ("split_conditions", float("nan")), ("split_type", 1), ("default_left", None),
        ("base_weights", 1e38),
    ],
)  # fmt: skip
def test_trees_that_xgboost_would_follow_out_of_its_arrays(tmp_path, name, value):
    save(trained("xgb-tenset", num_boost_round=2), tmp_path / "good.balto", {})
    parts = members(tmp_path / "good.balto")
    content = json.loads(parts["trees.json"])
    tree = content["learner"]["gradient_booster"]["model"]["trees"][0]
    tree[name] = [value, *tree[name][1:]] if value is not None else []
    trees = json.dumps(content).encode()
    refused(written(tmp_path / "m.balto", {**parts, "trees.json": trees}), "cannot load")
    load(tmp_path / "good.balto")


def test_trees_whose_sums_would_be_infinite(tmp_path):
    save(trained("xgb-tenset", num_boost_round=2), tmp_path / "good.balto", {})
    parts = members(tmp_path / "good.balto")
    content = json.loads(parts["trees.json"])
    content["learner"]["learner_model_param"]["base_score"] = "1E308"
    trees = json.dumps(content).encode()
    refused(written(tmp_path / "m.balto", {**parts, "trees.json": trees}), "a base of at most 1e")


@pytest.mark.parametrize("shape", [[-1, -8], [2**62], [2**31, 2**31, 2**31], ["8"], [0]], ids=str)
@pytest.mark.parametrize("of", ["operator", "network"])
def test_a_shape_that_no_array_has_is_refused_before_a_library_is_loaded(tmp_path, of, shape):
    tuned_of(tmp_path / "tuned.json", 0)
    content = read_json(tmp_path / "tuned.json")
    about = content["operators"]["matmul"]
    if of == "network":
        content |= {"operators": {}, "network": {**about, "inputs": [["x", shape, "float32"]]}}
    else:
        about["arguments"] = [[[8, 8], "float32"], [shape, "float32"]]
    write_json(tmp_path / "tuned.json", content)
    with pytest.raises(InputError, match="expected a shape of sizes from 1 that multiply to") as e:
        read_metadata(tmp_path)
    assert "\n" not in str(e.value)

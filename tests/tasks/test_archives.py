"""A ``.pt2`` file that would run code is refused by name, and nothing of it runs."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from balto.errors import InputError
from balto.tasks import archives
from balto.tasks.read_onnx import onnx_model

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow
MODEL, INPUTS = "models/model.json", "data/sample_inputs/model.pt"
WEIGHTS, CONSTANTS = (f"data/{n}/model_{n}_config.json" for n in ("weights", "constants"))


class Runs:
    """Makes the folder `owned` when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("owned",)


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleDict({"a-b c": torch.nn.Linear(4, 3)})
        self.limit = torch.tensor([1.0, 2.0, 3.0])

    def forward(self, x, factor=2.0, how="it's"):  # noqa: ARG002
        y = self.layers["a-b c"](x) * factor + self.limit
        with torch.no_grad():
            z = y.relu()
        return {
            "sum": torch.cond(z.sum() > 0, torch.sin, torch.cos, (z,)),
            "both": torch.cat([z, z]),
        }


class Plain(torch.nn.Module):
    def forward(self, x):
        return x + 1


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Bytes of the records of an ordinary archive, by name, and the archive."""
    path = tmp_path_factory.mktemp("saved") / "plain.pt2"
    torch.export.save(torch.export.export(Plain(), (torch.zeros(2, 3),)), path)
    with zipfile.ZipFile(path) as archive:
        return {n.partition("/")[2]: archive.read(n) for n in archive.namelist()}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "evil", raising=False)
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "0")
    (tmp_path / "evil.py").write_text("import pathlib\npathlib.Path('owned').touch()\nA = dict\n")


def written(records, pack=zipfile.ZIP_STORED):
    """An archive with these records, in the folder it is run in."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two records of one name
        with zipfile.ZipFile("net.pt2", "w", pack) as archive:
            for name, data in records if isinstance(records, list) else records.items():
                archive.writestr(f"net/{name}", data)
    return "net.pt2"


def saves(value):
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def changed(records, name, change):
    """These records with another JSON of that name."""
    content = json.loads(records[name])
    change(content)
    return {**records, name: json.dumps(content).encode()}


def graph(content):
    return content["graph_module"]["graph"]


def with_inputs(records):
    return {**records, INPUTS: saves(((Runs(),), {}))}


def with_weight(records):
    meta = {"path_name": "weight_0", "is_param": True, "use_pickle": True, "tensor_meta": None}
    more = {**records, "data/weights/weight_0": saves(Runs())}
    return changed(more, WEIGHTS, lambda c: c["config"].update(w=meta))


def with_object(records):
    meta = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    more = {**records, "data/constants/opaque_obj_0": pickle.dumps(Runs())}
    return changed(more, CONSTANTS, lambda c: c["config"].update(w=meta))


def with_old_weights(records):
    return {**records, "data/weights/model.pt": saves({"w": Runs()})}


def with_size(records):
    code = "__import__('pathlib').Path('owned').touch()"
    size = {"as_expr": {"expr_str": code, "hint": None}}
    return changed(
        records, MODEL, lambda c: graph(c)["tensor_values"]["x"]["sizes"].__setitem__(0, size)
    )


def with_size_below_a_tensor_called_metadata(records):
    def change(content):
        graph(content)["tensor_values"]["metadata"] = graph(content)["tensor_values"]["x"]

    return changed(with_size(records), MODEL, change)


def with_import(records):
    context = {
        "default_factory_module": "evil", "default_factory_name": "A", "dict_context": []
    }  # fmt: skip
    spec = [1, {"type": "collections.defaultdict", "context": context, "children_spec": []}]

    def change(content):
        content["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = json.dumps(spec)

    return changed(records, MODEL, change)


def with_enum(records):
    context = json.dumps({"__enum__": True, "fqn": "evil:A", "name": "x"})
    spec = [1, {"type": "builtins.tuple", "context": context, "children_spec": []}]

    def change(content):
        content["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = json.dumps(spec)

    return changed(records, MODEL, change)


def with_call(records):
    def change(content):
        node = graph(content)["nodes"][0]
        node["target"] = "torch.os.system"
        node["inputs"] = [{"name": "", "arg": {"as_string": "touch owned"}, "kind": 1}]

    return changed(records, MODEL, change)


def with_variable(records):
    name = "x=__import__('pathlib').Path('owned').touch()"
    return {**records, MODEL: records[MODEL].replace(b'"x"', json.dumps(name).encode())}


def with_argument(records):
    def change(content):
        content["graph_module"]["signature"]["forward_arg_names"] = ["x=open('owned', 'w')"]
        content["graph_module"]["module_call_graph"][0]["signature"]["forward_arg_names"] = [
            "x=open('owned', 'w')"
        ]

    return changed(records, MODEL, change)


def with_guard(records):
    return changed(records, MODEL, lambda c: c.update(guards_code=["open('owned', 'w')"]))


RUNS_IN_TORCH = {
    with_inputs: r"would run code: data/sample_inputs/model.pt names posix.mkdir",
    with_weight: r"would run code: data/weights/weight_0 names posix.mkdir",
    with_object: "has the object opaque_obj_0 among its constants",
    with_old_weights: r"would run code: data/weights/model.pt names posix.mkdir",
    with_size: "odd text in models/model.json, expr_str: .*__import__",
    with_import: "odd text in models/model.json, out_spec: .*default_factory",
    with_enum: "odd text in models/model.json, out_spec: .*__enum__",
}
COULD_RUN = {
    with_size_below_a_tensor_called_metadata: "expr_str: .*__import__",
    with_call: "odd text in models/model.json, target: 'torch.os.system'",
    with_variable: "__import__",
    with_argument: "forward_arg_names: .*open",
    with_guard: "guards_code: .*open",
}


@pytest.mark.parametrize(("attack", "says"), {**RUNS_IN_TORCH, **COULD_RUN}.items())
def test_a_file_that_would_run_code_is_refused_by_name(saved, attack, says):
    with pytest.raises(InputError, match=says) as error:
        archives.load(written(attack(saved)))
    assert "refused, nothing of it was loaded" in str(error.value)
    assert "\n" not in str(error.value)
    assert not Path("owned").exists()


@pytest.mark.parametrize("attack", RUNS_IN_TORCH)
def test_these_attacks_are_real(saved, attack):
    """torch alone runs them, which is why the archive is looked into first."""
    path = written(attack(saved))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(Exception):  # the code has run by then
            torch.export.load(path)
    assert Path("owned").exists()


ODD = {
    "a compiled library": (
        lambda r: {**r, "data/aotinductor/model/a.so": b"\x7fELF"},
        "has the record net/data/aotinductor/model/a.so, which may be code",
    ),
    "two records of one name": (
        lambda r: [*r.items(), (INPUTS, saves(((Runs(),), {})))],
        "two records of one name",
    ),
    "names that differ by case": (
        lambda r: {**r, INPUTS.replace("model", "MODEL"): r[INPUTS]},
        "two records of one name",
    ),
    "a path upwards": (lambda r: {**r, "extra/../../x": b""}, "which may be code"),
    "no model": (lambda r: {**r, MODEL: b"{"}, "is damaged"),
    "deep JSON": (lambda r: {**r, MODEL: b"[" * 100_000}, "is damaged"),
}


@pytest.mark.parametrize("case", ODD)
def test_an_odd_archive_is_one_line(saved, case):
    change, says = ODD[case]
    with pytest.raises(InputError, match=says) as error:
        archives.load(written(change(saved)))
    assert "\n" not in str(error.value)
    assert not Path("owned").exists()


def test_a_compressed_archive_is_refused_unread(saved):
    bomb = {**saved, "extra/zeros": b"\0" * 50_000_000}
    path = written(bomb, zipfile.ZIP_DEFLATED)
    assert os.path.getsize(path) < 1_000_000  # noqa: PTH202
    with pytest.raises(InputError, match="has a compressed record"):
        archives.check_archive(path)


def test_records_outside_of_the_archives_folder_are_refused(saved):
    path = written(saved)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/data/weights/a", b"")
    with pytest.raises(InputError, match="has the record other/data/weights/a"):
        archives.check_archive(path)


def test_a_file_of_torchs_older_layout_is_refused_with_what_to_do():
    with zipfile.ZipFile("net.pt2", "w") as archive:
        archive.writestr("version", "8.2")
        archive.writestr("serialized_state_dict.pt", saves(Runs()))
    with pytest.raises(InputError, match=r"was saved by torch 2\.7 or older; save it again"):
        archives.load("net.pt2")
    assert not Path("owned").exists()


def test_what_is_no_archive_is_one_line():
    for data in (b"", b"PK\x03\x04", pickle.dumps(Runs()), saves(torch.zeros(2))):
        Path("net.pt2").write_bytes(data)
        with pytest.raises(InputError) as error:
            archives.load("net.pt2")
        assert "\n" not in str(error.value)
    assert not Path("owned").exists()


def test_ordinary_archives_load_and_compute_the_same():
    rows = torch.export.Dim("rows", min=4, max=64)
    x = torch.randn(6, 4)
    program = torch.export.export(Small(), (x,), dynamic_shapes={"x": {0: rows}})
    torch.export.save(program, "net.pt2")
    loaded = archives.load("net.pt2")
    expected, got = program.module()(x), loaded.module()(x)
    assert torch.equal(expected["sum"], got["sum"])
    assert torch.equal(expected["both"], got["both"])


@pytest.mark.parametrize(
    "place", ["../secret", "{here}/secret", "link", "/dev/zero", "a/../../secret"]
)
def test_weights_of_an_onnx_file_come_from_its_folder_alone(tmp_path, place):
    onnx = pytest.importorskip("onnx")
    (tmp_path / "secret").write_bytes(np.ones(4, np.float32).tobytes())
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "link").symlink_to(tmp_path / "secret")
    weight = onnx.numpy_helper.from_array(np.ones(4, np.float32), "w")
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=place.format(here=tmp_path))
    row = [onnx.helper.make_tensor_value_info(name, 1, [4]) for name in "xy"]
    node = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph([node], "g", row[:1], row[1:], [weight])
    (tmp_path / "net" / "a.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    with pytest.raises(onnx.checker.ValidationError):
        onnx_model(str(tmp_path / "net" / "a.onnx"))

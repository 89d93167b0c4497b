"""Pickles made to attack are refused by name, in one line, and nothing of them happens."""

from __future__ import annotations

import collections
import os
import pickle
import resource
import struct
import subprocess
import sys

import numpy as np
import pytest

from balto.data.files import reading
from balto.errors import InputError
from balto.importers.pickles import Machine
from balto.importers.tenset import import_tenset


class Calls:
    """Pickled as a call."""

    def __init__(self, *how):
        self.how = how

    def __reduce__(self):
        return self.how


def refused(tmp_path, data, says):
    path = tmp_path / "dataset.pkl"
    path.write_bytes(data)
    with pytest.raises(InputError, match=says) as error, reading(path, InputError):
        for _ in Machine(path).run():
            pass
    assert "\n" not in str(error.value)


HEAD = b"\x80\x04"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
FLOATS = b"cnumpy\ndtype\n(X\x02\x00\x00\x00f8\x89\x88tR"
OBJECTS = b"cnumpy\ndtype\n(X\x02\x00\x00\x00O8\x89\x88tR"


@pytest.mark.parametrize("protocol", [2, 3, 5])
@pytest.mark.parametrize(
    ("how", "says"),
    [
        ((os.system, ("touch owned",)), r"names (posix|os)\.system"),
        ((eval, ("1",)), r"names (builtins|__builtin__)\.eval"),
        ((getattr, ("", "join")), r"names (builtins|__builtin__)\.getattr"),
        ((np.frombuffer, (b"x",)), r"names numpy.*frombuffer"),
        ((subprocess.Popen, ("touch owned",)), r"names (subprocess|commands)\.Popen"),
        ((collections.OrderedDict, ([("a", 1)],)), r"calls collections\.OrderedDict with"),
        ((collections.Counter, ()), r"names collections\.Counter"),
        ((np.dtype, ("O8",), (3, ">", None, None, None, -1, -1, 63)), "gives a .* a state"),
    ],
)
def test_a_call_of_anything_else_is_refused_by_its_name(tmp_path, monkeypatch, protocol, how, says):
    monkeypatch.chdir(tmp_path)
    refused(tmp_path, pickle.dumps(Calls(*how), protocol=protocol), says)
    assert not (tmp_path / "owned").exists()


def test_what_is_inside_of_an_array_of_objects_is_refused_too(tmp_path):
    inside = np.array([np.zeros((1, 164)), Calls(os.system, ("touch owned",))], dtype=object)
    refused(tmp_path, pickle.dumps(({}, inside)), r"names (posix|os)\.system")
    refused(
        tmp_path, pickle.dumps(np.array([{}, {}], dtype=object)), "has features that are a dict"
    )


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x80\x04X\x01\x00\x00\x00aQ.", "instruction BINPERSID"),
        (b"\x80\x04Pname\n.", "instruction PERSID"),
        (b"\x80\x04\x82\x01.", "instruction EXT1"),
        (b"(S'touch owned'\nios\nsystem\n.", "instruction STRING"),
        (b"(ios\nsystem\n.", "instruction INST"),
        (b"(cos\nsystem\no.", r"names os\.system"),
        (HEAD + b"ctvm.auto_scheduler.dataset\nDataset\n)}\x92.", "instruction NEWOBJ_EX"),
        (HEAD + b"\x97.", "instruction NEXT_BUFFER"),
        (HEAD + b"\x8b\xff\xff\xff\x7f" + b"\x00" * 9, "instruction LONG4"),
        (HEAD + b"cnumpy\nndarray\n)R.", r"calls numpy\.ndarray"),
        (
            HEAD + b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\nK\x00\x85C\x01btR.",
            "calls",
        ),
        (HEAD + b"ctvm.runtime.object\n_new_object\ncnumpy\nndarray\n\x85R.", "calls"),
        (HEAD + b"ctvm.auto_scheduler.dataset\nDataset\n)\x81}b}b.", "gives an object"),
        (HEAD + b"}}b.", "gives a dict a state"),
        (HEAD + b"]}b.", "gives a list a state"),
        (HEAD + b"cnumpy\ndtype\n}b.", r"gives numpy\.dtype a state"),
        (HEAD + b"\x8c\x08builtins\x8c\x04exec\x93.", r"names builtins\.exec"),
        (HEAD + b"c" + b"a" * 10_000 + b"\nb\n.", "names b'aaa"),
        (HEAD + b"}K\x01K\x01s.", "dictionary with the key 1"),
        (HEAD + b"h\x07.", "refers back to value 7"),
        (HEAD + b"K\x01K\x02.", "left over"),
        (HEAD + b"N." + b"cos\nsystem\n(Vtouch owned\ntR.", "goes on after its end, at byte 4"),
        (HEAD + b"N.\n", "goes on after its end, at byte 4"),
        (HEAD + b"0.", "instruction POP"),
        (HEAD + b"R.", "takes a value where there is none"),
        (HEAD + b"t.", "takes values where there are none"),
        (HEAD + b"(K\x01R.", "takes a value where there is none"),
        (HEAD + b"\xff.", "instruction"),
        (b"", "cut off"),
        (HEAD + b"\x8e" + struct.pack("<Q", 2**62), "holds a value of"),
        (HEAD + b"B" + struct.pack("<I", 2**27), "cut off"),
        (HEAD + b"X" + struct.pack("<I", 2**31), "holds a value of"),
        (
            ARRAY + b"(K\x01(\x8a\x06\x00\x00\x00\x00\x00\x01t" + FLOATS + b"\x89C\x00tb.",
            "of the shape",
        ),
        (ARRAY + b"(K\x01(J\x00\x00\x00\x40\x85" + OBJECTS + b"\x89]tb.", "."),
    ],
)
def test_odd_instructions_are_refused(tmp_path, data, says):
    refused(tmp_path, data, says)


FLOODS = {
    "values on the stack": HEAD + b"N" * 1_500_000,
    "marks": HEAD + b"(" * 1_500_000,
    "tuples in tuples": HEAD + b")" + b"\x85" * 1_500_000,
    "a list": HEAD + b"]" + b"(" + b"NNNNNNNNe(" * 200_000,
    "texts that are remembered": HEAD + b"\x8c\x01a" + b"\x94" * 1_500_000,
    "dictionaries": HEAD + b"]" + b"}a" * 1_200_000,
    "numbers": HEAD + b"]" + b"(" + (b"G" + b"\x00" * 8) * 5_000_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOODS)
def test_a_file_that_would_fill_the_memory_is_refused_within_a_gigabyte(tmp_path, name):
    path = tmp_path / "dataset.pkl"
    path.write_bytes(FLOODS[name])
    code = (
        "import sys\nfrom balto.importers.tenset import import_tenset\n"
        "from balto.errors import InputError\n"
        "try: import_tenset(sys.argv[1], sys.argv[2])\n"
        "except InputError as error: print(error)"
    )

    def limit():
        resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))

    done = subprocess.run(
        [sys.executable, "-c", code, path, tmp_path / "pool"],
        preexec_fn=limit, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    assert len(done.stdout.splitlines()) == 1


def test_protocol_2_is_refused_by_the_call_that_it_needs(tenset, tmp_path):
    with pytest.raises(InputError, match=r"names _codecs\.encode"):
        import_tenset(tenset / "dataset2.pkl", tmp_path / "pool")

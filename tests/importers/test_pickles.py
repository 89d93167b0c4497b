"""Pickles made to attack are refused by name, in one line, and nothing of them happens."""

from __future__ import annotations

import collections
import os
import pickle
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


LONG_TYPE = b"cnumpy\ndtype\n(X\x0b\x00\x00\x00V1000000000\x89\x88tR"
OBJECT = b"ctvm.runtime.object\n_new_object\nctvm.runtime.object\nObject\n\x85R"


def shape(*sizes):
    """The begin of an array's state: version and shape."""
    return b"(K\x01(" + b"".join(b"J" + struct.pack("<i", n) for n in sizes) + b"t"


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
        (
            ARRAY + shape(300_000_000, 0, 164) + OBJECTS + b"\x89]tb.",
            r"shape \(300000000, 0, 164\)",
        ),
        (ARRAY + shape(0, 164) + FLOATS + b"\x89C\x00tb.", r"of the shape \(0, 164\)"),
        (ARRAY + shape(2) + LONG_TYPE + b"\x89C\x00tb.", "of the type V1000000000"),
        (ARRAY + OBJECT + b"(K\x01tb0.", "gives an object tvm.runtime.object.Object a state"),
        (
            HEAD + b"X" + struct.pack("<I", 2**24 + 1),
            "a value of 16777217 bytes",
        ),
    ],
)
def test_odd_instructions_are_refused(tmp_path, data, says):
    refused(tmp_path, data, says)


WIDE = "a" * ((1 << 20) - 4) + "\N{GRINNING FACE}"  # Python keeps four bytes a letter
LONG = b"X" + struct.pack("<I", 1 << 20) + WIDE.encode()
TASK = b"ctvm.auto_scheduler.dataset\nLearningTask\n"
NUMBER = b"G" + b"\x00" * 8


def given(also):
    """Features of one program that are given away; what else is made meanwhile is let go."""
    row = ARRAY + shape(1, 1) + FLOATS + b"\x89C\x08" + b"\x00" * 8 + b"tb"
    dtype = b"cnumpy\ndtype\n(X\x02\x00\x00\x00O8" + also + b"tR"
    return ARRAY + b"(K\x01(K\x01t" + dtype + b"\x89](" + row + b"etba"


FLOODS = {
    "values on the stack": lambda: HEAD + b"N" * 1_500_000,
    "marks": lambda: HEAD + b"(" * 1_500_000,
    "tuples in tuples": lambda: HEAD + b")" + b"\x85" * 1_500_000,
    "a list": lambda: HEAD + b"]" + b"(" + b"NNNNNNNNe(" * 200_000,
    "texts that are remembered": lambda: HEAD + b"\x8c\x01a" + b"\x94" * 1_500_000,
    "dictionaries": lambda: HEAD + b"]" + b"}a" * 1_200_000,
    "dictionaries in dictionaries": lambda: HEAD + b"}\x8c\x01a\x94" + b"}h\x00" * 199_000,
    "numbers": lambda: HEAD + b"]" + b"(" + NUMBER * 5_000_000,
    "texts of wide letters": lambda: HEAD + b"](" + LONG * 150,
    "texts, remembered in arrays that are given away": lambda: (
        HEAD + b"]" + 150 * given(LONG + b"\x94")
    ),
    "tasks of long texts, remembered in arrays that are given away": lambda: (
        HEAD + b"]" + 150 * given(TASK + LONG + b"\x8c\x01a\x86\x81\x94")
    ),
    "states, remembered in arrays that are given away": lambda: (
        HEAD + b"]" + 450 * given(OBJECT + b"\x94(" + b"N" * 100_000 + b"tb")
    ),
    "a key of long texts": lambda: HEAD + LONG + b"\x94}(" + b"h\x00" * 150_000 + b"tNs",
    "a shape of long texts": lambda: (
        HEAD
        + LONG
        + b"\x94"
        + ARRAY
        + b"(K\x01("
        + b"h\x00" * 150_000
        + b"t"
        + FLOATS
        + b"\x89C\x00tb"
    ),
    "a name of long texts": lambda: HEAD + LONG + b"\x94(" + b"h\x00" * 150_000 + b"t\x8c\x01a\x93",
    "objects in objects": lambda: (
        HEAD
        + OBJECT
        + b"\x94"
        + b"".join(
            OBJECT + b"\x94(" + b"h" + bytes([k]) + b"h" + bytes([k]) + b"tb" for k in range(60)
        )
        + b"}h\x3cNs"
    ),
    "programs of one number": lambda: (
        HEAD + ARRAY + shape(6_000_000, 1, 1) + OBJECTS + b"\x89](" + NUMBER * 6_000_000 + b"etb."
    ),
}
#: Reads each file named after it within the memory that it is given, and prints what it says.
READER = """
import resource, sys
from pathlib import Path
from balto.data.files import reading
from balto.errors import InputError
from balto.importers.pickles import Machine
resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))
for name in sys.argv[1:]:
    try:
        with reading(name, InputError):
            for _ in Machine(Path(name)).run():
                pass
        print("read")
    except InputError as error:
        print(error)
"""


def said_of(paths):
    """What the reader says of files within a gigabyte: a line each, which is not of memory."""
    done = subprocess.run(
        [sys.executable, "-c", READER, *paths],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr[-500:]
    assert len(lines) == len(paths)
    assert not [line for line in lines if "more memory than there is" in line or len(line) > 1000]
    return lines


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOODS)
def test_a_file_that_would_fill_the_memory_is_refused_within_a_gigabyte(tmp_path, name):
    path = tmp_path / "dataset.pkl"
    path.write_bytes(FLOODS[name]())
    assert said_of([path]) != ["read"]


#: Instructions, whole values and what begins one, of which random files are made.
PIECES = [
    *(
        b"N",
        b"K\x07",
        b"J\xff\xff\xff\x7f",
        b"\x8a\x08" + b"\xff" * 8,
        NUMBER,
        NUMBER * 20,
        b"\x88",
    ),
    *(b"\x8c\x01a", LONG, b"C\x03abc", b"B" + struct.pack("<I", 1 << 20) + b"\0" * (1 << 20)),
    *(b"]", b"}", b")", b"(", b"t", b"\x85", b"\x86", b"\x87", b"a", b"e", b"s", b"u", b"R", b"b"),
    *(b"\x81", b"\x93", b"\x94", b"q\x00", b"h\x00", b"h\x01", b"j\x01\x00\x00\x00"),
    *(b"\x95" + b"\xff" * 8, OBJECT, FLOATS, OBJECTS, TASK, TASK + b"\x8c\x01a\x8c\x01b\x86\x81"),
    *(ARRAY, ARRAY + shape(2, 3), ARRAY + shape(8), ARRAY + shape(1, 1, 20) + OBJECTS + b"\x89]("),
    *(ARRAY + shape(1) + FLOATS + b"\x89C\x08" + b"\0" * 8 + b"tb", b"(K\x01K\x02tb"),
    ARRAY + shape(1, 1, 20) + OBJECTS + b"\x89](" + NUMBER * 20 + b"etb",
]


@pytest.mark.slow
def test_random_instructions_repeated_up_to_millions_of_times_stay_within_a_gigabyte(tmp_path):
    rng = np.random.default_rng(7)
    paths = [tmp_path / f"{number}.pkl" for number in range(80)]
    for path in paths:
        data = HEAD
        while len(data) < 3_000_000 and rng.random() > 0.02:
            some = b"".join(PIECES[k] for k in rng.integers(len(PIECES), size=rng.integers(1, 5)))
            data += some * int(min(2 ** rng.integers(0, 21), max(1, 2_000_000 // len(some))))
        path.write_bytes(data + b".")
    said_of(paths)


def test_protocol_2_is_refused_by_the_call_that_it_needs(tenset, tmp_path):
    with pytest.raises(InputError, match=r"names _codecs\.encode"):
        import_tenset(tenset / "dataset2.pkl", tmp_path / "pool")

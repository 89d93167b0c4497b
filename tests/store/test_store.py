"""A store holds what any number of processes wrote, whenever each of them was killed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balto.errors import InputError
from balto.journal.file import encode_all
from balto.store.entry import Entry, Head, module_record, read_entry, trial_record
from balto.store.folder import MARK, Store
from balto.store.known import Known, merged
from balto.store.stores import Stores, own_folder
from balto.store.writer import Writer
from tests.store import made_up
from tests.store.made_up import filled, identity, outcome, place, task, trace, writer

#: What happened to a store: which writer measured which program, in how many milliseconds.
EVENTS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(1, 1000)), max_size=20
)


@settings(max_examples=10, deadline=None)
@given(EVENTS)
def test_every_measurement_of_every_writer_is_there_in_order_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[int, int, int]]
) -> None:
    store = Store.open(tmp_path_factory.mktemp("s") / "store", write=True)
    writers = [writer(store) for _ in range(3)]
    expected: dict[str, list[float]] = {}
    for number, program, ms in events:
        writers[number].trial(task(), trace(program), outcome(ms / 1000))
        expected.setdefault(trace(program), []).append(ms / 1000)
    for each in writers:
        each.close()
    found = Store.open(store.path, write=False).entries(identity())
    assert len(found) == len({number for number, *_ in events})
    times = {t: sorted(o.latency_s for o in p.outcomes) for t, p in merged(found).items()}
    assert times == {t: sorted(seconds) for t, seconds in expected.items()}
    assert all(not entry.finished for entry in found)


@pytest.mark.parametrize("count", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_writers_that_are_killed_at_once_lose_nothing_that_they_wrote(
    tmp_path: Path, count: int
) -> None:
    command = [sys.executable, "-m", made_up.__name__, str(tmp_path / "store")]
    running = [
        subprocess.Popen([*command, str(k)], stdout=subprocess.PIPE, text=True)
        for k in range(count)
    ]
    for each in running:
        assert each.stdout is not None
        each.stdout.readline()
    time.sleep(random.random() / 4)
    for each in running:
        os.kill(each.pid, signal.SIGKILL)
    said = [[1, *map(int, each.communicate()[0].split())] for each in running]
    store = Store.open(tmp_path / "store", write=False)
    found = store.entries(identity())
    assert not store.troubles
    assert len(found) == count
    programs = merged(found)
    for number, told in enumerate(said):
        for program in range(told[-1]):
            assert trace(program + 1_000_000 * number) in programs


@pytest.mark.parametrize("damage", ["flip", "swap lines", "drop a line", "elsewhere", "zeros"])
def test_a_damaged_entry_is_named_once_and_left_alone(tmp_path: Path, damage: str) -> None:
    store = filled(tmp_path / "store")
    sound = writer(store)
    sound.trial(task(), trace(9), outcome(1.0))
    sound.close()
    path = min(store.files(), key=lambda each: read_entry(each).head.at)
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    middle = len(data) // 2
    changed = {
        "flip": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "swap lines": b"".join([*lines[:2], lines[3], lines[2], *lines[4:]]),
        "drop a line": b"".join([*lines[:2], *lines[3:]]),
        "elsewhere": data,
        "zeros": bytes(1 << 17),
    }[damage]
    path.write_bytes(changed)
    wanted = identity()
    if damage == "elsewhere":
        wanted = identity(7)
        path.rename(store.new_file(wanted).with_name(path.name))
        assert len(store.entries(identity())) == 1
    fresh = Store.open(store.path, write=False)
    for _ in range(2):
        found = fresh.entries(wanted)
        assert [list(each.programs) for each in found] == (
            [] if damage == "elsewhere" else [[trace(9)]]
        )
    assert len(fresh.troubles) == 1
    assert str(path.name) in next(iter(fresh.troubles.values()))


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 1))
def test_an_entry_that_was_cut_off_anywhere_has_its_first_programs(
    tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    store = filled(tmp_path_factory.mktemp("s") / "store", programs=4)
    [path] = store.files()
    whole = list(read_entry(path).programs)
    content = path.read_bytes()
    path.write_bytes(content[: round(share * len(content))])
    found = store.entries(identity())
    assert not store.troubles
    assert [list(each.programs) for each in found] in [[], *([whole[:k]] for k in range(5))]


def test_an_entry_is_the_same_when_its_records_are_written_anew(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    written = writer(store)
    written.trial(task(), "", outcome(1.0))
    written.checked(task(), trace(1), 0.25, "untuned")
    written.checked(task(), trace(1), 0.25, "untuned")
    written.checked(task(), trace(2), float("inf"), "network")
    written.close()
    for entry in store.entries(identity()):
        first, *rest = entry.records()
        again = Entry(head=type(entry.head).of(first))
        for record in rest:
            again.take(record)
        assert again == entry
    assert entry.programs[trace(1)].errors == {"untuned": 0.25}
    assert entry.programs[trace(2)].errors["network"] > 1


def test_a_folder_that_holds_something_else_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="holds something else"):
        Store.open(tmp_path, write=True)
    with pytest.raises(InputError, match="found none"):
        Store.open(tmp_path / "nowhere", write=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["thesis.tex"]
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / MARK).write_text("format 9\n")
    with pytest.raises(InputError, match="use the balto that wrote it"):
        Store.open(tmp_path / "new", write=True)


def test_another_device_another_tvm_and_another_measurer_give_seeds_and_no_times(
    tmp_path: Path,
) -> None:
    filled(tmp_path / "store")
    stores = Stores.open(tmp_path / "store")
    known = stores.known(identity(), place())
    assert list(known.programs) == [trace(0), trace(1), trace(2)]
    assert not known.seeds
    for change in ({"device": "Another"}, {"tvm": "9.9"}, {"measurer": "rpc:host:1/key"}):
        other = stores.known(identity(), replace(place(), **change))
        assert not other.programs
        assert other.seeds == [trace(0), trace(1), trace(2)]


def test_wrong_programs_are_no_seeds(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    written = writer(store)
    written.checked(task(), trace(0), 5.0, "untuned")
    written.trial(task(), trace(0), outcome(1e-6))
    written.close()
    stores = Stores.open(tmp_path / "store")
    other = stores.known(identity(), replace(place(), device="Another"))
    assert trace(1) in other.seeds
    written.checked(task(), trace(1), 5.0, "network")
    written.close()


def test_the_nearest_shapes_are_the_relatives(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", write=True)
    sizes = {1: 16, 2: 1024, 3: 9, 4: 64, 5: 512, 6: 8}
    for number, size in sizes.items():
        of = identity(number, extents=(8, 8, size))
        written = writer(store, of)
        written.trial(task(), trace(number), outcome(1e-3))
        written.close()
    other_operator = writer(store, identity(7, family=1))
    other_operator.trial(task(), trace(7), outcome(1e-3))
    other_operator.close()
    known = Stores.open(store.path).known(identity(0, extents=(8, 8, 8)), place())
    assert [each.key for each in known.relatives] == [identity(k).key for k in (6, 3, 1, 4)]
    assert known.relatives[0].programs == [(trace(6), 1e-3)]
    assert Known.of(known.to_record()) == replace(
        known, programs=dict(known.programs), seeds=list(known.seeds)
    )


def test_stores_behind_ones_own_are_read_and_never_written(tmp_path: Path) -> None:
    filled(tmp_path / "team", programs=2)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "team").rglob("*")}
    stores = Stores.open([tmp_path / "own", tmp_path / "team"])
    assert list(stores.known(identity(), place()).programs) == [trace(0), trace(1)]
    written = writer(stores.stores[0])
    written.trial(task(), trace(0), outcome(2e-3))
    written.close()
    [first, _] = stores.known(identity(), place()).programs.values()
    assert [each.latency_s for each in first] == [1e-3, 2e-3]
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "team").rglob("*")}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["own", "own"], "none is one"),
        (["a", "none"], "none alone"),
        (["a", "a"], "comes twice"),
        (["a", "b"], "found none"),
    ],
)
def test_stores_that_cannot_be_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if given[0] == "own":
        words = "BALTO_STORE is none"
    with pytest.raises(InputError, match=words):
        Stores.open(given)


def test_ones_own_store_is_in_ones_data_and_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own_folder() is None  # BALTO_STORE is none in all tests
    assert not Stores.open("own").stores
    monkeypatch.delenv("BALTO_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert own_folder() == tmp_path / "balto" / "store"
    [store] = Stores.open("own").stores
    assert store.path == tmp_path / "balto" / "store"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert own_folder() == tmp_path / "home" / ".local" / "share" / "balto" / "store"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BALTO_STORE", str(tmp_path / "file" / "store"))
    refused = Stores.open("own")
    assert not refused.stores
    assert "no store is used" in refused.notes[0]
    with pytest.raises(Exception, match="file"):
        Stores.open(str(tmp_path / "file" / "store"))


def test_a_store_that_goes_away_is_told_once_and_stops_nobody(tmp_path: Path) -> None:
    store, told = Store.open(tmp_path / "store", write=True), list[str]()
    written = Writer(store, {"matmul": identity()}, "live", told.append)
    written.trial(task(), trace(0), outcome(1.0))
    shutil.rmtree(store.path)
    for number in range(3):
        written.trial(task(), trace(number), outcome(1.0))
    written.close()
    assert len(told) == 1
    assert "nothing more is written to the store" in told[0]


def test_long_entries_go_on_in_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("balto.store.writer.ROLL", 2000)
    store = filled(tmp_path / "store", programs=40)
    assert len(list(store.files())) > 2
    assert list(Stores.open(store.path).known(identity(), place()).programs) == [
        trace(number) for number in range(40)
    ]


@pytest.mark.slow
def test_ten_thousand_tasks_are_opened_and_looked_up_in_milliseconds(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", write=True)
    for number in range(10_000):
        of = identity(number, family=number % 200)
        path = store.new_file(of)
        if number < 64:
            written = writer(store, of)
            written.trial(task(), trace(0), outcome(1.0))
            written.close()
        else:
            content = made_up_entry(number)
            path.write_bytes(content)
    began = time.perf_counter()
    stores = Stores.open(store.path)
    opened = time.perf_counter() - began
    began = time.perf_counter()
    assert stores.known(identity(9_999, family=9_999 % 200), place()).programs
    assert opened < 0.05
    assert time.perf_counter() - began < 0.2  # with fifty relatives; a busy machine


def made_up_entry(number: int) -> bytes:
    head = Head(
        identity=identity(number, family=number % 200),
        name="matmul",
        op="matmul",
        args="[]",
        flop=1.0,
        place=place(),
        balto="1",
        host="here",
        at=1.0,
    )
    rest = [module_record("{}"), trial_record(trace(0), outcome(1.0), 1.0)]
    return encode_all([head.to_record(), *rest])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trace": "[[], [], []]"}, "expected a trace"),
        ({"trace": '[[["A", [], [], []]], [["0", 1]]]'}, "expected a trace"),
        ({"trace": "[" * 100_000}, "expected a trace"),
        ({"trace": 7}, "trace"),
        ({"latency_s": -1.0}, "latency_s"),
        ({"latency_s": 1e300, "latency_median_s": 1e300}, "latency_s"),
        ({"at": "yesterday"}, "at"),
        ({"kind": "unknown"}, "expected a program"),
        (
            {"trace": '[[["Annotate", ["b", "text"], ["pragma_\\u0069mport_llvm"], []]], []]'},
            "imports code",
        ),
    ],
)
def test_records_with_right_checksums_must_also_make_sense(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    store = filled(tmp_path / "store", programs=1)
    [path] = store.files()
    head, module, trial, end = read_entry(path).records()
    path.write_bytes(encode_all([head, module, {**trial, **change}, end]))
    assert store.entries(identity()) == []
    [line] = store.troubles.values()
    assert words in line
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"key": "../../../etc"},
        {"key": 5},
        {"extents": [0]},
        {"extents": [8] * 10_000},
        {"target": "llvm"},
        {"target": {}},
        {"device": None},
        {"flop": -1},
        {"kind": "trial"},
    ],
)
def test_a_first_record_that_cannot_be_makes_the_entry_useless(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    store = filled(tmp_path / "store", programs=1)
    [path] = store.files()
    head, *rest = read_entry(path).records()
    path.write_bytes(encode_all([{**head, **change}, *rest]))
    assert store.entries(identity()) == []
    assert store.relatives(identity(1)) == []
    assert len(store.troubles) == 1

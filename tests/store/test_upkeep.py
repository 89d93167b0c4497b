"""Entries written anew say the same in fewer files, or less where that is asked for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balto.errors import StorageError
from balto.store import upkeep
from balto.store.folder import Store
from balto.store.stores import Stores
from balto.store.upkeep import fastest, newer_than, rewrite
from tests.store.made_up import filled, identity, outcome, place, task, trace, writer

#: A process that dies as it is about to remove the first old file.
KILLED = """
import os, pathlib, signal, sys
from balto.store.folder import Store
from balto.store.upkeep import rewrite

unlink = pathlib.Path.unlink

def killed(path, missing_ok=False):
    if path.suffix == ".jsonl":
        os.kill(os.getpid(), signal.SIGKILL)
    unlink(path, missing_ok)

pathlib.Path.unlink = killed
rewrite(Store.open(sys.argv[1], write=True))
"""
RUNS = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=5), min_size=1, max_size=4)


@settings(max_examples=10, deadline=None)
@given(RUNS)
def test_merging_changes_no_fact_and_leaves_a_file_a_task_and_place(
    tmp_path_factory: pytest.TempPathFactory, runs: list[list[int]]
) -> None:
    store = Store.open(tmp_path_factory.mktemp("s") / "store", write=True)
    for programs in runs:
        written = writer(store)
        for number in programs:
            written.trial(task(), trace(number), outcome(1e-3 * (number + 1)))
        written.close()
    before = Stores.open(store.path).known(identity(), place())
    done = rewrite(store)
    assert done.files == (len(runs), 1)
    assert done.programs[0] == done.programs[1]
    assert Stores.open(store.path).known(identity(), place()) == before
    assert rewrite(store).files == (1, 1)


def test_other_places_have_files_of_their_own(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    filled(tmp_path / "store")
    filled(tmp_path / "store", of=task(device="Another"))
    assert rewrite(store).files == (3, 2)


def test_what_is_written_to_just_now_is_left_alone(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    filled(tmp_path / "store")
    busy = writer(store)
    busy.trial(task(), trace(7), outcome(1.0))
    assert rewrite(store, newer_than(time.time() + 1)).files == (2, 0)
    busy.trial(task(), trace(8), outcome(1.0))
    busy.close()
    assert list(Stores.open(store.path).known(identity(), place()).programs) == [trace(7), trace(8)]


def test_pruning_keeps_the_fastest_and_the_untuned(tmp_path: Path) -> None:
    store = filled(tmp_path / "store", programs=6)
    written = writer(store)
    written.trial(task(), "", outcome(1.0))
    written.close()
    assert rewrite(store, fastest(2)).programs == (6, 2)
    known = Stores.open(store.path).known(identity(), place())
    assert list(known.programs) == [trace(0), trace(1), ""]


def test_killed_before_the_old_files_go_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    filled(tmp_path / "store", programs=5)
    before = Stores.open(store.path).known(identity(), place())
    ended = subprocess.run([sys.executable, "-c", KILLED, str(store.path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(list(store.files())) == 3
    assert Stores.open(store.path).known(identity(), place()) == before
    rewrite(store)
    assert Stores.open(store.path).known(identity(), place()) == before


def test_a_damaged_file_stays_where_it_is(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    [path] = store.files()
    path.write_bytes(path.read_bytes().replace(b"matmul", b"matmux"))
    content = path.read_bytes()
    assert rewrite(store).files == (0, 0)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    filled(tmp_path / "store")
    folder = store.folder(identity())
    if os.access(folder, os.W_OK) and os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    folder.chmod(0o500)
    try:
        with pytest.raises(StorageError):
            upkeep.rewrite(store)
    finally:
        folder.chmod(0o700)

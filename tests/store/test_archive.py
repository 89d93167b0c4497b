"""A store in one file: what comes out is what went in, or is left out and named."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balto.errors import InputError
from balto.store.archive import ABOUT, export, import_from
from balto.store.folder import Store
from balto.store.stores import Stores
from tests.store.made_up import filled, identity, outcome, place, task, trace, writer


def test_a_file_says_who_made_it_on_what_and_gives_the_same_store(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    made = export(store, tmp_path / "handed.on", by="Ada")
    assert (made.entries, made.programs) == (1, 3)
    other = Store.open(tmp_path / "other", write=True)
    came = import_from(other, tmp_path / "handed.on")
    assert came.about["made_by"] == "Ada"
    assert came.about["places"] == [str(place())]
    assert (came.entries, came.known, came.programs, came.left_out) == (1, 0, 3, [])
    assert Stores.open(other.path).known(identity(), place()) == Stores.open(store.path).known(
        identity(), place()
    )
    again = import_from(other, tmp_path / "handed.on")
    assert (again.entries, again.known) == (0, 1)
    assert import_from(other, store.path).known == 1


def test_what_is_written_while_it_is_exported_comes_with_the_next_file(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", write=True)
    written = writer(store)
    other = Store.open(tmp_path / "other", write=True)
    for number in range(3):
        written.trial(task(), trace(number), outcome(1.0))
        export(store, tmp_path / "file")
        assert import_from(other, tmp_path / "file").entries == 1
        assert len(Stores.open(other.path).known(identity(), place()).programs) == number + 1
    written.close()


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.integers(0, 255))
def test_a_file_that_was_changed_anywhere_gives_right_entries_or_none(
    tmp_path_factory: pytest.TempPathFactory, share: float, bits: int
) -> None:
    folder = tmp_path_factory.mktemp("s")
    store = filled(folder / "store")
    export(store, folder / "file")
    content = bytearray((folder / "file").read_bytes())
    damaged = int(share * len(content))
    if bits:
        content[damaged] ^= bits
    else:
        del content[damaged:]
    (folder / "file").write_bytes(content)
    other = Store.open(folder / "other", write=True)
    try:
        import_from(other, folder / "file")
    except InputError:
        assert not list(other.files())
    found = Stores.open(other.path).known(identity(), place()).programs
    assert found in ({}, Stores.open(store.path).known(identity(), place()).programs)


def test_names_that_lead_out_of_the_store_are_refused(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    export(store, tmp_path / "file")
    with zipfile.ZipFile(tmp_path / "file") as packed:
        about = json.loads(packed.read(ABOUT))
    about["members"] = {"../../evil.jsonl": "0" * 64}
    with zipfile.ZipFile(tmp_path / "evil", "w") as packed:
        packed.writestr("../../evil.jsonl", "x")
        packed.writestr(ABOUT, json.dumps(about))
    with pytest.raises(InputError, match="names what is no entry"):
        import_from(store, tmp_path / "evil")
    assert not list(tmp_path.parent.glob("evil.jsonl"))


def test_an_entry_under_the_name_of_another_task_is_left_out(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    [path] = store.files()
    moved = store.folder(identity(5)) / path.name
    moved.parent.mkdir(parents=True)
    path.rename(moved)
    other = Store.open(tmp_path / "other", write=True)
    came = import_from(other, store.path)
    assert not list(other.files())
    assert len(came.left_out) == 1


@pytest.mark.parametrize("kind", ["nothing", "a text", "an empty folder", "an empty store"])
def test_what_is_no_store_is_refused(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "source"
    store = Store.open(tmp_path / "store", write=True)
    if kind == "a text":
        source.write_text("not a store")
    elif kind == "an empty folder":
        source.mkdir()
    elif kind == "an empty store":
        with pytest.raises(InputError, match="nothing to export"):
            export(store, source)
        assert not source.exists()
    with pytest.raises(InputError, match="expected a store"):
        import_from(store, source)

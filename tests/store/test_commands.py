"""``balto store`` on the command line: what it prints, and what it refuses in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from balto.store.folder import Store
from tests.store.made_up import filled, identity, outcome, task, trace, writer


def balto(*arguments: object, store: Path | str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "balto", "store", *map(str, arguments)]
    env = {**os.environ, "BALTO_STORE": str(store) or "none"}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)


def test_a_store_is_listed_shown_handed_on_merged_and_pruned(tmp_path: Path) -> None:
    store = filled(tmp_path / "store", programs=5)
    unfinished = writer(store)
    unfinished.trial(task(), trace(9), outcome(1.0))
    unfinished.checked(task(), trace(0), 0.5, "untuned")
    unfinished.close()
    told = balto("list", "-f", "json", store=store.path)
    [row] = json.loads(told.stdout)["tasks"]
    assert (row["name"], row["trials"], row["best_s"]) == ("matmul", 6, 1e-3)
    assert (row["finished"], row["checked"], row["untuned_s"]) == (False, ["untuned"], None)
    for name in ("matmul", identity().key[:6]):
        assert "AMD EPYC, 1 core" in balto("show", name, "--store", store.path).stdout
    made = balto("export", tmp_path / "file", "matmul", "--by", "Ada", store=store.path)
    assert "6 programs of 1 tasks written" in made.stderr
    assert made.returncode == 0
    Store.open(tmp_path / "other", write=True)
    came = balto("import", tmp_path / "file", "--store", tmp_path / "other")
    assert "made by Ada, measured on AMD EPYC" in came.stderr
    assert "2 files became 1, 6 programs 6" in balto("merge", "--store", tmp_path / "other").stdout
    pruned = balto("prune", "--keep", 2, "--store", tmp_path / "other", "-f", "json")
    assert json.loads(pruned.stdout) == {"files": [1, 1], "programs": [6, 2]}
    gone = balto("prune", "--older-than", 0, "--store", tmp_path / "other")
    assert "1 files became 0" in gone.stdout


def test_import_makes_a_store_that_is_not_there(tmp_path: Path) -> None:
    filled(tmp_path / "store")
    assert balto("import", tmp_path / "store", store=tmp_path / "a" / "new").returncode == 0
    assert len(list(Store.open(tmp_path / "a" / "new", write=False).files())) == 1


def test_damage_is_told_beside_the_list(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    [path] = store.files()
    path.write_bytes(path.read_bytes().replace(b"AMD", b"DMA"))
    told = balto("list", store=store.path)
    assert told.returncode == 0
    assert told.stderr.count("left alone in the store") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("list",), "unset BALTO_STORE"),
        (("list", "--store", "none"), "expected a store, got none"),
        (("list", "--store", "nowhere"), "found none in nowhere"),
        (("show", "conv", "--store", "store"), "balto store list names them"),
        (("export", "file", "--store", "a", "--store", "b"), "expected one --store"),
        (("import", "nothing", "--store", "new"), "expected a store, or a file of balto store"),
        (("prune", "--store", "store"), "expected --keep or --older-than"),
        (("prune", "--keep", "0", "--store", "store"), "whole number from 1"),
        (("pool", "pool", "--store", "store"), "no programs that this TVM measured"),
    ],
)
def test_what_cannot_be_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    Store.open(tmp_path / "store", write=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    refused = balto(*arguments)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert words in refused.stderr

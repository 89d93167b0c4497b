"""What one tuning measured, the next one need not; what it may not trust, it measures anew."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import balto
from balto.data.candidate import Candidate
from balto.data.outcome import Outcome, Status
from balto.data.target import LLVM
from balto.data.task import Task
from balto.data.versions import version_of
from balto.journal.file import encode_all, read
from balto.search.records import TRIAL
from balto.search.seeds import adapted
from balto.search.sketches import Sketches
from balto.search.task import SearchSettings
from balto.store.entry import read_entry
from balto.store.folder import Store
from balto.store.identity import Identity
from balto.store.known import FromStore, merged
from balto.store.pools import import_database, import_pool, pool_of
from balto.store.stores import Stores
from balto.store.writer import Writer, place_of
from balto.tune import NetworkListener, TunedTask, tune_operators
from balto.tune.status import tune_status
from balto.workers.worker import Worker
from tests.search.test_search import MadeUpDevice

pytest.importorskip("tvm")

pytestmark = pytest.mark.slow

SMALL = SearchSettings(population=24, drafted=256, verified=2, generations=1, batch=4)
MATMUL = "matmul:64x64x64"


class Told(NetworkListener):
    """Remembers what was told of stores."""

    def __init__(self) -> None:
        self.taken: FromStore | None = None
        self.ratios: list[tuple[int, float, bool]] = []
        self.troubles: list[str] = []

    def recalled(self, taken: FromStore) -> None:
        self.taken = taken

    def stored_times(self, programs: int, ratio: float, agree: bool) -> None:
        self.ratios.append((programs, ratio, agree))

    def store_trouble(self, line: str) -> None:
        self.troubles.append(line)


class Slower(MadeUpDevice):
    """The same device, so many times slower."""

    def __init__(self, times: float) -> None:
        super().__init__()
        self.times = times

    def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
        for k, each in super().measure(candidates):
            s, m = each.latency_s * self.times, each.latency_median_s * self.times
            yield k, replace(each, latency_s=s, latency_median_s=m)


Slower.__name__ = MadeUpDevice.__name__  # what measures is known by its name


def tune(
    out: Path,
    store: Path | Sequence[Path],
    operator: str = MATMUL,
    trials: int = 12,
    device: MadeUpDevice | None = None,
    told: Told | None = None,
    seed: int = 0,
) -> tuple[TunedTask, list[str]]:
    """What was found, and the traces that were measured, the untuned program's left out."""
    device = device or MadeUpDevice()
    [found] = tune_operators(
        [operator],
        out,
        trials=trials,
        measurer=device,
        settings=SMALL,
        store=store,
        seed=seed,
        listener=told or Told(),
    )
    return found, [trace for trace in device.measured if trace]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[TunedTask, Path]:
    """A matmul that was tuned once, and the store of it."""
    folder = tmp_path_factory.mktemp("once")
    found, measured = tune(folder / "tuned", folder / "store")
    assert len(set(measured)) == found.trials == 12
    assert found.store.trials == 0
    return found, folder / "store"


def copy(store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(store, tmp_path / "store"))


def grown_old(store: Path, tmp_path: Path, **place: str) -> Path:
    """A copy of a store as if it had been measured a day ago, or elsewhere."""
    old = Store.open(copy(store, tmp_path), write=True)
    for path in list(old.files()):
        entry = read_entry(path)
        entry.head = replace(entry.head, place=replace(entry.head.place, **place))
        for program in entry.programs.values():
            program.times = [(when - 86_400, outcome) for when, outcome in program.times]
        path.write_bytes(encode_all(entry.records()))
    return old.path


def test_tuning_again_in_another_folder_measures_nothing(
    tuned: tuple[TunedTask, Path], tmp_path: Path
) -> None:
    first, store = tuned
    files = {path: path.read_bytes() for path in Store(store).files()}
    told, device = Told(), MadeUpDevice()
    again, _ = tune(tmp_path / "tuned", store, device=device, told=told)
    assert device.measured == []  # neither is the untuned program
    assert (again.trace, again.latency_s, again.trials) == (first.trace, first.latency_s, 12)
    assert told.taken is not None
    assert told.taken == again.store
    assert (told.taken.tasks, told.taken.trials) == (1, 12)
    assert told.taken.seconds == pytest.approx(12 * 0.2)
    assert files == {path: path.read_bytes() for path in Store(store).files()}
    about = json.loads((tmp_path / "tuned" / "tuned.json").read_text())
    assert about["store"] == vars(told.taken)
    status = tune_status(tmp_path / "tuned")
    assert (status.store, status.trials) == (told.taken, 12)
    same, measured = tune(tmp_path / "tuned", store)  # and neither does the same command again
    assert (same.latency_s, same.store, measured) == (again.latency_s, again.store, [])


def test_only_the_trials_that_were_not_made_before_are_measured(
    tuned: tuple[TunedTask, Path], tmp_path: Path
) -> None:
    first, store = tuned
    store = copy(store, tmp_path)
    more, measured = tune(tmp_path / "more", store, trials=20)
    known = [trace for trace, _ in first.programs]
    assert len(set(measured) - set(known)) == 8
    assert [trace for trace, _ in more.programs][:12] == known
    assert more.latency_s <= first.latency_s
    all_of_it, measured = tune(tmp_path / "all", store, trials=20)
    assert measured == []
    assert all_of_it.latency_s == more.latency_s
    few, measured = tune(tmp_path / "few", store, trials=1)
    assert (few.trace, measured) == (more.trace, [])  # its best program at once


def test_the_same_seed_and_store_choose_the_same(
    tuned: tuple[TunedTask, Path], tmp_path: Path
) -> None:
    runs = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        store = copy(tuned[1], tmp_path / name)
        runs.append(
            [tune(tmp_path / name / o, store, o, 8)[1] for o in (MATMUL, "matmul:64x64x96")]
        )
    assert runs[0] == runs[1]


def test_without_a_store_nothing_is_read_or_written(
    tuned: tuple[TunedTask, Path], tmp_path: Path
) -> None:
    first, _ = tuned
    found, measured = tune(tmp_path / "tuned", "none")  # type: ignore[arg-type]
    assert [trace for trace, _ in found.programs] == [trace for trace, _ in first.programs]
    assert len(set(measured)) == 12


@pytest.mark.parametrize("other", [{"device": "Another"}, {"tvm": "0.1"}])
def test_what_another_device_or_tvm_measured_is_tried_first_and_measured_anew(
    tuned: tuple[TunedTask, Path], tmp_path: Path, other: dict[str, str]
) -> None:
    first, store = tuned
    found, measured = tune(tmp_path / "tuned", grown_old(store, tmp_path, **other), trials=12)
    assert len(set(measured)) == 12
    assert found.store.trials == 0
    fastest = sorted((o.latency_s, t) for t, o in first.programs if o.ok)
    assert fastest[0][1] in measured[:2]
    assert found.latency_s <= first.latency_s


def test_a_machine_that_is_as_fast_as_it_was_keeps_its_times(
    tuned: tuple[TunedTask, Path], tmp_path: Path
) -> None:
    store, told = grown_old(tuned[1], tmp_path), Told()
    found, measured = tune(tmp_path / "tuned", store, device=Slower(1.1), told=told)
    [(probes, ratio, agree)] = told.ratios
    assert (probes, agree) == (len(measured), True)
    assert ratio == pytest.approx(1.1)
    assert len(measured) <= 4
    assert found.store.trials == 12
    told = Told()
    assert tune(tmp_path / "soon", store, device=Slower(1.1), told=told)[1] == []
    assert told.ratios == []  # what was timed just now is not timed again


def test_a_machine_that_has_changed_tries_the_stored_programs_anew(
    tuned: tuple[TunedTask, Path], tmp_path: Path
) -> None:
    first, store = tuned
    told = Told()
    found, measured = tune(
        tmp_path / "tuned", grown_old(store, tmp_path), device=Slower(2.0), told=told
    )
    [(probes, ratio, agree)] = told.ratios
    assert not agree
    assert ratio == pytest.approx(2.0)
    assert len(measured) - probes >= 12
    assert found.store.trials == 0
    assert first.trace in measured[probes : probes + 2]


def test_killed_at_any_moment_what_was_measured_is_in_the_store(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "balto", "tune", "--operator", MATMUL, "--trials", "12"]
    command += ["--store", str(tmp_path / "store"), "-f", "json", "-o"]
    first = subprocess.Popen([*command, str(tmp_path / "a")], stderr=subprocess.DEVNULL)
    journal = tmp_path / "a" / "journal.jsonl"
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            if journal.exists() and sum(r["kind"] == TRIAL for r in read(journal)) >= 4:
                break
            time.sleep(0.02)
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    kept = {r["trace"] for r in read(journal) if r["kind"] == TRIAL}
    [entry] = [read_entry(path) for path in Store(tmp_path / "store").files()]
    assert kept <= set(entry.programs)
    assert not entry.finished
    done = subprocess.run(
        [*command, str(tmp_path / "b")], capture_output=True, text=True, timeout=300, check=True
    )
    assert f"{entry.trials} trials of 1 task from the store" in done.stderr
    found = json.loads(done.stdout)
    assert found["operators"]["matmul_64x64x64"]["trials"] == 12
    assert found["store"]["trials"] == entry.trials
    fresh = {r["trace"] for r in read(tmp_path / "b" / "journal.jsonl") if r["kind"] == TRIAL}
    assert len(fresh) == 12 - entry.trials
    assert not fresh & set(entry.programs)
    # The first folder goes on with what it knew when it began, which was nothing.
    subprocess.run([*command, str(tmp_path / "a")], capture_output=True, timeout=300, check=True)
    kinds = [r["kind"] for r in read(journal)]
    assert "recalled" not in kinds
    assert kinds.count(TRIAL) == 13  # with the untuned program


def test_damaged_entries_are_told_once_and_cost_a_measurement_only(
    tuned: tuple[TunedTask, Path], tmp_path: Path
) -> None:
    store = copy(tuned[1], tmp_path)
    for path in Store(store).files():
        path.write_bytes(path.read_bytes().replace(b"ok", b"OK"))
    told = Told()
    _, measured = tune(tmp_path / "tuned", store, told=told)
    assert len(told.troubles) == 1
    assert "left alone in the store" in told.troubles[0]
    assert len(set(measured)) == 12


def test_a_fast_program_that_is_wrong_does_not_win_though_a_store_has_it(tmp_path: Path) -> None:
    [task] = balto.extract_tasks([], [MATMUL], LLVM).tasks
    store = Store.open(tmp_path / "store", write=True)
    with Worker() as worker:
        call = "tests.tune.whole_searches:{}_trace"
        wrong, right = (
            worker.call(call.format(kind), task.module, deadline_s=60)
            for kind in ("rounded", "right")
        )
        [identity] = identities([task], worker)
    written = Writer(store, {task.name: identity}, MadeUpDevice.__name__, pytest.fail)
    for trace, seconds in ((wrong, 1e-9), (right, 2e-9), ("", 1.0)):
        written.trial(task, trace, Outcome(Status.OK, seconds, seconds))
    written.close()
    found, measured = tune(tmp_path / "tuned", store.path, trials=2)
    assert (found.trace, found.wrong, measured) == (right, 1, [])
    programs = merged(store.entries(identity))
    assert programs[wrong].errors["untuned"] > 1 >= programs[right].errors["untuned"]


def test_decisions_are_found_again_in_the_own_space_and_fit_into_others(
    tuned: tuple[TunedTask, Path], tmp_path: Path
) -> None:
    _, drawn = tune(tmp_path / "other", "none", "matmul:96x64x1000", 8)  # type: ignore[arg-type]
    programs = [trace for trace, _ in tuned[0].programs]
    own, others = Sketches(programs), Sketches(drawn)
    for trace in programs:
        [(number, gene)] = adapted(own, [trace]).values()
        assert (number, list(gene)) == (own.of(trace)[0], list(own.of(trace)[1]))
    for number, gene in adapted(others, programs).values():
        sketch = others.sketches[number]
        assert all(0 <= g < len(o) for g, o in zip(gene, sketch.options, strict=True))
    assert adapted(others, programs)
    for broken in ("[]", "[[], []]", '[[["A", [], [], []]], [[0, "x"]]]', "7"):
        assert adapted(own, [broken]) == {}


def test_other_shapes_teach_and_their_best_decisions_are_tried(
    tuned: tuple[TunedTask, Path], tmp_path: Path
) -> None:
    store = copy(tuned[1], tmp_path)
    with Worker() as worker:
        [task] = balto.extract_tasks([], ["matmul:64x64x128"], LLVM, worker=worker).tasks
        [identity] = identities([task], worker)
    known = Stores.open(store).known(identity, place_of(task, MadeUpDevice.__name__))
    [relative] = known.relatives
    assert relative.same_place
    assert relative.programs[0][0] == tuned[0].trace
    found, measured = tune(tmp_path / "tuned", store, "matmul:64x64x128", 4)
    space = Sketches(measured)
    best = adapted(space, [tuned[0].trace])
    assert [space.of(measured[0])[0]] == [number for number, _ in best.values()]
    assert found.store.trials == 0


def identities(tasks: Sequence[Task], worker: Worker) -> list[Identity]:
    modules = [task.module for task in tasks]
    found: list[Identity] = worker.call("balto.store.identity:identify", modules, deadline_s=60)
    return found


def test_tasks_are_told_apart_by_what_a_trace_needs() -> None:
    tasks = balto.extract_tasks([], [MATMUL, "matmul:64x64x96", "softmax_mn:32x64"], LLVM).tasks
    module = tasks[0].require_module()
    with Worker() as worker:
        matmul, other_shape, softmax = identities(tasks, worker)
        renamed = [module.replace('"A"', '"X"'), module.replace('"C"', '"D"')]
        same, other_block = worker.call("balto.store.identity:identify", renamed, deadline_s=60)
    assert matmul.family == other_shape.family != softmax.family
    assert len({matmul.key, other_shape.key, softmax.key}) == 3
    assert same == matmul  # names of arguments are no part of a trace
    assert other_block.key != matmul.key  # but names of blocks are
    assert version_of("apache-tvm")


def test_a_network_is_tuned_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "balto", "tune", "lenet-5", "--trials", "16", "-f", "json"]
    command += ["--store", str(tmp_path / "store"), "-o"]

    def run(folder: str) -> tuple[dict[str, Any], str]:
        done = subprocess.run(
            [*command, str(tmp_path / folder)],
            capture_output=True,
            text=True,
            timeout=500,
            check=True,
        )
        return json.loads(done.stdout), done.stderr

    first, _ = run("a")
    again, said = run("b")
    assert f"{first['trials']} trials of {len(first['tasks'])} tasks from the store" in said
    kinds = [r["kind"] for r in read(tmp_path / "b" / "journal.jsonl")]
    assert kinds == ["config", "recalled", "found"]
    assert again["store"]["trials"] == again["trials"] == first["trials"] == 16
    assert again["error"] <= 1
    for name, task in first["tasks"].items():
        assert again["tasks"][name]["trials"] == task["trials"]
    checked = {
        against
        for path in Store(tmp_path / "store").files()
        for program in read_entry(path).programs.values()
        for against in program.errors
    }
    assert checked == {"untuned", "network"}


def test_a_database_becomes_a_store_of_seeds_and_a_store_becomes_a_pool(
    tuned: tuple[TunedTask, Path], tmp_path: Path
) -> None:
    first, store = tuned
    pool = pool_of(Store.open(store, write=False))
    assert pool.traces == [trace for trace, _ in first.programs]
    assert list(pool.latency_s) == pytest.approx(
        [outcome.latency_s for _, outcome in first.programs], nan_ok=True
    )
    assert pool.features.names == ("store", "decisions", "loops", "cycles")
    [task] = pool.tasks
    with Worker() as worker:
        [identity] = identities([task], worker)
    database, of_pool = (Store.open(tmp_path / name, write=True) for name in ("a", "b"))
    moved = import_database(database, store.parent / "tuned"), import_pool(of_pool, pool)
    assert [each.tasks for each in moved] == [{identity.key}, {identity.key}]
    for into in (database, of_pool):
        known = Stores.open(into.path).known(identity, place_of(task, MadeUpDevice.__name__))
        assert not known.programs  # nobody knows which TVM measured them
        assert json.loads(first.trace) in map(json.loads, known.seeds)
        space = Sketches([trace for trace, _ in first.programs])
        assert space.of(first.trace)[0] in [number for number, _ in adapted(space, known.seeds)]

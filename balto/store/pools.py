"""A store from a recorded pool or MetaSchedule's database, and a recorded pool from a store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from balto.data.features import DECISIONS, Features, FeatureTable
from balto.data.files import make_folder, write_atomically
from balto.data.outcome import Outcome
from balto.data.outcomes import Outcomes
from balto.data.pool import Pool
from balto.data.pool_reader import read_pool
from balto.data.task import Task
from balto.data.versions import version_of
from balto.errors import InputError
from balto.importers.imported import Names
from balto.importers.metaschedule import import_metaschedule
from balto.journal.file import encode_all
from balto.programs import decisions
from balto.programs.features import with_all_features
from balto.store.archive import Moved
from balto.store.entry import Entry, Head, Place
from balto.store.folder import Store
from balto.store.identity import Identity
from balto.store.known import merged
from balto.workers.worker import Worker

_DEADLINE_S = 300.0


def pool_of(store: Store, device: str = "") -> Pool:
    """The programs that this TVM measured, of every task and device, with all features.

    Args:
        store: to read.
        device: of which alone; all if empty.

    Raises:
        InputError: If there are none.
    """
    tvm, names = version_of("apache-tvm") or "", Names()
    tasks: list[Task] = []
    programs: list[dict[str, Outcome]] = []
    for entries in _by_task(store):
        wanted = (e for e in entries if e.head.place.tvm == tvm and e.module)
        places: dict[Place, list[Entry]] = {}
        for entry in wanted:
            if device in ("", entry.head.place.device):
                places.setdefault(entry.head.place, []).append(entry)
        for some in places.values():
            known = {t: p.outcomes[0] for t, p in merged(some).items() if t and p.times}
            if known:
                head = some[-1].head
                task = head.task(some[0].module)
                tasks.append(Task(**{**vars(task), "name": names.unique(head.name)}))
                programs.append(known)
    if not tasks:
        raise InputError(f"{store.path} has no programs that this TVM measured")
    traces = [trace for each in programs for trace in each]
    offsets = np.arange(len(traces) + 1, dtype=np.int64)
    pool = Pool(
        tasks=tasks,
        offsets=np.cumsum([0, *map(len, programs)]),
        features=FeatureTable({DECISIONS.name: Features(decisions.extract(traces), offsets)}),
        traces=traces,
        outcomes=Outcomes.of(outcome for each in programs for outcome in each.values()),
    )
    return with_all_features(pool)


def import_database(store: Store, folder: Path) -> Moved:
    """Take the programs of a MetaSchedule database; nobody knows by which TVM they were measured.

    Raises:
        InputError: If there is no database, or nothing of it can be read.
        StorageError: If an entry cannot be written.
    """
    with TemporaryDirectory() as made:
        import_metaschedule(folder, Path(made) / "pool")
        return import_pool(store, read_pool(Path(made) / "pool"), "metaschedule")


def import_pool(store: Store, pool: Pool, measurer: str = "pool") -> Moved:
    """Take the programs of a pool's tasks that have their modules.

    Raises:
        InputError: If no task has its module, or the programs have no traces.
        StorageError: If an entry cannot be written.
    """
    with_modules = [k for k, task in enumerate(pool.tasks) if task.module is not None]
    if not with_modules or pool.traces is None:
        raise InputError("expected a pool with its tasks' modules and its programs' traces")
    with Worker() as worker:
        found: list[Identity] = worker.call_with_retries(
            "balto.store.identity:identify",
            [pool.tasks[k].require_module() for k in with_modules],
            deadline_s=_DEADLINE_S,
        )
    moved, now = Moved(), time.time()
    for k, identity in zip(with_modules, found, strict=True):
        entry = _entry(pool, k, identity, measurer, now)
        if not entry.trials:
            continue
        path = store.new_file(identity)
        make_folder(path.parent)
        with write_atomically(path) as partial:
            partial.write_bytes(encode_all(entry.records()))
        moved.entries += 1
        moved.tasks.add(identity.key)
        moved.programs += entry.trials
    return moved


def _entry(pool: Pool, number: int, identity: Identity, measurer: str, now: float) -> Entry:
    task = pool.tasks[number]
    head = Head(
        identity=identity,
        **{name: getattr(task, name) for name in ("name", "op", "args", "flop")},
        place=Place(target=task.target.to_json(), device=task.device, tvm="", measurer=measurer),
        balto=version_of("balto") or "",
        host="",
        at=now,
    )
    entry = Entry(head=head, module=task.require_module(), finished=True)
    assert pool.traces is not None
    for program in pool.programs(number):
        trace, outcome = pool.traces[program], pool.outcomes[program]
        if trace and outcome is not None:
            entry.program(trace).add(now, outcome)
    return entry


def _by_task(store: Store) -> Iterator[list[Entry]]:
    for _, paths in groupby(store.files(), key=lambda path: path.parent):
        found = (store.entry(path) for path in paths)
        some = [entry for entry in found if entry is not None]
        yield sorted(some, key=lambda entry: entry.head.at)

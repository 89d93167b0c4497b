"""The folder of a tuning: opened for one set of settings, and gone on with for the same."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from zlib import crc32

from balto import models
from balto.data.files import make_folder, reading
from balto.data.target import Target
from balto.data.task import Task
from balto.errors import BaltoError, CampaignError, ConfigurationChanged, InputError, WorkerError
from balto.journal.file import Journal
from balto.measure.live import LiveMeasurer
from balto.measure.measurer import Measurer
from balto.models import starter
from balto.models.base import CostModel
from balto.search.records import CONFIG, JOURNAL, read_records
from balto.search.session import TunedTask
from balto.search.task import SearchSettings
from balto.tasks.extract import Extracted
from balto.tasks.files import write_tasks
from balto.units import shown
from balto.workers.worker import Worker

#: In the folder: what was tuned, MetaSchedule's database, the model that learnt.
TASKS, DATABASE, MODEL = "tasks.json", "database", "model.balto"
EXPORT_S = 600.0
#: What may have changed a setting that nobody typed.
_WHY = {"model": " (checksums of model files; a new balto may ship a new starter)"}


def require_usable(out: Path) -> None:
    """Refuse a folder that holds something else, or whose name TVM cannot write.

    Raises:
        CampaignError: it does, or has such a name.
    """
    try:
        str(out).encode()
    except UnicodeEncodeError as error:
        raise CampaignError(f"expected a folder whose name is UTF-8, got {str(out)!r}") from error
    with reading(out, CampaignError):
        ours = not out.exists() or (out / JOURNAL).exists()
        if not ours and (out.is_file() or any(out.iterdir())):
            raise CampaignError(f"{out} holds something else; give an empty or new folder")


@contextmanager
def opened(
    out: Path, config: Mapping[str, Any], tasks: Sequence[Task]
) -> Iterator[tuple[Journal, list[dict[str, Any]]]]:
    """The folder's journal, and what it holds; `config` is its first record.

    Raises:
        ConfigurationChanged: the folder was tuned with other settings.
        CampaignError: it is in use, or damaged.
    """
    make_folder(out)
    with Journal.open(out / JOURNAL) as journal:
        records = read_records(journal.path)
        _check_same(out, config, records)
        if not records:
            write_tasks(out / TASKS, Extracted(list(tasks)))
            journal.append({"kind": CONFIG, **config})
            journal.sync()
        try:
            yield journal, records
        except BaltoError:
            begun = any(each.get("trace") for each in read_records(journal.path))
            if not records and not begun:  # at most the untuned program was measured
                for name in (TASKS, JOURNAL):
                    (out / name).unlink(missing_ok=True)
            raise


def model_path(model: str | Path | None, target: Target | str) -> str | None:
    """A model file as a person names it: ``starter``, which is for CPUs; ``none`` is none."""
    wanted = Target.of(target)
    if model is None or str(model) == starter.NONE:
        return None
    if str(model) == starter.NAME and not wanted.on_cpu:
        return None
    return starter.model_path(str(model))


def load_model(model: str | Path | None) -> tuple[CostModel | None, dict[str, Any]]:
    """A model, and what it was trained on; neither if there is none.

    Raises:
        ModelFileError: the file is none.
    """
    return (None, {}) if model is None else models.load(model)


def write_model(
    out: Path, model: CostModel | None, target: Target, config: Mapping[str, Any]
) -> None:
    """The model with what it learnt from the trials; nothing if there is none."""
    if model is not None:
        learnt_from = {"by": "balto tune", "targets": [target.to_json()], **config}
        models.save(model, out / MODEL, learnt_from)


def checksum(path: str | Path | None) -> int | None:
    """Of a file; None of none."""
    return None if path is None else crc32(Path(path).read_bytes())


def check_kind(model: str | Path | None, trained_on: Mapping[str, Any], target: Target) -> None:
    """Refuse a model of another kind of device: its programs do not even look like these.

    Raises:
        InputError: it is one.
    """
    kinds = {Target.from_json(each).kind for each in trained_on.get("targets", [])}
    if kinds and target.kind not in kinds:
        raise InputError(
            f"expected a model of {target.kind} programs, {model} was trained on "
            f"{', '.join(sorted(kinds))}; train one with balto pretrain --target {target.kind}"
        )


def unusual(settings: SearchSettings, measurer: Measurer | str) -> dict[str, Any]:
    """What a journal's first record says of a search that is not the usual one on this machine."""
    usual, found = asdict(SearchSettings()), dict[str, Any]()
    changed = {name: value for name, value in asdict(settings).items() if value != usual[name]}
    if changed:
        found["settings"] = changed
    if measurer != "live" and not isinstance(measurer, LiveMeasurer):
        found["measurer"] = measurer if isinstance(measurer, str) else type(measurer).__name__
    return found


def require_runs_here(task: Task, measurer: Measurer | str, worker: Worker) -> None:
    """Refuse to tune for a device whose programs cannot be checked on this machine.

    Raises:
        InputError: the untuned program of `task` does not run here.
    """
    if measurer == "live" or isinstance(measurer, LiveMeasurer):
        return  # it says so itself
    try:
        worker.call_with_retries(
            "balto.deploy.operators:error_of", task.module, "", task.target, deadline_s=EXPORT_S
        )
    except WorkerError as error:
        raise InputError(
            f"programs for {task.target} cannot be checked on this machine ({error}): measure them "
            "with balto pretrain, and tune on a machine that runs them"
        ) from error


def require_cores(target: Target) -> None:
    """Refuse to tune for more cores than there are.

    Raises:
        InputError: there are fewer.
    """
    have = len(os.sched_getaffinity(0))
    if (target.cores or 1) > have:
        raise InputError(
            f"the target has num-cores {target.cores}, but this process may use {have} of this "
            "machine's cores"
        )


def _check_same(out: Path, config: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> None:
    before = records[0] if records else config
    for name in [*config, *(name for name in before if name != "kind" and name not in config)]:
        if before.get(name) != config.get(name):
            was, now = (shown(each.get(name, "not given")) for each in (before, config))
            raise ConfigurationChanged(
                f"{out} was tuned with {name} {was}, now asked with {now}{_WHY.get(name, '')}; "
                "give another folder, or the same settings"
            )


def write_database(out: Path, tuned: Sequence[TunedTask], target: Target, worker: Worker) -> None:
    """MetaSchedule's JSON database, in the place of what is there; see `_right`."""
    database = [(each.task.module, _right(each)) for each in tuned]
    partial = out / f".{DATABASE}.partial"
    worker.call_with_retries(
        "balto.deploy.operators:write_database", partial, target, database, deadline_s=EXPORT_S
    )
    shutil.rmtree(out / DATABASE, ignore_errors=True)
    partial.rename(out / DATABASE)


def _right(tuned: TunedTask) -> list[tuple[str, float]]:
    """Programs for the database: those that worked and are no faster than the best, which is right.

    A faster one computed something else; slower ones nobody has compared.
    """
    return [
        (trace, outcome.latency_median_s)
        for trace, outcome in tuned.programs
        if outcome.ok and outcome.latency_median_s >= tuned.latency_s
    ]


def versions() -> dict[str, str]:
    """Of balto and TVM."""
    found = {}
    for library in ("balto", "apache-tvm", "apache-tvm-ffi"):
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found

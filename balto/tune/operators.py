"""`tune_operators`: from operators to a folder that can be deployed; resumable."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from zlib import crc32

from balto import models
from balto.campaign.journal import Journal, numbered
from balto.campaign.records import at, possible_outcome, text_of
from balto.data.files import make_folder, sha256, write_json
from balto.data.target import Target
from balto.errors import CampaignError, ConfigurationChanged, InputError
from balto.measure.live import LiveMeasurer
from balto.measure.measurer import Measurer
from balto.tasks import check, extract_tasks
from balto.tune.session import Listener, Session, TunedTask
from balto.tune.tuned import FORMAT, METADATA
from balto.units import check_number
from balto.workers.worker import Worker

#: In the folder: what was measured, MetaSchedule's database, the model that learnt from it.
JOURNAL, DATABASE, MODEL = "journal.jsonl", "database", "model.balto"
_EXPORT_S = 600.0


def tune_operators(
    operators: Sequence[str],
    out: str | Path,
    *,
    model: str | Path | None = None,
    trials: int = 64,
    target: Target | str = "llvm",
    seed: int = 0,
    measurer: Measurer | None = None,
    listener: Listener | None = None,
) -> list[TunedTask]:
    """Tune operators on this machine, and write what `balto.load_tuned` loads.

    Killed at any moment, the same call goes on: what was measured is in a journal.

    Args:
        operators: such as ``matmul:1024x1024x1024``.
        out: folder, made if it is not there: a library of each operator, metadata, MetaSchedule's
            JSON database, the journal, and the model with what it learnt.
        model: a model file; without one, the search learns from its own trials alone.
        trials: programs measured of each operator.
        target: what to compile for; what it leaves open is asked of this machine.
        seed: fixes every choice.
        measurer: measures; without one, a `LiveMeasurer`.
        listener: is told what happens.

    Returns:
        What was found, an entry an operator.

    Raises:
        InputError: an operator, the number of trials or the target is not what was expected.
        ModelFileError: the model file is none.
        ConfigurationChanged: the folder was tuned with other settings.
        CampaignError: the folder holds something else, or is in use.
        MeasurerError: measuring cannot go on.
    """
    check([], operators)
    check_number("trials", trials, 1, whole=True)
    base, trained_on = (None, {}) if model is None else models.load(model)
    out = Path(out)
    if out.exists() and not (out / JOURNAL).exists() and (out.is_file() or any(out.iterdir())):
        raise CampaignError(f"{out} holds something else; give an empty or new folder")
    tasks = extract_tasks([], operators, target).tasks
    target = tasks[0].target
    _check_kind(model, trained_on, target)
    config = {
        "operators": [task.name for task in tasks],
        "model": None if model is None else crc32(Path(model).read_bytes()),
        "trials": trials,
        "target": target.to_json(),
        "seed": seed,
    }
    make_folder(out)
    with Journal.open(out / JOURNAL) as journal:
        records = _records(journal.path)
        _check_same(out, config, records)
        if not records:
            journal.append({"kind": "config", **config})
            journal.sync()
        own = measurer or LiveMeasurer.for_target(target)
        session = Session(own, base, journal, records, seed=seed, listener=listener)
        try:
            tuned = [session.tune(task, trials) for task in tasks]
            journal.sync()
        finally:
            session.close()
            if measurer is None:
                own.close()
        if session.model is not None:
            learnt_from = {"by": "balto tune", "targets": [target.to_json()], **config}
            models.save(session.model, out / MODEL, learnt_from)
        _write(out, tuned, target)
    return tuned


def _check_kind(model: str | Path | None, trained_on: dict[str, Any], target: Target) -> None:
    """Refuse a model of another kind of device: its programs do not even look like these."""
    kinds = {Target.from_json(each).kind for each in trained_on.get("targets", [])}
    if kinds and target.kind not in kinds:
        raise InputError(
            f"expected a model of {target.kind} programs, {model} was trained on "
            f"{', '.join(sorted(kinds))}; train one with balto pretrain --target {target.kind}"
        )


def _records(path: Path) -> list[dict[str, Any]]:
    """What the journal says: the settings, then the trials.

    Raises:
        CampaignError: it is damaged, or a record says what cannot be; with its line.
    """
    records: list[dict[str, Any]] = []
    for place, record in numbered(path):
        with at(f"{path}: {place}"):
            kind = record["kind"]
            if kind != ("trial" if records else "config"):
                raise InputError(f"expected the settings, then trials; got {kind!r}")
            if kind == "trial":
                text_of(record, "task"), text_of(record, "trace")
                possible_outcome(record)
        records.append(record)
    return records


def _check_same(out: Path, config: dict[str, Any], records: Sequence[dict[str, Any]]) -> None:
    if not records:
        return
    before = {k: v for k, v in records[0].items() if k != "kind"}
    for name, value in config.items():
        if before.get(name) != value:
            raise ConfigurationChanged(
                f"{out} was tuned with {name} {before.get(name)}, now asked with {value}; "
                "give another folder, or the same settings"
            )


def _write(out: Path, tuned: Sequence[TunedTask], target: Target) -> None:
    """Libraries and database, then the metadata that says they are whole."""
    about: dict[str, Any] = {}
    with Worker() as worker:
        for each in tuned:
            library = f"{each.task.name}.so"
            arguments = worker.call_with_retries(
                "balto.tune.deploy:export",
                *(each.task.module, each.trace, target, out / library),
                deadline_s=_EXPORT_S,
            )
            about[each.task.name] = {
                "library": library,
                "sha256": sha256(out / library),
                "arguments": arguments,
                "latency_s": each.latency_s,
                "untuned_s": None if math.isnan(each.untuned_s) else each.untuned_s,
                "trials": each.trials,
                "tuned": bool(each.trace),
            }
        database = [(each.task.module, _right(each)) for each in tuned]
        partial = out / f".{DATABASE}.partial"
        worker.call_with_retries(
            "balto.tune.deploy:write_database", partial, target, database, deadline_s=_EXPORT_S
        )
        shutil.rmtree(out / DATABASE, ignore_errors=True)
        partial.rename(out / DATABASE)
    metadata = {
        "format": FORMAT,
        "target": target.to_dict(),
        "cores": target.cores,
        "device": tuned[0].task.device,
        "operators": about,
        "versions": _versions(),
    }
    write_json(out / METADATA, metadata)


def _right(tuned: TunedTask) -> list[tuple[str, float]]:
    """Programs for the database: those that worked and are no faster than the right best one."""
    return [
        (trace, outcome.latency_median_s)
        for trace, outcome in tuned.programs
        if outcome.ok and outcome.latency_median_s >= tuned.latency_s
    ]


def _versions() -> dict[str, str]:
    found = {}
    for library in ("balto", "apache-tvm", "apache-tvm-ffi"):
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found

"""`tune_operators`: from operators to a folder that can be deployed; resumable."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from balto.data.files import as_path, sha256, write_json
from balto.data.target import Target
from balto.deploy.load import FORMAT, METADATA
from balto.measure.measurer import Measurer
from balto.measure.named import opened
from balto.models import starter
from balto.search.session import Session, SessionListener, TunedTask
from balto.search.task import SearchSettings
from balto.tasks import check, extract_tasks
from balto.tune import folder
from balto.tune import found as earlier
from balto.units import check_number
from balto.workers.worker import Worker


def tune_operators(
    operators: Sequence[str],
    out: str | Path,
    *,
    model: str | Path | None = starter.NAME,
    trials: int = 64,
    target: Target | str = "llvm",
    seed: int = 0,
    measurer: Measurer | str = "live",
    listener: SessionListener | None = None,
    settings: SearchSettings | None = None,
) -> list[TunedTask]:
    """Tune operators on this machine, and write what `balto.load_tuned` loads.

    Killed at any moment, the same call goes on: what was measured is in a journal.

    Args:
        operators: such as ``matmul:1024x1024x1024``.
        out: folder, made if it is not there: a library of each operator, metadata, MetaSchedule's
            JSON database, the journal, and the model with what it learnt.
        model: a model file; ``starter`` for the one that ships with balto, for CPUs; ``none`` or
            None to learn from the trials alone.
        trials: programs measured of each operator.
        target: what to compile for; what it leaves open is asked of this machine.
        seed: fixes every choice.
        measurer: measures: an object, or ``live`` for this machine or ``rpc:HOST:PORT/KEY``.
        listener: is told what happens.
        settings: of the search.

    Returns:
        What was found, an entry an operator.

    Raises:
        InputError: an operator, the number of trials or the target is not what was expected.
        ModelFileError: the model file is none.
        ConfigurationChanged: the folder was tuned with other settings.
        CampaignError: the folder holds something else, or is in use.
        MeasurerError: measuring cannot go on.
    """
    settings = settings or SearchSettings()
    check([], operators)
    check_number("trials", trials, 1, whole=True)
    check_number("seed", seed, 0, 2**63 - 1, whole=True)
    path = folder.model_path(model, target)
    base, trained_on = folder.load_model(path)
    out = as_path(out)
    folder.require_usable(out)
    tasks = extract_tasks([], operators, target).tasks
    target = tasks[0].target
    folder.check_kind(path, trained_on, target)
    folder.require_cores(target)
    config = {
        "operators": [task.name for task in tasks],
        "model": folder.checksum(path),
        "trials": trials,
        "target": target.to_json(),
        "seed": seed,
        **folder.unusual(settings, measurer),
    }
    with folder.opened(out, config, tasks) as (journal, records):
        known = earlier.known(out, records, tasks, listener or SessionListener())
        if known is not None:
            tuned, _ = known
            if earlier.deployed(out) is not None:
                return tuned
        else:
            with Worker() as worker:
                folder.require_runs_here(tasks[0], measurer, worker)
            with opened(measurer, target) as own:
                session = Session(own, base, journal, records, settings, seed, listener)
                with contextlib.closing(session):
                    tuned = []
                    for task, following in zip_longest(tasks, tasks[1:]):
                        session.expect(following)
                        tuned.append(session.tune(task, trials))
            folder.write_model(out, session.model, target, config)
            earlier.keep(journal, tuned)
        _write(out, tuned, target)
    return tuned


def _write(out: Path, tuned: Sequence[TunedTask], target: Target) -> None:
    """Libraries and database, then the metadata that says they are whole."""
    about: dict[str, Any] = {}
    with Worker() as worker:
        for each in tuned:
            library = f"{each.task.name}.so"
            arguments = worker.call_with_retries(
                "balto.deploy.operators:export",
                *(each.task.module, each.trace, target, out / library),
                deadline_s=folder.EXPORT_S,
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
        folder.write_database(out, tuned, target, worker)
    metadata = {
        "format": FORMAT,
        "target": target.to_dict(),
        "cores": target.cores,
        "device": tuned[0].task.device,
        "operators": about,
        "versions": folder.versions(),
    }
    write_json(out / METADATA, metadata)

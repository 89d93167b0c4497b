"""What a tuning has done so far, read from its folder while it may be running."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from balto.data.files import as_path, reading
from balto.data.outcome import Outcome
from balto.deploy.load import METADATA
from balto.errors import CampaignError
from balto.journal.file import locked, read
from balto.journal.records import possible_outcome
from balto.metaschedule.stock import StockSearch, read_stock
from balto.search.finalists import running_best
from balto.search.records import (
    BATCH,
    CONFIG,
    FOUND,
    JOURNAL,
    RECALLED,
    TRIAL,
    read_records,
    recalled_in,
)
from balto.store.known import FromStore, Known


@dataclass(kw_only=True)
class TaskStatus:
    """How far one task is.

    Attributes:
        name: of the task.
        untuned_s: latency of the module compiled as it is, seconds; NaN where that is not known.
        latency_s: of what is deployed, seconds; NaN until the tuning is finished.
        outcomes: of its trials, in order.
        seconds: wall clock of its search so far, over all runs of the command.
        store: how many of the programs a store knew.
        asking_s: of those, seconds in which nothing was measured because the search thought.
        stock: TVM's own search of the same task, if it was asked for.
        measured: whether any program of it was, the untuned one included; otherwise the model alone
            chose one.
    """

    name: str
    untuned_s: float = math.nan
    latency_s: float = math.nan
    outcomes: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0
    asking_s: float = 0.0
    stock: StockSearch | None = None
    measured: bool = True
    store: FromStore = field(default_factory=FromStore)

    @property
    def best_s(self) -> list[float]:
        """Smallest latency after each trial, seconds; infinity before the first success."""
        return running_best([o.latency_median_s if o.ok else math.nan for o in self.outcomes])

    @property
    def now_s(self) -> float:
        """What a user would get now, seconds: deployed, or the best of all so far; NaN if none."""
        if math.isfinite(self.latency_s):
            return self.latency_s
        known = [s for s in (*self.best_s[-1:], self.untuned_s) if math.isfinite(s)]
        return min(known, default=math.nan)

    @property
    def asking_share(self) -> float:
        """Share of `seconds` that is `asking_s`; NaN if unknown."""
        return self.asking_s / self.seconds if self.seconds else math.nan

    @property
    def failed(self) -> int:
        """How many trials failed."""
        return sum(not outcome.ok for outcome in self.outcomes)

    def to_dict(self) -> dict[str, Any]:
        """For JSON.

        Returns:
            Every number by its name.
        """
        return {
            "untuned_s": self.untuned_s,
            "latency_s": self.now_s,
            "measured": self.measured,
            "trials": len(self.outcomes),
            "failed": self.failed,
            "seconds": self.seconds,
            "asking_s": self.asking_s,
            "stored": self.store.trials,
            "stock_s": self.stock.best if self.stock else None,
        }


@dataclass(frozen=True, kw_only=True)
class TuneStatus:
    """The state of a tuning.

    Attributes:
        state: ``finished``, ``running`` or ``interrupted``.
        config: the settings, as the journal has them.
        metadata: what the finished folder says of itself; empty before.
        tasks: in the order in which they were begun.
    """

    state: str
    config: Mapping[str, Any]
    metadata: Mapping[str, Any]
    tasks: list[TaskStatus]

    @property
    def trials(self) -> int:
        """Programs measured, all tasks together."""
        return sum(len(task.outcomes) for task in self.tasks)

    @property
    def seconds(self) -> float:
        """Wall clock of the searches, all tasks together."""
        return sum(task.seconds for task in self.tasks)

    @property
    def asking_share(self) -> float:
        """Share of that in which the search thought and nothing was measured; NaN if unknown."""
        asking = sum(task.asking_s for task in self.tasks)
        return asking / self.seconds if self.seconds else math.nan

    @property
    def store(self) -> FromStore:
        """What was not measured, since a store knew it."""
        return FromStore.sum(task.store for task in self.tasks)

    @property
    def network(self) -> Mapping[str, Any] | None:
        """What the folder says of a whole network; None if operators were tuned, or not yet."""
        found = self.metadata.get("network")
        return found if isinstance(found, Mapping) else None

    def to_dict(self) -> dict[str, Any]:
        """For JSON.

        Returns:
            What ``balto status -f json`` prints.
        """
        return {
            "state": self.state,
            "trials": self.trials,
            "seconds": self.seconds,
            "asking_share": self.asking_share,
            "store": vars(self.store),
            "network": self.network,
            "tasks": {task.name: task.to_dict() for task in self.tasks},
        }


def is_tuning(folder: str | Path) -> bool:
    """Whether ``balto tune`` works or worked in a folder, and not ``balto pretrain``."""
    folder = as_path(folder)
    with reading(folder, CampaignError):
        if (folder / METADATA).is_file():
            return True
        if not (folder / JOURNAL).is_file() or (folder / "config.json").exists():
            return False
    first = next(read(folder / JOURNAL), {})
    return first.get("kind") == CONFIG and "trials" in first


def tune_status(folder: str | Path) -> TuneStatus:
    """Read how far a tuning is.

    Raises:
        CampaignError: nothing is being tuned there, or its journal is damaged.
    """
    folder = as_path(folder)
    if not is_tuning(folder):
        raise CampaignError(f"expected a folder of balto tune, {folder} is none")
    metadata = _metadata(folder / METADATA)
    config, tasks = _read_journal(folder)
    stock = read_stock(folder)
    about = {**metadata.get("operators", {}), **metadata.get("tasks", {})}
    for name, task in tasks.items():
        task.stock = stock.get(name)
        said = {of: s for of, s in about.get(name, {}).items() if s is not None}
        task.latency_s = float(said.get("latency_s", math.nan))
        # The untuned program may have been timed again since its trial.
        task.untuned_s = float(said.get("untuned_s", task.untuned_s))
    state = "finished" if metadata else "running" if locked(folder / JOURNAL) else "interrupted"
    return TuneStatus(state=state, config=config, metadata=metadata, tasks=list(tasks.values()))


def _read_journal(folder: Path) -> tuple[dict[str, Any], dict[str, TaskStatus]]:
    config: dict[str, Any] = {}
    tasks: dict[str, TaskStatus] = {}
    for record in read_records(folder / JOURNAL):
        kind = record["kind"]
        if kind == CONFIG:
            config = {name: value for name, value in record.items() if name != "kind"}
        if kind == FOUND:
            tasks.update(_unmeasured(record))
        for name, known in recalled_in(record).items() if kind == RECALLED else ():
            _recall(tasks, name, known)
        if kind not in (TRIAL, BATCH):
            continue
        task = tasks.setdefault(record["task"], TaskStatus(name=record["task"]))
        if kind == BATCH:
            task.seconds += record["seconds"]
            task.asking_s += record["asking_s"]
        elif record["trace"]:
            task.outcomes.append(possible_outcome(record))
        else:
            outcome = possible_outcome(record)
            task.untuned_s = outcome.latency_median_s if outcome.ok else math.nan
    return config, tasks


def _unmeasured(found: Mapping[str, Any]) -> dict[str, TaskStatus]:
    """The tasks of which nothing was measured, of what a search found."""
    return {
        each["task"]: TaskStatus(
            name=each["task"],
            seconds=each["seconds"],
            asking_s=each["asking_s"],
            measured=False,
        )
        for each in found["tasks"]
        if not each.get("measured", True)
    }


def _recall(tasks: dict[str, TaskStatus], name: str, known: Known) -> None:
    """Take in what a store knew of a task, if it is what was measured here."""
    if not known.programs:
        return
    task = tasks.setdefault(name, TaskStatus(name=name, store=FromStore.of([known])))
    task.outcomes += known.trials.values()
    for untuned in known.programs.get("", ())[:1]:
        task.untuned_s = untuned.latency_median_s if untuned.ok else math.nan


def _metadata(path: Path) -> dict[str, Any]:
    """What a finished folder says of itself; empty if it is not finished."""
    if not path.exists():
        return {}
    with reading(path, CampaignError, "run the same balto tune again"):
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("it is no JSON object")
    return found

"""An entry of a store: what one tuning measured of one task, in a file of its own.

The file is a journal (`balto.journal.file`): whole lines with chained checksums, whenever its
writer is killed. Its first record says of which task it is and what measured it, the second one has
the module, and each other one is a program's measurement, the check of one, or the end.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from balto.arguments import check_number
from balto.data.files import require_readable
from balto.data.outcome import Outcome
from balto.data.target import Target
from balto.data.task import Task
from balto.errors import CampaignError, InputError
from balto.journal.file import numbered
from balto.journal.records import LARGEST, Record, at, outcome_to_record, possible_outcome, text_of
from balto.store.identity import Identity
from balto.text import quoted

#: Version of the format, which the first record has.
FORMAT = 1
#: Kinds of records: the task, first; its module; a measurement; whether a program is right, beside
#: the untuned one or in a network; nobody will write here any more.
TASK, MODULE, TRIAL, CHECKED, FINISHED = "task", "module", "trial", "checked", "finished"
#: Bytes of an entry's file that are read, at most.
LARGEST_FILE = 1 << 26
#: What an entry's file is called, after its writer.
SUFFIX = ".jsonl"


@dataclass(frozen=True, kw_only=True)
class Place:
    """What measured; only what the same place measured is taken as it stands.

    Attributes:
        target: JSON of the target, as it is known there; the cores are in it.
        device: the processor's name.
        tvm: version of TVM; empty where nobody knows.
        measurer: ``live``, ``rpc:...``, or the name of another one.
    """

    target: str
    device: str
    tvm: str
    measurer: str = "live"

    def __str__(self) -> str:
        return f"{self.device}, TVM {self.tvm or 'unknown'}, {self.measurer}"


@dataclass(frozen=True, kw_only=True)
class Head:
    """Of which task an entry is, and who measured it when on what.

    Attributes:
        identity: of the task.
        name: of the task, for people; so are `op`, `args` and `flop`, as a `Task` has them.
        place: what measured.
        balto: version.
        host: name of the computer.
        at: when it was begun, seconds since 1970.
    """

    identity: Identity
    name: str
    op: str
    args: str
    flop: float
    place: Place
    balto: str
    host: str
    at: float

    def to_record(self) -> dict[str, Any]:
        """The first record of the file."""
        flop = self.flop if math.isfinite(self.flop) else None
        rest = {name: getattr(self, name) for name in ("name", "op", "args", "balto", "host", "at")}
        identity = {**vars(self.identity), "extents": list(self.identity.extents)}
        place = {**vars(self.place), "target": json.loads(self.place.target)}
        return {"kind": TASK, "format": FORMAT, **identity, **rest, "flop": flop, **place}

    @classmethod
    def of(cls, record: Record) -> Head:
        """The inverse of `to_record`.

        Raises:
            InputError: If it is no such record, or of another format.
        """
        if record["kind"] != TASK or record.get("format") != FORMAT:
            raise InputError(f"expected the task, in format {FORMAT}; got {quoted(dict(record))}")
        texts = {name: text_of(record, name) for name in ("name", "op", "args", "balto", "host")}
        place = {name: text_of(record, name) for name in ("device", "tvm", "measurer")}
        flop = math.nan if record["flop"] is None else check_number("flop", record["flop"], 0)
        return cls(
            identity=Identity(record["family"], record["key"], tuple(record["extents"])),
            place=Place(target=Target.from_dict(record["target"]).to_json(), **place),
            flop=flop,
            at=check_number("at", record["at"], 0, LARGEST),
            **texts,
        )

    def task(self, module: str) -> Task:
        """The task, with its module."""
        target = Target.from_json(self.place.target)
        return Task(self.name, self.op, self.args, 1, target, self.place.device, self.flop, module)


@dataclass(kw_only=True)
class Program:
    """What is known of a program.

    Attributes:
        times: when it was measured, seconds since 1970, and what came of it; in order.
        errors: how far it was from right, in tolerances, by what it was compared with:
            ``untuned``, the program, or ``network``. Right up to 1.
    """

    times: list[tuple[float, Outcome]] = field(default_factory=list)
    errors: dict[str, float] = field(default_factory=dict)

    @property
    def outcomes(self) -> list[Outcome]:
        """Of each measurement."""
        return [outcome for _, outcome in self.times]

    def add(self, at_s: float, outcome: Outcome) -> None:
        """Take in a measurement, unless it is known: the same fact may lie in two files."""
        fact = (at_s, outcome_to_record(outcome))
        if all(fact != (when, outcome_to_record(each)) for when, each in self.times):
            self.times.append((at_s, outcome))


@dataclass(kw_only=True)
class Entry:
    """What one file says.

    Attributes:
        head: of which task it is.
        module: TVM's JSON of it; empty where the writer was killed before it wrote that.
        programs: by their traces, the untuned one's is empty; in order of their first measurement.
        finished: whether its writer came to its end.
        dry: whether there was nothing left to measure.
    """

    head: Head
    module: str = ""
    programs: dict[str, Program] = field(default_factory=dict)
    finished: bool = False
    dry: bool = False

    @property
    def trials(self) -> int:
        """How many programs were measured, without the untuned one."""
        return sum(bool(trace and program.times) for trace, program in self.programs.items())

    @property
    def last(self) -> float:
        """When something was measured last, seconds since 1970; else when it was begun."""
        times = (when for program in self.programs.values() for when, _ in program.times)
        return max(times, default=self.head.at)

    def program(self, trace: str) -> Program:
        """What is known of a program, which is then known."""
        return self.programs.setdefault(trace, Program())

    def take(self, record: Record) -> None:
        """Take in a record that is not the first.

        Raises:
            InputError: If there can be no such record.
        """
        kind = record["kind"]
        if kind == MODULE and not self.module:
            self.module = text_of(record, "module")
        elif kind == TRIAL:
            when = check_number("at", record["at"], 0, LARGEST)
            self.program(_trace(record)).add(when, possible_outcome(record))
        elif kind == CHECKED:
            error = check_number("error", record["error"], 0, LARGEST)
            self.program(_trace(record)).errors[text_of(record, "against")] = error
        elif kind == FINISHED:
            self.finished, self.dry = True, record["dry"] is True
        else:
            raise InputError(f"expected a program, got {quoted(dict(record))}")

    def records(self) -> list[dict[str, Any]]:
        """All that it says, for a file of its own."""
        told: list[dict[str, Any]] = [self.head.to_record(), module_record(self.module)]
        for trace, program in self.programs.items():
            told += (trial_record(trace, outcome, when) for when, outcome in program.times)
            told += (checked_record(trace, e, against) for against, e in program.errors.items())
        return [*told, {"kind": FINISHED, "dry": self.dry}] if self.finished else told


def module_record(module: str) -> dict[str, Any]:
    """The second record of an entry."""
    return {"kind": MODULE, "module": module}


def trial_record(trace: str, outcome: Outcome, at_s: float) -> dict[str, Any]:
    """The record of a measurement."""
    return {"kind": TRIAL, "trace": trace, "at": at_s, **outcome_to_record(outcome)}


def checked_record(trace: str, error: float, against: str) -> dict[str, Any]:
    """The record of a check; an error that is no number is the largest one."""
    return {
        "kind": CHECKED,
        "trace": trace,
        "error": error if error <= LARGEST else LARGEST,
        "against": against,
    }


def read_entry(path: Path) -> Entry:
    """What a file says, as far as it is written.

    Raises:
        CampaignError: If it is damaged, empty, too long, or not where its task belongs.
    """
    _require_short(path)
    entry: Entry | None = None
    for place, record in numbered(path):
        with at(f"{path}: {place}"):
            if entry is None:
                entry = Entry(head=_head(path, record))
            else:
                entry.take(record)
    if entry is None:
        raise CampaignError(f"{path} is empty")
    return entry


def read_head(path: Path) -> Head:
    """Its first record alone.

    Raises:
        CampaignError: As `read_entry`.
    """
    _require_short(path)
    for place, record in numbered(path):
        with at(f"{path}: {place}"):
            return _head(path, record)
    raise CampaignError(f"{path} is empty")


def _head(path: Path, record: Mapping[str, Any]) -> Head:
    head = Head.of(record)
    if path.parts[-3:-1] != (head.identity.family, head.identity.key):
        raise InputError(f"it is of the task {head.identity.key}, which lies elsewhere")
    return head


def _require_short(path: Path) -> None:
    require_readable(path, CampaignError)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise CampaignError(f"cannot read {path}: {error.strerror}") from error
    if size > LARGEST_FILE:
        raise CampaignError(f"{path} has {size} bytes, more than an entry may")


def _trace(record: Record) -> str:
    """The trace of a record, in the form that traces have.

    Raises:
        InputError: If it is none.
    """
    trace = text_of(record, "trace")
    if not trace:
        return trace
    try:
        instructions, decided = json.loads(trace)
        whole = all(
            isinstance(name, str) and isinstance(attributes, list) and isinstance(outputs, list)
            for name, _, attributes, outputs in instructions
        ) and all(type(place) is int for place, _ in decided)
        harmless = not any(
            name == "Annotate" and "import" in str(rest) for name, *rest in instructions
        )
    except (ValueError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise InputError(f"expected a trace, got {quoted(trace)}")
    if not harmless:  # TVM would compile the text of an annotation into the program, and we run it
        raise InputError("expected a trace that makes a program of its task, it imports code")
    return trace

"""One line of an Ansor log, in which TenSet keeps its measurements: a task, steps and costs.

``{"i": [[workload, target, hardware, host, layout, inputs], [[], steps]], "r": [costs, error,
seconds, time], "v": "v0.6"}``; older versions have fewer entries in the task.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any

from balto.data.outcome import Outcome, Status
from balto.data.target import Target
from balto.errors import InputError
from balto.importers import steps as ansor_steps
from balto.importers.costs import outcome_of_costs, sound
from balto.importers.imported import SkipLine

#: Bytes of a line; real ones have 1 to 4 thousand.
LONGEST_LINE = 1 << 20
#: A machine has fewer cores.
MOST_CORES = 1 << 20
#: Versions of the format that are read here.
VERSIONS = ("v0.2", "v0.3", "v0.4", "v0.5", "v0.6")
#: Ansor's numbers for what went wrong, as our statuses, and its words.
ERRORS = {
    1: (Status.BUILD_ERROR, "the schedule could not be applied"),
    2: (Status.BUILD_ERROR, "the host's code did not compile"),
    3: (Status.BUILD_ERROR, "the device's code did not compile"),
    4: (Status.RUN_ERROR, "an error on the device"),
    5: (Status.RUN_ERROR, "a wrong result"),
    6: (Status.BUILD_TIMEOUT, "compiling took too long"),
    7: (Status.RUN_TIMEOUT, "running took too long"),
    8: (Status.RUN_ERROR, "an unknown error"),
}

_TEXT = rb'"([^"\\]*(?:\\.[^"\\]*)*)"'
_HEAD = re.compile(rb'\{"i": ?\[\[' + _TEXT + rb", ?" + _TEXT)


@dataclass(frozen=True)
class Record:
    """One measurement.

    Attributes:
        workload: the task's workload key, JSON.
        target: what it was compiled for, in TVM's older notation.
        cores: of the machine; None where the log does not say.
        steps: Ansor's transformation steps.
        outcome: what measuring gave.
    """

    workload: str
    target: str
    cores: int | None
    steps: list[list[Any]]
    outcome: Outcome


def task_of_line(line: bytes) -> bytes:
    """Workload and target of a line, as they are written, without reading the rest of it.

    Raises:
        SkipLine: it is no record.
    """
    found = _HEAD.match(line)
    if found:
        return b"\n".join(found.groups())
    if line[:1] in (b"#", b" "):
        raise SkipLine("comment")
    try:
        workload, target = json.loads(line)["i"][0][:2]
        return b"\n".join(json.dumps(text)[1:-1].encode() for text in (workload, target))
    except (ValueError, TypeError, LookupError, RecursionError, AttributeError):
        raise SkipLine("no whole record") from None


def read_record(line: bytes) -> Record:
    """A line as a record.

    Raises:
        SkipLine: it is no record, or of another version, or says what cannot be.
    """
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        raise SkipLine("no whole record") from None
    try:
        version = content["v"]
        if version not in VERSIONS:
            raise SkipLine(f"version {str(version)[:12]!r}")
        task, (_, steps) = content["i"]
        costs, error, seconds, _ = content["r"]
        workload, target = task[:2]
        if not (isinstance(workload, str) and isinstance(target, str)):
            raise SkipLine("no whole record")
        cores = next((each[0] for each in task[2:4] if isinstance(each, list) and each), None)
    except (ValueError, TypeError, LookupError, AttributeError):
        raise SkipLine("no whole record") from None
    ansor_steps.check(steps)
    known = type(cores) is int and 0 < cores < MOST_CORES
    return Record(
        workload, target, cores if known else None, steps, _outcome(costs, error, seconds)
    )


def _outcome(costs: Any, error: Any, seconds: Any) -> Outcome:
    """What a record says that measuring gave; Ansor's seconds are those of building and running."""
    if not sound([seconds]):
        raise SkipLine("costs that cannot be")
    if type(error) is not int or not 0 <= error <= len(ERRORS):
        raise SkipLine(f"an error that is not known here ({ascii(error)[:8]})")
    if error:
        status, words = ERRORS[error]
        return Outcome(status, measure_s=float(seconds), message=f"Ansor's error {error}: {words}")
    return outcome_of_costs(costs, float(seconds))


def parse_target(text: str) -> Target:
    """A target in TVM's older notation, ``llvm -keys=cpu -mcpu=core-avx2 -num-cores=16``.

    Raises:
        InputError: it is none.
    """
    if text.lstrip().startswith("{"):
        return Target.from_json(text)
    try:
        kind, *options = shlex.split(text)
    except ValueError as error:
        raise InputError(
            f"expected a target such as 'llvm -mcpu=core-avx2', got {text!r}"
        ) from error
    values: dict[str, Any] = {"kind": kind}
    for option in options:
        name, _, value = option.lstrip("-").partition("=")
        values[name] = int(value) if re.fullmatch(r"-?\d{1,18}", value) else value
    if "keys" in values:
        values["keys"] = str(values["keys"]).split(",")
    if not isinstance(values.get("num-cores"), int | None) or values.get("num-cores", 1) < 1:
        values.pop("num-cores")
    return Target.from_dict(values)


def name_and_arguments(workload: str) -> tuple[str, list[Any]]:
    """What a workload key says: a function or a hash, and numbers.

    Raises:
        SkipLine: it says nothing of the kind.
    """
    try:
        said = json.loads(workload)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, list) or not said or not isinstance(said[0], str):
        raise SkipLine("a workload key that is no JSON list")
    name, *arguments = said
    if re.fullmatch(r"[0-9a-f]{32}", name):
        name = f"ansor_{name[:8]}"
    return name[:60], arguments

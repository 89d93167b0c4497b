"""A call in a worker about something that a person gave: what goes wrong is one line about it."""

from __future__ import annotations

from typing import Any

from balto.data.files import one_line
from balto.errors import InputError, WorkerDied, WorkerRaised, WorkerTimeout
from balto.workers.worker import Worker


def call_about(what: str, worker: Worker, function: str, *arguments: Any, deadline_s: float) -> Any:
    """Call in a worker, again in a new process if that died (`Worker.call_with_retries`).

    Args:
        what: for people: the networks or operators that the call is about.
        worker: to call in.
        function: ``package.module:name``.
        arguments: of the function.
        deadline_s: seconds that it may take.

    Raises:
        InputError: If the function raises, or its process crashes twice: TVM refuses `what`.
        WorkerDied: If the process was killed again and again: nothing is known of `what`.
        WorkerTimeout: If it took too long: nothing is known either.
    """
    try:
        return worker.call_with_retries(function, *arguments, deadline_s=deadline_s)
    except WorkerRaised as error:
        # The worker puts the name of the class before the text.
        reason = one_line(str(error).removeprefix(f"{error.kind}: "))
        if error.kind == "InputError":
            raise InputError(reason) from error
        raise InputError(f"TVM refuses {one_line(what)}: {error.kind}: {reason}") from error
    except (WorkerDied, WorkerTimeout) as error:
        line = f"TVM did not survive {one_line(what)}: {one_line(error)}"
        if isinstance(error, WorkerDied) and not error.killed:
            raise InputError(line) from error
        raise type(error)(line) from error

"""A warm worker process: call functions in it by name, and outlive whatever they do.

The worker is forked from a process that has imported TVM and does nothing else
(`balto.workers.nursery`): it starts at once and inherits nothing of ours. It dies with us, writes
nothing to the user's terminal, and everything that can happen to a call becomes one of the
`WorkerError`s of `balto.errors`.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection, Pipe
from types import TracebackType
from typing import Any, Self

import psutil

from balto.errors import WorkerDied, WorkerRaised, WorkerTimeout
from balto.workers.child import SHARED_TMPDIR
from balto.workers.nursery import Child, fork

_TAIL_BYTES = 4096
#: How long starting and preloading may take, and taking a call.
_START_S = 120.0
#: How often a call is made again whose worker was killed, and one whose worker crashed; and how
#: often one whose worker was killed before it took the call, which is no try.
_KILLS, _CRASHES, _UNTAKEN = 4, 1, 20
#: How often the processor time of a call with a limit of it is looked at, seconds.
_LOOK_S = 1.0


class Worker:
    """One warm process.

    Args:
        cpus: the CPUs it may run on; all of ours if empty.
        memory_bytes: limit of its address space; 0 for none.
        env: environment variables to set in it.
        preload: ``(function, *args)`` calls made at its start, before it is ready.
        inherit: file descriptors that it gets, under the same numbers.
    """

    def __init__(
        self,
        cpus: Sequence[int] = (),
        memory_bytes: int = 0,
        env: Mapping[str, str] | None = None,
        preload: Sequence[tuple[Any, ...]] = (),
        inherit: Sequence[int] = (),
    ) -> None:
        self._cpus = list(cpus)
        self._memory_bytes = memory_bytes
        self._env = dict(env or {})
        self._preload = list(preload)
        self._inherit = tuple(inherit)
        self._process: Child | None = None
        self._ended = False
        self._connection: Connection | None = None
        self._output: Any = None
        self._ready = False
        self._call_s = 0.0
        self._deadline = self._until = 0.0
        self._cpu_until = math.inf
        self._stage = ""
        self._notes: dict[str, Any] = {}

    def start(self) -> None:
        """Start the process if there is none; returns at once, the first call waits for it.

        Raises:
            WorkerDied: If `end` was called before.
        """
        if self._process is not None:
            return
        if self._ended:
            raise WorkerDied("the worker was ended")
        ours, theirs = Pipe()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        settings = {
            "path": [os.path.abspath(p) for p in sys.path],  # noqa: PTH100
            "env": {SHARED_TMPDIR: tempfile.gettempdir(), **os.environ, **self._env},
            "folder": os.readlink("/proc/self/cwd"),  # noqa: PTH115  # it may be gone
            "cpus": self._cpus or sorted(os.sched_getaffinity(0)),
            "memory_bytes": self._memory_bytes,
        }
        self._process = fork(theirs.fileno(), self._output.fileno(), self._inherit)
        theirs.close()
        if self._ended:  # by another thread, which may not have seen this process
            self._process.kill()
        self._connection = ours
        with contextlib.suppress(OSError):  # dead already: the first `poll` says so
            ours.send(settings)
            ours.send(self._preload)
        self._ready = False
        self._begin("start", _START_S)

    @property
    def pid(self) -> int | None:
        """Process id; None while there is no process."""
        return None if self._process is None else self._process.pid

    @property
    def connection(self) -> Connection:
        """For `multiprocessing.connection.wait`: readable when `poll` has something to do."""
        assert self._connection is not None
        return self._connection

    @property
    def ready(self) -> bool:
        """Whether it has started; `poll` moves this on."""
        return self._ready

    @property
    def deadline(self) -> float:
        """When `poll` must be called at the latest, in seconds of `time.monotonic`."""
        return self._deadline

    @property
    def stage(self) -> str:
        """``start`` until the last call was taken; then what it was doing, as it said itself."""
        return self._stage

    @property
    def notes(self) -> dict[str, Any]:
        """The facts that the last call sent while it ran."""
        return self._notes

    def call(self, function: str, *args: Any, deadline_s: float) -> Any:
        """Call ``package.module:name`` in the worker and wait for its result.

        A process that is killed before it has taken the call, while it starts or is idle, is
        replaced, and the call made to the new one.

        Args:
            function: ``package.module:name``.
            args: its arguments; they are pickled, and so is the result.
            deadline_s: what the call may take, seconds.

        Returns:
            What the function returned.

        Raises:
            WorkerRaised: If the function raised.
            WorkerDied: If the process died; the next call starts another.
            WorkerTimeout: If the call took longer than `deadline_s`, or a stage longer than it
                said; the next call starts another process.
        """
        return self._call((0, 0), function, args, deadline_s)

    def call_with_retries(self, function: str, *args: Any, deadline_s: float) -> Any:
        """`call`, made again in a new process if the process died.

        A process that was killed says nothing about the call: it is made again, up to four times,
        since it may be the call's own use of memory that gets it killed. One that crashed by
        itself may have been ill before: the call is made again once.

        Args:
            function: ``package.module:name``.
            args: its arguments; they are pickled, and so is the result.
            deadline_s: what each try may take, seconds.

        Returns:
            What the function returned.

        Raises:
            WorkerRaised, WorkerTimeout: As `call`, at once.
            WorkerDied: If the process died more often than that.
        """
        return self._call((_CRASHES, _KILLS), function, args, deadline_s)

    def _call(
        self, deaths: tuple[int, int], function: str, args: tuple[Any, ...], deadline_s: float
    ) -> Any:
        """Call; `deaths` is after how many crashes, and how many kills, it is made again."""
        left = [*deaths, _UNTAKEN]
        while True:
            try:
                self.submit(function, *args, deadline_s=deadline_s)
                return self.result()
            except WorkerDied as error:
                kind = 2 if error.untaken and error.killed else int(error.killed)
                if self._ended or not left[kind]:
                    raise
                left[kind] -= 1

    def submit(self, function: str, *args: Any, deadline_s: float) -> None:
        """Send a call; `result` or `poll` get its result, or learn that the worker is dead.

        Waits for a worker that still starts.

        Args:
            function: ``package.module:name``.
            args: its arguments; they are pickled, and so is the result.
            deadline_s: what the call may take, seconds.

        Raises:
            WorkerError: If the process died, or took too long, before it was ready.
        """
        self.start()
        while not self._ready:
            self._wait()
            self.poll()
        assert self._connection is not None
        assert self._output is not None
        self._output.truncate(0)
        self._output.seek(0)
        self._begin("start", _START_S)
        self._call_s = deadline_s
        with contextlib.suppress(OSError):  # dead while it was idle: `poll` says so
            self._connection.send((function, args))

    def result(self) -> Any:
        """Wait for the result of the call that was submitted; raises as `call`.

        Returns:
            What the function returned.

        Raises:
            WorkerError: As `call`.
        """
        while True:
            self._wait()
            done, value = self.poll()
            if done:
                return value

    def poll(self) -> tuple[bool, Any]:
        """Handle what has arrived, without waiting: ``(True, result)``, or ``(False, None)``.

        Raises as `call`. What has arrived counts even when the deadline has passed meanwhile.

        Returns:
            Whether the call is over, and its result.

        Raises:
            WorkerError: As `call`.
        """
        assert self._connection is not None
        while self._connection.poll():
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                self._raise_dead()
            match message:
                case ("ready",):
                    self._ready = True
                    return False, None
                case ("taken",):
                    self._begin("", self._call_s)
                case ("stage", name, deadline_s, cpu_s):
                    self._begin(name, deadline_s, cpu_s, keep_notes=True)
                case ("note", facts):
                    self._notes.update(facts)
                case ("result", value):
                    self._deadline = float("inf")
                    return True, value
                case ("raised", kind, text):
                    self._deadline = float("inf")
                    output = f"{text}\n{self._tail()}"
                    error = WorkerRaised(text, self._stage, self._notes, output)
                    error.kind = kind
                    raise error
        if time.monotonic() > self._deadline:
            self._look()
        return False, None

    def memory_bytes(self) -> int:
        """Resident memory of the process now, bytes; 0 while there is none.

        Returns:
            0 where the kernel does not say.
        """
        if self._process is None:
            return 0
        with contextlib.suppress(OSError), open(f"/proc/{self._process.pid}/statm", "rb") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return 0

    def kill(self) -> None:
        """Kill the process and everything that it started; `start` makes a new one."""
        if self._process is None:
            return
        self._process.kill()
        self._process = None
        self._ready = False
        assert self._connection is not None
        self._connection.close()
        self._output.close()

    close = kill

    def end(self) -> None:
        """For other threads than the one that calls: no call goes on, and none starts a process.

        A call under way raises `WorkerDied` in its own thread; `close` when that is over.
        """
        self._ended = True
        process = self._process
        if process is not None:
            process.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def _begin(
        self, stage: str, deadline_s: float, cpu_s: float = math.inf, keep_notes: bool = False
    ) -> None:
        self._stage = stage
        self._until = time.monotonic() + deadline_s
        self._cpu_until = math.inf if math.isinf(cpu_s) else self._cpu_s() + cpu_s
        self._deadline = min(self._until, time.monotonic() + min(cpu_s, _LOOK_S))
        if not keep_notes:
            self._notes = {}

    def _look(self) -> None:
        """See whether the current stage has taken too long; until when it has not, if not."""
        limited = math.isfinite(self._cpu_until)
        left = self._cpu_until - self._cpu_s() if limited else math.inf
        now = time.monotonic()
        if now < self._until and left > 0:
            self._deadline = min(self._until, now + min(max(left, 0.01), _LOOK_S))
            return
        stage, notes, output = self._stage, self._notes, self._tail()
        self.kill()
        of = "by the clock" if left > 0 else "of processor time"
        error = WorkerTimeout(f"no end within the deadline {of} ({stage})", stage, notes, output)
        error.by_clock = limited and left > 0
        raise error

    def _cpu_s(self) -> float:
        """Processor time of the process, and of its children that have ended, seconds."""
        with contextlib.suppress(psutil.Error):
            return float(sum(psutil.Process(self.pid).cpu_times()[:4]))
        return 0.0

    def _wait(self) -> None:
        assert self._connection is not None
        left = self._deadline - time.monotonic()
        self._connection.poll(max(0.0, min(left, 3600.0)) + 0.001)

    def _tail(self) -> str:
        size = os.fstat(self._output.fileno()).st_size
        start = max(0, size - _TAIL_BYTES)
        return os.pread(self._output.fileno(), size - start, start).decode(errors="replace").strip()

    def _raise_dead(self) -> None:
        assert self._process is not None
        code = self._process.wait(5.0)
        stage, notes, output = self._stage, self._notes, self._tail()
        self.kill()
        number = -code if code is not None and code < 0 else 0
        if number:
            message = f"the worker was killed by {signal.Signals(number).name}"
        else:
            message = f"the worker exited with {code}: {(output.splitlines() or [''])[-1]}"
        error = WorkerDied(message, stage, notes, output)
        error.signal = number
        raise error

"""The process that workers are forked from: TVM is imported once, and not by every worker.

Importing TVM takes a second of processor, forking a process that has it some milliseconds: what
starts several workers, or replaces those that crashed, would spend most of its time on imports. The
nursery imports TVM, with the tensor intrinsics of this machine, which a first tuning context
takes most of a second to parse otherwise; it has one thread, opens no device, runs nothing else,
and forks when asked. A process of ours has one, from its first worker on.

Of each child the parent holds one end of a socket, on which the nursery tells its process id and
how it ended. A child whose parent shuts that end, or dies, is killed with all that it started; if
the nursery itself is killed, its children die with it.

Each child has a temporary folder of its own. The nursery removes it when the child has ended, and
all of them when the parent is gone; if the nursery is killed, the parent does.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib.util
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Sequence
from typing import NoReturn

from balto.workers import child, scratch

_START = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); " + (
    "from balto.workers.nursery import main; main(*map(int, sys.argv[2:5]), sys.argv[5])"
)
_NUMBER = struct.Struct("i")
_MESSAGE, _MAX_FDS = 4096, 64
_SECOND, _DYING_S = 1.0, 30.0
_KILLED = -int(signal.SIGKILL)


class Child:
    """A forked process, as its parent sees it; safe to use from several threads."""

    def __init__(self, control: socket.socket, nursery: _Nursery) -> None:
        self._control = control
        self._nursery = nursery
        self._lock = threading.Lock()
        self._told: list[int] = []

    @property
    def pid(self) -> int | None:
        """Process id; None if it could not be forked. Waits for a nursery that still starts."""
        self._hear(1, None)
        return self._told[0] if self._told else None

    def wait(self, timeout_s: float | None = None) -> int | None:
        """The exit status, negative for a signal, as `subprocess` has it; None while it runs.

        The nursery's own where that ended before it forked, 1 where it could not fork; -9 where
        the child died with it.
        """
        if not self._hear(2, timeout_s):
            return None
        if not self._told:
            return self._nursery.ended(_SECOND) or 1
        return self._told[1] if len(self._told) == 2 else _KILLED

    def kill(self) -> None:
        """Kill it and everything that it started; wait until it is dead, half a minute at most."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)
        self._hear(2, _DYING_S)
        self._control.close()

    def _hear(self, count: int, timeout_s: float | None) -> bool:
        """Whether `count` numbers were told, or no more will be."""
        with self._lock:
            while len(self._told) < count:
                try:
                    self._control.settimeout(timeout_s)
                    told = self._control.recv(_NUMBER.size, socket.MSG_WAITALL)
                except (TimeoutError, BlockingIOError):
                    return False
                except OSError:
                    return True
                if len(told) < _NUMBER.size:
                    return True
                self._told += _NUMBER.unpack(told)
        return True


def fork(connection: int, output: int, inherit: Sequence[int]) -> Child:
    """A new process that serves `balto.workers.child`; returns at once.

    Args:
        connection: file descriptor of its end of the connection.
        output: of the file that gets its output, or says why there is no process.
        inherit: file descriptors that it gets under the same numbers.
    """
    ours, theirs = socket.socketpair()
    message = json.dumps(list(inherit)).encode()
    fds = [theirs.fileno(), connection, output, *inherit]
    with theirs:
        for _ in range(2):  # a dead nursery is replaced
            nursery = _Nursery.get(output)
            try:
                socket.send_fds(nursery.requests, [message], fds)
                break
            except OSError as error:
                if nursery.requests.fileno() >= 0 and not isinstance(error, ConnectionError):
                    ours.close()
                    raise  # it is what was asked that cannot be
                nursery.forget()
    return Child(ours, nursery)


class _Nursery:
    """This process's nursery; what it says, if it cannot start, goes to a first child's output."""

    _own: _Nursery | None = None
    _lock = threading.RLock()

    def __init__(self, output: int) -> None:
        self._parent = os.getpid()
        self._ended = threading.Event()
        self._code: int | None = None
        self._folder, self._in_use = scratch.claim()
        self.requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # A process dies with the thread that started it, so a thread that lasts starts this one.
        arguments = (theirs, os.dup(output))
        threading.Thread(target=self._keep, args=arguments, name="nursery", daemon=True).start()
        atexit.register(self.forget)

    @classmethod
    def get(cls, output: int) -> _Nursery:
        """The one there is, or a new one: none yet, dead, or a parent's that was forked."""
        with cls._lock:
            if cls._own is not None and cls._own._parent != os.getpid():
                cls._own.forget()
            if cls._own is None:
                cls._own = cls(output)
            return cls._own

    def forget(self) -> None:
        """It is dead, or another process's, or not needed any more."""
        self.requests.close()
        with self._lock:
            if _Nursery._own is self:
                _Nursery._own = None

    def ended(self, timeout_s: float) -> int | None:
        """Its exit status if it ends within some seconds."""
        self._ended.wait(timeout_s)
        return self._code

    def _keep(self, theirs: socket.socket, output: int) -> None:
        path = json.dumps([os.path.abspath(p) for p in sys.path])  # noqa: PTH100
        numbers = theirs.fileno(), self._parent, self._in_use
        arguments = [path, *map(str, numbers), self._folder]
        try:
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _START, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=output,
                    pass_fds=(theirs.fileno(), self._in_use),
                    start_new_session=True,
                )
        except OSError as error:
            os.write(output, f"{error}\n".encode())
        else:
            self._code = process.wait()
        finally:
            os.close(output)
            self._ended.set()
            scratch.remove(self._folder)
            os.close(self._in_use)


def main(fd: int, parent: int, in_use: int, folder: str) -> None:
    """Fork when asked, until the parent is gone.

    Args:
        fd: file descriptor on which the parent asks.
        parent: its process id.
        in_use: file descriptor that locks the folder.
        folder: in which each child gets a temporary folder.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    # The parent's death continues this process if it was stopped, so that it cleans up and ends.
    signal.signal(signal.SIGCONT, lambda *_: os.getppid() == parent or sys.exit())
    os.set_inheritable(in_use, False)
    server = _Server(socket.socket(fileno=fd), folder)
    try:
        child.die_with(parent, signal.SIGCONT)
        _prepare()
        server.serve()
    finally:
        server.end()


def _prepare() -> None:
    """Load what every child will need."""
    if importlib.util.find_spec("tvm") is not None:
        from balto.workers.tvm_setup import import_tvm_for_drawing

        with contextlib.suppress(Exception):  # a worker that needs it says what is wrong
            import_tvm_for_drawing()
    gc.freeze()  # collecting would touch the pages that the children share


class _Server:
    """Forks, and tells what became of it."""

    def __init__(self, requests: socket.socket, folder: str) -> None:
        self._requests, self._folder = requests, folder
        self._children: dict[int, socket.socket] = {}
        self._ended: set[int] = set()
        self._unwanted: set[int] = set()
        self._woken, self._wake = socket.socketpair()
        for each in (self._woken, self._wake):
            each.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._selector = selectors.DefaultSelector()
        for each in (self._requests, self._woken):
            self._selector.register(each, selectors.EVENT_READ)

    def serve(self) -> None:
        """Until the parent is gone."""
        while self._served():
            pass

    def end(self) -> None:
        """Leave no child behind, and no file."""
        for number in (signal.SIGTERM, signal.SIGCONT):
            signal.signal(number, signal.SIG_IGN)
        for pid in self._children:
            _kill_family(pid)
        scratch.remove(self._folder)

    def _served(self) -> bool:
        for key, _ in self._selector.select():
            if key.fileobj is self._requests:
                message, fds, *_ = socket.recv_fds(self._requests, _MESSAGE, _MAX_FDS)
                if not message:
                    return False
                self._fork(json.loads(message), fds)
            elif key.fileobj is self._woken:
                self._woken.recv(4096)
                self._tell_the_dead()
            else:
                self._kill(key.data)
        return True

    def _fork(self, inherit: Sequence[int], fds: Sequence[int]) -> None:
        nursery = os.getpid()
        try:
            if len(fds) < 3 + len(inherit):
                raise OSError("too many files are open")
            with warnings.catch_warnings():  # NumPy's threads are idle, and ready for a fork
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
        except OSError as error:
            if len(fds) > 2:
                os.write(fds[2], f"no process could be forked: {error}\n".encode())
            for each in fds:
                os.close(each)
            return
        if not pid:
            self._become_worker(inherit, fds, nursery)
        with contextlib.suppress(OSError):  # the child does the same; one of the two is first
            os.setpgid(pid, pid)
        for each in fds[1:]:
            os.close(each)
        control = self._children[pid] = socket.socket(fileno=fds[0])
        self._selector.register(control, selectors.EVENT_READ, pid)
        self._tell(pid, pid)

    def _become_worker(self, inherit: Sequence[int], fds: Sequence[int], nursery: int) -> NoReturn:
        code = 1
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGCONT):
                signal.signal(number, signal.SIG_DFL)
            self._selector.close()
            for each in (self._requests, self._woken, self._wake, *self._children.values()):
                each.close()
            os.close(fds[0])
            connection, output = _placed(fds[1:], inherit)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.close(output)
            child.main(connection, nursery, self._folder_of(os.getpid()))
            code = 0
        except SystemExit as leaving:
            if isinstance(leaving.code, str):
                print(leaving.code, file=sys.stderr)
            code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _kill(self, pid: int) -> None:
        """The parent has no more use for it."""
        self._selector.unregister(self._children[pid])
        _kill_family(pid)
        self._unwanted.add(pid)
        self._bury(pid)

    def _tell_the_dead(self) -> None:
        for pid in set(self._children) - self._ended:
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is not None:
                _kill_family(pid)
                scratch.remove(self._folder_of(pid))
                exited = ended.si_code == os.CLD_EXITED
                self._tell(pid, ended.si_status if exited else -ended.si_status)
                self._ended.add(pid)
                self._bury(pid)

    def _tell(self, pid: int, number: int) -> None:
        with contextlib.suppress(OSError):
            self._children[pid].sendall(_NUMBER.pack(number))

    def _folder_of(self, pid: int) -> str:
        return f"{self._folder}/{pid}"

    def _bury(self, pid: int) -> None:
        """Only what is dead and unwanted: till then its id, and its family's, is no other's."""
        if pid in self._ended and pid in self._unwanted:
            os.waitpid(pid, 0)
            self._children.pop(pid).close()
            self._ended.remove(pid)
            self._unwanted.remove(pid)


def _kill_family(pid: int) -> None:
    """A child, and what it started, which may outlive it."""
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)


def _placed(fds: Sequence[int], inherit: Sequence[int]) -> list[int]:
    """The descriptors received: those to inherit get the numbers they had, the others are new."""
    free = max([2, *inherit]) + 1
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, free) for fd in fds]
    for fd in fds:
        os.close(fd)
    own = len(fds) - len(inherit)
    for fd, number in zip(moved[own:], inherit, strict=True):
        os.dup2(fd, number)
        os.close(fd)
    return moved[:own]

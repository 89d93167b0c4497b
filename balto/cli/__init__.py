"""The command line: parses, calls the library, prints.

Exit codes: 0 done; 1 a check found a problem (``balto doctor``); 2 bad input, in one line on
stderr; 130 interrupted, 143 terminated, and the same command goes on where it stopped.
"""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import click

from balto.errors import BaltoError
from balto.text import one_line

#: Command -> the module in this package that holds it, in the order a person needs them.
COMMANDS = {
    "doctor": "doctor",
    "tasks": "tasks",
    "sample": "sample",
    "pretrain": "pretrain",
    "merge": "merge",
    "status": "status",
    "watch": "watch",
    "report": "report",
    "export": "export",
    "import": "import_",
    "features": "features",
    "replay": "replay",
    "model": "model",
    "tune": "tune",
    "store": "store",
    "settings": "list_settings",
}


#: Variables that matplotlib and NumPy refuse a wrong value of, though nothing here needs them.
_UNUSED_VARIABLES = ("MPLBACKEND", "SOURCE_DATE_EPOCH")

#: Characters of an error's line: what somebody gave may be in it, however long.
LONGEST = 1500


class _Terminated(BaseException):
    """SIGTERM came: everything is closed on the way out, as after Ctrl-C."""


def raises_again(error: type[BaseException]) -> Callable[[int, FrameType | None], None]:
    """A handler of signals that raises ``error`` in the main thread, and again every 5 s.

    Again, as Python drops what is raised while a destructor or a callback from C runs. Not while
    numba compiles in this thread: what it has half made crashes as it is dropped, so that has to
    end first (seconds, in a new checkout). A second signal does not wait.
    """

    def handler(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if number != signal.SIGALRM:
            signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGALRM, handler)
        if _compiling():
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            return
        signal.setitimer(signal.ITIMER_REAL, 5.0)
        raise error

    return handler


def _compiling() -> bool:
    """Whether this thread is inside of numba's compiler: it alone then owns the compiler's lock."""
    lock = getattr(sys.modules.get("numba.core.compiler_lock"), "global_compiler_lock", None)
    return lock is not None and lock.is_locked()


class _Commands(click.Group):
    """Imports a command's module only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"balto.cli.{COMMANDS[name]}").command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="balto")
def cli() -> None:
    """Pre-train a tensor-program cost model for your own hardware, from few measurements."""
    try:
        os.getcwd()  # noqa: PTH109
    except OSError as error:
        raise click.ClickException(
            "the folder that this runs in is gone: change to one that is there (cd), then run it "
            "again"
        ) from error


def main() -> None:
    """Entry point: every expected failure is one line on stderr."""
    for name in _UNUSED_VARIABLES:
        os.environ.pop(name, None)
    _open_streams()
    signal.signal(signal.SIGTERM, raises_again(_Terminated))
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is to be ignored
        signal.signal(signal.SIGINT, raises_again(KeyboardInterrupt))
    try:
        code = cli.main(prog_name="balto", standalone_mode=False)
        sys.stdout.flush()
    except (click.exceptions.Abort, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, 0)
        _end(130, "interrupted; run the same command again to go on where it stopped")
    except _Terminated:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _end(143, "terminated; run the same command again to go on where it stopped")
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help())
        code = 2
    except BrokenPipeError:
        _end(1)
    except (click.ClickException, BaltoError, OSError, MemoryError, ImportError) as error:
        _end(2, _words(error))
    except RuntimeError as error:
        if "can't start new thread" not in str(error):
            raise
        _end(2, f"{error}: allow more memory or processes (ulimit -v, -u), then run it again")
    _end(code if isinstance(code, int) else 0)


def _open_streams() -> None:
    """Give stdin, stdout and stderr a place where they are closed, and let any text out.

    Where one is closed, the next file that is opened would get its number, and what TVM prints.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the first number that is free
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a locale may not have every letter


def _words(error: Exception) -> str:
    """What went wrong, and what to do."""
    if isinstance(error, click.ClickException):
        context: click.Context | None = getattr(error, "ctx", None)
        hint = f" (see '{context.command_path} --help')" if context is not None else ""
        return error.format_message() + hint
    if isinstance(error, OSError):
        where = f" ({one_line(error.filename)})" if error.filename else ""
        what = error.strerror or one_line(error)
        return f"{what}{where}; nothing already written is lost, mend it and run again"
    if isinstance(error, MemoryError):
        return "there is not enough memory; nothing already written is lost, allow more (ulimit -v)"
    if isinstance(error, ImportError):
        return f"a library cannot be loaded, install it or allow more memory: {one_line(error)}"
    return str(error)


def _end(code: int, message: str = "") -> NoReturn:
    """End, after a message; what cannot be written is let go, without a second complaint."""
    from balto.text import printable

    line = " ".join(message.split())
    line = line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
    for stream, text in ((sys.stdout, ""), (sys.stderr, line and f"balto: error: {line}\n")):
        try:
            stream.write(printable(text))
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())  # or the interpreter tries again as it ends
    sys.exit(code)

"""The command line: parses, calls the library, prints.

Exit codes: 0 done; 1 a check found a problem (``balto doctor``); 2 bad input, in one line on
stderr; 130 interrupted, 143 terminated, and the same command goes on where it stopped.
"""

from __future__ import annotations

import errno
import importlib
import signal
import sys
from collections.abc import Callable
from types import FrameType

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
    "settings": "list_settings",
}


#: What a person can mend where no file is named: a full disk, a limit on files, missing rights.
_DISK_AND_RIGHTS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE),
    *(errno.EACCES, errno.EPERM, errno.EROFS),
)


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


def main() -> None:
    """Entry point: every expected failure is one line on stderr."""
    signal.signal(signal.SIGTERM, raises_again(_Terminated))
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is to be ignored
        signal.signal(signal.SIGINT, raises_again(KeyboardInterrupt))
    try:
        code = cli.main(prog_name="balto", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, 0)
        _fail("interrupted; run the same command again to go on where it stopped", 130)
    except _Terminated:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _fail("terminated; run the same command again to go on where it stopped", 143)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help())
        code = 2
    except click.ClickException as error:
        _fail(error.format_message() + _hint(error), 2)
    except BaltoError as error:
        _fail(str(error), 2)
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    except OSError as error:
        if error.filename is None and error.errno not in _DISK_AND_RIGHTS:
            raise
        where = f" ({one_line(error.filename)})" if error.filename else ""
        _fail(f"{error.strerror}{where}; nothing already written is lost, mend it and run again", 2)
    sys.exit(code if isinstance(code, int) else 0)


def _hint(error: click.ClickException) -> str:
    context: click.Context | None = getattr(error, "ctx", None)
    return f" (see '{context.command_path} --help')" if context is not None else ""


def _fail(message: str, code: int) -> None:
    from balto.text import printable

    line = " ".join(message.split())
    line = line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
    click.echo(printable(f"balto: error: {line}"), err=True)
    sys.exit(code)

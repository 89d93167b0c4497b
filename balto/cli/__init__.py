"""The command line: parses, calls the library, prints.

Exit codes: 0 done; 1 a check found a problem (``balto doctor``); 2 bad input, in one line on
stderr; 130 interrupted, 143 terminated, and the same command goes on where it stopped.
"""

from __future__ import annotations

import errno
import importlib
import signal
import sys
from types import FrameType

import click

from balto.data.files import one_line
from balto.errors import BaltoError

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


def _terminate(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one does not wait
    # Python drops what is raised while a destructor or a callback from C runs: ask again.
    signal.signal(signal.SIGALRM, _ask_again)
    signal.setitimer(signal.ITIMER_REAL, 5.0, 5.0)
    raise _Terminated


def _say_nothing(_: object) -> None:
    """What was half made when a signal came may fail as it is dropped: numba's compiler does."""


def _ask_again(*_: object) -> None:
    raise _Terminated


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
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = cli.main(prog_name="balto", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        sys.unraisablehook = _say_nothing
        _fail("interrupted; run the same command again to go on where it stopped", 130)
    except _Terminated:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = _say_nothing
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
    from balto.cli.output import plain

    line = " ".join(message.split())
    line = line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
    click.echo(plain(f"balto: error: {line}"), err=True)
    sys.exit(code)

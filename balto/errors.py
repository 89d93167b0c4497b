"""What can go wrong, and what a person can do about it.

::

    BaltoError                  every error of this package; one line, exit code 2 on the CLI
    ├── InputError              an argument, a file or a network is not what was expected
    │   ├── PoolError           a recorded pool does not follow the exchange format
    │   └── ModelFileError      a cost-model file is damaged, or of another version
    ├── CampaignError           a working directory cannot be used as asked
    │   ├── CampaignLocked      another process is writing to it
    │   ├── ConfigurationChanged  it was started with other settings
    │   └── PartsMissing        shards have not measured yet what a merge needs
    ├── ModelNotFitted          a cost model was asked before it was trained
    ├── MeasurerError           measuring cannot go on (no device left)
    │   └── NoDevice            no device of an RPC tracker can be had
    ├── ClusterLost             a Ray cluster cannot be reached, or not any more
    ├── DeviceLost              a device went away while it ran a program
    ├── StorageError            a file cannot be written (disk full, no rights, folder deleted)
    ├── WorkerError             a call in a worker process did not return
    │   ├── WorkerRaised        the function raised; the worker lives on
    │   ├── WorkerDied          the process died
    │   └── WorkerTimeout       the deadline passed; the process was killed
    └── SelectionError          a selector was given something it cannot choose from

A program that fails to build or to run is no error: it is an `Outcome` with a `Status`.
"""

from __future__ import annotations

import signal
from typing import Any


class BaltoError(Exception):
    """Every error that this package raises on purpose.

    The message is one line: what was expected, what came, what to do.
    """


class InputError(BaltoError, ValueError):
    """An argument, a file or a network is not what was expected."""


class PoolError(InputError):
    """A recorded pool does not follow the exchange format."""


class ModelFileError(InputError):
    """A cost-model file is damaged, or of another version."""


class CampaignError(BaltoError):
    """A working directory cannot be used as asked."""


class CampaignLocked(CampaignError):
    """Another process is writing to the working directory."""


class ConfigurationChanged(CampaignError):
    """The working directory was started with other settings."""


class PartsMissing(CampaignError):
    """Shards have not drawn or measured yet what a merge needs: run them, then merge again."""


class ModelNotFitted(BaltoError):
    """A cost model was asked before it was trained."""


class MeasurerError(BaltoError):
    """Measuring cannot go on: no device is left, or a program was never measured."""


class StorageError(BaltoError):
    """A file cannot be written: the disk is full, rights are missing, its folder was deleted."""


class NoDevice(MeasurerError):
    """No device of the key is known to the RPC tracker, none is free in time, or no tracker."""


class ClusterLost(BaltoError):
    """A Ray cluster cannot be reached, or not any more."""


class DeviceLost(BaltoError):
    """The connection to a device broke: its program crashed there, or it died itself."""


class WorkerError(BaltoError):
    """A call in a worker process did not return.

    Attributes:
        stage: what the call was doing, as it last said itself; empty if it never did.
        notes: the facts that it had sent before.
        output: the last lines of what the worker printed, and all of what the call raised.
    """

    def __init__(
        self, message: str, stage: str = "", notes: dict[str, Any] | None = None, output: str = ""
    ) -> None:
        super().__init__(next(iter(message.splitlines()), ""))
        self.stage = stage
        self.notes = notes or {}
        self.output = output

    @property
    def untaken(self) -> bool:
        """Whether no process had taken the call yet: then this says nothing about the call."""
        return self.stage == "start"


class WorkerRaised(WorkerError):
    """The function raised; the worker lives on. `kind` is the exception's class name."""

    kind: str = ""


class WorkerDied(WorkerError):
    """The process died. `signal` is the number of the signal that killed it, 0 if it exited."""

    signal: int = 0

    @property
    def killed(self) -> bool:
        """Whether somebody else ended it: a person, the kernel out of memory, a shutdown."""
        return self.signal in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class WorkerTimeout(WorkerError):
    """The deadline passed; the worker and all its children were killed.

    `by_clock` says that the call had a limit of processor time, which it had not reached: on a
    machine that had less to do, it might have ended in time.
    """

    by_clock: bool = False


class SelectionError(BaltoError, ValueError):
    """A selector was given something that it cannot choose from."""

"""What can go wrong, and what a person can do about it.

::

    BaltoError                  every error of this package; one line, exit code 2 on the CLI
    ├── InputError              an argument, a file or a network is not what was expected
    │   ├── PoolError           a recorded pool does not follow the exchange format
    │   └── ModelFileError      a cost-model file is damaged, or of another version
    ├── CampaignError           a working directory cannot be used as asked
    │   ├── CampaignLocked      another process is writing to it
    │   └── ConfigurationChanged  it was started with other settings
    ├── ModelNotFitted          a cost model was asked before it was trained
    ├── MeasurerError           measuring cannot go on (no device left, no disk space)
    └── SelectionError          a selector was given something it cannot choose from

A program that fails to build or to run is no error: it is an `Outcome` with a `Status`.
"""

from __future__ import annotations


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


class ModelNotFitted(BaltoError):
    """A cost model was asked before it was trained."""


class MeasurerError(BaltoError):
    """Measuring cannot go on: no device is left, or no disk space."""


class SelectionError(BaltoError, ValueError):
    """A selector was given something that it cannot choose from."""

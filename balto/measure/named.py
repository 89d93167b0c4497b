"""Measurers by name: ``live`` for this machine, ``rpc:HOST:PORT/KEY`` for a tracker's devices.

A recorded pool needs no name: a campaign with `pool` replays it by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from balto.data.target import Target
from balto.errors import InputError
from balto.measure.live import LiveMeasurer
from balto.measure.measurer import Measurer
from balto.measure.remote import Tracker
from balto.measure.rpc import RpcMeasurer, RpcSettings
from balto.text import quoted

#: The names, as a person writes them.
NAMES = ("live", "rpc:HOST:PORT/KEY")


@contextmanager
def opened(measurer: Measurer | str | None, target: Target) -> Iterator[Measurer]:
    """A measurer to use: an object, which is the caller's to close, or a name.

    Args:
        measurer: an object, or one of `NAMES`.
        target: what the programs are compiled for.

    Raises:
        InputError: neither, or a name that is none.
    """
    if isinstance(measurer, Measurer):
        yield measurer
        return
    with create(measurer, target) as made:
        yield made


def create(name: object, target: Target) -> Measurer:
    """A new measurer from its name, with the default settings; the caller closes it.

    Raises:
        InputError: there is no such name.
    """
    kind, colon, rest = name.partition(":") if isinstance(name, str) else ("", "", "")
    if kind == "live" and not colon:
        return LiveMeasurer.for_target(target)
    if kind == "rpc":
        return RpcMeasurer.for_target(target, RpcSettings(tracker=Tracker.parse(rest)))
    raise InputError(
        f"expected a measurer: an object, or a name ({', '.join(NAMES)}); got {quoted(name)}"
    )

"""What TVM does not have or computes wrongly of a network, all of it in one line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from balto.errors import InputError
from balto.text import one_line

#: So many places of an operator are named.
_PLACES = 2


def refuse(spec: str, lacking: Iterable[tuple[str, str]]) -> None:
    """Refuse a network if there is something that TVM does not have.

    Args:
        spec: of the network.
        lacking: operator and place of each, such as a node's name.

    Raises:
        InputError: If there is one.
    """
    if said := _said(lacking):
        raise InputError(f"TVM does not have what {one_line(spec)} computes with: {said}")


def refuse_wrong(spec: str, found: Iterable[tuple[str, str]]) -> None:
    """Refuse a network if there is something that TVM computes wrongly.

    Args:
        spec: of the network.
        found: what it is and its place, of each.

    Raises:
        InputError: If there is one.
    """
    if said := _said(found):
        raise InputError(f"{one_line(spec)} has {said}, which TVM computes wrongly")


def _said(found: Iterable[tuple[str, str]]) -> str:
    """All that was found, each with its places; empty if nothing was."""
    places: dict[str, list[str]] = defaultdict(list)
    for name, place in found:
        places[name].append(one_line(place))
    return ", ".join(f"{one_line(name)} ({_some(where)})" for name, where in places.items())


def _some(places: list[str]) -> str:
    more = len(places) - _PLACES
    return ", ".join(places[:_PLACES]) + (f" and {more} more" if more > 0 else "")

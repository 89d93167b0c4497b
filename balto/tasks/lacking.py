"""What a network computes with and TVM does not have, all of it in one line."""

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
    places: dict[str, list[str]] = defaultdict(list)
    for name, place in lacking:
        places[name].append(one_line(place))
    if places:
        said = ", ".join(f"{one_line(name)} ({_some(where)})" for name, where in places.items())
        raise InputError(f"TVM does not have what {one_line(spec)} computes with: {said}")


def _some(places: list[str]) -> str:
    more = len(places) - _PLACES
    return ", ".join(places[:_PLACES]) + (f" and {more} more" if more > 0 else "")

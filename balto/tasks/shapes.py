"""Sizes for what a model file leaves open: dimensions by name, or whole shapes of inputs.

``{"batch": [1]}`` gives the dimension ``batch`` a size wherever it stands; ``{"x": [1, 3, 8, 8]}``
gives the input ``x`` a shape. A name that is both is the dimension's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

from balto.data.files import one_line
from balto.errors import InputError
from balto.units import shown

#: Name of a dimension or an input -> its size or sizes.
Shapes = Mapping[str, Sequence[int]]
#: An input's name, and of each dimension its size or name, which may be empty; None: not even
#: their number is known.
Open = tuple[str, Sequence[int | str] | None]
_FORM = "such as batch=1 for a dimension or x=1x3x224x224 for an input"


def checked(shapes: object) -> dict[str, list[int]]:
    """Shapes as a person gives them, in one form.

    Args:
        shapes: None, or name -> a size, several sizes, or text such as ``1x3x224x224``.

    Raises:
        InputError: If it is something else, or a size is no positive whole number.
    """
    if shapes is None:
        return {}
    if not isinstance(shapes, Mapping):
        raise InputError(f"expected shapes by name, {_FORM}, got {shown(shapes)}")
    return {str(name): _sizes(str(name), shapes[name]) for name in sorted(shapes, key=str)}


def _sizes(name: str, given: Any) -> list[int]:
    parts: Any = given.split("x") if isinstance(given, str) else given
    parts = [parts] if isinstance(parts, Integral) or not isinstance(parts, Iterable) else parts
    try:
        sizes = [int(n) for n in parts]
        whole = not any(isinstance(n, bool | float) for n in parts)
    except (TypeError, ValueError):
        sizes, whole = [], False
    if not sizes or not whole or min(sizes) < 1:
        raise InputError(
            f"expected positive whole numbers for {one_line(name)}, {_FORM}; got {shown(given)}"
        )
    return sizes


def names(inputs: Iterable[Open]) -> list[str]:
    """What shapes can be given for: dimensions that have a name, then inputs."""
    inputs = list(inputs)
    dimensions = {n for _, dims in inputs for n in dims or () if isinstance(n, str) and n}
    return [*sorted(dimensions), *(name for name, _ in inputs)]


def require_known(shapes: Shapes, known: Iterable[str], networks: str) -> None:
    """Refuse shapes for what there is not.

    Raises:
        InputError: If a name is none of `known`.
    """
    known = list(dict.fromkeys(known))
    for name in shapes:
        if name not in known:
            raise InputError(
                f"{one_line(networks)} has no dimension or input {one_line(name)!r}; there are "
                f"{', '.join(known) or 'none'}"
            )


def settled(spec: str, inputs: Sequence[Open], shapes: Shapes) -> dict[str, list[int]]:
    """The shape of each input.

    Args:
        spec: of the network, for messages.
        inputs: of the network.
        shapes: what was given; names that the network does not have are passed over.

    Raises:
        InputError: If a size is missing, or what was given does not fit.
    """
    sizes = _sizes_of_dimensions(spec, inputs, shapes)
    found, missing = dict[str, list[int]](), list[tuple[str, Sequence[int | str] | None]]()
    for name, dims in inputs:
        own = None if name in sizes else shapes.get(name)
        shape: list[int | str] = list(own or ())
        if own is None:
            shape = [sizes.get(n, n) if isinstance(n, str) else n for n in dims or ()]
        if (dims is None and own is None) or any(isinstance(n, str) for n in shape):
            missing.append((name, dims))
        found[name] = [n for n in shape if not isinstance(n, str)]
    if missing:
        raise InputError(_missing(spec, missing))
    return found


def _sizes_of_dimensions(spec: str, inputs: Sequence[Open], shapes: Shapes) -> dict[str, int]:
    """Name of each dimension that was given a size, itself or by an input's shape."""
    named = {n for _, dims in inputs for n in dims or () if isinstance(n, str) and n}
    sizes = dict[str, int]()
    for name in named & shapes.keys():
        if len(shapes[name]) > 1:
            raise InputError(f"expected one size for the dimension {name}, got {shapes[name]}")
        sizes[name] = shapes[name][0]
    for name, dims in inputs:
        own = shapes.get(name) if name not in named else None
        if own is None or dims is None:
            continue
        fits = len(own) == len(dims)
        for size, n in zip(own, dims, strict=False):
            fits &= size == (sizes.setdefault(n, size) if isinstance(n, str) and n else n or size)
        if not fits:
            raise InputError(
                f"the input {name} of {one_line(spec)} is {_written(dims)}, which "
                f"{'x'.join(map(str, own))} does not fit"
            )
    return sizes


def _missing(spec: str, inputs: Sequence[Open]) -> str:
    named = sorted({n for _, dims in inputs for n in dims or () if isinstance(n, str) and n})
    name, dims = inputs[0]
    example = "x".join(str(n) if isinstance(n, int) else "1" for n in dims or ["1", "3", "8"])
    ways = [*(f"--shape {one_line(n)}=1" for n in named[:3]), f"--shape {one_line(name)}={example}"]
    opened = ", ".join(f"{one_line(name)} is {_written(dims)}" for name, dims in inputs[:4])
    return (
        f"inputs of {one_line(spec)} have dimensions of no size ({opened}): say which to compile "
        f"for, such as {' or '.join(ways) if len(named) < 2 else ' '.join(ways[:-1])}"
        " (in Python: shapes={...})"
    )


def _written(dims: Sequence[int | str] | None) -> str:
    if dims is None:
        return "of no known rank"
    return "x".join(str(n) if n else "?" for n in dims) or "a number"

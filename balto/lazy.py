"""The face of a package: names that are imported when somebody first asks for them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any


def lazily(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package whose names are imported on demand.

    Where a name is, the imports for type checkers say, to them and to this function: the block is
    read from the package's own file when the first name is asked for.

    Args:
        package: its name; it has an ``__all__``.

    Returns:
        The two functions.
    """
    places = cache(lambda: _places(package))

    def get(name: str) -> Any:
        if name not in places():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, attribute = places()[name]
        if module == package:  # a package of its own
            return import_module(f"{module}.{attribute}")
        return getattr(import_module(module), attribute)

    return get, lambda: sorted(sys.modules[package].__all__)


def _places(package: str) -> dict[str, tuple[str, str]]:
    """Module and name there of everything that is imported for type checkers."""
    import ast  # takes longer than the rest of `import balto`

    tree = ast.parse(Path(str(sys.modules[package].__file__)).read_bytes())
    [block] = [each for each in tree.body if isinstance(each, ast.If)]
    return {
        alias.asname or alias.name: (str(line.module), alias.name)
        for line in block.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    }

"""Versions of what is installed, where a file or another machine has to know them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

#: What decides whether a compiled program of one installation runs in another.
DEPLOYED = ("balto", "apache-tvm", "apache-tvm-ffi")


def version_of(library: str) -> str | None:
    """The installed version of a library; None if it is not installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def versions_of(*libraries: str) -> dict[str, str]:
    """The installed versions of those libraries that are installed, by name."""
    found = ((library, version_of(library)) for library in libraries)
    return {library: known for library, known in found if known is not None}

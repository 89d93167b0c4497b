"""Libraries that only parts of balto need, and the extras that bring them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from balto.errors import InputError

#: Library -> the extra that brings it.
EXTRAS = {
    "tvm": "tvm",
    "tvm_ffi": "tvm",
    "torch": "torch",
    "onnx": "onnx",
    "onnx_ir": "onnx",
    "onnxscript": "onnx",
}


@contextmanager
def needed_for(what: str) -> Iterator[None]:
    """Say which extra to install where an import inside finds that it is missing.

    Args:
        what: cannot go on without; the subject of the message.

    Raises:
        InputError: a library of an extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in EXTRAS:
            raise
        raise InputError(
            f"{what} needs {library}: pip install 'balto[{EXTRAS[library]}]'"
        ) from error

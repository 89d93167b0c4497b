"""Text from outside, made fit for a message: short, on one line, without control characters."""

from __future__ import annotations


def one_line(text: object) -> str:
    """A text on one line, of at most 300 characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= 300 else f"{line[:300]}..."


def last_line(error: BaseException) -> str:
    """What TVM's errors say last, after a stack of calls; the error's type if it says nothing."""
    lines = str(error).strip().splitlines()
    return one_line(lines[-1]) if lines else type(error).__name__


def quoted(value: object) -> str:
    """A value that was given, as Python writes it: on one line, at most 80 characters."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:80]}..."


def printable(text: object) -> str:
    """A text whose control characters are shown, so that they cannot steer a terminal."""
    return "".join(
        c if c.isprintable() or c in "\n\u00a0" else c.encode("unicode_escape").decode()
        for c in str(text)
    )

"""What a pickle may make: how much of one thing, and how much that lives at a time.

A few bytes of a pickle can ask for gigabytes, so everything is counted here, before it is made
where that is possible. What was read into an array of features that is given away is counted back,
but for what the file can still refer to.
"""

from __future__ import annotations

from typing import NamedTuple

#: Bytes of one value, of a text, and of all values that live at a time.
LARGEST, TEXT, HELD = 1 << 28, 1 << 24, 1 << 29
#: Values that live at a time, beside arrays of features that were given away; those on the stack.
MOST, DEEPEST = 1_000_000, 200_000
#: Characters of a name, and marks that are open at a time.
NAME = 200


class Refused(Exception):
    """The file does what TenSet's do not; the text goes on after the file's name."""


class Count(NamedTuple):
    """A moment: values and bytes that lived, and how many of all so far were remembered."""

    values: int
    size: int
    remembered: int
    remembered_size: int


class Budget:
    """Counts what lives of all that a file has made."""

    def __init__(self) -> None:
        self.values = self._size = 0
        self._remembered = self._remembered_size = 0

    def make(self, size: int = 0, values: int = 1) -> None:
        """Count values that are made, or will be, of so many bytes together.

        Raises:
            Refused: If there are more bytes, or more values, than may live at a time.
        """
        self.values += values
        self._size += size
        if self._size > HELD:
            raise Refused(f"holds more than {HELD >> 20} MiB at a time")
        if self.values > MOST:
            raise Refused("makes more values than a file of TenSet's does")

    def free(self, size: int) -> None:
        """Count back bytes of a value that nothing refers to any more."""
        self._size -= size

    def remember(self, size: int) -> None:
        """Say that a value of so many bytes can be referred to for the rest of the file."""
        self._remembered += 1
        self._remembered_size += size

    def now(self) -> Count:
        """This moment, for `free_since`."""
        return Count(self.values, self._size, self._remembered, self._remembered_size)

    def free_since(self, then: Count) -> None:
        """Count back all that was made since then, but for what was remembered since then."""
        self.values = then.values + self._remembered - then.remembered
        self._size = then.size + self._remembered_size - then.remembered_size

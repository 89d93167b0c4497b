"""A file that cannot be read is not always damaged, and what is sound is not to be restored."""

from __future__ import annotations

import errno
import os

import pytest

from balto.data.files import nan_to_none, reading
from balto.errors import CampaignError

ADVICE = "restore it from a copy"


def said_of(error: Exception) -> str:
    with (
        pytest.raises(CampaignError) as caught,
        reading("journal.jsonl", CampaignError, ADVICE),
    ):
        raise error
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENOMEM])
def test_a_file_that_the_system_does_not_give_may_be_sound(number):
    said = said_of(OSError(number, os.strerror(number)))
    assert said.startswith(f"cannot read journal.jsonl: {os.strerror(number)}; the file may be ")
    assert ADVICE not in said


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EIO])
def test_a_file_that_is_gone_is_to_be_restored(number):
    assert said_of(OSError(number, os.strerror(number))).endswith(ADVICE)


def test_too_little_memory_is_told_first():
    assert "asks for more memory than there is: free some, or" in said_of(MemoryError())


def test_what_makes_no_sense_is_damaged():
    assert said_of(ValueError("no number")) == f"journal.jsonl is damaged: no number; {ADVICE}"


def test_json_has_no_nan():
    given = {"a": [1, float("nan"), (float("inf"), "x")], "b": {"c": -float("inf")}}
    assert nan_to_none(given) == {"a": [1, None, [None, "x"]], "b": {"c": None}}

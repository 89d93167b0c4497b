"""The public surface is what it says, and every name in it is there."""

from __future__ import annotations

import subprocess
import sys

import pytest

import balto


@pytest.mark.parametrize("name", balto.__all__)
def test_every_public_name_exists_and_is_documented(name):
    assert getattr(balto, name).__doc__


def test_the_two_lists_agree():
    assert sorted(balto.__all__) == balto.__all__ == sorted(balto._WHERE)
    assert dir(balto) == balto.__all__


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'oracle'"):
        balto.oracle  # noqa: B018


def test_python_dash_m_balto():
    out = subprocess.run(
        [sys.executable, "-m", "balto", "--version"], capture_output=True, text=True, check=True
    )
    assert out.stdout.startswith("balto, version ")

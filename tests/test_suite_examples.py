"""The examples of `balto.testing` run as they stand, and what they make keeps the laws."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import balto.testing


def examples() -> dict[str, str]:
    """The code in the docstrings of the package and its modules, by name."""
    names = [each.name for each in pkgutil.iter_modules(balto.testing.__path__)]
    found = {}
    for name in ("balto.testing", *(f"balto.testing.{each}" for each in names)):
        words = importlib.import_module(name).__doc__ or ""
        if block := re.search(r"::\n\n((?:    .*\n|\n)+)", words):
            found[name.replace(".", "_")] = textwrap.dedent(block[1])
    return found


@pytest.mark.slow
def test_every_suite_has_an_example_that_passes_it(tmp_path: Path) -> None:
    written = examples()
    suites = {name for text in written.values() for name in re.findall(r"\w+Contract", text)}
    assert suites == {name for name in balto.testing.__all__ if name.endswith("Contract")}
    for name, text in written.items():
        (tmp_path / f"test_{name}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert run.returncode == 0, run.stdout
    for name in written:
        assert f"test_{name}.py::" in run.stdout

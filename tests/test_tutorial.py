"""The tutorial's commands and its Python, as they are written, in order."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "tutorial.md").read_text()
BLOCKS = re.findall(r"^```(console|python)\n(.*?)^```$", PAGE, re.M | re.S)


def commands():
    """What is typed: one list of words, or one piece of Python, a step."""
    for kind, text in BLOCKS:
        if kind == "python":
            yield [sys.executable, "-c", text]
        else:
            for line in re.findall(r"^\$ (.*)$", text, re.M):
                words = shlex.split(line)
                assert words[0] == "balto"
                yield [sys.executable, "-m", *words]


@pytest.mark.slow
def test_the_tutorial_works_from_its_first_line_to_its_last(tmp_path):
    (tmp_path / "pools").symlink_to(ROOT / "pools")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = {}
    for command in commands():
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        # The doctor says what this machine lacks, which is no fault of the tutorial.
        allowed = {0, 1} if "doctor" in command else {0}
        assert done.returncode in allowed, f"{command}\n{done.stderr}"
        said[" ".join(command[2:])] = done.stdout
    assert len(said) >= 10
    assert (tmp_path / "work" / "report.html").is_file()
    assert (tmp_path / "live" / "report.html").is_file()
    assert any("labels; most promising:" in out for out in said.values())

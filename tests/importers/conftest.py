"""Files of TenSet's form, made once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("tenset_files.py")


@pytest.fixture(scope="session")
def tenset(tmp_path_factory):
    """A folder of what `tenset_files.py` writes."""
    folder = tmp_path_factory.mktemp("tenset")
    subprocess.run([sys.executable, SCRIPT, folder], check=True, timeout=60)
    return folder

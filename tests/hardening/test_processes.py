"""What the system does to a process: nowhere to write, SIGTERM, a pool without a success."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import balto
from balto.campaign.campaign import Campaign
from balto.campaign.config import Config
from balto.data.outcome import Outcome, Status
from balto.data.outcomes import Outcomes
from balto.data.pool_writer import write_pool
from balto.data.target import Target
from balto.errors import CampaignError, InputError
from balto.journal.file import read
from balto.measure.live import LiveMeasurer
from balto.testing import made_up_pool

ASK = """
import numpy as np
from balto.models.bins import _edges
_edges(np.zeros((2, 5), np.float32), 4)
print(getattr(_edges._cache, "cache_path", "no cache"))
"""


def _package_without_a_cache(tmp_path):
    """A copy of the package whose ``__pycache__`` cannot be made: a file is in its place."""
    root = tmp_path / "site"
    shutil.copytree(
        Path(balto.__file__).parent, root / "balto", ignore=shutil.ignore_patterns("__pycache__")
    )
    (root / "balto" / "models" / "__pycache__").write_text("")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("temporary", ["one's own", "somebody else's", "none"])
def test_without_a_place_for_the_cache_functions_are_compiled_all_the_same(tmp_path, temporary):
    folder = tmp_path / "temporary"
    private = folder / f"balto-numba-{os.getuid()}"
    folder.mkdir()
    if temporary == "somebody else's":  # anybody could have put pickles there
        private.mkdir()
        private.chmod(0o777)
    if temporary == "none":
        private.write_text("")
    environment = {
        "PATH": os.environ["PATH"],
        "TMPDIR": str(folder),
        "HOME": "/dev/null",
        "PYTHONPATH": str(_package_without_a_cache(tmp_path)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env=environment,
        capture_output=True,
        text=True,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(private)) == (temporary == "one's own")


@pytest.mark.slow
def test_sigterm_ends_in_one_line_with_the_journal_whole(tmp_path):
    write_pool(made_up_pool(3, 400), tmp_path / "pool")
    command = [sys.executable, "-m", "balto", "pretrain", "w", "--pool", "pool"]
    process = subprocess.Popen(
        [*command, "--budget", "90%", "--rounds", "400"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    journal = tmp_path / "w" / "journal.jsonl"
    while not journal.exists() or b'"selection"' not in journal.read_bytes():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 143
    (line,) = [each for each in said.splitlines() if "error" in each]
    assert "terminated; run the same command again" in line
    assert "Traceback" not in said
    assert journal.read_bytes().endswith(b"\n")
    assert len(list(read(journal))) > 3


COMPILING = """
import os, signal, time
import balto.cli
from numba.core.compiler_lock import global_compiler_lock


def compile_and_wait(**_):
    with global_compiler_lock:
        os.kill(os.getpid(), signal.{name})
        time.sleep(0.2)
        print("compiled", flush=True)
    time.sleep(60)


signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
balto.cli.cli.main = compile_and_wait
balto.cli.main()
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_waits_for_numba_to_compile(name, code):
    """What its compiler has half made ends in a traceback or a segmentation fault when dropped."""
    command = [sys.executable, "-c", COMPILING.format(name=name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.stdout == "compiled\n"
    assert done.returncode == code
    (line,) = done.stderr.splitlines()
    assert line.startswith("balto: error: ")


def test_nothing_reads_a_clock_that_can_be_set():
    """Durations and deadlines are of the monotonic clock: a jump of the date changes nothing.

    The journal alone notes when a measurement was made, for people who watch a run.
    """
    read = []
    for path in Path(balto.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if (node.value.id, node.attr) in (("time", "time"), ("time", "time_ns")):
                    read.append(f"{path.name}:{node.lineno}")
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names = [each.name for each in node.names] + [getattr(node, "module", "")]
                if "datetime" in names:
                    read.append(f"{path.name}:{node.lineno}")
    # A store dates what it keeps, for people and for what is pruned by its age.
    dated = {"recall.py", "store.py", "writer.py", "pools.py", "archive.py"}
    others = [place for place in read if place.partition(":")[0] not in dated]
    assert [place.partition(":")[0] for place in others] == ["facts.py"]


def test_more_cores_than_there_are_is_refused_before_anything_starts():
    target = Target("llvm", cores=10_000)
    with pytest.raises(InputError, match="num-cores 10000, but this process may use"):
        LiveMeasurer.for_target(target)


def test_a_pool_in_which_everything_failed_says_so(tmp_path):
    pool = made_up_pool(2, 20)
    pool.outcomes = Outcomes.of([Outcome(Status.CRASH, build_s=0.1)] * len(pool))
    write_pool(pool, tmp_path / "pool")
    with (
        Campaign(tmp_path / "w", Config(pool=str(tmp_path / "pool"), rounds=2)) as campaign,
        pytest.raises(CampaignError, match=r"selected failed \(\d+ crash\)"),
    ):
        campaign.run()

"""Whatever surrounds it (variables, streams, limits, folder): it works, or says so in a line."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from balto.campaign.campaign import Campaign
from balto.campaign.config import Config
from balto.data.pool_writer import write_pool
from balto.testing import made_up_pool

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a pool, and a finished campaign whose name is not ASCII."""
    folder = tmp_path_factory.mktemp("finished")
    write_pool(made_up_pool(), folder / "pool")
    with Campaign(folder / "wä", Config(pool=str(folder / "pool"), budget=0.3, rounds=2)) as made:
        made.run()
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    """A copy, to be written to."""
    return Path(shutil.copytree(finished, tmp_path / "here"))


def balto(words, cwd, environment=None, redirect="", **options):
    """Run a command through a shell, which redirects its streams as a person would."""
    return subprocess.run(
        ["bash", "-c", f'exec "$0" -m balto "$@" {redirect}', sys.executable, *words.split()],
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        timeout=100,
        check=False,
        **options,
    )


def refused(result, pattern):
    assert result.returncode == 2, result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert re.match(f"balto: error: .*{pattern}", result.stderr), result.stderr


ODD = {
    "MPLBACKEND": "nope",
    "SOURCE_DATE_EPOCH": "x",
    "HOME": "/proc/nowhere",
    "XDG_CACHE_HOME": "/proc/nowhere",
    "TMPDIR": "/nowhere",
    "NUMBA_CACHE_DIR": "/proc/nowhere",
    "COLUMNS": "0",
    "TERM": "dumb",
    "NO_COLOR": "1",
    "TZ": "nowhere/nowhere",
}


@pytest.mark.parametrize("words", ["report wä -o page.html", "status wä", "replay pool --seeds 1"])
def test_variables_with_odd_values_do_no_harm(folder, words):
    odd = balto(words, folder, ODD)
    usual = balto(words, folder)
    assert odd.returncode == usual.returncode == 0, odd.stderr
    assert "Traceback" not in odd.stderr

    def without_seconds(text):
        return re.sub(r"\d\S* m?s\b", "", text)

    assert without_seconds(odd.stdout) == without_seconds(usual.stdout)


def test_a_page_is_the_same_utf8_in_every_locale(folder):
    plain_c = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    for name, environment in (("c", plain_c), ("utf8", {"PYTHONUTF8": "1"})):
        made = balto(f"report wä -o {name}.html", folder, environment)
        assert made.returncode == 0, made.stderr
    page = (folder / "c.html").read_bytes()
    assert "\u00b1" in page.decode("utf-8")
    assert page == (folder / "utf8.html").read_bytes()


def test_what_the_terminal_has_no_letter_for_is_written_out(folder):
    (folder / "wä").rename(folder / "wä語")
    told = balto("status wä語", folder, {"PYTHONIOENCODING": "latin-1"})
    assert told.returncode == 0, told.stderr
    assert "\\u8a9e: finished" in told.stdout


@pytest.mark.parametrize("redirect", [">&-", "<&- >&- 2>&-"])
def test_closed_streams_do_no_harm(folder, redirect):
    told = balto("status wä", folder, redirect=redirect)
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


def test_a_stream_that_is_closed_gives_its_number_to_no_file(folder):
    """Else what a worker prints would go to the journal."""
    words = "pretrain new --pool pool --budget 20% --rounds 2"
    assert balto(words, folder, redirect="<&- >&- 2>&-").returncode == 0
    assert balto("status new", folder).returncode == 0


@pytest.mark.parametrize("words", ["status wä", "report wä"])
def test_a_full_device_behind_stdout_is_one_line(folder, words):
    refused(balto(words, folder, redirect="> /dev/full"), "No space left on device")


def test_a_full_device_behind_stderr_is_no_traceback(folder):
    assert balto("status nowhere", folder, redirect="2> /dev/full").returncode == 2


def test_a_reader_that_leaves_is_told_nothing(folder):
    script = '"$0" -m balto status wä | true; echo "${PIPESTATUS[0]}"'
    told = subprocess.run(
        ["bash", "-c", script, sys.executable],
        capture_output=True,
        encoding="utf-8",
        cwd=folder,
        timeout=100,
        check=True,
    )
    assert told.stderr == ""


def test_a_file_that_may_not_be_so_large_is_one_line(folder):
    def small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    refused(balto("report wä -o page.html", folder, preexec_fn=small), "page.html: File too large")
    assert not list(folder.glob("*page*"))


def test_little_memory_is_no_traceback(folder):
    def little():
        resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))

    told = balto("status wä", folder, {"OPENBLAS_NUM_THREADS": "1"}, preexec_fn=little)
    assert told.returncode == 2
    assert "Traceback" not in told.stderr
    assert told.stderr.splitlines()[-1].startswith("balto: error: ")


@pytest.mark.parametrize("words", ["report wä", "replay pool", "tasks --operator matmul:8x8x8"])
def test_in_a_folder_that_is_gone_every_command_is_one_line(folder, words):
    script = 'mkdir gone; cd gone; rmdir ../gone; exec "$0" -m balto "$@"'
    told = subprocess.run(
        ["bash", "-c", script, sys.executable, *words.split()],
        capture_output=True,
        encoding="utf-8",
        cwd=folder,
        timeout=100,
        check=False,
    )
    refused(told, "the folder that this runs in is gone")


def test_a_full_temporary_folder_is_named(folder):
    code = (
        "import resource; from balto import read_pool; from balto.data import mapped;"
        "from balto.errors import StorageError; mapped.MAPPED = 100;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: read_pool('pool')\n"
        "except StorageError as error: print(error)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        encoding="utf-8",
        cwd=folder,
        timeout=100,
        check=True,
    )
    assert "temporary file: File too large; TMPDIR names another folder" in told.stdout

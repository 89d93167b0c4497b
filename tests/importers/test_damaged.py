"""Whatever happens to a file of another tool, it is imported or refused in one line."""

from __future__ import annotations

import bz2
import gzip
import lzma
import subprocess
import sys
import tracemalloc

import pytest

from balto.data.pool_reader import read_pool
from balto.errors import InputError
from balto.importers.metaschedule import RECORDS, WORKLOADS, import_metaschedule
from balto.importers.tenset import import_tenset
from balto.importers.weights import Networks, read_networks
from tests.hardening.damage import damaged
from tests.importers.logs import CPU, GPU_STEPS, line, write
from tests.importers.test_metaschedule import database, record, trace

pytestmark = pytest.mark.slow


def is_sound(tmp_path, importing):
    """It gives a pool that can be read, or one line."""
    said = ""
    try:
        importing()
        read_pool(tmp_path / "pool")
    except InputError as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 1500
    assert not said.startswith("pool ")  # it is the file that is refused, not the pool made of it


@pytest.mark.parametrize("name", ["cache3.feature_cache", "dataset4.pkl", "cache5.feature_cache"])
def test_a_damaged_pickle_of_tensets(tenset, tmp_path, name):
    whole, other = ((tenset / n).read_bytes() for n in (name, "dataset3.pkl"))
    path = tmp_path / name
    for changed in damaged(whole, other, 40):
        path.write_bytes(changed)
        is_sound(tmp_path, lambda: import_tenset(path, tmp_path / "pool"))


def test_a_damaged_head_of_a_pickle(tenset, tmp_path):
    """Where the names and calls are: most of the rest is numbers."""
    whole = (tenset / "cache4.feature_cache").read_bytes()
    path = tmp_path / "a.feature_cache"
    for changed in damaged(whole[:600], whole[600:1200], 100):
        path.write_bytes(changed + whole[600:])
        is_sound(tmp_path, lambda: import_tenset(path, tmp_path / "pool"))


def test_damaged_weights(tenset, tmp_path):
    whole, other = (p.read_bytes() for p in sorted((tenset / "network_info").iterdir()))
    path = tmp_path / "a.task.pkl"
    for changed in damaged(whole, other, 150):
        path.write_bytes(changed)
        networks, said = Networks({}), ""
        try:
            networks = read_networks([path])
        except InputError as error:
            said = str(error)
        assert "\n" not in said
        assert networks.weight("any") == 1


def test_a_damaged_log(tmp_path):
    whole = "\n".join([line(), CPU, line(GPU_STEPS, error=4), line(costs=[1e10])]).encode()
    path = tmp_path / "log.json"
    for changed in damaged(whole, whole[::-1], 60):
        path.write_bytes(changed)
        is_sound(tmp_path, lambda: import_tenset(path, tmp_path / "pool"))


def test_a_damaged_database(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    records = [record(), record(of=trace(2)), record(1, seconds=[1e10])]
    folder = database(tmp_path / "db", records, workloads=2)
    for name in (RECORDS, WORKLOADS):
        whole = (folder / name).read_bytes()
        for changed in damaged(whole, whole[::-1], 25):
            (folder / name).write_bytes(changed)
            is_sound(tmp_path, lambda: import_metaschedule(folder, tmp_path / "pool"))
        (folder / name).write_bytes(whole)


def test_nothing_but_an_error_of_ours_comes_out_of_a_path(tmp_path):
    (tmp_path / "empty").mkdir()
    for path in (f"{tmp_path}/a\0b", str(tmp_path / ("p" * 3000)), "", "/dev/null/x", "/dev/null"):
        for importing in (import_tenset, import_metaschedule):
            with pytest.raises(InputError):
                importing(path or tmp_path / "empty", tmp_path / "pool")
    log = write(tmp_path / "log.json", [line()])
    with pytest.raises(InputError, match=r"expected \*\.task\.pkl"):
        import_tenset(log, tmp_path / "pool", tmp_path / "empty")


@pytest.mark.parametrize(
    ("pack", "kind"), [(gzip.compress, "gzip"), (bz2.compress, "bzip2"), (lzma.compress, "xz")]
)
def test_a_compressed_file_is_refused_as_what_it_is(tenset, tmp_path, pack, kind):
    says = rf"\w\.?\w* is compressed with {kind}: unpack it first"
    for name in ("a.pkl", "a.feature_cache", "a.json", "a.json.gz"):
        (tmp_path / name).write_bytes(pack((tenset / "dataset4.pkl").read_bytes()))
        with pytest.raises(InputError, match=says):
            import_tenset(tmp_path / name, tmp_path / "pool")
    folder = database(tmp_path / "db", [record()])
    (folder / RECORDS).write_bytes(pack((folder / RECORDS).read_bytes()))
    with pytest.raises(InputError, match=says):
        import_metaschedule(folder, tmp_path / "pool")
    info = tmp_path / "info"
    info.mkdir()
    (info / "net.task.pkl").write_bytes(pack(b"x"))
    with pytest.raises(InputError, match=says):
        import_tenset(write(tmp_path / "log.json", [line()]), tmp_path / "pool", info)


def test_the_command_line(tenset, tmp_path):
    def balto(*args):
        return subprocess.run(
            [sys.executable, "-m", "balto", "import", *map(str, args)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    done = balto("tenset", tenset / "dataset4.pkl", tmp_path / "pool", "-f", "json")
    assert done.returncode == 0, done.stderr
    assert '"programs": 21' in done.stdout
    assert "21 programs of 4 tasks written" in done.stderr
    for args in (("tenset", tmp_path / "none", "p"), ("metaschedule", tmp_path / "none", "p")):
        done = balto(*args)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1


def test_a_line_without_an_end_is_not_held(tmp_path):
    path = tmp_path / "log.json"
    path.write_bytes(b'{"i": [[' * 5_000_000)
    tracemalloc.start()
    with pytest.raises(InputError, match="1 line skipped: 1 too long"):
        import_tenset(path, tmp_path / "pool")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 << 20

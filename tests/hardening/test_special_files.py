"""Devices, FIFOs, sockets and links in the place of files: never replaced, never waited for."""

from __future__ import annotations

import os
import shutil
import socket
import stat

import pytest
from click.testing import CliRunner

from balto.campaign.campaign import Campaign
from balto.campaign.config import Config
from balto.cli import cli
from balto.data.files import require_readable, write_atomically, write_json
from balto.data.pool_writer import copy_networks, write_pool
from balto.errors import BaltoError, InputError, StorageError
from balto.models import create, save
from balto.report.page import write_report
from balto.testing import made_up_pool
from balto.testing.models import labelled_programs

pytestmark = pytest.mark.timeout(120)  # who waits for a FIFO waits for ever


def device(path):
    """A node of our own that reads as endless zeros and swallows what is written."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        pytest.skip("only root makes devices, and not everywhere")


def bound_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        folder = os.getcwd()  # noqa: PTH109
        os.chdir(path.parent)  # a socket's path is short
        made.bind(path.name)
        os.chdir(folder)


def endless(path):
    """A link to a file that the kernel makes up; reading all of it takes years."""
    path.symlink_to("/proc/self/pagemap")


MAKERS = {"device": device, "FIFO": os.mkfifo, "socket": bound_socket}


@pytest.fixture(params=MAKERS)
def node(request, tmp_path):
    """The path of something that is no file, in a folder of its own."""
    path = tmp_path / "there" / "node"
    path.parent.mkdir()
    MAKERS[request.param](path)
    return path


def trained():
    model = create("xgb")
    model.fit(*labelled_programs(40, 2))
    return model


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished campaign, and the pool that it replayed."""
    folder = tmp_path_factory.mktemp("finished")
    write_pool(made_up_pool(), folder / "pool")
    with Campaign(folder / "w", Config(pool=str(folder / "pool"), budget=0.3, rounds=2)) as made:
        made.run()
    return folder


def moved(node, name):
    """The same node, under the name that a writer gives to its file."""
    return node.rename(node.with_name(name)).parent


@pytest.mark.parametrize(
    "write",
    [
        lambda node, _: write_json(node, {"a": 1}),
        lambda node, _: save(trained(), node, {}),
        lambda node, finished: write_report(finished / "w", node),
        lambda node, _: write_pool(made_up_pool(), moved(node, "programs.parquet")),
        lambda node, _: write_pool(made_up_pool(), moved(node, "tasks.parquet")),
        lambda node, pool: copy_networks(pool / "named", moved(node, "networks.json")),
    ],
    ids=["json", "model", "report", "programs", "tasks", "networks"],
)
def test_what_is_no_file_is_not_replaced(node, finished, write):
    (finished / "named").mkdir(exist_ok=True)
    (finished / "named" / "networks.json").write_text("{}", encoding="utf-8")
    before, folder = node.lstat(), node.parent
    with pytest.raises(StorageError, match="which is not replaced: give the path of a file"):
        write(node, finished)
    nodes = [each for each in folder.iterdir() if each.lstat().st_ino == before.st_ino]
    assert [each.lstat().st_mode for each in nodes] == [before.st_mode]
    assert not list(folder.glob(".*")), "no half is left"


def test_a_folder_is_not_replaced(tmp_path):
    with pytest.raises(StorageError, match="a folder, which is not replaced"):
        write_json(tmp_path, {})


def test_a_report_to_a_device_is_one_line(node, finished):
    with pytest.raises(StorageError, match=r"cannot write .*node"):
        run("report", finished / "w", "-o", node)


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "old").write_text("old", encoding="utf-8")
    for name in ("old", "new"):
        link = tmp_path / name
        link.symlink_to(tmp_path / "far" / name)
        with write_atomically(link) as partial:
            partial.write_text("new", encoding="utf-8")
        assert link.is_symlink()
        assert (tmp_path / "far" / name).read_text(encoding="utf-8") == "new"
    assert sorted(each.name for each in (tmp_path / "far").iterdir()) == ["new", "old"]


def test_a_link_to_what_is_no_file_is_refused(node, tmp_path):
    (tmp_path / "link").symlink_to(node)
    (tmp_path / "round").symlink_to(tmp_path / "round")
    for name in ("link", "round"):
        with pytest.raises(StorageError, match="not replaced"):
            write_json(tmp_path / name, {})
        assert (tmp_path / name).is_symlink()


def run(*args):
    result = CliRunner().invoke(cli, [str(a) for a in args])
    if isinstance(result.exception, BaltoError):
        raise result.exception
    raise AssertionError(f"it was not refused: {result.exception!r} {result.output}")


@pytest.fixture(params=[os.mkfifo, endless], ids=["FIFO", "endless"])
def unreadable(request):
    """A way to put something in the place of a file that nobody can read to its end."""
    return request.param


@pytest.mark.parametrize(
    "args",
    [
        "model X",
        "tasks X.onnx",
        "tasks X.pt2",
        "sample out --network X.onnx",
        "pretrain out --network X.onnx",
        "pretrain out --pool X",
        "pretrain out --pool POOL --from X",
        "replay X",
        "replay POOL --from X",
        "features X",
        "status X",
        "watch X",
        "watch X --once",
        "report X",
        "export X out",
        "merge X",
        "import tenset X out",
        "import tenset X.pkl out",
        "import metaschedule X out",
        "tune X.onnx -o out",
        "tune --operator matmul:8x8x8 -o out --model X",
    ],
)
def test_no_command_waits_for_what_is_no_file(unreadable, finished, tmp_path, monkeypatch, args):
    monkeypatch.chdir(tmp_path)
    words = args.replace("POOL", str(finished / "pool")).split()
    [name] = [word for word in words if word.startswith("X")]
    unreadable(tmp_path / name)
    with pytest.raises(BaltoError) as refused:
        run(*words)
    assert name in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "name"),
    [
        ("replay F", "programs.parquet"),
        ("replay F", "tasks.parquet"),
        ("pretrain out --pool F", "programs.parquet"),
        ("features F -o out", "tasks.parquet"),
        ("status F", "journal.jsonl"),
        ("report F", "journal.jsonl"),
        ("watch F --once", "journal.jsonl"),
        ("export F out", "journal.jsonl"),
        ("pretrain F --pool POOL", "journal.jsonl"),
        ("import tenset F out", "log.json"),
        ("import tenset F out", "a.feature_cache"),
        ("import metaschedule F out", "database_workload.json"),
    ],
)
def test_no_command_waits_for_what_lies_in_a_folder(
    unreadable, finished, tmp_path, monkeypatch, args, name
):
    monkeypatch.chdir(tmp_path)
    whole = "pool" if name.endswith(".parquet") else "w"
    shutil.copytree(finished / whole, tmp_path / "F")
    (tmp_path / "F" / name).unlink(missing_ok=True)
    unreadable(tmp_path / "F" / name)
    with pytest.raises(BaltoError):
        run(*args.replace("POOL", str(finished / "pool")).split())


def test_files_folders_and_what_is_not_there_pass(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in (".", "file", "link", "missing", "nul\0"):
        require_readable(tmp_path / name, InputError)
    with pytest.raises(InputError, match="one that the kernel makes up"):
        require_readable("/proc/self/status", InputError)

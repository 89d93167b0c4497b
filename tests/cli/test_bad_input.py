"""Bad input costs a person one line: what was expected, what came; exit code 2, no traceback."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from balto.models import create, save
from balto.testing import made_up_pool


def balto(*args, cwd, **options):
    return subprocess.run(
        [sys.executable, "-m", "balto", *map(str, args)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
        check=False,
        **options,
    )


def refused(result, *words):
    assert result.returncode == 2, result.stderr
    lines = [line for line in result.stderr.splitlines() if "folds their constants" not in line]
    assert len(lines) == 1, result.stderr  # what takes long may say so meanwhile
    assert lines[0].startswith("balto: error: ")
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["tasks", "resnet-51"], ["resnet-51", "resnet-50", ".onnx"]),
        (["tasks", "missing.onnx"], ["found none at missing.onnx"]),
        (["tasks"], ["at least one network or operator"]),
        (["tasks", "--operator", "gemm:1x2x3"], ["gemm", "matmul"]),
        (["tasks", "--operator", "matmul:1x2"], ["matmul takes 3", "matmul:1x2"]),
        (["tasks", "--operator", "matmul:0x2x2"], ["at least 1, got 0"]),
        (["tasks", "resnet-50", "--target", "abacus"], ["target", "abacus"]),
        (["pretrain", "w", "--network", "resnet-51"], ["resnet-51"]),
        (["pretrain", "w", "--network", "resnet-50", "--budget", "0"], ["more than 0%", "got 0"]),
        (["pretrain", "w", "--network", "resnet-50", "--budget", "200%"], ["at most 100%", "200%"]),
        (["pretrain", "w", "--network", "resnet-50", "--budget", "some"], ["5% or 0.05", "some"]),
        (["pretrain", "w", "--pool", "p", "--budget", "1_0%"], ["5% or 0.05", "1_0%"]),
        (["pretrain", "w", "--pool", "p", "--test-share", "nan"], ["5% or 0.05", "nan"]),
        (["pretrain", "w", "--pool", "p", "--rounds", "1000000"], ["from 1 to 10000", "1000000"]),
        (["pretrain", "w", "--pool", "p", "--rounds", "1_0"], ["from 1 to 10000", "1_0"]),
        (["pretrain", "w", "--pool", "p", "--seed", "9" * 30], ["from 0 to 9223372036854775807"]),
        (["pretrain", "w", "--pool", "p", "--workers", "10001"], ["from 0 to 10000"]),
        (["pretrain", "w", "--network", "resnet-50", "--device", ""], ["--device", "an empty one"]),
        (["pretrain", "w", "--network", "resnet-50", "--rpc", ""], ["--rpc", "an empty one"]),
        (["pretrain", "w", "--pool", ""], ["--pool", "an empty one"]),
        (["replay", "p", "--seeds", "1000000"], ["from 1 to 10000"]),
        (["tune", "resnet-50", "--trials", "1e9"], ["from 0 to 10000000", "1e9"]),
        (["tasks", "--operator", "matmul:8_0x8x8"], ["expected numbers", "matmul:8_0x8x8"]),
        (["tasks", "--operator", f"matmul:{2**62}x8x8"], ["multiply to at most 1e+15"]),
        (["pretrain", "w"], ["at least one network"]),
        (["pretrain", "w", "--pool", "p", "--selector", "best"], ["best", "output-diversity"]),
        (["pretrain", "w", "--pool", "p", "--model", "oracle"], ["oracle", "xgb"]),
        (["pretrain", "w", "--operator", "matmul:8x8x8", "--rpc", "pi"], ["HOST:PORT/KEY", "pi"]),
        (
            ["pretrain", "w", "--operator", "matmul:8x8x8", "--rpc", "127.0.0.1:9190/pi"],
            ["does not say what the devices are", '"mcpu"', "cortex-a72"],
        ),
        (
            ["tasks", "--operator", "matmul:8x8x8", "--target", '{"kind": "llvm", "mcpu": "x"}'],
            ["knows no processor 'x'", "did you mean"],
        ),
        (["tasks", "--operator", "matmul:8x8x8", "--target", '{"kind": "opencl"}'], ["OPENCL"]),
        (["tasks", "--operator", "conv2d_nhwc:1x8x8x8x8x9"], ["window of 9", "H=8"]),
        (["replay", "nowhere"], ["found none at nowhere"]),
        (["status", "nowhere"], ["campaign's directory", "nowhere"]),
        (["report", "nowhere"], ["campaign's directory", "nowhere"]),
        (["export", "nowhere", "p"], ["campaign's directory", "nowhere"]),
        (["model", "nowhere.balto"], ["nowhere.balto"]),
        (["dance"], ["dance"]),
        (["replay"], ["POOL"]),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else None,
)
def test_one_clear_line(tmp_path, args, words):
    refused(balto(*args, cwd=tmp_path), *words)


@pytest.mark.parametrize(
    "args",
    [
        ["sample", "there", "--operator", "matmul:8x8x8"],
        ["export", "anything", "there"],
        ["features", "pool", "-o", "there"],
        ["import", "metaschedule", "database", "there"],
        ["import", "tenset", "dataset.pkl", "there"],
    ],
    ids=" ".join,
)
def test_what_was_recorded_is_not_written_over(tmp_path, args):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "notes").write_text("mine")
    refused(balto(*args, cwd=tmp_path), "there holds something already")
    assert (tmp_path / "there" / "notes").read_text() == "mine"


def test_a_campaign_of_one_job_has_nothing_to_merge(tmp_path, pool_path):
    from balto.campaign.campaign import Campaign
    from balto.campaign.config import Config

    with Campaign(tmp_path / "w", Config(pool=str(pool_path))):
        pass
    refused(balto("merge", "w", cwd=tmp_path), "a campaign of one job")


def test_a_cluster_by_a_name_that_is_none(tmp_path):
    pytest.importorskip("ray")
    args = ["pretrain", "w", "--operator", "matmul:8x8x8", "--ray", "foo"]
    refused(balto(*args, cwd=tmp_path), "HOST:PORT, auto or local", "'foo'")


def test_a_work_dir_that_is_a_file(tmp_path, pool_path):
    (tmp_path / "w").write_text("not a directory")
    refused(balto("pretrain", "w", "--pool", pool_path, cwd=tmp_path), "w is a file")


def test_a_corrupt_onnx_file(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"\x08\x07 this is no network" * 20)
    refused(balto("tasks", "net.onnx", cwd=tmp_path), "cannot read", "net.onnx")


@pytest.mark.slow
def test_a_corrupt_pt2_file(tmp_path):
    (tmp_path / "net.pt2").write_bytes(b"PK\x03\x04 half an archive")
    refused(balto("tasks", "net.pt2", cwd=tmp_path), "cannot read", "net.pt2")


def test_a_truncated_model_file(tmp_path):
    pool = made_up_pool()
    model = create("xgb", seed=0)
    good = [i for i, o in enumerate(pool.outcomes) if o.ok][:40]
    model.fit(pool.features.take(good), 1e-5 / pool.latency_s[good], pool.task_of_program[good])
    save(model, tmp_path / "m.balto", {})
    data = (tmp_path / "m.balto").read_bytes()
    (tmp_path / "m.balto").write_bytes(data[: len(data) // 2])
    refused(balto("model", "m.balto", cwd=tmp_path), "m.balto")


@pytest.mark.slow
def test_a_full_disk_loses_nothing_and_the_campaign_goes_on_when_there_is_room(tmp_path, pool_path):
    command = ("pretrain", "w", "--pool", pool_path, "--budget", "50%", "--rounds", "3")

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))

    refused(balto(*command, cwd=tmp_path, preexec_fn=small_files), "is kept")
    journalled = (tmp_path / "w" / "journal.jsonl").read_bytes()
    assert 0 < len(journalled) <= 6000
    assert balto(*command, cwd=tmp_path).returncode == 0
    assert (tmp_path / "w" / "journal.jsonl").read_bytes().startswith(journalled)

"""What the commands print, and that the command line starts fast."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

import balto
from balto.cli import cli

HEAVY = (
    *("tvm", "torch", "xgboost", "matplotlib", "sklearn", "pyarrow", "pandas"),
    *("numpy", "numba", "scipy"),
)


def run(*args):
    result = CliRunner().invoke(cli, [str(a) for a in args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("what", ["import balto", "from balto.cli import cli; cli(['--help'])"])
def test_the_library_and_the_help_load_nothing_heavy(what):
    code = (
        f"import sys\ntry:\n    {what.replace('; ', chr(10) + '    ')}\n"
        f"except SystemExit: pass\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "[]"


def test_replay_prints_one_object_with_one_entry_a_seed(pool_path):
    options = "--selector balto --model xgb --budget 20% --rounds 3 --seeds 2 -f json"
    result = json.loads(run("replay", pool_path, *options.split()))
    assert result["selector"] == "balto"
    assert (result["budget"], result["rounds"], result["seeds"]) == (0.2, 3, 2)
    assert result["measurements"] == [27, 27]  # 20 % of 3 x 45 selectable programs
    for name in ("top1", "top5", "measured_seconds"):
        assert len(result[name]) == 2
    assert all(0 <= v <= 1 for v in result["top1"] + result["top5"])


@pytest.mark.slow
def test_replay_in_another_process_gives_the_same(pool_path):
    options = ["replay", str(pool_path), "--budget", "20%", "--rounds", "3", "--seeds", "2"]
    command = [sys.executable, "-m", "balto", *options, "-f", "json"]
    twice = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(2)]
    assert twice[0] == twice[1] == run(*options, "-f", "json").encode()


def test_full_trains_on_the_whole_training_share(pool_path):
    options = "--selector full --seeds 1 -f json --test-share 0.5"
    result = json.loads(run("replay", pool_path, *options.split()))
    assert result["measurements"] == [90]
    assert result["rounds"] == 1


def test_a_campaign_from_pretrain_to_report(tmp_path, pool_path):
    work_dir = tmp_path / "w"
    run(
        "pretrain",
        work_dir,
        "--pool",
        pool_path,
        "--budget",
        "20%",
        "--rounds",
        "3",
        "--test-share",
        "25%",
        "--compare",
        "random",
    )
    state = json.loads(run("status", work_dir, "-f", "json"))
    assert state["state"] == "finished"
    assert state["rounds_done"] == 3
    assert state["selected"] == 27
    assert state["statuses"]["build_error"] > 0
    assert 0 < state["accuracy"]["top1"] <= 1
    assert "finished" in run("status", work_dir)

    run("export", work_dir, tmp_path / "measured")
    replayed = json.loads(run("replay", tmp_path / "measured", "--seeds", "1", "-f", "json"))
    assert replayed["measurements"][0] > 0

    about = json.loads(run("model", work_dir / "model.balto", "-f", "json"))
    assert about["trained_on"]["measurements"] > 0

    page = (work_dir / "report.html") if run("report", work_dir) else None
    html = page.read_text()
    assert html.count("<svg") == 4
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "https://" not in html


def test_status_and_report_of_a_campaign_that_has_just_begun(tmp_path, pool_path):
    from balto.campaign.campaign import Campaign
    from balto.campaign.config import Config

    with Campaign(tmp_path / "w", Config(pool=str(pool_path))):
        assert json.loads(run("status", tmp_path / "w", "-f", "json"))["state"] == "running"
        run("report", tmp_path / "w")
    assert "interrupted" in run("status", tmp_path / "w")


@pytest.mark.slow
def test_sample_writes_a_pool_that_can_be_measured(tmp_path):
    """Real TVM; the same programs as `balto.sample` draws, with everything measuring needs."""
    command = f"sample {tmp_path / 'p'} --operator matmul:32x32x32 --operator softmax_mn:32x32"
    assert run(*command.split(), "--programs", "5", "--seed", "2") == ""
    pool = balto.read_pool(tmp_path / "p")
    assert [task.op for task in pool.tasks] == ["matmul", "softmax_mn"]
    assert len(pool) == 10
    assert not pool.outcomes.measured.any()
    tasks = balto.extract_tasks(operator_specs=["matmul:32x32x32", "softmax_mn:32x32"]).tasks
    assert list(pool.tasks) == list(tasks)
    assert list(pool.traces) == list(balto.sample(tasks, 5, seed=2).traces)

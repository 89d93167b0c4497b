"""Where a library of an extra is missing, one line says what to install."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MATMUL = ("--operator", "matmul:64x64x64")


@pytest.fixture
def without(tmp_path, monkeypatch):
    """Hide libraries from the processes that a test starts, workers included."""

    def hide(*libraries: str) -> None:
        for library in libraries:
            (tmp_path / "hidden" / library).mkdir(parents=True)
            (tmp_path / "hidden" / library / "__init__.py").write_text(
                f"raise ModuleNotFoundError('No module named {library}', name='{library}')"
            )
        paths = [str(tmp_path / "hidden"), str(ROOT), os.environ.get("PYTHONPATH", "")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))

    return hide


def balto(*arguments: str, cwd: Path) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command."""
    command = [sys.executable, "-m", "balto", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("missing", "arguments", "advice"),
    [
        ("tvm", ("tasks", *MATMUL), "compiling programs needs tvm: pip install 'balto[tvm]'"),
        (
            *("tvm", ("pretrain", "work", *MATMUL)),
            "compiling programs needs tvm: pip install 'balto[tvm]'",
        ),
        (
            *("tvm", ("tune", *MATMUL, "-o", "tuned")),
            "compiling programs needs tvm: pip install 'balto[tvm]'",
        ),
        ("torch", ("tasks", "bert-tiny"), "bert-tiny needs torch: pip install 'balto[torch]'"),
        (
            *("torch", ("tune", "bert-tiny", "-o", "tuned")),
            "bert-tiny needs torch: pip install 'balto[torch]'",
        ),
        ("onnx", ("tasks", "a.onnx"), "a.onnx needs onnx: pip install 'balto[onnx]'"),
        (
            *("torch", ("pretrain", "work", "--pool", "pool", "--model", "mlp")),
            "the cost model mlp needs torch: pip install 'balto[torch]'",
        ),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else None,
)
def test_the_extra_to_install_is_named(missing, arguments, advice, without, pool_path):
    without(missing)
    (pool_path.parent / "a.onnx").touch()
    code, _, said = balto(*arguments, cwd=pool_path.parent)
    assert (code, said) == (2, f"balto: error: {advice}\n")


def test_features_of_an_old_pool_name_the_extra_and_blame_no_task(without, tmp_path):
    without("tvm")
    shutil.copytree(ROOT / "tests" / "data" / "version-1", tmp_path / "pool")
    code, _, said = balto("features", "pool", "-o", "more", cwd=tmp_path)
    advice = "compiling programs needs tvm: pip install 'balto[tvm]'"
    assert (code, said.splitlines()[-1]) == (2, f"balto: error: {advice}")
    assert not (tmp_path / "more").exists()


def test_a_replay_needs_no_extra(without, pool_path):
    without("tvm", "tvm_ffi", "torch", "safetensors", "onnx")
    code, said, _ = balto(
        "replay", "pool", "--budget", "20%", "--rounds", "3", cwd=pool_path.parent
    )
    assert code == 0
    assert "biased-lcmd" in said

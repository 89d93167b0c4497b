"""What people install: the source archive and the wheel, built, looked into, and used."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import balto

ROOT = Path(__file__).resolve().parents[1]
#: What is no Python, and has to come along.
DATA = {"balto/py.typed", "balto/models/build_cost.balto", "balto/models/starter.balto"} | {
    f"balto/report/{path.name}" for path in (ROOT / "balto" / "report").glob("*.html")
}
#: What comes along in the source archive alone: enough to test, to read and to make the site.
BESIDE = ("tests", "docs", "experiments", "benchmarks", ".ci")
FILES = (
    *("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", ".mdformat.toml", "Makefile"),
    *("mkdocs.yml", "MANIFEST.in", "pools/README.md"),
    *("requirements.txt", "requirements-docs.txt", "pyproject.toml", "README.md", "LICENSE"),
)
MADE = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis")
BUILD = """
import sys
from setuptools import build_meta
where = sys.argv[1]  # setuptools puts its own arguments there
build_meta.build_sdist(where)
build_meta.build_wheel(where)
"""
USE = """
import sys
import balto
from balto.models.starter import PATH
assert balto.__file__.startswith(sys.prefix), balto.__file__
model, _ = balto.load_model(PATH)
assert balto.replay(balto.read_pool(sys.argv[1]), budget=0.2, rounds=2).measurements
balto.write_report(sys.argv[2])
"""


def beside():
    """The files of the folders that come along, without what running them leaves."""
    found = (p for folder in BESIDE for p in (ROOT / folder).rglob("*") if p.is_file())
    paths = (p.relative_to(ROOT) for p in found)
    return {str(p) for p in paths if not any(MADE("", [part]) for part in p.parts)}


def modules():
    return {str(p.relative_to(ROOT)) for p in (ROOT / "balto").rglob("*.py")}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The archive and the wheel, from a copy: building leaves folders behind."""
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    source.mkdir()
    (source / "pools").mkdir()
    (source / "pools" / "epyc.parquet").touch()  # stands for the recorded pools
    for name in FILES:
        shutil.copy(ROOT / name, source / name)
    for name in ("balto", *BESIDE):
        shutil.copytree(ROOT / name, source / name, ignore=MADE)
    command = [sys.executable, "-c", BUILD, str(folder)]
    environment = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(
        command, cwd=source, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (archive,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return archive, wheel


@pytest.mark.slow
def test_the_wheel_has_all_of_the_package_and_nothing_else(built):
    with zipfile.ZipFile(built[1]) as wheel:
        names = {n for n in wheel.namelist() if ".dist-info/" not in n}
        (metadata,) = (n for n in wheel.namelist() if n.endswith("METADATA"))
        said = message_from_bytes(wheel.read(metadata))
    assert names == modules() | DATA
    assert said["Version"] == balto.__version__
    assert said["License-Expression"] == "Apache-2.0"
    assert "Typing :: Typed" in said.get_all("Classifier")
    extras = {"tvm", "torch", "onnx"}
    assert extras <= set(said.get_all("Provides-Extra"))
    needed = [r for r in said.get_all("Requires-Dist") if "extra ==" not in r]
    assert not [r for r in needed if r.startswith(("torch", "apache-tvm", "onnx"))]


@pytest.mark.slow
def test_the_source_archive_is_whole_but_for_the_pools(built):
    with tarfile.open(built[0]) as archive:
        names = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
    wanted = modules() | DATA | beside() | set(FILES)
    assert wanted <= names
    assert {n for n in names - wanted if "egg-info" not in n} == {"PKG-INFO", "setup.cfg"}
    assert built[0].stat().st_size < 20 << 20


@pytest.mark.slow
def test_the_wheel_works_where_it_is_installed(built, pool_path, tmp_path):
    """In an environment of its own, whose dependencies are this one's: nothing is downloaded."""
    home = tmp_path / "env"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def run(*command):
        done = subprocess.run(
            command, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    run(*pip, "--no-deps", "--no-index", "--disable-pip-version-check", built[1])
    (packages,) = home.glob("lib/python*/site-packages")
    # A path in a .pth file is searched, but the .pth files in it (an editable balto) are not read.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    assert run(home / "bin" / "balto", "--version") == f"balto, version {balto.__version__}\n"
    campaign = ("pretrain", "work", "--pool", pool_path, "--budget", "20%", "--rounds", "2")
    run(home / "bin" / "balto", *campaign)
    run(python, "-c", USE, pool_path, "work")
    assert "<svg" in (tmp_path / "work" / "report.html").read_text()


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {balto.__version__}\n" in text
    assert "cff-version: 1.2.0" in text

"""The examples of the docstrings run, and give what they say."""

from __future__ import annotations

import doctest
from importlib.util import find_spec
from pathlib import Path

import pytest

import balto
from tests.faces import public_things

#: Those that need TVM: what tasks, programs and libraries are made with.
WITH_TVM = {
    *("balto.extract_tasks", "balto.importers.import_metaschedule", "balto.load_tuned"),
    *("balto.read_task_file", "balto.sample", "balto.task_of", "balto.tune_network"),
    *("balto.tune_operators", "balto.write_task_file"),
}
EXAMPLES = {
    name: found
    for name, thing in public_things().items()
    if (
        found := doctest.DocTestParser().get_doctest(thing.__doc__ or "", {}, name, None, 0)
    ).examples
}
without_tvm = pytest.mark.skipif(find_spec("tvm") is None, reason="needs TVM")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[pytest.mark.slow, without_tvm] if n in WITH_TVM else [])
        for n in EXAMPLES
    ],
)
def test_an_example_gives_what_it_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    example, said = EXAMPLES[name], []
    example.globs = {"balto": balto}
    failed, tried = doctest.DocTestRunner().run(example, out=said.append)
    assert tried == len(example.examples) > 0
    assert not failed, "".join(said)


def test_every_entry_point_has_an_example():
    wanted = {
        *("replay", "Campaign", "status", "pool_of", "write_report", "read_pool", "write_pool"),
        *("create_model", "load_model", "save_model", "get_selector", "sample", "load_tuned"),
        *("extract_tasks", "task_of", "write_task_file", "tune_network", "tune_operators"),
        *("importers.import_metaschedule", "importers.import_tenset"),
    }
    assert {f"balto.{name}" for name in wanted} <= set(EXAMPLES)

"""The public surface is what it says, and every name in it is there."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import pytest

import balto
from balto.cli import cli
from balto.testing.selectors import made_up_task
from tests.faces import PACKAGES, annotated, is_public, lacking, public_things

#: Values; everything else that is public is a module, a class or a function.
CONSTANTS = {"FEATURE_SETS", "__version__"}


def documented(thing: object) -> bool:
    """Whether somebody wrote a docstring; what `dataclass` makes up is none."""
    made_up = f"{getattr(thing, '__name__', '')}("
    doc = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
    return bool(doc) and not doc.startswith(made_up)


@pytest.mark.parametrize("name", sorted(set(balto.__all__) - CONSTANTS))
def test_every_public_name_exists_and_is_documented(name):
    thing = getattr(balto, name)
    assert isinstance(thing, type | ModuleType) or inspect.isfunction(thing)
    assert documented(thing)


def public_methods():
    for name in sorted(set(balto.__all__) - CONSTANTS):
        thing = getattr(balto, name)
        for attribute, value in vars(thing).items() if inspect.isclass(thing) else ():
            value = getattr(value, "__func__", value)
            if not attribute.startswith("_") and (
                inspect.isfunction(value) or isinstance(value, property)
            ):
                yield pytest.param(value, id=f"{name}.{attribute}")


@pytest.mark.parametrize("method", list(public_methods()))
def test_every_public_method_is_documented(method):
    assert documented(method)


def test_a_docstring_that_a_dataclass_makes_up_does_not_count():
    @dataclass
    class Undocumented:
        value: int = 0

    class Inheriting(balto.Selector):
        name = "inheriting"

    assert Undocumented.__doc__
    assert not documented(Undocumented)
    assert not documented(Inheriting)
    assert not documented(lambda: None)
    assert documented(documented)


def test_what_people_print_is_one_short_line(pool, pool_path, tmp_path):
    task = replace(pool.tasks[0], module="{}" * 10_000)
    result = balto.replay(pool, budget=0.2, rounds=2)
    config = balto.Config(pool=str(pool_path), budget=0.2, rounds=2)
    with balto.Campaign(tmp_path / "w", config) as campaign:
        campaign.run()
    printed = {
        repr(each)
        for each in (
            *(pool, pool.features, pool.features["store"], pool.outcomes, pool.outcomes[0], task),
            *(balto.Candidate(task, 0, 0, "[]" * 10_000), task.target, balto.FEATURE_SETS["store"]),
            *(result, result.rounds[-1], result.accuracy, result.model, result.selector),
            *(config, balto.LoopSettings(), balto.MeasureSettings(), made_up_task(0)),
            balto.status(tmp_path / "w"),
        )
    }
    for each in printed:
        assert "\n" not in each
        assert " object at 0x" not in each
        assert len(each) < 1000


def test_the_constants_are_there():
    values = {name for name in balto.__all__ if isinstance(getattr(balto, name), dict | str)}
    assert values == CONSTANTS


def names_for_type_checkers(package):
    """What the block under TYPE_CHECKING imports."""
    tree = ast.parse(Path(package.__file__).read_text())
    (block,) = (n for n in tree.body if isinstance(n, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    return [alias.asname or alias.name for line in block.body for alias in line.names]


packages = pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.__name__)


@packages
def test_type_checkers_see_what_a_package_lists(package):
    if package is not balto.tasks:  # whose names are its own
        assert sorted(names_for_type_checkers(package)) == sorted(package.__all__) == dir(package)
    assert len(set(package.__all__)) == len(package.__all__)


@packages
def test_the_public_packages_have_what_they_list_with_a_docstring(package):
    for name in package.__all__:
        thing = getattr(package, name)
        assert thing is not None
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert documented(thing), name
    with pytest.raises(AttributeError, match="no attribute 'oracle'"):
        package.oracle  # noqa: B018


@pytest.mark.parametrize("name", public_things())
def test_what_a_public_signature_names_is_public_too(name):
    missing = {
        f"{name}.{where}: {found.__module__}.{found.__name__}"
        for where, found in annotated(public_things()[name])
        if found.__module__.startswith("balto") and not is_public(found)
    }
    assert not missing, "\n".join(sorted(missing))


def test_the_reader_of_signatures_sees_every_form_of_them():
    """Unions, containers, properties, attributes of a constructor, names for type checkers."""
    seen = {
        (name, where, found.__name__)
        for name, thing in public_things().items()
        for where, found in annotated(thing)
    }
    assert {
        ("balto.status", "(return)", "TuneStatus"),
        ("balto.tune_operators", "(operators)", "Task"),
        ("balto.RpcSettings", "tracker", "Tracker"),
        ("balto.Campaign", "run(executor)", "Executor"),
        ("balto.CampaignStatus", "progress(return)", "Progress"),
        ("balto.CostModel", "started_from", "CostModel"),
        ("balto.Campaign", "finished(return)", "bool"),
    } <= seen


@pytest.mark.parametrize("name", [n for n in public_things() if "Contract" not in n])
def test_a_docstring_says_what_goes_in_what_comes_out_and_what_can_go_wrong(name):
    missing = [f"{name}.{each}" for each in lacking(public_things()[name])]
    assert not missing, "\n".join(sorted(missing))


def test_the_reader_of_docstrings_finds_what_is_not_said():
    class Silent:
        """A class.

        Args:
            said: of one argument.
        """

        def __init__(self, said: int, unsaid: int) -> None:
            self.both = said, unsaid

        def fails(self) -> None:
            """Do it.

            Raises:
                ValueError: it is one.
            """
            raise ValueError

        def raises(self) -> int:
            """Do it."""
            raise ValueError

    Silent.__module__ = Silent.__init__.__module__ = "balto.silent"
    Silent.fails.__module__ = Silent.raises.__module__ = "balto.silent"
    assert sorted(lacking(Silent)) == [
        "__init__ does not say what unsaid is",
        "fails does not say when it raises ValueError: it is one.",
        "raises does not say what it raises",
        "raises does not say what it returns",
    ]


def test_no_name_means_two_public_things():
    """But the cost model in MetaSchedule's search, which stands where MetaSchedule's does."""
    meanings = {}
    for package in PACKAGES:
        for name in package.__all__:
            meanings.setdefault(name, set()).add(id(getattr(package, name)))
    assert [name for name, found in meanings.items() if len(found) > 1] == ["CostModel"]


@pytest.mark.parametrize(
    "thing",
    [balto.Target, balto.campaign.Merge, balto.campaign.Shard, balto.workers.RayExecutor],
)
def test_what_was_tried_on_little_is_called_young_with_what_it_was_tried_on(thing):
    assert re.search(r"[Yy]oung:\s+tried\s", thing.__doc__)


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("pretrain", "--ray"),
        ("pretrain", "--shard"),
        ("pretrain", "--target"),
        ("tune", "--target"),
    ],
)
def test_the_help_of_an_option_says_so_too(command, option):
    params = cli.get_command(None, command).params
    found = {
        name: each.help for each in params if each.param_type_name == "option" for name in each.opts
    }
    assert re.search(r"[Yy]oung: tried", found[option])
    assert re.search(r"[Yy]oung: tried", cli.get_command(None, "merge").help.replace("\n", " "))


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'oracle'"):
        balto.oracle  # noqa: B018


def test_python_dash_m_balto():
    out = subprocess.run(
        [sys.executable, "-m", "balto", "--version"], capture_output=True, text=True, check=True
    )
    assert out.stdout.startswith("balto, version ")


@pytest.mark.slow
def test_the_parts_for_metaschedule_need_no_import_of_their_own():
    code = "import balto, sys; assert 'tvm' not in sys.modules; print(balto.tune.Builder())"
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

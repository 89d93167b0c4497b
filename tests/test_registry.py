"""Selectors and cost models by name: hyper-parameters, and those that others add."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import balto
from balto.errors import InputError
from balto.models import MODELS
from balto.registry import Registry, spec_of
from balto.select import SELECTORS

THEIRS = """
from dataclasses import dataclass
import balto

@dataclass(frozen=True)
class EveryOther(balto.Selector):
    name = "every-other"
    step: int = 2

    def choose(self, state, budget, rng):
        free = state.unlabelled
        return [*free[::self.step], *(p for i, p in enumerate(free) if i % self.step)][:budget]
"""


class Plain:
    """Takes anything, and keeps it."""

    def __init__(self, **given):
        self.given = given


plain = Registry(Plain, "thing", {"plain": f"{__name__}:Plain"}, "balto.test_things", {})


@pytest.fixture
def others(tmp_path, monkeypatch):
    """A distribution of somebody else's, installed for the time of a test."""
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[balto.selectors]\n"
        "every-other = their_selectors:EveryOther\n"
        "random = their_selectors:EveryOther\n"
        "[balto.models]\n"
        "needy = their_needy:Needy\n"
    )
    (tmp_path / "their_selectors.py").write_text(THEIRS)
    (tmp_path / "their_needy.py").write_text("import a_library_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("their_selectors", None)


keys = st.from_regex(r"[a-z_][a-z_0-9]{0,8}", fullmatch=True)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(keys, values, max_size=4))
def test_a_spec_is_the_name_with_its_hyper_parameters_and_can_be_read_again(parameters):
    """Whatever JSON they are: commas, colons and equals signs inside it too."""
    made = plain.create(spec_of("plain", parameters))
    assert made.given == json.loads(json.dumps(parameters))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("plain", {}),
        ("plain:", {}),
        ("plain:a=1", {"a": 1}),
        ("plain:a=1,b=two", {"a": 1, "b": "two"}),
        ("plain: a = 1 , b = x y ", {"a": 1, "b": "x y"}),
        ("plain:a=2much,b=3", {"a": "2much", "b": 3}),
        ('plain:a=["x","y"],b=0.5', {"a": ["x", "y"], "b": 0.5}),
        ("plain:a=,b=1", {"a": "", "b": 1}),
    ],
)
def test_values_are_json_and_what_is_not_is_text(spec, expected):
    assert plain.create(spec).given == expected
    assert plain.create(spec, a=9, c=7).given == {"a": 9, "c": 7, **expected}


def test_what_others_add_is_found_by_name_and_takes_hyper_parameters(others):  # noqa: ARG001
    selector = balto.get_selector("every-other:step=3")
    assert selector.parameters() == {"step": 3}
    assert "every-other" in SELECTORS
    assert "every-other" in list(SELECTORS)
    assert len(SELECTORS) == len(set(SELECTORS))
    pool = balto.testing.made_up_pool(programs=20)
    named = balto.replay(pool, selector="every-other:step=3", budget=0.5, rounds=2)
    assert named.picks == balto.replay(pool, selector=selector, budget=0.5, rounds=2).picks


def test_what_is_built_in_is_not_replaced(others):  # noqa: ARG001
    assert isinstance(balto.get_selector("random"), balto.select.Random)


def test_what_others_add_is_gone_with_them():
    assert "every-other" not in SELECTORS
    with pytest.raises(InputError, match=r"expected a selector \(random, .*, got 'every-other'"):
        balto.get_selector("every-other")


def test_a_library_that_is_missing_is_named(others):  # noqa: ARG001
    says = "the cost model needy needs a_library_that_is_not_there: pip install"
    with pytest.raises(InputError, match=says):
        balto.create_model("needy")


@pytest.mark.parametrize("registry", [SELECTORS, MODELS], ids=["selectors", "models"])
def test_a_class_is_called_as_the_registry_calls_it(registry):
    for name in registry:
        made = registry.create(name)
        assert made.name == name
        assert made.parameters() == {}
        assert spec_of(made.name, made.parameters()) == name


@pytest.mark.parametrize("spec", ["plain:a", "plain:=1", "plain:a b=1", "plain:1a=1"])
def test_what_is_no_spec_is_one_line(spec):
    with pytest.raises(InputError, match="expected a thing such as name or name:key=value"):
        plain.create(spec)

"""Sizes for what a model file leaves open."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balto.campaign.config import Config
from balto.errors import ConfigurationChanged, InputError
from balto.tasks.shapes import checked, names, require_known, settled

IMAGE = ("x", ["batch", 3, "height", "width"])
MASK = ("mask", ["batch", "height", "width"])


@pytest.mark.parametrize("given", ["1x3x8x8", (1, 3, 8, 8), [1, 3, 8, 8]])
def test_a_shape_is_text_or_numbers(given: Any) -> None:
    assert checked({"x": given}) == {"x": [1, 3, 8, 8]}


def test_a_size_is_a_shape_of_one() -> None:
    assert checked({"batch": 2}) == checked({"batch": "2"}) == {"batch": [2]}
    assert checked(None) == checked({}) == {}


@pytest.mark.parametrize("given", [0, -1, "1x", "axb", 1.5, True, None, [], [2.0], "", [[1]]])
def test_what_is_no_size_is_refused(given: Any) -> None:
    with pytest.raises(InputError, match="positive whole numbers for x"):
        checked({"x": given})
    with pytest.raises(InputError, match="expected shapes by name"):
        checked([("x", 1)])


def test_a_dimension_has_its_size_wherever_it_stands() -> None:
    sizes = {"batch": [2], "height": [8], "width": [9]}
    expected = {"x": [2, 3, 8, 9], "mask": [2, 8, 9]}
    assert settled("net.onnx", [IMAGE, MASK], sizes) == expected


def test_an_inputs_shape_gives_its_dimensions_their_sizes() -> None:
    expected = {"x": [2, 3, 8, 9], "mask": [2, 8, 9]}
    assert settled("net.onnx", [IMAGE, MASK], {"x": [2, 3, 8, 9]}) == expected


@given(st.lists(st.integers(1, 9), max_size=5))
def test_what_is_fixed_stays(dims: list[int]) -> None:
    assert settled("net.onnx", [("x", dims)], {"other": [3]}) == {"x": dims}


def test_a_missing_size_is_refused_with_the_dimensions_and_the_option() -> None:
    with pytest.raises(InputError) as refused:
        settled("net.onnx", [IMAGE, ("k", [4])], {"height": [8]})
    said = str(refused.value)
    assert "x is batchx3xheightxwidth" in said
    assert "--shape batch=1" in said
    assert "k is" not in said
    with pytest.raises(InputError, match=r"x is 1x\?.*--shape x=1x1"):
        settled("net.onnx", [("x", [1, ""])], {})
    with pytest.raises(InputError, match=r"x is of no known rank.*--shape x="):
        settled("net.onnx", [("x", None)], {})
    assert settled("net.onnx", [("x", None)], {"x": [2, 2]}) == {"x": [2, 2]}


@pytest.mark.parametrize(
    ("shapes", "why"),
    [
        ({"x": [1, 4, 8, 8]}, "does not fit"),
        ({"x": [1, 3, 8]}, "does not fit"),
        ({"x": [1, 3, 8, 8], "batch": [2]}, "does not fit"),
        ({"x": [1, 3, 8, 8], "mask": [2, 8, 8]}, "does not fit"),
        ({"batch": [1, 2]}, "one size for the dimension batch"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shapes: dict[str, list[int]], why: str) -> None:
    with pytest.raises(InputError, match=why):
        settled("net.onnx", [IMAGE, MASK], shapes)


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    known = names([IMAGE, MASK])
    assert known == ["batch", "height", "width", "x", "mask"]
    require_known({"width": [1], "mask": [1, 2, 3]}, known, "net.onnx")
    with pytest.raises(InputError, match=r"no dimension or input 'wide'; there are batch, height"):
        require_known({"wide": [1]}, known, "net.onnx")


def test_a_campaign_goes_on_with_its_shapes_alone() -> None:
    usual, sized = Config(networks=("lenet-5",)), Config(networks=("lenet-5",), shapes={"n": "2"})
    assert "shapes" not in usual.to_dict(), "as campaigns of before have it"
    for config in (usual, sized):
        assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    sized.check_same(Config(networks=("lenet-5",), shapes={"n": [2]}))
    for before, now in ((usual, sized), (sized, usual)):
        with pytest.raises(ConfigurationChanged, match="shapes: "):
            before.check_same(now)

"""The model that ships with balto, and when it is used."""

from pathlib import Path

import numpy as np
import pytest

import balto
from balto.campaign.config import Config
from balto.errors import InputError
from balto.models.starter import PATH, starting_models

POOLS = Path(__file__).resolve().parents[2] / "pools"
OPERATOR = ("matmul:8x8x8",)


def test_live_campaigns_on_a_cpu_start_from_it_and_no_others():
    assert Config(operators=OPERATOR).starting_models == ("starter",)
    assert Config(operators=OPERATOR, target='{"kind": "llvm", "mcpu": "znver3"}').starting_models
    assert Config(operators=OPERATOR, target="cuda").starting_models == ()  # it knows no GPU
    assert Config(pool="some/pool").starting_models == ()  # selectors are compared there
    assert Config(pool="some/pool", start_from="starter").starting_models == ("starter",)


@pytest.mark.parametrize("none", ["none", ("none",), ()])
def test_none_is_none(none):
    assert Config(operators=OPERATOR, start_from=none).starting_models == ()


def test_none_beside_another_is_refused():
    with pytest.raises(InputError, match="none or models to learn from, got none, starter"):
        starting_models(["none", "starter"])


def test_settings_survive_being_written():
    for asked in (None, "none", ("a.balto", "b.balto")):
        config = Config(operators=OPERATOR, start_from=asked)
        assert Config.from_dict(config.to_dict()) == config


def test_it_says_what_it_was_trained_on_and_is_small():
    card = balto.read_model_card(PATH)
    assert {"decisions", "loops", "cycles"} == {each.name for each in card.features}
    assert all("llvm" in target for target in card.trained_on["targets"])
    assert card.trained_on["measurements"] > 10_000
    assert PATH.stat().st_size < 500_000


def test_a_replay_from_it_knows_something_before_the_first_label():
    pool = balto.read_pool(POOLS / "epyc-sse")
    tops = {}
    for start_from in ((), ("starter",)):
        result = balto.replay(pool, start_from=start_from, budget=0.01, rounds=1, seed=3)
        tops[start_from] = result.accuracy.top1_halves
        again = balto.replay(pool, start_from=start_from, budget=0.01, rounds=1, seed=3)
        assert again.picks == result.picks
        assert np.array_equal(
            again.model.predict(pool.features), result.model.predict(pool.features)
        )
    assert tops["starter",] > tops[()] + 0.05

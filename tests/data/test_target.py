"""A target is what it says, in whatever order it says it, and comes back from its JSON."""

from __future__ import annotations

import json
import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from balto.campaign.config import Config
from balto.data.files import read_json, write_json
from balto.data.pool_reader import read_pool
from balto.data.target import Target
from balto.errors import CampaignError, ConfigurationChanged, InputError, PoolError
from balto.tasks.extract import Extracted
from balto.tasks.files import read_tasks, write_tasks

SPECS = [
    {"kind": "llvm"},
    {"kind": "llvm", "mcpu": "znver3", "num-cores": 4, "keys": ["cpu"], "opt-level": 3},
    {"kind": "cuda", "arch": "sm_80", "max_threads_per_block": 1024, "thread_warp_size": 32},
    {"kind": "opencl", "host": {"kind": "llvm", "mtriple": "aarch64-linux-gnu"}, "libs": []},
]


@pytest.mark.parametrize("values", SPECS)
def test_nothing_of_a_target_is_lost(values):
    target = Target.from_dict(values)
    assert target.to_dict() == values
    assert Target.parse(json.dumps(values)) == target
    assert Target.from_json(target.to_json()) == target
    assert pickle.loads(pickle.dumps(target)) == target


def test_what_it_says_has_names():
    target = Target.parse('{"kind": "cuda", "arch": "sm_80", "num-cores": 2, "host": "llvm"}')
    assert (target.kind, target.cores, target.host) == ("cuda", 2, Target("llvm"))
    assert target.option("arch") == "sm_80"
    assert target.option("mtriple") is None
    assert not target.on_cpu


def test_what_is_not_given_is_none_and_text_is_as_good_as_an_object():
    assert (Target("llvm").mcpu, Target("llvm").cores, Target("llvm").host) == (None, None, None)
    assert Target.from_json('{"kind": "llvm", "mcpu": ""}') == Target("llvm")  # as TVM may say it
    with pytest.raises(InputError, match="processor's name, got ''"):
        Target("llvm", mcpu="")
    target = Target("llvm", cores=2)
    assert Target.of(target) is target
    assert Target.of(target.to_json()) == target


@pytest.mark.parametrize(
    ("one", "same"),
    [
        (Target("llvm", cores=2), '{"num-cores": 2, "kind": "llvm"}'),
        (Target("llvm"), "llvm"),
        ('{"kind": "llvm"}', "llvm"),
    ],
)
def test_a_campaign_goes_on_whichever_way_its_target_is_written(one, same):
    config = Config(operators=("matmul:8x8x8",), target=one)
    assert config == Config(operators=("matmul:8x8x8",), target=same)
    assert Config.from_dict(config.to_dict()) == config
    with pytest.raises(ConfigurationChanged, match="target: "):
        config.check_same(Config(operators=("matmul:8x8x8",), target=Target("llvm", mcpu="znver3")))


@pytest.mark.parametrize("options", [(("a", 3),), (("a",),), [("a", "3")], (("a", "}"),), (3,)])
def test_options_that_could_not_be_written_are_refused_where_they_are_given(options):
    with pytest.raises(InputError, match=r"expected options of a target as \(name, JSON"):
        Target("llvm", options=options)


def test_order_and_spacing_do_not_matter():
    one = Target.parse('{"kind": "llvm", "mcpu": "znver3", "keys": ["cpu"], "num-cores": 1}')
    two = Target.parse('{"keys":["cpu"],"num-cores":1,"mcpu":"znver3","kind":"llvm"}')
    assert one == two
    assert hash(one) == hash(two)
    assert one.to_json() == two.to_json() == str(one)
    assert len({one, two, Target("llvm")}) == 2


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("abacus", "llvm, cuda, or JSON"),
        ("llvm -mcpu=znver3", "llvm, cuda, or JSON"),
        ("[1]", "llvm, cuda, or JSON"),
        ('{"mcpu": "znver3"}', "with a kind"),
        ('{"kind": 3}', "with a kind"),
        ('{"kind": "llvm", "num-cores": 0}', "at least 1, got 0"),
        ('{"kind": "llvm", "num-cores": -2}', "at least 1, got -2"),
        ('{"kind": "llvm", "num-cores": 1.5}', "whole number"),
        ('{"kind": "llvm", "num-cores": true}', "whole number"),
        ('{"kind": "llvm", "mcpu": 7}', "processor's name"),
        ('{"kind": "cuda", "host": {"num-cores": 1}}', "with a kind"),
    ],
)
def test_what_cannot_be_a_target_is_refused_in_one_line(spec, words):
    with pytest.raises(InputError, match=words) as caught:
        Target.parse(spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["llvm", "{}", "", '{"kind": ""}'])
def test_a_file_holds_json_with_a_kind_and_nothing_else(text, pool, pool_path, tmp_path):
    table = pq.read_table(pool_path / "tasks.parquet")
    rows = table.to_pylist()
    rows[1]["target"] = text
    pq.write_table(pa.Table.from_pylist(rows, table.schema), pool_path / "tasks.parquet")
    with pytest.raises(PoolError, match=f"task {rows[1]['name']}: expected a target"):
        read_pool(pool_path)
    write_tasks(tmp_path / "tasks.json", Extracted(pool.tasks))
    written = read_json(tmp_path / "tasks.json")
    written["tasks"][0]["target"] = text
    write_json(tmp_path / "tasks.json", written)
    with pytest.raises(CampaignError, match="expected a target"):
        read_tasks(tmp_path / "tasks.json")


def test_files_hold_the_targets_json(pool, pool_path, tmp_path):
    assert read_pool(pool_path).tasks[0].target == pool.tasks[0].target
    assert pq.read_table(pool_path / "tasks.parquet")["target"][0].as_py() == '{"kind": "llvm"}'
    write_tasks(tmp_path / "tasks.json", Extracted(pool.tasks))
    assert [t.target for t in read_tasks(tmp_path / "tasks.json").tasks] == [Target("llvm")] * 3

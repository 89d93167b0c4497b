"""Records with anything in the place of anything: each is imported or skipped, and counted."""

from __future__ import annotations

import json

import numpy as np
import pytest

from balto.data.pool_reader import read_pool
from balto.importers.metaschedule import WORKLOADS, import_metaschedule
from balto.importers.tenset import import_tenset
from tests.importers.logs import CPU, GPU_STEPS, line
from tests.importers.test_metaschedule import database, record, trace

#: What takes the place of a part of a record, as bytes of JSON, or of what is nearly JSON.
ODD = [
    *(
        b"null",
        b"true",
        b"0",
        b"-1",
        b"1",
        b"7.5",
        b"1e308",
        b"1e400",
        b"5e-324",
        b"1e300",
        b"-0.0",
    ),
    *(b"NaN", b"Infinity", b"-Infinity", b"1" * 310, b"-" + b"9" * 310, b"1" * 4400),
    *(
        b'""',
        b'"a"',
        b'"' + b"b" * 3000 + b'"',
        b'"\\ud800"',
        b'"\\u0000"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
    ),
    *(b'"\\u2028\\n[red]"', b"[]", b"{}", b"[[]]", b"[1, [2]]", b'[["a"]]', b'{"a": 1, "a": 2}'),
    *(b'{"kind": "llvm"}', b"[" * 900 + b"]" * 900, b"[" * 10_000 + b"]" * 10_000),
    *(b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b"[null, null, null, null]", b"[0, 0, 0, 0, 0]"),
    *(b"1 2", b"", b"}", b'"'),
]
#: Texts in the place of a target in TVM's older notation.
ODD_TARGETS = [
    *("", "'", "\0", "\u202e", "llvm -", "llvm --a=b=c -x", "-num-cores=4", "llvm -num-cores=-4"),
    *("llvm -keys=", "llvm -mcpu=" + "\u00e9" * 5000, "llvm -model='a b' -model=c", "llvm -mcpu="),
    *("llvm -num-cores=" + "9" * 18, "llvm -mcpu=\ud800"),
]
MARK = "@@"
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))]


def places(value):
    """Every place in a value: keys and indices from the outermost."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in list(inside):
        yield (key,)
        if isinstance(each, dict | list):
            yield from ((key, *more) for more in places(each))


def with_mark(value, place):
    """A copy with a mark at a place."""
    copy = json.loads(json.dumps(value))
    at = copy
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = MARK
    return json.dumps(copy)


def mutated(record, rng, most):
    """Lines of a record with something odd in a place, each place as likely as another."""
    content = json.loads(record)
    everywhere = list(places(content))
    for _ in range(most):
        text = with_mark(content, everywhere[rng.integers(len(everywhere))])
        yield text.encode().replace(f'"{MARK}"'.encode(), ODD[rng.integers(len(ODD))])


def mutated_workloads(rng, most):
    """Log lines whose workload, JSON in a text of JSON, is odd inside."""
    whole = json.loads(line())
    for workload in mutated('["my_matmul", 64, [64, "a"], 64]', rng, most):
        whole["i"][0][0] = workload.decode("latin-1")
        yield json.dumps(whole).encode()


def mutated_targets(rng, most):
    """Log lines whose target is odd JSON, or odd text."""
    whole = json.loads(line())
    texts = [b'{"kind": "llvm", "keys": ["cpu"], "mcpu": "znver3", "num-cores": 4, "tag": "a"}']
    for text in mutated(texts[0], rng, most):
        whole["i"][0][1] = text.decode("latin-1")
        yield json.dumps(whole).encode()
    for text in ODD_TARGETS:
        whole["i"][0][1] = text
        yield json.dumps(whole).encode()


def is_counted(result, lines, pool):
    """Each line gave a program of a pool that can be read, or a reason."""
    assert len(read_pool(pool)) == result.programs
    assert result.programs + sum(result.skipped.values()) == len(lines)
    assert all(len(reason) < 100 and reason.isprintable() for reason in result.skipped)


@pytest.mark.parametrize("seed", SEEDS)
def test_logs_of_ansor(tmp_path, seed):
    rng = np.random.default_rng(seed)
    lines = [line().encode()]
    for whole in (CPU, line(), line(GPU_STEPS, error=4), line(costs=[1e10])):
        lines += mutated(whole, rng, 150)
    for number in range(150):  # each the first of its task, which is made of it
        lines += mutated(line(workload=("of", number)), rng, 1)
    lines += [*mutated_workloads(rng, 60), *mutated_targets(rng, 60)]
    lines = [each.replace(b"\n", b"") for each in lines]
    (tmp_path / "log.json").write_bytes(b"\n".join(lines) + b"\n")
    is_counted(import_tenset(tmp_path / "log.json", tmp_path / "pool"), lines, tmp_path / "pool")


@pytest.mark.parametrize("seed", SEEDS)
def test_databases_of_metaschedule(tmp_path, monkeypatch, seed):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    rng = np.random.default_rng(seed)
    loop = ["SampleComputeLocation", ["b0"], [], ["l9"]]
    draw = ["SampleCategorical", [], [[16, 64], [0.5, 0.5]], ["v9"]]
    more = [[*trace()[0], loop, draw], [*trace()[1], [5, 1], [6, 0]]]
    lines = [record().encode()]
    for whole in (record(of=more), record(of=trace(2), seconds=[1e10]), record(1)):
        lines += mutated(whole, rng, 150)
    for number in range(300):  # each the first of its task, which is made of it
        lines += mutated(record(number + 2, of=more), rng, 1)
    folder = database(tmp_path / "db", [], workloads=2)
    (folder / "database_tuning_record.json").write_bytes(b"\n".join(lines) + b"\n")
    modules = (folder / WORKLOADS).read_text().splitlines()
    odd = [next(iter(mutated(modules[1], rng, 1))) for _ in range(20)]
    (folder / WORKLOADS).write_bytes(b"\n".join([modules[0].encode(), *odd]) + b"\n")
    is_counted(import_metaschedule(folder, tmp_path / "pool"), lines, tmp_path / "pool")

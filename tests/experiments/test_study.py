"""The scripts of `experiments/`: the same seeds print the same, killed or in shards too."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import balto
from balto.errors import InputError
from balto.learn.metrics import network_top_k
from balto.learn.saturation import outlook
from balto.testing import made_up_pool

SCRIPTS = Path(__file__).resolve().parents[2] / "experiments"
TABLE = ("--seeds", "2", "--budgets", "0.2", "--schemes", "full", "random", "balto", "gsy")


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))


def test_no_script_is_called_as_a_module_of_pythons():
    """Whichever of the two was imported first would be found in its place."""
    assert not {path.stem for path in SCRIPTS.glob("*.py")} & sys.stdlib_module_names


def start(script, *arguments):
    command = [sys.executable, str(SCRIPTS / script), *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, preexec_fn=heeds_ctrl_c, **pipes)


def heeds_ctrl_c():
    """A shell's background jobs ignore Ctrl-C, and so would all that they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(script, *arguments, code=0):
    process = start(script, *arguments)
    out, err = process.communicate()
    assert process.returncode == code, err
    return out if code == 0 else err


def printed(out):
    """Without the last line, which names the folder."""
    return out.splitlines()[:-1]


@pytest.mark.slow
def test_killed_and_in_shards_and_at_once_print_the_same_table(pool_path, tmp_path):
    arguments = ("--pool", pool_path, "--scale", "small", "--models", "xgb", *TABLE)
    once = printed(run("table1.py", *arguments, "--out", tmp_path / "once"))
    assert sum(line.startswith("| ") for line in once) == 2 * (2 + 4)  # two metrics

    killed, runs = tmp_path / "killed", tmp_path / "killed" / "runs"
    process = start("table1.py", *arguments, "--out", killed)
    while not list(runs.glob("*.parquet")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    first = {p: p.stat().st_mtime_ns for p in runs.glob("*.parquet")}
    assert 0 < len(first) < 8
    assert printed(run("table1.py", *arguments, "--out", killed)) == once
    assert all(p.stat().st_mtime_ns == when for p, when in first.items())  # none was run again

    shards = tmp_path / "shards"
    said = run("table1.py", *arguments, "--out", shards, "--shard", "1/2")
    assert said.startswith("4 of 8 replays are missing")
    assert printed(run("table1.py", *arguments, "--out", shards, "--shard", "2/2")) == once
    rows = pq.read_table(shards / "table1.parquet").to_pylist()
    assert {row["scheme"] for row in rows} == {"full", "random", "balto", "gsy"}
    assert (shards / "index.html").read_text().count("<table>") == 2


@pytest.mark.slow
def test_every_other_script_runs_on_pools_and_makes_a_section(pool_path, tmp_path):
    other = tmp_path / "other"
    balto.write_pool(made_up_pool(seed=1), other)
    few = ("--scale", "small", "--seeds", "1", "--out", tmp_path / "out", "--pool", pool_path)
    for script in ("figure1.py", "figure5.py", "figure8.py"):
        assert "| " in run(script, *few)
    assert "| xgb |" in run("models.py", *few, "--models", "xgb")
    assert "| xgb | random |" in run("t_max.py", *few, "--models", "xgb")
    assert "error: expected a second pool" in run("curve.py", *few, code=2)
    sources = ("--sources", other, "--schemes", "random")
    for script in ("curve.py", "seconds.py", "until_full.py"):
        assert "with a starter" in run(script, *few, *sources)
    once = run("saturation.py", *few, *sources, "--rounds", "12")
    assert "| pool | warm |" in once
    assert run("saturation.py", *few, *sources, "--rounds", "12") == once  # nothing counts twice
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("<section>") == 9
    assert page.count("<svg") == 6
    assert "&lt;svg" not in page


@pytest.mark.slow
def test_what_is_wrong_is_one_line(pool_path, tmp_path):
    bad = run("table1.py", "--pool", tmp_path / "none", "--out", tmp_path / "o", code=2)
    assert bad.startswith("table1.py: error: expected a recorded pool")
    few = ("--pool", pool_path, "--out", tmp_path / "o", "--shard", "3/2")
    assert "expected a shard such as 1/4" in run("table1.py", *few, code=2)
    assert bad.count("\n") == 1
    for script in ("figure5.py", "figure4.py"):
        none = run(script, "--out", tmp_path / "o", "--seeds", "0", code=2)
        assert none.startswith(f"{script}: error: argument --seeds: expected a whole number from 1")
        assert none.count("\n") == 1

    few = ("--pool", pool_path, "--out", tmp_path / "o", "--scale", "small", "--seeds", "1")
    few = (*few, "--models", "xgb")
    assert "| xgb |" in run("models.py", *few)
    torn = min((tmp_path / "o" / "runs").iterdir())
    torn.write_bytes(torn.read_bytes()[:100])
    told = run("models.py", *few, code=2)
    assert told.startswith(f"models.py: error: {torn} is damaged: ")
    assert told.endswith("; delete it, then run the same command again\n")
    assert told.count("\n") == 1
    torn.unlink()
    assert "| xgb |" in run("models.py", *few)


@pytest.mark.slow
def test_ctrl_c_is_a_line_and_the_same_command_goes_on(pool_path, tmp_path):
    process = start("table1.py", "--pool", pool_path, "--out", tmp_path, "--seeds", "50")
    while not list((tmp_path / "runs").glob("*.parquet")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "table1.py: interrupted; the same command goes on from here"
    assert "Traceback" not in err


def test_the_evidence_is_of_three_pools_of_random_programs():
    import _study
    import figure5

    options = _study.arguments(None).parse_args([])
    assert [Path(p).name for p in options.pool] == ["epyc-avx2", "epyc-avx512", "epyc-sse"]
    assert all((Path(p) / "programs.parquet").is_file() for p in options.pool)
    options.warm = True
    for cell in figure5.cells(options):
        assert len(cell.sources) >= 2
        assert not [p for p in cell.sources if p == cell.pool or "near-best" in p]


def test_a_cell_is_what_balto_replay_does(pool_path):
    import _replay

    cell = _replay.Cell(str(pool_path), "balto", budget=0.3, rounds=4, seed=3)
    run = _replay.replay(cell, None)
    pool = balto.read_pool(pool_path)
    expected = balto.replay(pool, selector="balto", budget=0.3, rounds=4, seed=3)
    assert run.measurements.tolist() == [r.measurements for r in expected.rounds]
    assert np.mean(run.values["top1"][-1]) == pytest.approx(expected.accuracy.top1)
    assert np.mean(run.values["halves"][-1]) == pytest.approx(expected.accuracy.top1_halves)
    assert [len(y) for y in run.labels] == np.diff(run.measurements, prepend=0).tolist()


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """A folder with copies of the code, which are what names of runs are made of."""
    import _replay

    for name in ("HERE", "LIBRARY"):
        copy = shutil.copytree(getattr(_replay, name), tmp_path / name)
        monkeypatch.setattr(_replay, name, copy)
    return tmp_path


def keys(*cells):
    import _replay

    _replay.statements.cache_clear()
    return [cell.key for cell in cells]


@pytest.mark.slow
def test_a_name_of_a_run_is_of_the_code_and_the_settings_that_it_is_made_with(
    pool_path, copies, monkeypatch
):
    import _replay

    plain = _replay.Cell(str(pool_path), "balto")
    cells = [
        plain,
        replace(plain, sources=(str(pool_path),)),
        replace(plain, scheme="thompson"),
        replace(plain, model="lightgbm"),
        replace(plain, model="primitives"),
    ]

    before = keys(*cells)
    for name, changed in {
        "HERE/_replay.py": [0, 1, 2, 3, 4],
        "HERE/_study.py": [],  # keeps runs; it decides none
        "HERE/starter.py": [1],
        "HERE/candidates.py": [],
        "HERE/_selectors.py": [2],
        "HERE/_models.py": [3, 4],
        "HERE/_sequence_models.py": [4],
        "LIBRARY/learn/tmax.py": [0, 1, 2, 3, 4],
        "LIBRARY/models/forest.py": [0, 1, 2, 3, 4],
        "LIBRARY/select/balto.py": [0, 1, 2, 3, 4],
        "LIBRARY/data/pool.py": [0, 1, 2, 3, 4],
        "LIBRARY/report/page.py": [],
    }.items():
        (copies / name).write_text("# other\n")
        after = keys(*cells)
        assert [i for i in range(5) if after[i] != before[i]] == changed, name
        before = after
    monkeypatch.setattr(_replay, "TEST_SHARE", 0.3)
    assert not set(keys(*cells)) & set(before)
    before = keys(*cells)
    loops = replace(_replay.FEATURE_SETS["loops"], version=99)
    monkeypatch.setitem(_replay.FEATURE_SETS, "loops", loops)
    assert not set(keys(*cells)) & set(before)


@pytest.mark.slow
def test_other_words_and_another_file_leave_a_run_its_name_and_other_code_does_not(
    pool_path, copies
):
    import _replay

    cell = _replay.Cell(str(pool_path), "balto")
    before = keys(cell)
    file = copies / "LIBRARY" / "models" / "forest.py"
    text = file.read_text()
    reworded = re.sub(r'^( *""")(?=\w)', r"\1In other words: ", text, flags=re.MULTILINE)
    reworded = reworded.replace("\n\n\n", "\n\n\n# Why it is so.\n")
    assert reworded.count("In other words") > 5 < reworded.count("Why it is so")
    file.write_text(reworded)
    assert keys(cell) == before
    file = file.rename(copies / "LIBRARY" / "learn" / "trees.py")
    model = copies / "LIBRARY" / "models" / "xgb.py"
    old, new = (f"from balto.{place} import" for place in ("models.forest", "learn.trees"))
    assert old in model.read_text()
    model.write_text(model.read_text().replace(old, new))
    assert keys(cell) == before
    file.write_text(text.replace("np.zeros", "np.ones", 1))
    assert keys(cell) != before


def test_what_a_campaign_sees_is_held_out_beside_what_judges(pool_path):
    import _replay

    cell = _replay.Cell(str(pool_path), "balto", budget=0.3, rounds=4, seen=0.1)
    run = _replay.replay(cell, None)
    pool = balto.read_pool(pool_path)
    selectable = sum(len(pool.programs(k)) - round(0.35 * len(pool.programs(k))) for k in range(3))
    assert run.share.tolist() == (run.measurements / selectable).tolist()
    for name in ("seen", "halves"):
        assert ((run.values[name] > 0) & (run.values[name] <= 1)).all()
    learner = balto.ActiveLearner(
        *(pool, balto.ReplayMeasurer(pool), "random", "xgb", balto.LoopSettings(test_share=0.35))
    )
    seen, judging = _replay._apart(learner, 0.1 / 0.35)
    both = np.sort(np.concatenate([seen, judging]))
    held_out = np.concatenate([learner.split.test[k] + pool.offsets[k] for k in range(3)])
    assert (both == held_out).all()
    assert len(seen) == 3 * 6


def test_growing_shares_end_at_the_accuracy_of_all_labels(pool_path):
    import _replay

    cell = _replay.Cell(str(pool_path), "random", shares=(0.05, 0.3, 1.0))
    run = _replay.replay(cell, None)
    full = _replay.replay(replace(cell, scheme="full", shares=()), None)
    assert run.share.tolist() == pytest.approx([0.05, 0.3, 1.0], abs=0.02)  # whole programs
    assert run.measurements[-1] == full.measurements[-1]
    # Trees depend on the order of the labels, which is the same where they come in one round.
    whole = _replay.replay(replace(cell, shares=(1.0,)), None)
    assert (whole.values["top1"][-1] == full.values["top1"][-1]).all()


def test_a_run_survives_its_file(pool_path, tmp_path):
    import _replay
    import _study

    cell = _replay.Cell(str(pool_path), "balto", budget=0.2, rounds=2)
    run = _replay.replay(cell, None)
    _study.save(cell, run, tmp_path / "run.parquet")
    back = _study.load(tmp_path / "run.parquet")
    assert back.tasks == run.tasks
    assert (back.labels, back.label_tasks) == (run.labels, run.label_tasks)
    for name, values in run.values.items():
        np.testing.assert_array_equal(back.values[name], values)


def test_a_held_out_network_is_judged_as_tensets_formula_has_it(pool_path, tmp_path):
    import _replay
    from _intervals import Ratio

    pool = balto.read_pool(pool_path)
    (tmp_path / "networks.json").write_text(f'{{"net": {{"{pool.tasks[1].name}": 3}}}}')
    networks = _replay.Networks(tmp_path)
    run = _replay.replay(_replay.Cell(str(pool_path), "full", network="net"), networks)
    assert run.tasks == [pool.tasks[1].name]
    assert run.measurements[-1] == len(pool) - len(pool.programs(1))  # the others, all of them
    others = _replay.part(pool, [0, 2])
    model = balto.replay(others, selector="full", test_share=0.0).model
    judged = _replay.part(pool, [1])
    for k in (1, 5):
        expected = network_top_k(
            *(model.predict(judged.features), judged.latency_s, judged.task_of_program),
            *(np.array([3.0]), k),
        )
        ratio = Ratio.network(
            "", [run.values["best_s"][-1]], [run.values[f"top{k}_s"][-1]], run.weight
        )
        assert ratio.value() == pytest.approx(expected)


def test_a_pools_own_file_says_which_tasks_a_network_has_unless_another_is_given(pool, tmp_path):
    import _study

    first, second = (task.name for task in pool.tasks[:2])
    for folder, name, often in (("pool", first, 3), ("given", second, 2)):
        (tmp_path / folder).mkdir()
        text = json.dumps({"((net,[(1,3)]),llvm)": {name: often}})
        (tmp_path / folder / "networks.json").write_text(text)
    own, given = str(tmp_path / "pool"), tmp_path / "given" / "networks.json"
    networks = _study.Networks(tmp_path / "out")
    assert networks.weights("((net,[(1,3)]),llvm)", pool, own) == {0: 3.0}
    with pytest.raises(InputError, match=r"tasks of resnet-50 in .*pool/networks\.json, which"):
        networks.weights("resnet-50", pool, own)
    for damage in ("[", "[]", '{"net": 3}'):
        (tmp_path / "pool" / "networks.json").write_text(damage)
        with pytest.raises(InputError, match=r"expected .* in .*pool/networks\.json"):
            networks.weights("net", pool, own)
    fixed = _study.Networks(tmp_path / "out", given)
    assert fixed.weights("((net,[(1,3)]),llvm)", pool, own) == {1: 2.0}


def test_a_failed_program_that_ranks_first_fails_its_network_unless_it_is_left_out(pool):
    import _replay
    from _intervals import Ratio

    class Known:
        def predict(self, _):
            return scores

    scores = np.nan_to_num(-pool.latency_s, nan=-1.0)  # those that fail already come last
    failed = int(np.argmax(scores))
    scores[failed] += 1
    outcomes = [pool.outcomes[i] for i in range(len(pool))]
    outcomes[failed] = balto.Outcome(balto.Status.BUILD_TIMEOUT)
    broken = replace(pool, outcomes=balto.Outcomes.of(outcomes))
    values = _replay._of_network(Known(), broken)
    weight = np.ones(len(pool.tasks))
    first, ran = (
        Ratio.network("", [values["best_s"]], [values[name]], weight).value()
        for name in ("top1_s", "top1_ran_s")
    )
    assert (first, ran) == (0, 1)
    np.testing.assert_array_equal(values["top5_s"], values["best_s"])  # four of the five ran


def test_a_starter_never_saw_the_pool_that_it_is_judged_on():
    import curve

    options = curve.options_of(None).parse_args(["--pool", "a", "b", "c", "--seeds", "1"])
    for (line, pool), cells in curve.cells(options).items():
        for cell in cells:
            assert bool(cell.sources) == line[1]
            assert pool not in cell.sources


def made_up_run(halves, labels=(), label_tasks=()):
    """A run of one round, by its values of Top-1."""
    import _replay

    halves = np.array([halves], dtype=float)
    values = {name: halves if name != "best_s" else np.ones_like(halves) for name in _replay.VALUES}
    tasks, one = [f"task {k}" for k in range(halves.shape[1])], np.ones(1)
    labels, label_tasks = [list(labels)], [list(label_tasks)]
    return _replay.Run(
        *(tasks, np.ones(len(tasks)), one, one, one, values, labels, label_tasks),
    )


def table_of(pools, networks, means):
    """Table 1 of schemes whose Top-1 is known."""
    import _replay
    import table1

    found = {
        _replay.Cell(str(pool), scheme, seed=seed, network=network): made_up_run([mean, mean])
        for pool in pools
        for network in networks
        for scheme, mean in means.items()
        for seed in range(2)
    }
    return table1.table(found, "xgb", 0.05, "top1", list(means))


def test_table_1_pairs_with_the_best_baseline_and_once_with_random(pool_path):
    means = {"random": 0.5, "gsx": 0.4, "lcmd": 0.6, "balto": 0.7}
    _, head, rows = table_of([pool_path], [""], means)
    assert list(head) == ["scheme", "mean", "against random", "against lcmd"]
    assert rows[-1][2:] == ["+.200 [+.200, +.200]", "+.100 [+.100, +.100]"]
    _, head, rows = table_of([pool_path], [""], {**means, "random": 0.65})
    assert list(head) == ["scheme", "mean", "against random"]
    assert {len(row) for row in rows} == {3}
    _, head, rows = table_of([pool_path], [""], {"balto": 0.7})
    assert list(head) == ["scheme", "mean"]


def test_table_1_tells_one_network_on_two_pools_apart(pool_path, tmp_path):
    other = shutil.copytree(pool_path, tmp_path / "other")
    means = {"random": 0.5, "balto": 0.7}
    for pools, networks, names in (
        ([pool_path], ["bert", "lenet"], ["bert", "lenet"]),
        ([pool_path, other], [""], ["pool", "other"]),
        ([pool_path, other], ["bert"], ["bert, pool", "bert, other"]),
    ):
        assert list(table_of(pools, networks, means)[1][1:-2]) == names


def test_figure_5_pairs_with_the_best_baseline_of_each_budget():
    import _intervals
    import figure5

    three = {  # rounds: the table shows the second, and the last
        "random": (0.1, 0.4, 0.5),
        "gsy": (0.9, 0.2, 0.3),
        "lcmd": (0.1, 0.3, 0.6),
        "balto": (0.1, 0.5, 0.7),
    }
    ratios = {
        scheme: [[_intervals.Ratio.mean("", [[value] * 3] * 2)] for value in values]
        for scheme, values in three.items()
    }
    _, head, rows = figure5.table(ratios, np.array([0.01, 0.02, 0.05]), ["random", "balto"])
    end = ["at 5.0%", "against random", "against lcmd"]
    assert head == ["scheme", "at 2.0%", "against random", *end]
    assert [row[0] for row in rows] == ["random", "balto", "lcmd"]  # gsy is the best nowhere
    assert rows[1][-1] == "+.100 [+.100, +.100]"


def test_figure_8_resamples_tasks_too(pool_path):
    import _intervals
    import figure8

    run = made_up_run([0, 0], labels=[1.0, 0.9, 0.6, 0.1], label_tasks=[0, 0, 0, 1])
    ratio = figure8.fast([run], 0, str(pool_path))
    assert ratio.value() == 0.75  # of the programs, not of the tasks
    assert set(np.round(ratio.draws(), 6)) == {0.0, 0.75, 1.0}  # one task, both, the other
    found = _intervals.estimate([ratio])
    assert (found.low, found.high) == (0, 1)


def saturated(pool_path, seen, judged):
    """Runs whose curves are known, by seed and round: what is seen, and what judges, by task."""
    import saturation

    runs = []
    for of_seed, judges in zip(seen, judged, strict=True):
        run = made_up_run(judges[0])
        run.values["seen"] = np.repeat(np.array(of_seed)[:, None], len(judges[0]), axis=1)
        run.values["halves"] = np.array(judges)
        measured = np.arange(1, len(of_seed) + 1) * 20
        runs.append(replace(run, measurements=measured, share=measured / 1000))
    return saturation.Curves(str(pool_path), ("balto", False), runs)


def test_the_rule_that_is_studied_is_the_one_of_campaigns(pool_path):
    import saturation

    rng = np.random.default_rng(0)
    measured = np.arange(1, 21) * 20
    seen = [0.4 + 0.06 * np.log(measured) + rng.normal(0, 0.01, 20) for _ in range(4)]
    curves = saturated(pool_path, seen, [np.array(s)[:, None] for s in seen])
    assert curves.selectable == 1000
    rounds = [
        [
            balto.Round(
                *(k + 1, {}, int(measured[k]), 0.0, {}),
                balto.Accuracy(0.5, 0.5, 0.5, 0.5, top1_halves=one[k]),
                *({}, 0.0, 0.0),
            )
            for k in range(20)
        ]
        for one in seen
    ]
    expected = [
        next(
            (
                k
                for k in range(20)
                if (said := outlook(one[: k + 1], 1000)) is not None and said.saturated
            ),
            19,
        )
        for one in rounds
    ]
    assert curves.stops(saturation.LEAST_GAIN, saturation.CONFIDENCE).tolist() == expected
    assert 5 < max(expected) < 19


def test_what_stopping_costs_is_by_the_programs_that_judge(pool_path):
    """Of two tasks one rises no more, and the other does; what is seen does not from 100 on."""
    import saturation

    measured = np.arange(1, 21) * 20
    seen = [np.minimum(0.5 + measured / 1000, 0.6)] * 3
    judged = [np.stack([np.full(20, 0.6), 0.2 + 0.001 * measured], axis=1)] * 3
    curves = saturated(pool_path, seen, judged)
    place = curves.stops(0.01, 0)[0]
    early, share, saved, ahead, *_, left = saturation.stopped([curves], 0.01, 0)
    assert early == "100% [100%, 100%]"
    assert share.startswith(f"{measured[place] / 1000:.1%} ")
    assert saved.startswith(f"{1 - measured[place] / 400:.0%} ")
    assert ahead == "+1.00 [+0.00, +2.00]"  # one task, both, the other
    rising = 0.05 * (380 - measured[place])  # the end is the mean of the last three rounds
    assert float(left.split()[0]) == pytest.approx(rising, abs=0.006)
    np.testing.assert_allclose(
        curves.at(curves.judged[0][:, 1], 33.0), np.interp(33, measured, judged[0][:, 1])
    )


@settings(deadline=None, max_examples=25)
@given(seeds=st.integers(1, 6), tasks=st.integers(1, 8), seed=st.integers(0, 2**32 - 1))
def test_the_interval_holds_the_mean_and_a_difference_is_paired(seeds, tasks, seed):
    import _intervals

    rng = np.random.default_rng(seed)
    values = rng.random((seeds, tasks))
    mine = _intervals.Ratio.mean("", values)
    found = _intervals.estimate([mine])
    assert found.value == pytest.approx(values.mean())
    assert values.min() - 1e-9 <= found.low <= found.high <= values.max() + 1e-9
    above = _intervals.difference([_intervals.Ratio.mean("", values + 0.25)], [mine])
    assert [above.value, above.low, above.high] == pytest.approx([0.25] * 3)  # no noise is left


def test_an_interval_does_not_depend_on_the_order_of_the_pools():
    import _intervals

    rng = np.random.default_rng(0)
    mine, other = (
        [_intervals.Ratio.mean(of, rng.random((3, tasks))) for of, tasks in (("a", 2), ("b", 9))]
        for _ in range(2)
    )
    assert str(_intervals.estimate(mine)) == str(_intervals.estimate(mine[::-1]))
    apart = _intervals.difference(mine, other)
    assert str(apart) == str(_intervals.difference(mine[::-1], other[::-1]))
    assert (mine[0].draws() != _intervals.Ratio.mean("c", mine[0].numerator).draws()).any()


def test_the_bootstrap_agrees_with_one_that_resamples_literally():
    import _intervals

    rng = np.random.default_rng(0)
    values = rng.random((5, 11)) ** 2
    literal = [
        values[np.ix_(rng.integers(0, 5, 5), rng.integers(0, 11, 11))].mean() for _ in range(20_000)
    ]
    draws = _intervals.Ratio.mean("", values).draws()
    np.testing.assert_allclose(
        np.quantile(draws, [0.025, 0.5, 0.975]),
        np.quantile(literal, [0.025, 0.5, 0.975]),
        atol=0.01,
    )


def test_a_network_whose_choice_failed_is_0_where_that_task_is_drawn():
    import _intervals

    best, chosen = np.array([[1.0, 1.0]]), np.array([[2.0, np.inf]])
    ratio = _intervals.Ratio.network("", best, chosen, np.array([1.0, 1.0]))
    assert ratio.value() == 0
    assert set(np.round(ratio.draws(), 6)) == {0.0, 0.5}  # only the first task drawn, or not

"""Programs as vectors of decisions: read from recorded traces, changed, and written again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import balto
from balto.programs.decisions import extract
from balto.search.sketches import Sketch, Sketches

POOL = Path(balto.__file__).parent.parent / "pools" / "epyc-avx2"


@pytest.fixture(scope="module")
def traces() -> list[str]:
    """100 recorded programs of a convolution: tiles, unrolling, a place to compute at."""
    pool = balto.read_pool(POOL)
    return [str(pool.trace(0, program)) for program in range(100)]


@pytest.fixture(scope="module")
def sketches(traces: list[str]) -> Sketches:
    return Sketches(traces)


@pytest.fixture(scope="module")
def sketch(sketches: Sketches) -> Sketch:
    return sketches.sketches[0]


def test_genes_say_what_the_trace_decided(traces: list[str], sketches: Sketches) -> None:
    for trace in traces:
        number, genes = sketches.of(trace)
        instructions, decided = json.loads(sketches.sketches[number].trace(genes))
        before = json.loads(trace)
        assert instructions == before[0][: len(instructions)]
        assert sorted(decided) == sorted(d for d in before[1] if d[0] < len(instructions))


def test_rows_are_those_of_the_feature_set(traces: list[str], sketches: Sketches) -> None:
    expected = extract(traces)
    for row, trace in zip(expected, traces, strict=True):
        number, genes = sketches.of(trace)
        np.testing.assert_array_equal(sketches.sketches[number].rows(genes[None])[0], row)


def test_every_option_of_a_tile_makes_the_same_extent(sketch: Sketch) -> None:
    for kind, options in zip(sketch.kinds, sketch.options, strict=True):
        if kind == "SamplePerfectTile":
            assert len(set(options.prod(axis=1).tolist())) == 1
            assert len(np.unique(options, axis=0)) == len(options)


def test_a_mutation_changes_at_most_one_decision(sketch: Sketch) -> None:
    rng = np.random.default_rng(0)
    genes = sketch.random(200, rng)
    changes = (sketch.mutated(genes, rng) != genes).sum(axis=1)
    assert changes.max() == 1
    assert changes.mean() > 0.7


def test_half_of_the_mutations_are_a_step(sketch: Sketch) -> None:
    rng = np.random.default_rng(0)
    genes = sketch.random(2000, rng)
    mutated = sketch.mutated(genes, rng)
    tiles = [k for k, kind in enumerate(sketch.kinds) if kind == "SamplePerfectTile"]
    stepped, expected = [], []
    for before, after in zip(genes, mutated, strict=True):
        for k in tiles:
            if before[k] != after[k]:
                steps, options = sketch.steps(k, before[k]), len(sketch.options[k])
                stepped.append(after[k] in steps)
                by_chance = 0.5 * len(steps) / options  # an option at random is one, too
                expected.append((0.5 + by_chance) / (1 - 0.5 / options))
    assert len(stepped) > 500
    assert np.mean(stepped) == pytest.approx(np.mean(expected), abs=0.06)


def test_a_child_has_its_decisions_from_its_parents(sketch: Sketch) -> None:
    rng = np.random.default_rng(0)
    genes = sketch.random(50, rng)
    for child in sketch.crossed(genes, rng):
        assert all(value in column for value, column in zip(child, genes.T, strict=True))


def test_neighbours_are_one_step_in_one_decision_away(sketch: Sketch) -> None:
    gene = sketch.random(1, np.random.default_rng(1))[0]
    near = sketch.neighbours(gene)
    assert len(np.unique(near, axis=0)) == len(near) > 0
    for other in near:
        [k] = np.flatnonzero(other != gene)
        if sketch.kinds[k] == "SamplePerfectTile":
            ratio = sketch.options[k][other[k]] / sketch.options[k][gene[k]]
            moved = ratio[ratio != 1]
            assert len(moved) == 2
            assert moved.prod() == pytest.approx(1)


def test_a_seed_fixes_what_is_drawn(sketch: Sketch) -> None:
    first, second = (sketch.random(20, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_niche_is_where_things_are_computed_whatever_the_tiles(sketch: Sketch) -> None:
    genes = sketch.random(50, np.random.default_rng(1))
    where = [k for k, kind in enumerate(sketch.kinds) if kind == "SampleComputeLocation"]
    assert where, "this convolution pads its input somewhere"
    same = (genes[:, None, where] == genes[None, :, where]).all(axis=2)
    niches = sketch.niches(genes)
    np.testing.assert_array_equal(niches[:, None] == niches, same)
    assert 1 < len(set(niches)) < 50

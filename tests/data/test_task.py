"""The seeds of tasks, which a folder that was begun before relies on."""

from __future__ import annotations

import pytest

from balto.data.task import task_seed


@pytest.mark.parametrize(
    ("seed", "name", "expected"),
    [
        (0, "matmul_64x64x64", 917_028_100),
        (7, "matmul_64x64x64", 372_949_327),
        (0, "größe", 4_159_815_901),
    ],
)
def test_a_folder_that_was_begun_before_goes_on_with_the_same_programs(
    seed: int, name: str, expected: int
) -> None:
    assert task_seed(seed, name) == expected


def test_seeds_differ_by_task_and_by_seed() -> None:
    seeds = {task_seed(seed, f"task{k}") for seed in range(20) for k in range(20)}
    assert len(seeds) == 400

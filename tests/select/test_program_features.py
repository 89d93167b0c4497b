import numpy as np

from balto.programs.features import COLUMNS, Features
from balto.select.program_features import program_features


def programs(count=30):
    rng = np.random.default_rng(0)
    return [rng.lognormal(3, 4, (int(rng.integers(1, 4)), COLUMNS)) for _ in range(count)]


def test_columns_are_standardised_within_the_task():
    x = program_features(Features.from_programs(programs()))
    assert x.shape == (30, 2 * COLUMNS)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(x.std(0), 1, atol=1e-3)


def test_constant_columns_say_nothing():
    made = programs()
    for program in made:
        program[:, 7] = 1234.5
    x = program_features(Features.from_programs(made))
    assert not x[:, COLUMNS + 7].any()


def test_store_rows_enter_in_no_order():
    made = programs()
    there = program_features(Features.from_programs(made))
    back = program_features(Features.from_programs([p[::-1] for p in made]))
    np.testing.assert_allclose(there, back, atol=1e-4)


def test_a_program_without_stores_has_features_too():
    x = program_features(Features.from_programs([*programs(), np.empty((0, COLUMNS))]))
    assert np.isfinite(x).all()

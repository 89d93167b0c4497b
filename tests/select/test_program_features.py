import numpy as np

from balto.data.features import STORE, Features, FeatureTable
from balto.select.program_features import program_features


def programs(count=30):
    rng = np.random.default_rng(0)
    return [rng.lognormal(3, 4, (int(rng.integers(1, 4)), STORE.width)) for _ in range(count)]


def features_of(made):
    return program_features(FeatureTable({"store": Features.from_programs(made)}))


def test_columns_are_standardised_within_the_task():
    x = features_of(programs())
    assert x.shape == (30, 2 * STORE.width)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(x.std(0), 1, atol=1e-3)


def test_constant_columns_say_nothing():
    made = programs()
    for program in made:
        program[:, 7] = 1234.5
    assert not features_of(made)[:, STORE.width + 7].any()


def test_store_rows_enter_in_no_order():
    made = programs()
    there, back = features_of(made), features_of([p[::-1] for p in made])
    np.testing.assert_allclose(there, back, atol=1e-4)


def test_a_program_without_stores_has_features_too():
    x = features_of([*programs(), np.empty((0, STORE.width))])
    assert np.isfinite(x).all()


def test_a_set_of_one_row_a_program_enters_as_its_columns():
    rng = np.random.default_rng(1)
    store, rows = Features.from_programs(programs()), rng.normal(size=(30, 1, 5))
    table = FeatureTable({"store": store, "other": Features.from_programs(rows, 5)})
    both, one = (program_features(table, names) for names in (("store", "other"), ("store",)))
    np.testing.assert_array_equal(both[:, :-5], one)
    scaled = np.sign(rows[:, 0]) * np.log1p(np.abs(rows[:, 0]))
    standardised = (scaled - scaled.mean(0)) / scaled.std(0)
    np.testing.assert_allclose(both[:, -5:], standardised, atol=1e-5)

"""Going through many programs in parts changes nothing but the memory it takes."""

from __future__ import annotations

import numpy as np
import pytest

from balto.data.features import STORE, Features, FeatureTable
from balto.models import create
from balto.models.chunks import chunks


@pytest.fixture
def mapped(tmp_path) -> tuple[FeatureTable, FeatureTable]:
    rng = np.random.default_rng(0)
    features = Features.from_programs(
        rng.uniform(0, 8, (rng.integers(1, 4), STORE.width)) for _ in range(40)
    )
    np.save(tmp_path / "rows.npy", features.rows)
    from_file = Features(np.load(tmp_path / "rows.npy", mmap_mode="r"), features.offsets)
    return FeatureTable({"store": features}), FeatureTable({"store": from_file})


@pytest.mark.parametrize("size", [1, 7, 40, 100])
def test_the_parts_are_the_whole(mapped, size: int) -> None:
    features, from_file = mapped
    for _ in range(2):  # pages that were given back can be read again
        parts = list(chunks(from_file, size))
        assert [p for place, _ in parts for p in range(40)[place]] == list(range(40))
        joined = FeatureTable.concatenate([part for _, part in parts])["store"]
        np.testing.assert_array_equal(joined.rows, features["store"].rows)
        np.testing.assert_array_equal(joined.offsets, features["store"].offsets)


def test_predictions_do_not_depend_on_the_size_of_the_parts(mapped, monkeypatch) -> None:
    features, from_file = mapped
    model = create("xgb")
    model.fit(features, np.linspace(0.1, 1, 40), np.zeros(40, np.int32))
    expected = model.predict(features)
    monkeypatch.setattr("balto.models.xgb.CHUNK", 7)
    np.testing.assert_array_equal(model.predict(from_file), expected)

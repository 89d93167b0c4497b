"""Cost-model files: what they say, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from balto.errors import ModelFileError
from balto.models import create, load, read_card, save
from balto.testing.models import labelled_programs


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = create("xgb", seed=3)
    model.fit(*labelled_programs(30))
    path = tmp_path_factory.mktemp("models") / "model.balto"
    save(model, path, {"device": "a CPU", "programs": 30})
    return path


def rewritten(saved, path, **changes):
    """A copy of the model file with other metadata."""
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "meta.json":
                data = json.dumps({**json.loads(data), **changes}).encode()
            new.writestr(name, data)
    return path


def test_the_card_says_what_the_model_was_trained_on(saved) -> None:
    card = read_card(saved)
    assert card.model == "xgb"
    assert card.trained_on == {"device": "a CPU", "programs": 30}
    assert card.config["seed"] == 3
    assert "numpy" in card.versions


def test_the_same_model_gives_the_same_bytes(saved, tmp_path) -> None:
    model, trained_on = load(saved)
    save(model, tmp_path / "again.balto", trained_on)
    assert (tmp_path / "again.balto").read_bytes() == saved.read_bytes()


def test_nothing_in_the_file_is_a_pickle(saved) -> None:
    with zipfile.ZipFile(saved) as archive:
        assert archive.namelist() == ["meta.json", "feature.npy", "threshold.npy", "value.npy"]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused_in_one_line(saved, tmp_path, share: float) -> None:
    data = saved.read_bytes()
    (tmp_path / "short.balto").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelFileError) as error:
        load(tmp_path / "short.balto")
    assert "\n" not in str(error.value)


def flipped(saved, path, place: int):
    data = bytearray(saved.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    return path


def test_a_flipped_bit_is_refused(saved, tmp_path) -> None:
    with zipfile.ZipFile(saved) as archive:
        ends = [info.header_offset for info in archive.infolist()[1:]] + [archive.start_dir]
        sizes = [info.file_size for info in archive.infolist()]
    for end, size in zip(ends, sizes, strict=True):
        for place in (end - size, end - size // 2, end - 1):
            with pytest.raises(ModelFileError):
                load(flipped(saved, tmp_path / "flipped.balto", place))


def test_a_flipped_bit_between_the_members_is_refused_or_changes_nothing(saved, tmp_path) -> None:
    """A ZIP archive says some things twice, and a date that nobody reads."""
    with zipfile.ZipFile(saved) as archive:
        start = archive.infolist()[1].header_offset
    features, *_ = labelled_programs(30)
    expected = load(saved)[0].predict(features)
    harmless = 0
    for place in range(start, start + 40):
        try:
            model = load(flipped(saved, tmp_path / "flipped.balto", place))[0]
        except ModelFileError:
            continue
        harmless += 1
        np.testing.assert_array_equal(model.predict(features), expected)
    assert 0 < harmless < 40


def test_a_foreign_file_is_refused(tmp_path) -> None:
    (tmp_path / "text.balto").write_text("not a model")
    with zipfile.ZipFile(tmp_path / "zip.balto", "w") as archive:
        archive.writestr("readme.txt", "a zip of something else")
    for name in ("text.balto", "zip.balto", "missing.balto"):
        with pytest.raises(ModelFileError, match=name):
            load(tmp_path / name)
    with pytest.raises(ModelFileError, match=r"cannot read"):
        load(tmp_path)


def test_another_feature_version_is_refused_and_named(saved, tmp_path) -> None:
    for other in (
        {"name": "store", "version": 1, "width": 172},
        {"name": "store", "version": 9, "width": 164},
        {"name": "shapes", "version": 1, "width": 3},
    ):
        named = "{name} version {version} .{width} columns.".format(**other)
        with pytest.raises(ModelFileError, match=rf"{named}.*164.*train again"):
            load(rewritten(saved, tmp_path / "other.balto", features=[other]))


def test_another_format_is_refused(saved, tmp_path) -> None:
    with pytest.raises(ModelFileError, match="format 99"):
        load(rewritten(saved, tmp_path / "other.balto", format=99))


def test_an_unknown_model_or_setting_is_refused(saved, tmp_path) -> None:
    with pytest.raises(ModelFileError, match="oracle"):
        load(rewritten(saved, tmp_path / "other.balto", model="oracle"))
    with pytest.raises(ModelFileError, match="xgb"):
        load(rewritten(saved, tmp_path / "bad.balto", config={"seed": 0, "settings": {"x": 1}}))


@pytest.mark.parametrize("name", ["xgb", "xgb-tenset", "mlp"])
def test_a_payload_that_its_library_cannot_read_is_refused(name: str, tmp_path) -> None:
    model = create(name)
    model.fit(*labelled_programs(30))
    save(model, tmp_path / "good.balto", {})
    bad = tmp_path / "bad.balto"
    with zipfile.ZipFile(tmp_path / "good.balto") as old, zipfile.ZipFile(bad, "w") as new:
        for member in old.namelist():
            new.writestr(member, old.read(member) if member == "meta.json" else b"nothing")
    with pytest.raises(ModelFileError, match=f"cannot load the {name} model") as error:
        load(bad)
    assert "\n" not in str(error.value)


def test_the_package_and_a_card_need_neither_xgboost_nor_torch(saved) -> None:
    code = (
        "import sys, balto.models as m\n"
        f"m.read_card({str(saved)!r})\n"
        "assert not {'xgboost', 'torch', 'tvm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

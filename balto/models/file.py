"""Cost-model files: one uncompressed zip of JSON and payloads, without pickle.

``meta.json`` says what the model is, which features it reads and what it was trained on; every
other member is a payload of the model itself (arrays, XGBoost's JSON, safetensors). The CRC of
each member detects damage.

There is one reader, and it is strict: what it does not expect it refuses before reading it, so
that a file costs no more memory than it has bytes. `load` then gives the payload to the model,
whose `from_state` checks what only it can know: shapes, ranges, column numbers.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from balto.arguments import check_type
from balto.data.features import FEATURE_SETS, FeatureSet
from balto.data.files import as_path, reading, write_atomically
from balto.data.target import Target
from balto.data.versions import versions_of
from balto.errors import InputError, ModelFileError
from balto.models.base import CostModel
from balto.models.prior import Prior
from balto.models.registry import MODELS
from balto.text import one_line

#: Version of the file's layout.
FORMAT = 2

_META = "meta.json"
#: A model that started from a model that started from a model ...
_DEEPEST = 8
#: Objects and lists within each other in ``meta.json``, at most.
_DEEPEST_JSON = 20
#: Members of a file, at most.
_MEMBERS = 64
#: What ``meta.json`` has to say, and in what form.
_KINDS: dict[str, tuple[type, str]] = {
    "model": (str, "text"),
    "config": (dict, "an object"),
    "features": (list, "a list"),
    "prior": (dict, "an object"),
    "sources": (int, "a number"),
    "trained_on": (dict, "an object"),
    "versions": (dict, "an object"),
    "payload": (list, "a list"),
}
_LIBRARIES = ("balto", "numpy", "numba", "xgboost-cpu", "xgboost", "torch", "safetensors")


@dataclass(frozen=True)
class ModelCard:
    """What a model file says about itself, readable without loading the model.

    Attributes:
        model: name of the cost model, e.g. ``xgb``.
        config: its hyper-parameters.
        features: the feature sets that it reads.
        prior: how much the models that it started from count.
        sources: how many those are.
        trained_on: what it was trained on: target, device, tasks, counts, seed.
        versions: of balto and the libraries that wrote the file.
    """

    model: str
    config: dict[str, Any]
    features: tuple[FeatureSet, ...]
    prior: dict[str, Any]
    sources: int
    trained_on: dict[str, Any]
    versions: dict[str, str]


def save(model: CostModel, path: str | Path, trained_on: dict[str, Any]) -> None:
    """Write a trained model; a reader sees the old file or the new one, never a half.

    Args:
        model: a fitted model.
        path: the file to write.
        trained_on: what it was trained on, JSON values only.

    Raises:
        InputError: If `model` is not a cost model, or `trained_on` holds what JSON cannot say.
        ModelNotFitted: If the model has not been trained.

    Examples:
        >>> model = balto.replay(balto.testing.made_up_pool(), budget=0.2, rounds=2).model
        >>> balto.save_model(model, "model.balto", {"device": "a laptop"})
        >>> balto.read_model_card("model.balto").model
        'xgb'
    """
    check_type("model", model, CostModel, "balto.create_model(...) makes one")  # type: ignore[type-abstract]
    check_type("trained_on", trained_on, dict, "a dict of JSON values")
    try:
        json.dumps(trained_on, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"expected trained_on to be JSON values: {one_line(error)}") from error
    data = to_bytes(model, trained_on)
    with write_atomically(as_path(path)) as partial:
        partial.write_bytes(data)


def to_bytes(model: CostModel, trained_on: dict[str, Any]) -> bytes:
    """The file of a trained model; the same model gives the same bytes.

    The models that it started from are members of their own, as files within the file.
    """
    config, payload = model.state()
    for number, source in enumerate(model.started_from):
        payload[_source_member(number)] = to_bytes(source, {})
    meta = {
        "format": FORMAT,
        "features": [FEATURE_SETS[name].to_dict() for name in model.feature_sets],
        "model": model.name,
        "config": config,
        "prior": model.prior.to_dict(),
        "sources": len(model.started_from),
        "trained_on": trained_on,
        "versions": versions_of(*_LIBRARIES),
        "payload": sorted(payload),
    }
    members = {_META: json.dumps(meta, indent=1, allow_nan=False).encode(), **payload}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in members:
            # A fixed date: the same model gives the same bytes.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), members[name])
    return file.getvalue()


def load(path: str | Path) -> tuple[CostModel, dict[str, Any]]:
    """Read a model and what it was trained on.

    Args:
        path: of the file.

    Returns:
        The fitted model, and what the file says that it was trained on.

    Raises:
        ModelFileError: If there is no such file, if it is damaged or not a model file, or if its
            features are of a version that this balto does not make.

    Examples:
        >>> model = balto.replay(balto.testing.made_up_pool(), budget=0.2, rounds=2).model
        >>> balto.save_model(model, "model.balto", {"device": "a laptop"})
        >>> loaded, trained_on = balto.load_model("model.balto")
        >>> trained_on
        {'device': 'a laptop'}
    """
    path = as_path(path)
    with reading(path, ModelFileError), path.open("rb") as file:
        card, payload = _read(file, str(path))
        return _model(card, payload, str(path), depth=0), card.trained_on


def _model(card: ModelCard, payload: dict[str, bytes], where: str, depth: int) -> CostModel:
    """The model of a card; those that it started from are files within its file."""
    advice = "train the model again, or restore the file from a copy"
    if depth > _DEEPEST or not 0 <= card.sources <= _MEMBERS:
        raise ModelFileError(f"{where}: expected at most {_DEEPEST} models within each other")
    sources = []
    for number in range(card.sources):
        name = _source_member(number)
        inside = f"{where}/{name}"
        with reading(inside, ModelFileError, advice):
            sources.append(_model(*_read(io.BytesIO(payload.pop(name)), inside), inside, depth + 1))
    with reading(where, ModelFileError, advice):
        try:
            config = {**card.config, "sources": len(sources)}
            model = MODELS[card.model].from_state(config, payload)
            model.start_from(*sources)
            model.prior = Prior.from_dict(card.prior, len(sources))
        except Exception as error:  # each library has its own way to say that its bytes are wrong
            raise ModelFileError(
                f"{where}: cannot load the {card.model} model: {one_line(error)}"
            ) from error
        if tuple(each.name for each in card.features) != model.feature_sets:
            raise ModelFileError(
                f"{where}: expected features for {', '.join(model.feature_sets)}, it has "
                f"{', '.join(map(str, card.features))}"
            )
    return model


def _source_member(number: int) -> str:
    return f"source{number}.balto"


def read_card(path: str | Path) -> ModelCard:
    """Read what a model file says about itself; loads neither XGBoost nor torch.

    Args:
        path: of the file.

    Returns:
        What the file's ``meta.json`` says.

    Raises:
        ModelFileError: If `load` would refuse the file by what ``meta.json`` says.
    """
    path = as_path(path)
    with reading(path, ModelFileError), path.open("rb") as file:
        return _read(file, str(path))[0]


def _read(file: IO[bytes], path: str) -> tuple[ModelCard, dict[str, bytes]]:
    size = file.seek(0, io.SEEK_END)
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise ModelFileError(
            f"{path} is no model file of balto, or a damaged one: {one_line(error)}"
        ) from error
    with archive:
        members = _members(path, archive, size)
        card, payload = _card(path, archive.read(members[_META]))
        if sorted(members) != sorted([_META, *payload]):
            raise ModelFileError(
                f"{path} is no model file of balto: expected {', '.join([_META, *payload])} "
                f"in it, got {one_line(', '.join(members))}"
            )
        return card, {name: archive.read(members[name]) for name in payload}


def _members(path: str | Path, archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """What is in the file, by name; nothing of it is read yet."""
    listed = archive.infolist()
    members = {each.filename: each for each in listed}
    for holds, expected in (
        (_META in members, f"a {_META} in it"),
        (len(members) == len(listed) <= _MEMBERS, f"at most {_MEMBERS} parts, each once"),
        (all(each.compress_type == zipfile.ZIP_STORED for each in listed), "no compression"),
        (not any(each.flag_bits & 1 for each in listed), "no encryption"),
        (
            all(each.file_size == each.compress_size for each in listed)
            and sum(each.file_size for each in listed) <= size,
            "parts that are no larger than the file",
        ),
    ):
        if not holds:
            raise ModelFileError(f"{path} is no model file of balto: expected {expected}")
    return members


def _card(path: str | Path, text: bytes) -> tuple[ModelCard, list[str]]:
    """What ``meta.json`` says, and the names of the payloads."""
    meta = json.loads(text)
    if not isinstance(meta, dict) or "format" not in meta:
        raise ModelFileError(f"{path} is no model file of balto: {_META} has no format")
    if meta["format"] != FORMAT:
        writer = meta.get("versions")
        version = writer.get("balto") if isinstance(writer, dict) else None
        raise ModelFileError(
            f"{path} has model format {one_line(meta['format'])}, this balto reads {FORMAT}: use "
            f"the balto that wrote it ({one_line(version or 'unknown')}), or train again"
        )
    for name, (kind, words) in _KINDS.items():
        if not isinstance(meta.get(name), kind):
            raise ModelFileError(
                f"{path} is no model file of balto: expected {name} in {_META} to be "
                f"{words}, got {one_line(repr(meta.get(name)))}"
            )
    if _depth(meta) > _DEEPEST_JSON:
        raise ModelFileError(
            f"{path} is no model file of balto: expected at most {_DEEPEST_JSON} levels in {_META}"
        )
    try:
        for each in meta["trained_on"].get("targets", []):
            Target.from_json(each)
    except (InputError, TypeError) as error:
        raise ModelFileError(
            f"{path} is no model file of balto: expected targets in {_META} to be a list of "
            f"targets, got {one_line(meta['trained_on']['targets'])}"
        ) from error
    features = tuple(FeatureSet(f["name"], f["version"], f["width"]) for f in meta["features"])
    for each in features:
        if FEATURE_SETS.get(each.name) != each:
            raise ModelFileError(
                f"{path} was trained on the features {one_line(each)}, this balto makes "
                f"{', '.join(map(str, FEATURE_SETS.values()))}: train again"
            )
    card = ModelCard(
        model=meta["model"],
        config=meta["config"],
        features=features,
        prior=meta["prior"],
        sources=meta["sources"],
        trained_on=meta["trained_on"],
        versions=meta["versions"],
    )
    return card, [str(name) for name in meta["payload"]]


def _depth(value: Any) -> int:
    """How many objects and lists there are within each other; JSON itself stops at a thousand."""
    depth, level = 0, [value]
    while level := [v for v in level if isinstance(v, dict | list)]:
        depth += 1
        level = [inner for v in level for inner in (v.values() if isinstance(v, dict) else v)]
    return depth

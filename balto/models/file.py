"""Cost-model files: one uncompressed zip of JSON and payloads, without pickle.

``meta.json`` says what the model is, which features it reads and what it was trained on; every
other member is a payload of the model itself (arrays, XGBoost's UBJSON, safetensors). The CRC of
each member detects damage.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from balto.errors import ModelFileError
from balto.models.base import CostModel
from balto.models.registry import model_class
from balto.pool.files import write_atomically
from balto.programs.features import COLUMNS

#: Version of the file's layout.
FORMAT = 1
#: Which features a model reads. A change of their meaning raises the number.
FEATURES = {"schema": "tvm-per-store", "version": 1, "columns": COLUMNS}

_META = "meta.json"
_LIBRARIES = ("balto", "numpy", "numba", "xgboost-cpu", "xgboost", "torch", "safetensors")


@dataclass(frozen=True)
class ModelCard:
    """What a model file says about itself, readable without loading the model.

    Attributes:
        model: name of the cost model, e.g. ``xgb``.
        config: its hyper-parameters.
        trained_on: what it was trained on: target, device, tasks, counts, seed.
        versions: of balto and the libraries that wrote the file.
    """

    model: str
    config: dict[str, Any]
    trained_on: dict[str, Any]
    versions: dict[str, str]


def save(model: CostModel, path: str | Path, trained_on: dict[str, Any]) -> None:
    """Write a trained model; a reader sees the old file or the new one, never a half.

    Args:
        model: a fitted model.
        path: the file to write.
        trained_on: what it was trained on, JSON values only.

    Raises:
        ModelNotFitted: the model has not been trained.
    """
    config, payload = model.state()
    meta = {
        "format": FORMAT,
        "features": FEATURES,
        "model": model.name,
        "config": config,
        "trained_on": trained_on,
        "versions": _versions(),
        "payload": sorted(payload),
    }
    members = {_META: json.dumps(meta, indent=1, allow_nan=False).encode(), **payload}
    with write_atomically(Path(path)) as partial, zipfile.ZipFile(partial, "w") as archive:
        for name in members:
            # A fixed date: the same model gives the same bytes.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), members[name])


def load(path: str | Path) -> tuple[CostModel, dict[str, Any]]:
    """Read a model and what it was trained on.

    Raises:
        ModelFileError: no such file, damaged, of another feature version, or no model file.
    """
    card, payload = _read(Path(path))
    try:
        model = model_class(card.model).from_state(card.config, payload)
    except Exception as error:  # each library has its own way to say that its bytes are wrong
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"{path}: cannot load the {card.model} model: {reason}") from error
    return model, card.trained_on


def read_card(path: str | Path) -> ModelCard:
    """Read what a model file says about itself; loads neither XGBoost nor torch.

    Raises:
        ModelFileError: as for `load`.
    """
    return _read(Path(path))[0]


def _read(path: Path) -> tuple[ModelCard, dict[str, bytes]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"cannot read the model file {path}: {error.strerror}") from error
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        meta = json.loads(members[_META])
        layout, features = meta["format"], meta["features"]
        payload = {name: members[name] for name in meta["payload"]}
        card = ModelCard(meta["model"], meta["config"], meta["trained_on"], meta["versions"])
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as error:
        raise ModelFileError(f"{path} is no model file, or is damaged: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path} is no model file of balto: {error!r}") from error
    if layout != FORMAT:
        raise ModelFileError(
            f"{path} has model format {layout}, this balto reads {FORMAT}: use the balto that "
            f"wrote it ({card.versions.get('balto')}), or train again"
        )
    if features != FEATURES:
        raise ModelFileError(
            f"{path} was trained on features {_line(features)}, this balto makes "
            f"{_line(FEATURES)}: train again"
        )
    return card, payload


def _line(features: Any) -> str:
    return json.dumps(features, sort_keys=True)


def _versions() -> dict[str, str]:
    versions: dict[str, str] = {}
    for library in _LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            continue
    return versions

"""Looking into a ``.pt2`` file before torch loads it, since torch would run code that one names.

``torch.export.load`` unpickles inputs and weights, loads compiled libraries, evaluates the text of
symbolic sizes, takes any dotted name for an operator, imports what inputs are nested in, and
compiles Python whose variables are called as the file says. Here what ordinary files have is
allowed, and everything else is refused by its name.
"""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from balto.data.files import reading
from balto.errors import InputError
from balto.tasks.archive_texts import odd_texts
from balto.text import last_line, one_line

#: The records of an archive, below the folder that all of them lie in.
RECORDS = (
    *("archive_format", "archive_version", "byteorder", "version", ".data/*", ".format_version"),
    *("models/*.json", "data/weights/*", "data/constants/*", "data/sample_inputs/*.pt", "extra/*"),
)
#: Constants that are objects, of C++ and of Python.
_OBJECTS = ("custom_obj_", "opaque_obj_")


def load(path: str) -> Any:
    """A ``.pt2`` file as torch's ``ExportedProgram``, if it holds nothing that would run.

    Raises:
        InputError: As `check_archive`.
    """
    import torch

    check_archive(path)
    # A second barrier, of torch's own, in all of this process: a worker, which loads nothing else.
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    return torch.export.load(path)


def check_archive(path: str) -> None:
    """Refuse a ``.pt2`` file that has anything in it that would run code when it is loaded.

    Raises:
        InputError: If the file cannot be read, is no archive of `torch.export.save` of torch 2.8
            or later, or names what is neither a tensor, an operator nor arithmetic.
    """
    from torch.export.pt2_archive import PT2ArchiveReader

    with reading(path, InputError):
        if not zipfile.is_zipfile(path):
            raise InputError(f"cannot read {one_line(path)} as a model: it is no zip archive")
        with zipfile.ZipFile(path) as listed:
            names = _names(path, listed.infolist())
        with PT2ArchiveReader(path) as archive:  # what torch itself will see
            if sorted(archive.get_file_names()) != sorted(names):
                raise _refusal(path, "lists other records at its end than torch finds in it")
            for name in names:
                if name.endswith(".json") and not name.startswith("extra/"):
                    odd = next(odd_texts(json.loads(archive.read_bytes(name))), None)
                    if odd is not None:
                        raise _refusal(path, f"has an odd text in {name}, {one_line(odd)}")
            for name in _pickles(path, names, archive.read_bytes):
                if data := archive.read_bytes(name):  # a module saved without inputs has none
                    _check_pickle(path, name, data)


def _refusal(path: str, what: str) -> InputError:
    return InputError(
        f"{one_line(path)} {what}: refused, nothing of it was loaded; expected what "
        "torch.export.save writes of a module whose inputs are tensors"
    )


def _names(path: str, listed: list[zipfile.ZipInfo]) -> list[str]:
    """Names of the records, without the folder that all of them lie in."""
    root = listed[0].filename.partition("/")[0] + "/" if listed else "/"
    names = [each.filename.removeprefix(root) for each in listed]
    for each, name in zip(listed, names, strict=True):
        if each.filename in ("version", "serialized_exported_program.json"):
            raise _refusal(path, "was saved by torch 2.7 or older; save it again with this torch")
        known = any(fnmatchcase(name, pattern) for pattern in RECORDS)
        if not each.filename.startswith(root) or not known or ".." in name or "\\" in name:
            raise _refusal(path, f"has the record {one_line(each.filename)}, which may be code")
        if each.compress_type != zipfile.ZIP_STORED or each.file_size != each.compress_size:
            raise _refusal(path, f"has a compressed record, {one_line(each.filename)}")
    if len({name.casefold() for name in names}) != len(names):
        raise _refusal(path, "has two records of one name")
    return names


# Pickles


def _pickles(path: str, names: list[str], read: Callable[[str], bytes]) -> list[str]:
    """Names of the records that torch would unpickle."""
    found = [name for name in names if name.endswith(".pt") and name.startswith("data/")]
    for name in names:
        folder, _, config = name.rpartition("/")
        if folder not in ("data/weights", "data/constants") or not config.endswith("_config.json"):
            continue
        for each in json.loads(read(name))["config"].values():
            if each["path_name"].startswith(_OBJECTS):
                raise _refusal(path, f"has the object {each['path_name']} among its constants")
            if each["use_pickle"]:
                found.append(os.path.join(folder, each["path_name"]))  # noqa: PTH118  # as torch
    return found


def _check_pickle(path: str, name: str, data: bytes) -> None:
    import torch

    try:
        torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        said = re.search(r"GLOBAL (\S+)", str(error))
        what = f"names {said[1]}" if said else f"holds more than tensors ({last_line(error)})"
        raise _refusal(path, f"would run code: {name} {one_line(what)}") from None

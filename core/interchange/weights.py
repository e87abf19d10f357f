"""The weights of a folder of another library: safetensors, whole or in shards, or `.bin` files, read without code.

Names and shapes are known before a tensor is read, so that a config can be checked against them first. A `.bin` is a
pickle: only torch's reader of plain tensors (`weights_only`) sees it, and what holds anything else is refused.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from core.durable import read_json
from core.errors import InputError, IntegrityError

SAFETENSORS, BIN = "model.safetensors", "pytorch_model.bin"
MAX_JSON_BYTES = 2**26
_NO_PICKLE = ("Unsupported operand", "String is too long", "unsupported persistent id")
"""How torch's reader says that the bytes are no pickle at all; its other refusals are of what one would run."""


@dataclass(frozen=True)
class StoredWeights:
    files: tuple[Path, ...]
    shapes: dict[str, tuple[int, ...]]
    tensor: Callable[[str], Tensor]
    """Name to the tensor as it is stored. Raises IntegrityError where it cannot be read."""


def open_weights(folder: Path) -> StoredWeights:
    """The weights of a folder; safetensors where there are both kinds.

    Raises:
        InputError: there are none, or a `.bin` holds more than tensors.
        IntegrityError: a file is damaged or missing.
    """
    for name, read in ((SAFETENSORS, _safetensors), (BIN, _pickled)):
        if (folder / name).is_file():
            return read([folder / name])
        if (folder / f"{name}.index.json").is_file():
            return read(_shards(folder / f"{name}.index.json"))
    raise InputError(f"{folder} has no weights: neither {SAFETENSORS} nor {BIN}, nor an index of their shards")


def _shards(index: Path) -> list[Path]:
    """The files that an index names. A name that is no plain file name of the folder is refused."""
    listing = read_json(index, max_bytes=MAX_JSON_BYTES)
    names = listing.get("weight_map") if isinstance(listing, dict) else None
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise IntegrityError(f"{index} is damaged: it has no weight_map from tensors to files")
    files = sorted(set(names.values()))
    for name in files:
        if Path(name).name != name:
            raise IntegrityError(f"{index} names a file outside of its folder: {name!r}")
        if not (index.parent / name).is_file():
            raise IntegrityError(f"{index.parent / name} is missing, {index.name} names it")
    return [index.parent / name for name in files]


def _safetensors(files: list[Path]) -> StoredWeights:
    shapes: dict[str, tuple[int, ...]] = {}
    owner: dict[str, tuple[Path, Any]] = {}
    for path in files:
        try:
            archive = safe_open(path, framework="pt")
            for name in list(archive.keys()):
                _once(name, shapes, path)
                shapes[name] = tuple(archive.get_slice(name).get_shape())
                owner[name] = (path, archive)
        except SafetensorError as error:
            raise IntegrityError(f"{path} is damaged: {error}", hint="Copy or download it again.") from error

    def tensor(name: str) -> Tensor:
        path, archive = owner[name]
        try:
            found: Tensor = archive.get_tensor(name)
        except SafetensorError as error:
            raise IntegrityError(f"{path} is damaged at '{name}': {error}") from error
        return found

    return StoredWeights(tuple(files), shapes, tensor)


def _pickled(files: list[Path]) -> StoredWeights:
    tensors: dict[str, Tensor] = {}
    for path in files:
        for name, value in _plain_tensors(path).items():
            _once(name, tensors, path)
            if not isinstance(name, str) or not isinstance(value, Tensor):
                raise InputError(f"{path} holds {type(value).__name__} under {name!r}, expected tensors only")
            if value.numel() * value.element_size() > path.stat().st_size:
                raise IntegrityError(f"{path}: '{name}' claims more bytes than the file has")
            tensors[name] = value
    return StoredWeights(
        tuple(files), {name: tuple(value.shape) for name, value in tensors.items()}, tensors.__getitem__
    )


def _plain_tensors(path: Path) -> dict[Any, Any]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if any(said in str(error) for said in _NO_PICKLE):
            raise IntegrityError(f"{path} is damaged: it is no file of torch.save") from error
        raise InputError(
            f"{path} holds pickled code, which is not run", hint="Give safetensors, or a .bin of tensors only."
        ) from error
    except (MemoryError, OSError):
        raise
    except Exception as error:  # the reader of a damaged pickle may raise anything
        said = str(error).partition("\n")[0] or type(error).__name__
        raise IntegrityError(f"{path} is damaged: {said}", hint="Copy or download it again.") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} holds a {type(found).__name__}, expected tensors by name")
    return found


def _once(name: Any, seen: Any, path: Path) -> None:
    if name in seen:
        raise IntegrityError(f"{path} has '{name}' a second time")

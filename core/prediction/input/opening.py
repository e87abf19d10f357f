"""Which kind of input lies at a place, opened by the process that plans and, from its plan, by those that work."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from collections.abc import Sequence as Several
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.durable import json_bytes, read_json
from core.errors import ConfigError, IntegrityError
from core.places import is_remote, place
from core.prediction.input import INPUT, Input, Reader
from core.prediction.input.array_group import KEYS
from core.prediction.input.arrays import ArrayInput
from core.prediction.input.files import BESIDE, FilesInput, read_files
from core.prediction.input.store import StoreInput
from core.store import TokenStore

if TYPE_CHECKING:
    from core.prediction.plan import PredictionPlan

_ZARR = ("zarr.json", ".zgroup", ".zarray")


def find_input(
    given: Path | str | Several[Path | str],
    keys: Mapping[str, Any],
    reader: Reader | None,
    output: Path,
    *,
    domain: str,
    max_bad: float,
) -> Input:
    """The rows at a place or in files.

    Args:
        given: a token store, a Zarr group or array, raw files, folders or patterns of them.
        keys: those of `array_group.KEYS`, which name arrays; others go to the records' reader.
        reader: makes and encodes records; only token stores can do without.
        output: raw files are kept as tokens beside it.

    Raises as the inputs themselves.
    """
    listed = [given] if isinstance(given, str | Path) else list(given)
    places = [place(one) for one in listed]
    keys = {key: value for key, value in keys.items() if value is not None}
    arrays = [key for key in KEYS if key in keys]
    if len(places) == 1:
        path = places[0]
        if not arrays and is_token_store(path):
            if keys:
                raise ConfigError(f"input.{next(iter(keys))}: {path} is a token store, which needs no further key")
            return StoreInput(TokenStore.open(path, verify="metadata"))
        if reader is None:
            return StoreInput(TokenStore.open(path))  # which says what is wrong with it
        is_zarr = any((path / name).is_file() for name in _ZARR)
        if arrays and not is_zarr:
            raise ConfigError(f"input.{arrays[0]}: {path} is no Zarr group", hint="Such keys name arrays of one.")
        if is_zarr and (reader.text or reader.values):
            return ArrayInput(path, keys, reader)
    if reader is None or arrays:
        raise ConfigError(f"input: got {len(places)} places, expected one token store or Zarr group")
    for path in places:
        if is_remote(path):
            raise ConfigError(
                f"input: {path} is no store; raw files are read from this machine only", hint="Copy them here first."
            )
    return read_files(tokens_beside(output), places, keys, reader, domain=domain, max_bad=max_bad)


def is_token_store(path: Path) -> bool:
    """Whether a token store lies there, in one piece or in parts."""
    return (path / "manifest.json").is_file() or (path / "parts").is_dir()


def tokens_beside(output: Path) -> Path:
    """Where records of raw files are kept until the output is complete; here, where the output is at a URL."""
    name = f"{output.name}{BESIDE}"
    return Path(name) if is_remote(output) else output.with_name(name)


def remove_unused_tokens(output: Path) -> None:
    """Removes `tokens_beside` unless an output that is not complete may yet be made from them."""
    attributes = read_json(output / "zarr.json").get("attributes", {}) if (output / "zarr.json").is_file() else {}
    if attributes.get("complete", True):
        shutil.rmtree(tokens_beside(output), ignore_errors=True)


def open_input(plan: PredictionPlan, reader: Reader | None) -> Input:
    """The input that a plan was made for. Raises IntegrityError where it is another one now."""
    said = plan.identity["input"]
    found: Input
    if "kind" not in said:
        found = StoreInput(TokenStore.open(plan.input, verify="metadata"))
    elif said["kind"] == "files":
        found = FilesInput.open(plan.input, said["fingerprint"])
    else:
        if reader is None:
            raise ConfigError(f"{plan.input} holds arrays, and nothing here makes records of them")
        files = read_json(plan.output / INPUT)
        if hashlib.sha256(json_bytes(files)).hexdigest() != said["fingerprint"]:
            raise IntegrityError(f"{plan.output / INPUT} does not belong to the plan")
        named = {key: name for key, name in said["arrays"].items() if key in KEYS and name}
        keys = {**named, **said["options"]}
        found = ArrayInput(plan.input, keys, reader, files)
    if found.identity["fingerprint"] != said["fingerprint"]:
        mine, planned = found.identity["fingerprint"][:12], said["fingerprint"][:12]
        raise IntegrityError(f"{plan.input} is not what the plan was made for: {mine}, planned {planned}")
    return found

"""Checkpoints: folders of safetensors and JSON that are whole or not there.

A folder is written beside its place, every file fsynced, a manifest of hashes last, then renamed. The loader takes the
newest folder that its manifest confirms and says what it skipped and why. No pickle is written or read.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, contiguous_format

from core.durable import check_manifest, json_bytes, manifest, new_folder, read_json, resources_named
from core.errors import ForetellError, IntegrityError, ResourceError
from core.training.state import TrainingState

FORMAT, FORMAT_VERSION = "foretell/checkpoint", 1
MANIFEST = "manifest.json"
_WEIGHTS, _OPTIMIZER, _AVERAGES, _COURSE = (
    "model.safetensors",
    "optimizer.safetensors",
    "ema.safetensors",
    "course.json",
)
_NAME = re.compile(r"step-(\d+)")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """What was read back."""

    path: Path
    state: TrainingState
    course: dict[str, Any]
    """As `Course.to_config` wrote it."""


def save_checkpoint(folder: Path, state: TrainingState, course: dict[str, Any], *, keep: int) -> Path:
    """Writes `folder/step-N` and then removes all but the newest `keep`. Raises ResourceError; older ones stay then."""
    final = folder / f"step-{course['step']:09d}"
    try:
        with new_folder(final, overwrite=True) as partial, resources_named(final):
            _write_tensors(partial / _WEIGHTS, state.weights)
            _write_tensors(partial / _OPTIMIZER, state.optimizer)
            if state.averages is not None:
                _write_tensors(partial / _AVERAGES, state.averages)
            (partial / _COURSE).write_bytes(json_bytes(course))
            about = {"format": FORMAT, "format_version": FORMAT_VERSION, "files": manifest(partial)}
            (partial / MANIFEST).write_bytes(json_bytes(about))
    except ResourceError as error:
        kept = _by_step(folder)
        known = f"The last good checkpoint is {kept[-1]}." if kept else "There is no earlier checkpoint."
        raise ResourceError(error.message, hint=f"{known} Make room, then give the same command again.") from error
    for old in _by_step(folder)[:-keep]:
        _remove(old)
    return final


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that its manifest confirms, or None. What is skipped is logged and set aside.

    Raises IntegrityError for a sound one that a later version wrote.
    """
    for path in reversed(_by_step(folder)):
        try:
            about = read_json(path / MANIFEST)
            if not isinstance(about, dict) or about.get("format") != FORMAT:
                raise IntegrityError(f"{path / MANIFEST} is not a checkpoint's")
            check_manifest(path, about["files"])
        except (ForetellError, OSError, KeyError, TypeError) as error:
            aside = path.with_name(f"{path.name}.damaged")
            log.warning("skipped a damaged checkpoint, now %s: %s", aside.name, error)
            shutil.rmtree(aside, ignore_errors=True)
            with resources_named(path):
                os.rename(path, aside)
            continue
        if about["format_version"] > FORMAT_VERSION:
            raise IntegrityError(
                f"{path} has format_version {about['format_version']}, this version reads up to {FORMAT_VERSION}",
                hint="Go on with the version of foretell that wrote it, or a later one.",
            )
        return path
    return None


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint that `newest_checkpoint` confirmed."""
    averages = load_file(path / _AVERAGES) if (path / _AVERAGES).exists() else None
    state = TrainingState(load_file(path / _WEIGHTS), load_file(path / _OPTIMIZER), averages)
    return Checkpoint(path, state, read_json(path / _COURSE))


def sweep(run: Path) -> None:
    """Removes what a killed process left half-written or half-removed: nobody else writes here, the run is locked."""
    for folder in (run, run / "checkpoints"):
        if folder.is_dir():
            for pattern in ("*.partial-*", "*.replaced-*", "*.dropped"):
                for path in folder.glob(pattern):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _by_step(folder: Path) -> list[Path]:
    """Checkpoint folders, the oldest first; sound or not."""
    if not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if _NAME.fullmatch(p.name)), key=lambda p: int(p.name[5:]))


def _remove(path: Path) -> None:
    """A name change first: a kill in between leaves a leftover, not a checkpoint that looks damaged."""
    dropped = path.with_name(f"{path.name}.dropped")
    with resources_named(path):
        os.rename(path, dropped)
        shutil.rmtree(dropped)


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """safetensors; tensors that share memory are written once each. Raises OSError where the system refuses."""
    seen: set[int] = set()
    separate = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        separate[name] = tensor.clone(memory_format=contiguous_format) if place in seen else tensor.contiguous()
        seen.add(place)
    try:
        save_file(separate, path)
    except SafetensorError as error:
        # the Rust side tells the system's error number in its text only
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
    path.chmod(0o644)  # safetensors makes it for its owner alone; the folder's permissions decide

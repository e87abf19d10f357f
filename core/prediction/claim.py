"""The output of a prediction while it is made: begun once, of one plan, written by one command unless it is shared.

On this machine a lock keeps a second command away. At a URL there are no locks: `plan.json` is put only where none is,
and two equal commands do the same blocks with the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from core.durable import json_bytes, new_folder, one_at_a_time, read_json, resources_named, write_files_durably
from core.errors import ConfigError, IntegrityError
from core.places import Remote, is_remote
from core.prediction.input import INPUT, Input
from core.prediction.input.arrays import ArrayInput
from core.prediction.layout import PLAN, Layout, root_attributes
from core.prediction.plan import PredictionPlan, difference

LOCK = ".lock"
_SHOWN = 20
"""Changed files of an input that a message lists."""


@contextmanager
def claimed(
    plan: PredictionPlan, rows: Input, layout: Layout, notes: Mapping[str, Any], *, shared: bool
) -> Iterator[None]:
    """The output exists, belongs to this plan, and, unless it is `shared` or at a URL, nobody else writes it.

    Raises:
        ConfigError: something else lies there.
        IntegrityError: it was begun under another plan, the difference shown.
        ResourceError: somebody else writes it, or it cannot be written.
    """
    output = plan.output
    files = _first_files(plan, rows, layout, notes)
    if is_remote(output):
        _put(output, files)
    elif not output.exists():
        _create(output, files)
    if not (output / PLAN).is_file():
        raise ConfigError(f"{output} exists and is not a prediction store", hint="Choose another place.")
    if shared or is_remote(output):
        _same_plan(plan, rows)
        yield
        return
    busy = f"another process is writing {output}"
    with one_at_a_time(output / LOCK, busy, "Wait for it, or choose another output."):
        _same_plan(plan, rows)
        remove_leftovers(output)
        yield


def remove_leftovers(output: Path) -> None:
    """What processes that were killed while they wrote have left; at a URL nothing is there in parts."""
    if is_remote(output):
        return
    for leftover in output.rglob("*.partial-*"):
        leftover.unlink(missing_ok=True)


def _first_files(plan: PredictionPlan, rows: Input, layout: Layout, notes: Mapping[str, Any]) -> dict[str, bytes]:
    """What stands in an output before its first block, the plan last."""
    files = layout.metadata(root_attributes(layout, plan.hash, complete=False, notes=notes))
    if isinstance(rows, ArrayInput):
        files[INPUT] = json_bytes(rows.files)
    return {**files, PLAN: json_bytes(plan.identity)}


def _create(output: Path, files: Mapping[str, bytes]) -> None:
    try:
        with new_folder(output) as folder:
            write_files_durably(folder, files)
    except (ConfigError, OSError):
        if not output.exists():  # else the same command was given twice at once, and the other one made it
            raise


def _put(output: Path, files: Mapping[str, bytes]) -> None:
    """Begins an output at a URL: the plan goes first, so that of two different ones a single one stays."""
    remote = cast(Remote, output)
    if not (output / PLAN).is_file():
        if (output / "zarr.json").is_file():
            return  # something else: the caller says so
        try:
            with resources_named(output):
                (remote / PLAN).write_bytes(files[PLAN], new=True)
        except FileExistsError:
            return
    if (output / PLAN).read_bytes() == files[PLAN] and not (output / "zarr.json").is_file():
        names = sorted(set(files) - {PLAN}, key=lambda name: (name == "zarr.json", name))
        write_files_durably(output, {name: files[name] for name in names})


def _same_plan(plan: PredictionPlan, rows: Input) -> None:
    theirs = read_json(plan.output / PLAN)
    if theirs == plan.identity:
        return
    lines = difference(plan.identity, theirs)
    if isinstance(rows, ArrayInput) and (plan.output / INPUT).is_file():
        changed = difference(rows.files, read_json(plan.output / INPUT))
        lines += [f"file of the input {line}" for line in changed[:_SHOWN]]
        lines += [f"and {len(changed) - _SHOWN} more"] if len(changed) > _SHOWN else []
    raise IntegrityError(
        f"{plan.output} was begun under another plan (there -> asked for now):\n"
        + "\n".join(f"  {line}" for line in lines),
        hint="Give the command it was begun with, or choose another output.",
    )

"""Sampled trajectories as a CSV file: one line a step, the likelihood of its trajectory in every line."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path

from core.durable import write_bytes_durably
from domains.chaos.source.trajectory import Trajectory, as_trajectory


def write_samples(
    path: Path | str,
    records: Iterable[Trajectory],
    nats: Iterable[float] | None = None,
    given: Iterable[int] | None = None,
) -> int:
    """Writes `id,time,channels...,nats_per_step` and says how many trajectories there were.

    The file can be read again with `data.path=` (and `data.channels=` for the channels alone). A missing value is an
    empty cell.

    Args:
        nats: each trajectory's negative log-likelihood, summed over its steps.
        given: steps that each goes on from; then a column `drawn` has 0 in their lines, 1 in those behind.

    Raises ResourceError where the file cannot be written, ValueError where `nats` or `given` are fewer or more than the
    records.
    """
    text, count = io.StringIO(), 0
    pairs = zip(records, repeat(None)) if nats is None else zip(records, nats, strict=True)
    several = zip(pairs, repeat(None)) if given is None else zip(pairs, given, strict=True)
    for (record, nll), begun in several:
        one = as_trajectory(record)
        count += 1
        name = one.id or f"sample_{count}"
        marks = f"{'' if given is None else ',drawn'}{'' if nats is None else ',nats_per_step'}"
        if count == 1:
            text.write(f"id,time,{','.join(one.channels)}{marks}\n")
        end = "" if nll is None else f",{nll / max(1, len(one)):.6g}"
        for step, values in enumerate(one.values.tolist()):
            cells = ",".join("" if math.isnan(v) else f"{v:.9g}" for v in values)
            drawn = "" if begun is None else f",{int(step >= begun)}"
            text.write(f"{name},{step * one.dt:.9g},{cells}{drawn}{end}\n")
    write_bytes_durably(Path(path), text.getvalue().encode())
    return count

"""Every kernel that runs here trains the same: the loss curve is that of the recurrence's definition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from core import kernels
from core.kernels import KERNELS, MIXER_KINDS, preferred, trained_with
from tests.core.training.tiny import lines, make_model, train

DEFINITIONS = {
    "M": "core.kernels.selective_scan:selective_scan_sequential",
    "S": "tests.core.training.test_kernels:ssd_by_the_definition",
}
STEPS = 20
TOLERANCE = 1e-5
"""Nats, on losses from 2.2 to 0.9. [Seen: 3e-7.]"""


def ssd_by_the_definition(*args: Any, chunk: int = 0, **kwargs: Any) -> Any:
    from core.kernels.ssd import ssd_sequential

    return ssd_sequential(*args, **kwargs)


def curve(run, pattern: str, name: str) -> torch.Tensor:
    with preferred(name):
        train(run, make_model(pattern, dropout=0.0), steps=STEPS, ema=0.0, val_every=STEPS, save_every=STEPS)
    assert trained_with(pattern) == {MIXER_KINDS[pattern]: name}
    return torch.tensor([float.fromhex(line["loss"]) for line in lines(run)])


@pytest.mark.parametrize("pattern", MIXER_KINDS)
def test_the_loss_curve_is_the_same_with_every_kernel(pattern: str, tmp_path, monkeypatch) -> None:
    kind = MIXER_KINDS[pattern]
    definition = replace(KERNELS[kind][-1], name="definition", run=DEFINITIONS[pattern])
    monkeypatch.setitem(KERNELS, kind, [*KERNELS[kind], definition])
    monkeypatch.setattr(kernels, "_trained", {})
    expected = curve(tmp_path / "definition", pattern, "definition")
    assert len(expected) == STEPS
    assert expected[-1] < expected[0] - 0.1  # something was learned, so that the curves could differ
    names = [kernel.name for kernel in KERNELS[kind][:-1] if not kernel.barred("cpu")]
    assert "torch" in names
    for name in names:
        torch.testing.assert_close(curve(tmp_path / name, pattern, name), expected, rtol=0, atol=TOLERANCE)

"""Frames look only at what precedes, follow a change of unit, ignore what is missing, and go on chunk by chunk."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from core.batching.batch import Inputs
from core.errors import ConfigError
from core.nn.config import ModelConfig
from core.nn.framing import DEGENERATE, Frame, Framing
from core.nn.model import SequenceModel
from core.scaling import Scaling
from core.sequence import TokenSpec, Vectors, real

SCALINGS = {
    "none": None,
    "constant": Scaling("constant", (1.0, -2.0), (0.5, 3.0)),
    "constant_residual": Scaling("constant", (1.0, -2.0), (0.5, 3.0), residual=True, residual_scale=(0.1, 0.2)),
    "standard": Scaling(least=4),
    "standard_residual": Scaling(least=4, residual=True),
    "patch_residual": Scaling(least=4, residual=True, residual_of="patch"),
    "mean_abs": Scaling(method="mean_abs", least=2),
    "frozen": Scaling(freeze=7, least=4),
    "robust": Scaling(method="robust", freeze=10, least=4),
    "arcsinh": Scaling(least=4, arcsinh=True),
}
MOVING = [name for name in SCALINGS if name not in ("none", "constant")]


def series(rows: int = 2, positions: int = 8, width: int = 6, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 + 2 * torch.randn(rows, positions, width, generator=generator).double()


def framing(name: str, *, patch: int = 3, delays: int = 1, lag: int = 1) -> Framing:
    return Framing(real("x", 2, scaling=SCALINGS[name], delays=delays, lag=lag), patch).double()


def parts(frame: Frame, positions: int) -> list[Tensor]:
    """All of a frame, by position."""
    found = [frame.location, frame.scale, frame.target_location, frame.target_scale, frame.known, frame.drift]
    return [t[None].expand(positions, -1) if t.dim() == 1 else t[0] for t in found if t is not None]


@pytest.mark.parametrize("name", SCALINGS)
def test_nothing_depends_on_a_later_value(name: str) -> None:
    made, values = framing(name, delays=2, lag=2), series()
    there = torch.rand(values.shape, generator=torch.Generator().manual_seed(3)) > 0.6  # firsts come late too
    whole, z, _, _ = made(values, there, None, None)
    for t in range(1, 8):
        changed = values.clone()
        changed[:, t:] = 100 * series(seed=1)[:, t:]
        other, y, _, _ = made(changed, there, None, None)
        for a, b in zip(parts(whole, 8), parts(other, 8), strict=True):
            assert torch.equal(a[:t], b[:t])
        assert torch.equal(z[:, :t], y[:, :t])


@pytest.mark.parametrize("name", MOVING)
def test_chunk_by_chunk_equals_whole(name: str) -> None:
    made, values = framing(name, delays=3, lag=2), series()
    there = torch.rand(values.shape, generator=torch.Generator().manual_seed(3)) > 0.3
    whole, z, missing, _ = made(values, there, None, None)
    state = made.init_state(2, torch.device("cpu"))
    begin = 0
    for size in (1, 3, 1, 1, 2):
        part = slice(begin, begin + size)
        frame, y, absent, state = made(values[:, part], there[:, part], None, state)
        torch.testing.assert_close(y, z[:, part], rtol=1e-9, atol=1e-9)
        assert torch.equal(absent, missing[:, part])
        for a, b in zip(parts(frame, size), parts(whole.cut(begin, begin + size), size), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
        begin += size


@pytest.mark.parametrize("name", [n for n in MOVING if "constant" not in n])
def test_another_unit_changes_nothing_that_the_model_reads(name: str) -> None:
    """Exact for every affine change; mean-abs follows changes of scale alone."""
    offset = 0.0 if name == "mean_abs" else -40.0
    made, values = framing(name), series()
    frame, z, _, _ = made(values, None, None, None)
    other, y, _, _ = made(1000 * values + offset, None, None, None)
    torch.testing.assert_close(y[:, 2:], z[:, 2:], rtol=1e-6, atol=1e-6)
    assert frame.drift is not None
    assert other.drift is not None
    torch.testing.assert_close(other.drift, frame.drift, rtol=1e-6, atol=1e-6)
    target = series(seed=5)
    mine, slope = frame.toward(target)
    theirs, steeper = other.toward(1000 * target + offset)
    torch.testing.assert_close(theirs[:, 2:], mine[:, 2:], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(slope[:, 2:] - steeper[:, 2:], torch.full_like(slope[:, 2:], math.log(1000.0)))


@pytest.mark.parametrize("name", SCALINGS)
def test_what_is_missing_is_not_looked_at(name: str) -> None:
    made, values = framing(name, delays=2), series()
    there = torch.rand(values.shape, generator=torch.Generator().manual_seed(3)) > 0.3
    a, z, missing, _ = made(values.masked_fill(~there, torch.nan), there, None, None)
    b, y, _, _ = made(values.masked_fill(~there, 7.0), there, None, None)
    assert torch.equal(z, y)
    assert z.isfinite().all()
    assert z[missing].eq(0).all()
    for left, right in zip(parts(a, 8), parts(b, 8), strict=True):
        assert torch.equal(left, right)


@pytest.mark.parametrize("name", SCALINGS)
def test_there_and_back_again_with_its_slope(name: str) -> None:
    frame, _, _, _ = framing(name)(series(), None, None, None)
    target = series(seed=4).requires_grad_()
    z, log_slope = frame.toward(target)
    torch.testing.assert_close(frame.back(z), target)
    (slope,) = torch.autograd.grad(z.sum(), target)
    torch.testing.assert_close(slope.log(), log_slope)


def test_the_running_mean_and_deviation_are_those_of_what_came_before() -> None:
    values = series(1, 6, 6) + 1e5  # a large offset costs no digits
    frame, _, _, _ = framing("standard")(values, None, None, None)
    steps = values.view(1, 6, 3, 2)
    for t in range(1, 6):
        seen = steps[0, : t + 1].reshape(-1, 2)
        torch.testing.assert_close(frame.location[0, t], seen.mean(0))
        torch.testing.assert_close(frame.scale[0, t], seen.std(0, correction=0))


def test_a_robust_scale_is_median_and_quartiles_of_the_first_values() -> None:
    values = series(1, 6, 6)
    frame, _, _, _ = framing("robust")(values, None, None, None)
    seen = values.view(-1, 2)[:10]
    torch.testing.assert_close(frame.location[0, -1], seen.quantile(0.5, dim=0))
    spread = (seen.quantile(0.75, dim=0) - seen.quantile(0.25, dim=0)) / 1.349
    torch.testing.assert_close(frame.scale[0, 3:], spread.expand(3, 2))


def test_a_flat_line_is_forecast_flat_and_teaches_nothing() -> None:
    made = Framing(real("x", 1, scaling=Scaling(least=2)), 4).double()
    frame, z, _, _ = made(torch.full((1, 5, 4), 250.0).double(), None, None, None)
    assert frame.known is not None
    assert not frame.known.any()
    assert z.eq(0).all()
    torch.testing.assert_close(
        frame.back(torch.ones(1, 5, 4).double()), torch.full((1, 5, 4), 250.0).double(), rtol=2e-6, atol=0
    )
    assert (frame.scale <= 250 * DEGENERATE * 1.01).all()


def test_a_prediction_counts_once_enough_is_known() -> None:
    made = Framing(real("x", 1, scaling=Scaling(least=5)), 2).double()
    frame, _, _, _ = made(series(1, 5, 2), None, torch.tensor([[True, False, False, False, False]]), None)
    assert frame.known is not None
    assert frame.known[..., 0].tolist() == [[False, False, False, True, True]]  # 0, 2, 4, 6, 8 values


def test_a_channel_that_begins_late_counts_once_enough_of_its_own_is_known() -> None:
    made = Framing(real("x", 2, scaling=Scaling(least=4)), 2).double()
    there = torch.ones(1, 5, 4, dtype=torch.bool)
    there[:, :2, 1::2] = False  # the second channel's values of the first two patches
    frame, _, _, _ = made(1e6 * series(1, 5, 4), there, None, None)
    assert frame.known is not None
    assert frame.known[0].tolist() == [[False, False], [True, False], [True, False], [True, True], [True, True]]
    mask = frame.counted(torch.ones(1, 5, 4, dtype=torch.bool))
    assert torch.equal(mask, frame.known.repeat(1, 1, 2))


def test_a_residual_is_from_the_last_value_or_from_the_patch_before() -> None:
    values = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
    there = torch.tensor([[[True, True, True], [True, True, False]]])
    for kind, expected in (("last", [5.0] * 3), ("patch", [4.0, 5.0, 5.0])):
        scaling = Scaling("constant", (0.0,), (1.0,), residual=True, residual_of=kind)
        frame, _, _, _ = Framing(real("x", 1, scaling=scaling), 3)(values, there, None, None)
        assert frame.back(torch.zeros(1, 2, 3))[0, 1].tolist() == expected


def test_delays_stand_beside_each_step() -> None:
    made = Framing(real("x", 1, delays=3, lag=2), 2)
    values = torch.arange(1.0, 9.0).view(1, 4, 2)
    _, z, missing, _ = made(values, None, None, None)
    assert z[0, 2].tolist() == [5, 3, 1, 6, 4, 2]
    assert z[0, 1].tolist() == [3, 1, 0, 4, 2, 0]
    assert missing[0, 1].tolist() == [False, False, True] * 2


def test_packed_rows_are_refused_where_a_reading_has_memory() -> None:
    model = SequenceModel(Vectors(2, Scaling()), ModelConfig(width=32, layers=1))
    inputs = Inputs({"values": torch.zeros(1, 4, 2)}, segments=torch.tensor([[0, 0, 1, 1]]))
    with pytest.raises(ConfigError, match="cannot be packed"):
        model(inputs)


def test_scalings_are_checked() -> None:
    for wrong, said in (
        ({"kind": "konstant"}, "did you mean 'constant'"),
        ({"kind": "constant"}, "one for each channel"),
        ({"kind": "constant", "location": (0,), "scale": (0,)}, "positive"),
        ({"method": "robust"}, "with robust"),
        ({"least": 0}, "at least|positive"),
    ):
        with pytest.raises(ConfigError, match=said):
            Scaling(**wrong)
    with pytest.raises(ConfigError, match="2 channels, but 1 scales"):
        TokenSpec((real("x", 2, scaling=Scaling("constant", (0,), (1,))),))
    assert Scaling.from_config(Scaling(arcsinh=True).to_config()) == Scaling(arcsinh=True)

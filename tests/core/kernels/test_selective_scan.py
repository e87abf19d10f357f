"""The chunked scan is held to the sequential definition: 1e-12 in float64, in outputs, states and every gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import core.kernels.selective_scan as module
from core.kernels.selective_scan import selective_scan, selective_scan_chunked, selective_scan_sequential

B, T, D, N = 2, 11, 3, 5
SEGMENTS = torch.tensor([[0] * 4 + [1] * 3 + [0] * 4, [7] * 6 + [2] * 5])


def arguments(dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    torch.manual_seed(0)
    draw = {
        "u": torch.randn(B, T, D),
        "delta": 2 * torch.rand(B, T, D),
        "A": -3 * torch.rand(D, N),
        "B": torch.randn(B, T, N),
        "C": torch.randn(B, T, N),
        "D": torch.randn(D),
        "z": torch.randn(B, T, D),
        "delta_bias": torch.randn(D),
        "initial_state": torch.randn(B, D, N),
    }
    return {name: value.to(dtype).requires_grad_() for name, value in draw.items()}


def test_the_recurrence_by_hand() -> None:
    """One row, one channel, one state number: h = exp(delta A) h + delta u B, y = h C + D u."""
    u, delta, b, c = (torch.tensor(v).view(1, 2, 1) for v in ([1.0, 2.0], [0.5, 1.0], [3.0, 1.0], [1.0, 4.0]))
    y, h = selective_scan(u, delta, torch.tensor([[-1.0]]), b, c, torch.tensor([10.0]), final=True)
    first = 0.5 * 1 * 3
    second = torch.tensor(-1.0).exp().item() * first + 1 * 2 * 1
    assert y.flatten().tolist() == pytest.approx([first * 1 + 10, second * 4 + 20])
    assert h is not None
    assert h.item() == pytest.approx(second)


def test_bias_softplus_and_gate_by_hand() -> None:
    """The options are what can also be done around the recurrence."""
    given = arguments()
    z, bias = given.pop("z"), given.pop("delta_bias")
    inside, _ = selective_scan_sequential(**given, z=z, delta_bias=bias, delta_softplus=True)
    given["delta"] = (given["delta"] + bias).exp().log1p()
    around, _ = selective_scan_sequential(**given)
    torch.testing.assert_close(inside, around * z * z.sigmoid())


def test_padding_leaves_the_state_as_it_is() -> None:
    given = arguments()
    lengths = torch.tensor([4, T])
    y, h = selective_scan_sequential(**given, lengths=lengths, final=True)
    short = {name: v[:1, :4] if name in ("u", "delta", "B", "C", "z") else v for name, v in given.items()}
    short["initial_state"] = given["initial_state"][:1]
    y_short, h_short = selective_scan_sequential(**short, final=True)
    torch.testing.assert_close(y[:1, :4], y_short)
    torch.testing.assert_close(h[:1], h_short)


@pytest.mark.parametrize("lengths", [None, torch.tensor([5, 11])])
@pytest.mark.parametrize("segments", [None, SEGMENTS])
@pytest.mark.parametrize("chunk", [1, 4, 11, 16])
def test_chunked_equals_sequential_with_all_gradients(
    lengths: Tensor | None, segments: Tensor | None, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    given = arguments()
    results = []
    for run in (selective_scan_sequential, selective_scan_chunked):
        y, h = run(**given, segments=segments, lengths=lengths, delta_softplus=True, final=True)
        weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)
        total = (y * weights).sum() + (h * h).sum()
        results.append([y, h, *torch.autograd.grad(total, list(given.values()))])
    for definition, fast in zip(*results, strict=True):
        torch.testing.assert_close(fast, definition, rtol=0, atol=1e-12)


def test_gradients_of_the_chunked_form_are_those_of_differences() -> None:
    given = {name: v[:1, :4] if name in ("u", "delta", "B", "C", "z") else v for name, v in arguments().items()}
    given["initial_state"] = given["initial_state"][:1]
    leaves = [v.detach().clone().requires_grad_() for v in given.values()]

    def run(u, delta, A, b, c, d, z, bias, start):
        return selective_scan_chunked(
            *(u, delta, A, b, c, d), z=z, delta_bias=bias, delta_softplus=True, initial_state=start, final=True
        )

    assert torch.autograd.gradcheck(run, leaves)


def test_autocast_does_not_narrow_the_scan() -> None:
    given = {name: v.detach() for name, v in arguments(torch.float32).items()}
    with torch.autocast("cpu", torch.bfloat16):
        y, _ = selective_scan(**given, delta_softplus=True)
    expected, _ = selective_scan_sequential(**given, delta_softplus=True)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-5)

"""One step equals the last of a whole pass; in C++ and in torch, in outputs and in the states left behind."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from core.kernels import native, preferred
from core.kernels.selective_scan import selective_scan_sequential
from core.kernels.ssd import ssd
from core.kernels.step import selective_scan_step, ssd_step
from core.nn.conv import causal_conv, conv_step


@pytest.fixture(autouse=True, params=["torch", "cpp"])
def kernel(request):
    if request.param == "cpp" and native.obstacle("step"):
        pytest.skip(native.obstacle("step"))
    torch.manual_seed(0)
    with preferred(request.param), torch.no_grad():
        yield request.param


def close(result: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("batch", "channels", "states"), [(1, 3, 5), (2, 37, 16), (40, 130, 31), (3, 16, 1)])
def test_selective_scan_step(batch, channels, states) -> None:
    u, delta, z = (torch.randn(batch, channels) for _ in range(3))
    b, c = (torch.randn(batch, states) for _ in range(2))
    A_log, D, bias = torch.randn(channels, states), torch.randn(channels), torch.randn(channels)
    before = torch.randn(batch, channels, states)
    rows = [v.unsqueeze(1) for v in (u, delta)], [v.unsqueeze(1) for v in (b, c)]
    expected, after = selective_scan_sequential(
        *rows[0],
        -A_log.exp(),
        *rows[1],
        D,
        z=z.unsqueeze(1),
        delta_bias=bias,
        delta_softplus=True,
        initial_state=before,
        final=True,
    )
    state = before.clone()
    close(selective_scan_step(state, u, delta, A_log, b, c, D, z=z, delta_bias=bias), expected[:, 0])
    close(state, after)
    plain, _ = selective_scan_sequential(
        *rows[0], -A_log.exp(), *rows[1], delta_softplus=True, initial_state=before, final=True
    )
    close(selective_scan_step(before.clone(), u, delta, A_log, b, c), plain[:, 0])


@pytest.mark.parametrize(("heads", "groups", "width", "states"), [(2, 1, 3, 5), (4, 2, 17, 16), (6, 3, 16, 40)])
def test_ssd_step(heads, groups, width, states) -> None:
    x, delta = torch.randn(3, heads, width), torch.randn(3, heads)
    b, c = (torch.randn(3, groups, states) for _ in range(2))
    A_log, D, bias = torch.randn(heads), torch.randn(heads), torch.randn(heads)
    before = torch.randn(3, heads, width, states)
    steps = torch.nn.functional.softplus(delta + bias)
    expected, after = ssd(
        *(x.unsqueeze(1), steps.unsqueeze(1), -A_log.exp(), b.unsqueeze(1), c.unsqueeze(1), D),
        initial_state=before,
        final=True,
    )
    state = before.clone()
    close(ssd_step(state, x, delta, A_log, b, c, D, delta_bias=bias), expected[:, 0])
    close(state, after)


@pytest.mark.parametrize(("channels", "taps"), [(3, 4), (37, 2), (16, 1)])
def test_conv_step(channels, taps) -> None:
    x, weight, bias = torch.randn(2, channels), torch.randn(channels, 1, taps), torch.randn(channels)
    before = torch.randn(2, taps - 1, channels)
    state = before.clone()
    close(conv_step(x, weight, bias, state), causal_conv(x.unsqueeze(1), weight, bias, initial=before)[:, 0])
    close(state, torch.cat((before, x.unsqueeze(1)), 1)[:, 1:])


def test_bfloat16_inputs_and_slices(kernel) -> None:
    wide = torch.randn(2, 100).bfloat16()
    u, delta, z = wide[:, :20], wide[:, 20:40], wide[:, 40:60]
    b, c = wide[:, 60:65], wide[:, 65:70]
    A_log, before = torch.randn(20, 5), torch.randn(2, 20, 5)
    state, exact = before.clone(), before.double()
    y = selective_scan_step(state, u, delta, A_log, b, c, z=z)
    assert y.dtype == torch.bfloat16
    with preferred("torch"):
        expected = selective_scan_step(exact, *(v.double() for v in (u, delta, A_log, b, c)), z=z.double())
    torch.testing.assert_close(y.double(), expected, rtol=2**-7, atol=2**-7)
    close(state.double(), exact)


def test_gradients_flow_where_they_are_recorded() -> None:
    A_log = torch.randn(3, 5, requires_grad=True)
    with torch.enable_grad():
        y = selective_scan_step(
            torch.zeros(1, 3, 5), *(torch.randn(1, 3) for _ in range(2)), A_log, *torch.randn(2, 1, 5)
        )
        y.sum().backward()
    assert A_log.grad is not None
    assert torch.isfinite(A_log.grad).all()

"""The wrappers of the CUDA packages, with stand-ins that insist on what those insist on. The real code: *_parity.py."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from core.kernels import KERNELS, Needs, mamba_ssm, preferred
from core.kernels.selective_scan import selective_scan_sequential
from core.kernels.ssd import ssd_sequential
from core.nn.conv import causal_conv

B, T, D, N = 2, 11, 8, 3
SEGMENTS = torch.tensor([[0] * 4 + [1] * 3 + [0] * 4, [7] * 6 + [2] * 5])


def selective_scan_fn(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False):
    timed = [v for v in (u, delta, B, C, z) if v is not None]
    assert len({v.dtype for v in timed}) == 1
    assert all(v.stride(-1) == 1 for v in timed)
    assert all(v is None or v.dtype == torch.float32 for v in (A, D, delta_bias))
    delta = delta if delta_bias is None else delta + delta_bias[:, None]
    delta = F.softplus(delta) if delta_softplus else delta
    y, _ = selective_scan_sequential(
        *(v.transpose(1, 2) for v in (u, delta)), A, *(v.transpose(1, 2) for v in (B, C)), D
    )
    y = y.transpose(1, 2)
    return y if z is None else y * F.silu(z)


def mamba_chunk_scan_combined(x, dt, A, B, C, chunk_size, D, initial_states, seq_idx, return_final_states):
    assert chunk_size >= 16
    assert chunk_size.bit_count() == 1
    assert all(v is None or v.dtype == torch.float32 for v in (dt, A, D))
    assert x.dtype == B.dtype == C.dtype
    if seq_idx is not None:
        assert seq_idx.dtype == torch.int32
        assert not seq_idx[:, 0].any()  # an initial state belongs to sequence 0
    y, h = ssd_sequential(x, dt, A, B, C, D, initial_state=initial_states, segments=seq_idx, final=return_final_states)
    return (y, h) if return_final_states else y


def causal_conv1d_fn(x, weight, bias=None, seq_idx=None, initial_states=None, activation=None):
    assert activation == "silu"
    assert seq_idx is None or initial_states is None
    assert x.stride(1) == 1  # channels last
    assert x.stride(0) % 8 == 0
    assert x.stride(2) % 8 == 0
    taps = weight.shape[1]
    before = x.new_zeros(len(x), x.shape[1], taps - 1) if initial_states is None else initial_states
    padded = torch.cat((before, x), 2)
    out = bias[:, None].expand_as(x).clone()
    for k in range(taps):
        here = 1
        if seq_idx is not None:
            here = (F.pad(seq_idx, (taps - 1, 0), value=-1)[:, k : k + x.shape[2]] == seq_idx)[:, None]
        out = out + padded[:, :, k : k + x.shape[2]] * weight[:, k, None] * here
    return F.silu(out)


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch):
    for name, content in {
        "mamba_ssm": {},
        "mamba_ssm.ops": {},
        "mamba_ssm.ops.triton": {},
        "mamba_ssm.ops.selective_scan_interface": {"selective_scan_fn": selective_scan_fn},
        "mamba_ssm.ops.triton.ssd_combined": {"mamba_chunk_scan_combined": mamba_chunk_scan_combined},
        "causal_conv1d": {"causal_conv1d_fn": causal_conv1d_fn},
    }.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    mamba_ssm.obstacle.cache_clear()
    mamba_ssm.convolution_obstacle.cache_clear()
    yield
    mamba_ssm.obstacle.cache_clear()
    mamba_ssm.convolution_obstacle.cache_clear()


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("segments", [None, SEGMENTS])
def test_the_selective_scan_is_the_definition_with_documents_as_rows(segments: Tensor | None) -> None:
    torch.manual_seed(0)
    given = (torch.randn(B, T, D), torch.rand(B, T, D), -torch.rand(D, N), torch.randn(B, T, N), torch.randn(B, T, N))
    y, last = mamba_ssm.selective_scan(*given, torch.ones(D), segments=segments)
    close(y, selective_scan_sequential(*given, torch.ones(D), segments=segments)[0])
    assert last is None


def test_documents_as_rows_give_the_gradients_of_the_packed_row() -> None:
    torch.manual_seed(0)
    shapes = {"u": (B, T, D), "delta": (B, T, D), "A": (D, N), "B": (B, T, N), "C": (B, T, N)}
    given = {name: -torch.rand(shape) if name == "A" else torch.rand(shape) for name, shape in shapes.items()}
    weights, gradients = torch.randn(B, T, D), []
    for run in (mamba_ssm.selective_scan, selective_scan_sequential):
        leaves = {name: value.clone().requires_grad_() for name, value in given.items()}
        gradients.append(torch.autograd.grad((run(**leaves, segments=SEGMENTS)[0] * weights).sum(), leaves.values()))
    for found, expected in zip(*gradients, strict=True):
        close(found, expected)


def test_the_scans_gate_bias_and_softplus_are_handed_on_and_its_inputs_get_one_dtype() -> None:
    torch.manual_seed(0)
    u, delta, z = (torch.randn(B, T, D) for _ in range(3))
    a, b, c, bias = -torch.rand(D, N), torch.randn(B, T, N), torch.randn(B, T, N), torch.randn(D)
    given = {"z": z, "delta_bias": bias, "delta_softplus": True, "segments": SEGMENTS}
    y, _ = mamba_ssm.selective_scan(u, delta, a, b, c, **given)
    steps = F.softplus(delta + bias)
    close(y, selective_scan_sequential(u, steps, a, b, c, segments=SEGMENTS)[0] * F.silu(z))
    rough, _ = mamba_ssm.selective_scan(u.bfloat16(), delta, a, b.bfloat16(), c.bfloat16(), **given)
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), y, rtol=0.05, atol=0.1)


@pytest.mark.parametrize("segments", [None, SEGMENTS])
def test_the_chunked_scan_keeps_states_and_documents(segments: Tensor | None) -> None:
    torch.manual_seed(0)
    x, dt, a = torch.randn(B, T, 2, 4), torch.rand(B, T, 2), -torch.rand(2)
    b, c, d, start = torch.randn(B, T, 1, N), torch.randn(B, T, 1, N), torch.randn(2), torch.randn(B, 2, 4, N)
    for chunk in (0, 1, 48):
        y, last = mamba_ssm.ssd(x, dt, a, b, c, d, initial_state=start, segments=segments, final=True, chunk=chunk)
        expected, end = ssd_sequential(x, dt, a, b, c, d, initial_state=start, segments=segments, final=True)
        close(y, expected)
        close(last, end)
    assert mamba_ssm.ssd(x, dt, a, b, c, segments=segments)[1] is None


@pytest.mark.parametrize("segments", [None, SEGMENTS])
@pytest.mark.parametrize("carried", [False, True])
@pytest.mark.parametrize("taps", [2, 4])
def test_the_convolution_takes_documents_and_carried_inputs(segments: Tensor | None, carried: bool, taps: int) -> None:
    torch.manual_seed(0)
    wide = torch.randn(B, T, 3 * D + 1)
    x, weight, bias = wide[..., 1 : D + 1], torch.randn(D, 1, taps), torch.randn(D)  # a slice, as of a projection
    initial = torch.randn(B, taps - 1, D) if carried else None
    found = mamba_ssm.causal_conv(x, weight, bias, initial=initial, segments=segments)
    close(found, causal_conv(x, weight, bias, initial=initial, segments=segments))


def test_the_mixers_convolution_goes_through_causal_conv1d_where_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(B, T, D).double(), torch.randn(D, 1, 4), torch.randn(D)  # no C++ for double
    calls = []
    monkeypatch.setattr(mamba_ssm, "convolves", lambda x, taps: calls.append(taps) or True)
    found = causal_conv(x, weight, bias)
    with preferred("torch"):
        close(found, causal_conv(x, weight, bias))  # asking for torch keeps to torch
    assert calls == [4]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_the_convolution_is_left_alone_without_a_gpu() -> None:
    assert not mamba_ssm.convolves(torch.randn(B, T, 8), 4)


def test_without_a_gpu_or_the_packages_the_obstacle_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch, "cuda", SimpleNamespace(is_available=lambda: False))
    assert mamba_ssm.obstacle() == mamba_ssm.convolution_obstacle() == "there is no CUDA device"
    mamba_ssm.obstacle.cache_clear()
    monkeypatch.setattr(torch, "cuda", SimpleNamespace(is_available=lambda: True))
    monkeypatch.setattr(mamba_ssm, "find_spec", lambda name: None if name == "selective_scan_cuda" else object())
    for _ in range(2):
        assert mamba_ssm.obstacle().startswith("selective_scan_cuda is not installed (pip install ")
    assert [record.getMessage().partition(": ")[0] for record in caplog.records] == [
        "mamba_ssm's kernels are off, the torch kernels work instead"
    ]


def test_what_the_cuda_kernels_cannot_is_declared() -> None:
    scan, combined = (KERNELS[kind][0] for kind in ("selective_scan", "ssd"))
    assert scan.name == combined.name == "mamba_ssm"
    everything = Needs(True, True, True, True, "cuda", "bfloat16")
    assert scan.lacks(everything) == ["initial_state", "final_state"]
    assert combined.lacks(everything) == []
    assert combined.lacks(Needs(dtype="float64")) == ["dtype float64"]
    assert "cuda" in combined.barred("cpu").lower()

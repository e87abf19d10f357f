"""The CUDA kernels of mamba-ssm and causal-conv1d behind our signatures; imported only where `obstacle` finds none.

Tokens are (B, T, channels) here and (B, channels, T) there, but for the Mamba-2 kernel. Their selective scan knows
neither an initial state nor documents inside a row, and passes no gradient through its last state: documents are laid
out as rows of their own for it, and the rest is declared to be missing, so that dispatch gives such calls to another.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor

from core.kernels.resets import document_runs

log = logging.getLogger(__name__)

CHUNK = 256
"""Tokens a chunk of the Mamba-2 kernel, as mamba-ssm has it by default."""
LEAST_CHUNK = 16
"""Triton multiplies matrices of at least 16 rows."""
HALF_OR_SINGLE = (torch.float32, torch.bfloat16, torch.float16)
_INSTALL = "is not installed (pip install --no-build-isolation 'foretell[cuda]')"


@cache
def obstacle() -> str:
    """Why mamba-ssm's kernels cannot run on this machine; empty where they can."""
    if not torch.cuda.is_available():
        return "there is no CUDA device"
    for module in ("mamba_ssm", "selective_scan_cuda"):
        if find_spec(module) is None:
            log.warning("mamba_ssm's kernels are off, the torch kernels work instead: %s %s", module, _INSTALL)
            return f"{module} {_INSTALL}"
    return ""


@cache
def convolution_obstacle() -> str:
    """Why causal-conv1d's kernel cannot run on this machine; empty where it can."""
    if not torch.cuda.is_available():
        return "there is no CUDA device"
    return "" if find_spec("causal_conv1d") else f"causal_conv1d {_INSTALL}"


def convolves(x: Tensor, taps: int) -> bool:
    """Whether `causal_conv` serves this input: on CUDA, where causal-conv1d is installed and has the shape."""
    shape = 2 <= taps <= 4 and x.shape[-1] % 8 == 0
    return x.is_cuda and shape and x.dtype in HALF_OR_SINGLE and not convolution_obstacle()


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    *,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    initial_state: None = None,
    segments: Tensor | None = None,
    lengths: Tensor | None = None,
    final: bool = False,
) -> tuple[Tensor, None]:
    """As `core.kernels.selective_scan.selective_scan`, without states; N is at most 256.

    `lengths` change nothing then: what follows a row's last token reaches no output before it.
    """
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    assert initial_state is None
    assert not final
    places = None if segments is None else _document_places(segments)
    dtype = torch.promote_types(u.dtype, delta.dtype)  # one for all that have a time axis

    def channels_first(values: Tensor) -> Tensor:
        rows = values.to(dtype) if places is None else _as_rows(values.to(dtype), places)
        return rows.transpose(1, 2).contiguous()

    y = selective_scan_fn(
        channels_first(u),
        channels_first(delta),
        A.float(),
        channels_first(B),
        channels_first(C),
        None if D is None else D.float(),
        z=None if z is None else channels_first(z),
        delta_bias=None if delta_bias is None else delta_bias.float(),
        delta_softplus=delta_softplus,
    ).transpose(1, 2)
    return (y if places is None else y[places]).to(u.dtype), None


def _document_places(segments: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T) document ids -> for every token the number of its document in the batch, and its place in there."""
    runs = document_runs(segments)
    before = F.pad((runs[:, -1] + 1).cumsum(0)[:-1], (1, 0))  # documents of the rows before
    number = runs + before[:, None]
    lengths = torch.bincount(number.flatten())
    starts = F.pad(lengths.cumsum(0)[:-1], (1, 0))
    tokens = torch.arange(segments.numel(), device=segments.device).view_as(segments)
    return number, tokens - starts[number]


def _as_rows(values: Tensor, places: tuple[Tensor, Tensor]) -> Tensor:
    """(B, T, channels) -> (documents, longest, channels), 0 behind each document's end."""
    documents, longest = (int(index.max()) + 1 for index in places)
    return values.new_zeros(documents, longest, values.shape[2]).index_put(places, values)


def ssd(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    *,
    initial_state: Tensor | None = None,
    segments: Tensor | None = None,
    final: bool = False,
    chunk: int = 0,
) -> tuple[Tensor, Tensor | None]:
    """As `core.kernels.ssd.ssd`; a chunk is a power of two."""
    from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined

    result = mamba_chunk_scan_combined(
        x,
        dt.float(),
        A.float(),
        B.to(x.dtype),
        C.to(x.dtype),
        max(LEAST_CHUNK, 1 << (chunk - 1).bit_length()) if chunk else CHUNK,
        D=None if D is None else D.float(),
        initial_states=initial_state,
        # an initial state belongs to what it calls sequence 0
        seq_idx=None if segments is None else document_runs(segments).int(),
        return_final_states=final,
    )
    return result if final else (result, None)


def causal_conv(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, initial: Tensor | None = None, segments: Tensor | None = None
) -> Tensor:
    """As `core.nn.conv.causal_conv`, for 2 to 4 taps and a multiple of 8 channels."""
    from causal_conv1d import causal_conv1d_fn

    taps = weight.shape[-1]
    runs = None if segments is None else document_runs(segments).int()
    before = initial
    if runs is not None and initial is not None:  # theirs takes one or the other: what came before joins the row
        x, before = torch.cat((initial.to(x.dtype), x), 1), None
        runs = F.pad(runs, (taps - 1, 0))
    if x.stride(0) % 8 or x.stride(1) % 8:
        x = x.contiguous()
    y = causal_conv1d_fn(
        x.transpose(1, 2),
        weight[:, 0].to(torch.float32),
        None if bias is None else bias.to(torch.float32),
        seq_idx=runs,
        initial_states=None if before is None else before.to(x.dtype).transpose(1, 2),
        activation="silu",
    ).transpose(1, 2)
    return y[:, taps - 1 :] if runs is not None and initial is not None else y

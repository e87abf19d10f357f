"""Our mixers and kernels beside mamba-ssm's own code, on a CPU: its Triton kernels run through Triton's interpreter.

    python -m tests.core.kernels.mamba_ssm_parity          one JSON object: case -> quantity -> relative error

A process of its own: interpreting is chosen before Triton is imported, and CUDA is stood in for. The selective scan's
CUDA function cannot be run so; mamba-ssm's reference of it, which its own tests hold the kernel to, takes its place.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import types
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core import kernels
from core.kernels import mamba_ssm as theirs
from core.kernels.selective_scan import selective_scan, selective_scan_sequential
from core.kernels.ssd import ssd
from core.nn.config import ModelConfig
from core.nn.mamba1 import Mamba1
from core.nn.mamba2 import Mamba2

BATCH, LENGTH = 2, 27
"""Two chunks of 16, the second not full."""
WIDTH, STATES, HEADDIM = 16, 8, 8
SEGMENTS = torch.zeros(BATCH, LENGTH, dtype=torch.int64)
SEGMENTS[0, 5:], SEGMENTS[0, 20:], SEGMENTS[1, 16:] = 1, 0, 3

Values = dict[str, Tensor]


def stand_in_for_cuda() -> None:
    """What mamba-ssm asks of a GPU before its kernels run, answered without one."""
    os.environ["TRITON_INTERPRET"] = "1"
    sys.modules["selective_scan_cuda"] = types.ModuleType("selective_scan_cuda")
    import triton

    tuned = triton.autotune

    def smallest_blocks(configs: list[Any], key: list[str], **options: Any) -> Any:
        def size(config: Any) -> int:
            return math.prod(value for name, value in config.kwargs.items() if name.startswith("BLOCK"))

        return tuned([min(configs, key=size)], key, **options)

    triton.autotune = smallest_blocks
    torch.cuda.device = lambda index: contextlib.nullcontext()  # type: ignore[assignment,misc]
    torch.cuda.get_device_properties = lambda device: types.SimpleNamespace(multi_processor_count=2)
    from mamba_ssm.modules import mamba_simple
    from mamba_ssm.ops import selective_scan_interface

    for module in (mamba_simple, selective_scan_interface):
        module.selective_scan_fn = selective_scan_interface.selective_scan_ref


def errors(mine: Values, reference: Values) -> dict[str, float]:
    """The largest difference in each quantity, as a share of its largest value."""
    assert mine.keys() == reference.keys()
    return {name: float((mine[name] - x).abs().max() / x.abs().max()) for name, x in reference.items()}


def with_gradients(run: Callable[..., tuple[Tensor, ...]], given: Values) -> Values:
    """The outputs of `run(**given)`, and the gradients of a random sum of them by everything given."""
    leaves = {name: value.detach().requires_grad_() for name, value in given.items()}
    outputs = [y for y in run(**leaves) if y is not None]
    generator = torch.Generator().manual_seed(1)
    total = sum((y * torch.randn(y.shape, generator=generator)).sum() for y in outputs)
    gradients = torch.autograd.grad(total, list(leaves.values()))
    found = {("y", "last state")[i]: y.detach() for i, y in enumerate(outputs)}
    return found | {f"d{name}": gradient for name, gradient in zip(leaves, gradients, strict=True)}


def ours(kind: str, compare: Callable[[], dict[str, float]]) -> dict[str, float]:
    """`compare` under each of our own kernels that runs here."""
    found = {}
    for kernel in kernels.KERNELS[kind]:
        if not kernel.barred("cpu"):
            with kernels.preferred(kernel.name):
                found |= {f"{kernel.name} {name}": error for name, error in compare().items()}
    return found


def scan_arguments() -> Values:
    torch.manual_seed(0)
    return {
        "u": torch.randn(BATCH, LENGTH, WIDTH),
        "delta": 0.5 * torch.rand(BATCH, LENGTH, WIDTH),
        "A": -3 * torch.rand(WIDTH, STATES),
        "B": torch.randn(BATCH, LENGTH, STATES),
        "C": torch.randn(BATCH, LENGTH, STATES),
        "D": torch.randn(WIDTH),
    }


def case_selective_scan() -> dict[str, float]:
    from mamba_ssm.ops.selective_scan_interface import selective_scan_ref

    def reference(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> tuple[Tensor, Tensor]:
        u, delta, B, C = (v.transpose(1, 2) for v in (u, delta, B, C))
        y, last = selective_scan_ref(u, delta, A, B, C, D, return_last_state=True)
        return y.transpose(1, 2), last

    given = scan_arguments()
    expected = with_gradients(reference, given)

    def run(**given: Tensor) -> tuple[Tensor, ...]:
        return selective_scan(**given, final=True)

    return ours("selective_scan", lambda: errors(with_gradients(run, given), expected))


def case_selective_scan_wrapper() -> dict[str, float]:
    """Documents laid out as rows of their own, the gate, the bias and the softplus of the step sizes."""
    given = scan_arguments() | {"z": torch.randn(BATCH, LENGTH, WIDTH), "delta_bias": torch.randn(WIDTH)}

    def wrapped(**given: Tensor) -> tuple[Tensor, ...]:
        return theirs.selective_scan(**given, delta_softplus=True, segments=SEGMENTS)

    def definition(z: Tensor, delta: Tensor, delta_bias: Tensor, **given: Tensor) -> tuple[Tensor, ...]:
        y, _ = selective_scan_sequential(delta=F.softplus(delta + delta_bias), **given, segments=SEGMENTS)
        return (y * F.silu(z),)

    return errors(with_gradients(wrapped, given), with_gradients(definition, given))


def ssd_case(groups: int, *, segments: Tensor | None = None, states: bool = False) -> dict[str, float]:
    torch.manual_seed(0)
    heads = 2
    given = {
        "x": torch.randn(BATCH, LENGTH, heads, HEADDIM),
        "dt": 0.5 * torch.rand(BATCH, LENGTH, heads),
        "A": -3 * torch.rand(heads),
        "B": torch.randn(BATCH, LENGTH, groups, STATES),
        "C": torch.randn(BATCH, LENGTH, groups, STATES),
        "D": torch.randn(heads),
    }
    if states:
        given["initial_state"] = torch.randn(BATCH, heads, HEADDIM, STATES)

    def under(run: Callable[..., tuple[Tensor, ...]]) -> Values:
        return with_gradients(lambda **given: run(**given, segments=segments, final=states, chunk=16), given)

    expected = under(theirs.ssd)
    return ours("ssd", lambda: errors(under(ssd), expected))


def module_case(mine: Mamba1 | Mamba2, their: Any, kind: str) -> dict[str, float]:
    """Both with their weights: forward, every gradient, and token by token."""
    with torch.no_grad():
        for parameter in their.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    mine.load_state_dict(their.state_dict(), strict=True)
    x = torch.randn(BATCH, LENGTH, WIDTH)

    def run_theirs(x: Tensor, **weights: Tensor) -> tuple[Tensor, ...]:
        return (torch.func.functional_call(their, weights, x),)

    reference = with_gradients(run_theirs, weights_of(their, x))
    conv, ssm = their.allocate_inference_cache(BATCH, LENGTH)
    with torch.no_grad():
        steps = [their.step(x[:, t : t + 1], conv, ssm)[0] for t in range(6)]
    reference["steps"] = torch.cat(steps, 1)

    def compare() -> dict[str, float]:
        def run(x: Tensor, **weights: Tensor) -> tuple[Tensor, ...]:
            return (torch.func.functional_call(mine, weights, x)[0],)

        found = with_gradients(run, weights_of(mine, x))
        state = mine.init_state(BATCH, LENGTH)
        with torch.no_grad():
            found["steps"] = torch.stack([mine.step(x[:, t], state)[0] for t in range(6)], 1)
        return errors(found, reference)

    return ours(kind, compare)


def weights_of(module: nn.Module, x: Tensor) -> Values:
    return {"x": x, **{name: p.detach() for name, p in module.named_parameters()}}


def case_mamba() -> dict[str, float]:
    from mamba_ssm import Mamba

    torch.manual_seed(0)
    config = ModelConfig(pattern="M", width=WIDTH, d_state=STATES)
    return module_case(Mamba1(config), Mamba(WIDTH, d_state=STATES), "selective_scan")


def mamba2_case(groups: int) -> dict[str, float]:
    from mamba_ssm import Mamba2 as Theirs

    torch.manual_seed(0)
    config = ModelConfig(pattern="S", width=WIDTH, d_state=STATES, headdim=HEADDIM, ngroups=groups)
    # the fused path needs causal-conv1d; both end in the same kernels
    their = Theirs(WIDTH, d_state=STATES, headdim=HEADDIM, ngroups=groups, chunk_size=16, use_mem_eff_path=False)
    return module_case(Mamba2(config), their, "ssd")


CASES: dict[str, Callable[[], dict[str, float]]] = {
    "selective_scan": case_selective_scan,
    "selective_scan_wrapper": case_selective_scan_wrapper,
    "ssd": lambda: ssd_case(1),
    "ssd_groups_states": lambda: ssd_case(2, states=True),
    "ssd_groups_resets_states": lambda: ssd_case(2, segments=SEGMENTS, states=True),
    "mamba": case_mamba,
    "mamba2": lambda: mamba2_case(1),
    "mamba2_groups": lambda: mamba2_case(2),
}


def main() -> None:
    torch.set_num_threads(1)
    stand_in_for_cuda()
    print(json.dumps({name: case() for name, case in CASES.items()}))


if __name__ == "__main__":
    main()

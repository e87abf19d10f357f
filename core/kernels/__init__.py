"""State-space kernels behind one dispatch: each declares what it can do, a call takes the first that suits.

The definition of a kind is the sequential recurrence in its file; a test holds every kernel equal to it. Faster ones
stand in `KERNELS` in front of the torch ones.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import ConfigError, nearest

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Needs:
    """What one call asks of a kernel."""

    resets: bool = False
    """Documents inside a row that must not see each other."""
    initial_state: bool = False
    gradient: bool = False
    device: str = "cpu"
    dtype: str = "float32"


@dataclass(frozen=True)
class Kernel:
    """One implementation and what it can."""

    name: str
    run: str
    """`module:function`, imported at first use."""
    resets: bool
    initial_state: bool
    gradient: bool
    devices: frozenset[str]
    """Device types; empty for any."""
    dtypes: frozenset[str]
    available: Callable[[], bool] = lambda: True
    """Whether it can be used on this machine at all; asked once a call of `choose`, so it must be cheap."""

    def lacks(self, needs: Needs) -> list[str]:
        """The needs it does not meet, in words; empty where it fits."""
        missing = [
            name for name in ("resets", "initial_state", "gradient") if getattr(needs, name) > getattr(self, name)
        ]
        if self.devices and needs.device not in self.devices:
            missing.append(f"device {needs.device}")
        if needs.dtype not in self.dtypes:
            missing.append(f"dtype {needs.dtype}")
        if not self.available():
            missing.append("this machine")
        return missing


_FLOATS = frozenset({"bfloat16", "float16", "float32", "float64"})


def _torch(run: str) -> Kernel:
    return Kernel("torch", run, True, True, True, frozenset(), _FLOATS)


KERNELS: dict[str, list[Kernel]] = {
    "selective_scan": [_torch("core.kernels.selective_scan:selective_scan_chunked")],
    "ssd": [_torch("core.kernels.ssd:ssd_chunked")],
}
"""Kernels by kind, the fastest first."""

_preferred = "auto"
_logged: set[tuple[str, str]] = set()


def prefer(name: str) -> None:
    """Choose kernels by name for the whole process: `auto` takes the first that fits.

    Raises ConfigError for a name that no kind has.
    """
    names = ["auto", *dict.fromkeys(kernel.name for kernels in KERNELS.values() for kernel in kernels)]
    if name not in names:
        raise ConfigError(f"unknown kernel '{name}'{nearest(name, names)}", hint=f"Known: {', '.join(names)}.")
    global _preferred
    _preferred = name


def choose(kind: str, needs: Needs, name: str | None = None) -> Kernel:
    """The kernel for a call.

    Args:
        kind: `selective_scan` or `ssd`.
        name: a kernel's name or `auto`; None takes what `prefer` set.

    Raises ConfigError where the name is unknown for this kind, or the kernel cannot what is needed.
    """
    name = name or _preferred
    candidates = KERNELS[kind]
    if name != "auto":
        candidates = [kernel for kernel in candidates if kernel.name == name]
        if not candidates:
            known = ["auto", *(kernel.name for kernel in KERNELS[kind])]
            raise ConfigError(
                f"no {kind} kernel is called '{name}'{nearest(name, known)}", hint=f"Known: {', '.join(known)}."
            )
    for kernel in candidates:
        if not kernel.lacks(needs):
            if (kind, kernel.name) not in _logged:
                _logged.add((kind, kernel.name))
                log.info("%s: kernel '%s' (%s, %s)", kind, kernel.name, needs.device, needs.dtype)
            return kernel
    lacking = "; ".join(f"'{kernel.name}' lacks {', '.join(kernel.lacks(needs))}" for kernel in candidates)
    raise ConfigError(f"no {kind} kernel fits: {lacking}", hint="Set kernel=auto, or change what is asked for.")


def dispatch(kind: str, x: Tensor, initial_state: Tensor | None, segments: Tensor | None) -> Callable[..., Any]:
    """The function of the kernel for a call with the inputs x."""
    needs = Needs(
        resets=segments is not None,
        initial_state=initial_state is not None,
        gradient=x.requires_grad,
        device=x.device.type,
        dtype=str(x.dtype).removeprefix("torch."),
    )
    return _function(choose(kind, needs))


_functions: dict[str, Callable[..., Any]] = {}


def _function(kernel: Kernel) -> Callable[..., Any]:
    if kernel.run not in _functions:
        module, _, name = kernel.run.partition(":")
        _functions[kernel.run] = getattr(importlib.import_module(module), name)
    return _functions[kernel.run]

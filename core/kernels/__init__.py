"""State-space kernels behind one dispatch: each declares what it can do, a call takes the first that suits.

The definition of a kind is the sequential recurrence in its file; a test holds every kernel equal to it. Faster ones
stand in `KERNELS` in front of the torch ones, which can do everything everywhere. `prefer` is `kernel=` of the command
line. What a preferred kernel cannot, as carrying a state, another does; a line of the log says who does what.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from core.errors import ConfigError, nearest

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

AUTO = "auto"
MIXER_KINDS = {"M": "selective_scan", "S": "ssd"}
"""The kind of kernel behind a mixer's letter; attention has none."""
MIXER_PARTS = {"A": "attention", "M": "conv", "S": "conv"}
"""The C++ library of what a mixer computes besides, under no name that could be chosen."""


@dataclass(frozen=True)
class Needs:
    """What one call asks of a kernel."""

    resets: bool = False
    """Documents inside a row that must not see each other."""
    initial_state: bool = False
    final_state: bool = False
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
    final_state: bool = True
    """The state after the last token, with a gradient where there is one of the rest."""
    obstacle: Callable[[], str] = lambda: ""
    """Why this machine cannot run it at all; empty where it can. Asked at every call, so it must be cheap; what is not
    plain from the device it says in the log, once."""

    def lacks(self, needs: Needs) -> list[str]:
        """The needs it does not meet, in words; empty where it fits."""
        abilities = ("resets", "initial_state", "final_state", "gradient")
        missing = [name for name in abilities if getattr(needs, name) > getattr(self, name)]
        if needs.dtype not in self.dtypes:
            missing.append(f"dtype {needs.dtype}")
        return missing

    def barred(self, device: str | None) -> str:
        """Why it cannot run here, on that type of device or on any; empty where it can."""
        if device is not None and self.devices and device not in self.devices:
            return f"it runs on {', '.join(sorted(self.devices))}, not on {device}"  # and is not built for the question
        return self.obstacle()

    def reason(self, device: str | None) -> str:
        """As `barred`, in the words that help most: an obstacle of the machine before one of the device."""
        return self.barred(device) and (self.obstacle() or self.barred(device))


_FLOATS = frozenset({"bfloat16", "float16", "float32", "float64"})


def _torch(run: str) -> Kernel:
    return Kernel("torch", run, True, True, True, frozenset(), _FLOATS)


def _cuda(run: str, *, states: bool) -> Kernel:
    return Kernel(
        "mamba_ssm",
        f"core.kernels.mamba_ssm:{run}",
        resets=True,
        initial_state=states,
        gradient=True,
        devices=frozenset({"cuda"}),
        dtypes=_FLOATS - {"float64"},
        final_state=states,
        obstacle=_mamba_ssm_obstacle,
    )


def _mamba_ssm_obstacle() -> str:
    from core.kernels import mamba_ssm

    return mamba_ssm.obstacle()


def _cpp(run: str, library: str) -> Kernel:
    return Kernel(
        "cpp",
        run,
        resets=True,
        initial_state=True,
        gradient=True,
        devices=frozenset({"cpu"}),
        dtypes=frozenset({"bfloat16", "float32"}),
        obstacle=partial(_native_obstacle, library),
    )


def _native_obstacle(library: str) -> str:
    from core.kernels import native

    return native.obstacle(library)


KERNELS: dict[str, list[Kernel]] = {
    "selective_scan": [
        _cuda("selective_scan", states=False),
        _cpp("core.kernels.native.selective_scan:selective_scan_cpp", "selective_scan"),
        _torch("core.kernels.selective_scan:selective_scan_chunked"),
    ],
    "ssd": [
        _cuda("ssd", states=True),
        _cpp("core.kernels.native.ssd:ssd_cpp", "ssd"),
        _torch("core.kernels.ssd:ssd_chunked"),
    ],
}
"""Kernels by kind, the fastest first."""

_preferred = AUTO
_logged: set[tuple[str, str]] = set()
_trained: dict[str, str] = {}


def names() -> list[str]:
    """What `kernel=` may be: `auto`, and the name of every kernel of any kind."""
    return [AUTO, *dict.fromkeys(kernel.name for kernels in KERNELS.values() for kernel in kernels)]


def prefer(name: str, device: str | None = None) -> None:
    """Choose kernels by name for the whole process: `auto` takes the first that fits, and so does a kind that has no
    kernel of the name.

    Args:
        device: the type of device that will be computed on, where that is known.

    Raises ConfigError for an unknown name, and for a kernel that cannot run on this machine or that device.
    """
    _check(name, device)
    global _preferred
    _preferred = name
    _logged.clear()


@contextmanager
def preferred(name: str) -> Iterator[None]:
    """`prefer` inside the block only; the log does not start anew. Raises as `prefer`."""
    _check(name, None)
    global _preferred
    before, _preferred = _preferred, name
    try:
        yield
    finally:
        _preferred = before


def allows(name: str) -> bool:
    """Whether what has no choice of its own, as a norm, may use what comes with kernels of this name."""
    return _preferred in (AUTO, name)


def choose(kind: str, needs: Needs, name: str | None = None) -> Kernel:
    """The kernel for a call, logged in a line where it is new.

    Args:
        kind: a key of KERNELS.
        name: a kernel's name or `auto`; None takes what `prefer` set.

    Raises ConfigError as `prefer`, and where no kernel can what is needed.
    """
    kernel, passed = _pick(kind, needs, name or _preferred)
    if (kind, kernel.name) not in _logged:
        _logged.add((kind, kernel.name))
        why = f"; {'; '.join(passed)}" if passed else ""
        log.info("%s: kernel '%s' (%s, %s)%s", kind, kernel.name, needs.device, needs.dtype, why)
    return kernel


def chosen(mixers: str, needs: Needs, name: str | None = None) -> dict[str, str]:
    """The names of the kernels that a model of these mixers would use, by kind; nothing is logged. Raises as `choose`.

    A name that is unknown or cannot run here is refused for a model without such mixers as well.
    """
    name = name or _preferred
    _check(name, needs.device)
    kinds = [kind for letter, kind in MIXER_KINDS.items() if letter in mixers]
    return {kind: _pick(kind, needs, name)[0].name for kind in kinds}


def trained_with(mixers: str) -> dict[str, str]:
    """The names of the kernels, by kind, that the last gradients through such mixers went through in this process."""
    kinds = (kind for letter, kind in MIXER_KINDS.items() if letter in mixers)
    return {kind: _trained[kind] for kind in kinds if kind in _trained}


def dispatch(
    kind: str, x: Tensor, initial_state: Tensor | None, segments: Tensor | None, final: bool = False
) -> Callable[..., Any]:
    """The function of the kernel for a call with the inputs x."""
    needs = Needs(
        resets=segments is not None,
        initial_state=initial_state is not None,
        final_state=final,
        gradient=x.requires_grad,
        device=x.device.type,
        dtype=str(x.dtype).removeprefix("torch."),
    )
    kernel = choose(kind, needs)
    if needs.gradient:
        _trained[kind] = kernel.name
    return _function(kernel)


def _pick(kind: str, needs: Needs, name: str) -> tuple[Kernel, list[str]]:
    """The first kernel that fits, and what those before it lack; an obstacle has a line of its own in the log."""
    kernels = KERNELS[kind]
    named = [kernel for kernel in kernels if kernel.name == name]
    if name != AUTO and (not named or named[0].barred(needs.device)):
        _check(name, needs.device)
    passed: list[str] = []
    for kernel in [*named, *(kernel for kernel in kernels if kernel not in named)]:
        if kernel.barred(needs.device):
            continue
        lacking = kernel.lacks(needs)
        if not lacking:
            return kernel, passed
        passed.append(f"'{kernel.name}' lacks {', '.join(lacking)}")
    raise ConfigError(f"no {kind} kernel fits: {'; '.join(passed)}", hint="Change what is asked for.")


def _check(name: str, device: str | None) -> None:
    """Raises ConfigError where nothing of this name can run on this machine and, where one is given, that device."""
    if name == AUTO:
        return
    found = [kernel for kernels in KERNELS.values() for kernel in kernels if kernel.name == name]
    reasons = [kernel.reason(device) for kernel in found]
    if found and not all(reasons):
        return
    said = f"kernel '{name}' cannot run here: {reasons[0]}" if found else f"unknown kernel '{name}'"
    raise ConfigError(said if found else f"{said}{nearest(name, names())}", hint=_census(device))


def _census(device: str | None) -> str:
    """Which kernels can run here, and why the others cannot."""
    reasons: dict[str, str] = {AUTO: ""}
    for kernels in KERNELS.values():
        for kernel in kernels:
            reasons[kernel.name] = reasons.get(kernel.name, "?") and kernel.reason(device)
    here = ", ".join(name for name, reason in reasons.items() if not reason)
    others = "; ".join(f"{name} cannot: {reason}" for name, reason in reasons.items() if reason)
    return f"Can run here: {here}.{f' {others}.' if others else ''}"


_functions: dict[str, Callable[..., Any]] = {}


def _function(kernel: Kernel) -> Callable[..., Any]:
    if kernel.run not in _functions:
        module, _, name = kernel.run.partition(":")
        _functions[kernel.run] = getattr(importlib.import_module(module), name)
    return _functions[kernel.run]

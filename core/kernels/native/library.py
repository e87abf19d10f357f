"""The libraries of C++ kernels of this process: built or found at the first question, then held."""

from __future__ import annotations

import ctypes
import logging
import threading

from core.kernels import allows
from core.kernels.native.build import SOURCES, Unbuilt, build, cache_folders

log = logging.getLogger(__name__)

_lock = threading.Lock()
_libraries: dict[str, ctypes.CDLL] = {}
_obstacles: dict[str, str] = {}
_said: set[str] = set()


def obstacle(name: str) -> str:
    """Why the library of NAME.cpp cannot be used; empty where it can. The first question builds it where needed."""
    if name not in _obstacles:
        with _lock:
            if name not in _obstacles:
                _obstacles[name] = _load(name)
    return _obstacles[name]


def wanted(name: str | None = None) -> bool:
    """Whether a part that has no choice of kernels, as the convolution, should use its library (None: all of them)."""
    names = [name] if name else sorted(path.stem for path in SOURCES.glob("*.cpp"))
    return allows("cpp") and not any(map(obstacle, names))


def library(name: str) -> ctypes.CDLL:
    """The library of NAME.cpp. Only where `obstacle` found none."""
    return _libraries[name]


def _load(name: str) -> str:
    """Build and load; where that cannot be done, a line in the log and the reason."""
    import torch  # its OpenMP runtime must be the first in the process, so that the library finds and shares it

    assert torch
    reasons: list[str] = []
    for folder in cache_folders():
        try:
            _libraries[name] = ctypes.CDLL(str(build(name, folder)[0]))
        except (Unbuilt, OSError) as error:
            reasons.append(str(error))
            if isinstance(error, Unbuilt) and error.final:
                break
        else:
            if reasons:
                _say(f"C++ kernels: {reasons[0]}, they are kept in {folder}")
            return ""
    reason = "; ".join(dict.fromkeys(reasons)) or "there is no folder to keep them in"
    _say(f"C++ kernels are off, the torch kernels work instead: {reason}")
    return reason


def _say(message: str) -> None:
    if message not in _said:
        _said.add(message)
        log.warning(message)

"""SIGTERM and SIGINT as a wish: the work ends at the next safe place, a second signal kills."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from core.errors import StoppedError


class Stop:
    """While open, SIGTERM and SIGINT are noted; `check` raises StoppedError where the work may end. A second one kills.

    Outside the main thread, where Python allows no handlers, it notes nothing.
    """

    def __init__(self) -> None:
        self.signum = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._note) for s in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        signal.signal(signum, signal.SIG_DFL)

    def check(self) -> None:
        if self.signum:
            raise StoppedError(self.signum, f"stopped by {signal.Signals(self.signum).name}")

"""SIGTERM and SIGINT as a wish to stop: this step is finished and saved; a second one ends the process at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class SignalWatch:
    """Inside the `with` block the first SIGTERM or SIGINT is noted in `received`; its end restores the handlers.

    Signals reach the main thread only; elsewhere the watch does nothing.
    """

    def __init__(self) -> None:
        self.received = 0
        """Number of the signal that came, 0 for none."""
        self._before: dict[signal.Signals, Any] = {}
        self._process = os.getpid()

    def __enter__(self) -> SignalWatch:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            # a terminal or a scheduler signals loader workers too; they end with the trainer, which may need a batch
            return
        if self.received:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.received = self.received or number

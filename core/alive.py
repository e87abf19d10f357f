"""Whether another process still runs. On Windows `os.kill(pid, 0)` would end it, so its handle is asked there."""

from __future__ import annotations

import os
import sys

_SYNCHRONIZE, _STILL_RUNNING = 0x00100000, 0x102


def lives(process: int) -> bool:
    """True for a process of this machine that runs, whoever owns it."""
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        handle = kernel.OpenProcess(_SYNCHRONIZE, False, process)
        if not handle:
            return False
        running = kernel.WaitForSingleObject(handle, 0) == _STILL_RUNNING
        kernel.CloseHandle(handle)
        return bool(running)
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

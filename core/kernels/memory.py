"""Keep freed memory in the process: a training step frees and asks for the same hundreds of megabytes over and over.

glibc hands large blocks back to the system, which clears every page again when they are next asked for. [Width 256,
4 layers, 8 x 512 tokens: 15,000 to 40,000 page faults a step, 5 to 10 % of its CPU time.] The resident size then stays
at its peak, so this is for training, not for a process that should give memory back.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h


def keep_freed_memory() -> bool:
    """Set it for the rest of the process; whether it could be (Linux with glibc)."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    return bool(mallopt(_MMAP_THRESHOLD, 2**30)) and bool(mallopt(_TRIM_THRESHOLD, 2**31 - 1))

"""From what went wrong to the process's exit code and to the lines a user reads on stderr.

The taxonomy is core.errors'; this page adds what the libraries below us raise (Hydra, the operating system, torch).
A traceback is printed only where FORETELL_TRACEBACK=1 asks for it. An error that is none of ours is a defect: exit 1.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import traceback

from core.errors import ConfigError, ForetellError, InputError, ResourceError, StoppedError

DONE, DEFECT, USAGE = 0, 1, 2

_RESOURCE_ERRNOS = {
    errno.ENOSPC: "no space left on the device",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than this process may write",
    errno.EACCES: "permission denied",
    errno.EPERM: "operation not permitted",
    errno.EROFS: "the file system is read-only",
    errno.ENOMEM: "out of memory",
    errno.EMFILE: "too many open files",
}
_OUT_OF_MEMORY = re.compile(r"not enough memory|out of memory|can't allocate memory|bad alloc", re.IGNORECASE)


def explain(error: BaseException, again: str = "") -> ForetellError | None:
    """`error` as one of ours, or None where it is a defect of the program. `again` says how to go on after Ctrl-C."""
    if isinstance(error, ForetellError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return StoppedError(signal.SIGINT, "stopped by Ctrl-C", hint=again)
    if isinstance(error, OSError) and error.errno in _RESOURCE_ERRNOS:
        where = f": {error.filename}" if error.filename else ""
        return ResourceError(
            f"{_RESOURCE_ERRNOS[error.errno]}{where}",
            hint="Free what is missing or choose another place, then give the same command again.",
        )
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return InputError(f"{os.strerror(error.errno or errno.ENOENT)}: {error.filename}")
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error))):
        first_line = (str(error).splitlines() or ["out of memory"])[0]
        return ResourceError(first_line, hint="A smaller batch, shorter windows or a smaller model needs less memory.")
    if type(error).__module__.partition(".")[0] in ("hydra", "omegaconf"):
        return ConfigError(" ".join(str(error).split()))
    return None


def report(error: BaseException, *, place: str = "", again: str = "") -> int:
    """Prints `error` to stderr and returns the exit code.

    Args:
        place: names the job of a sweep.
        again: how to go on once the work was stopped, where the error does not say so itself.
    """
    if isinstance(error, BrokenPipeError):
        # whoever read our output has left; nothing more can be said, and Python must not try to at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    if os.environ.get("FORETELL_TRACEBACK") == "1":
        traceback.print_exception(error)
    ours = explain(error, again)
    if ours is None:
        print(
            f"foretell: error: {place}an error that should not happen: {type(error).__name__}: {error}\n"
            "  FORETELL_TRACEBACK=1 before the command shows where; please report it.",
            file=sys.stderr,
        )
        return DEFECT
    print(f"foretell: error: {place}{ours}", file=sys.stderr)
    return ours.exit_code

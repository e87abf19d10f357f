"""`foretell VERB key=value ...`: finds the verb, runs it, and turns whatever happens into an exit code.

Importing this page, `foretell --help` and `foretell domains` load neither torch nor Hydra.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from core.errors import StoppedError
from core.version import __version__
from pipelines import exit_codes
from pipelines.help_text import overview
from pipelines.verbs import VERBS, again, find


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; errors are printed to stderr.

    Args:
        arguments: what follows `foretell`; the process's own where None.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    interrupts: list[int] = []
    try:
        with _signals_raised(again(given), interrupts):
            return _command(given)
    except SystemExit as stop:
        return int(stop.code) if isinstance(stop.code, int) else exit_codes.USAGE if stop.code else exit_codes.DONE
    except (Exception, KeyboardInterrupt) as error:
        if interrupts and exit_codes.explain(error) is None:
            error = KeyboardInterrupt()  # an import that it cut short ends in whatever the half of a module lacks
        return exit_codes.report(error, again=again(given))


def _command(given: list[str]) -> int:
    if given[:1] == ["help"] and len(given) == 2:
        given = [given[1], "--help"]
    if not given or given[0] in ("-h", "--help", "help"):
        print(overview({name: verb.summary for name, verb in VERBS.items()}, __version__))
        return exit_codes.DONE if given else exit_codes.USAGE
    if given[0] in ("-V", "--version", "version"):
        print(f"foretell {__version__}")
        return exit_codes.DONE
    verb = find(given[0])
    if not verb.composes:
        return verb.main(given[1:])
    from pipelines import hydra_app

    return hydra_app.run(given[0], verb.summary, verb.options(), verb.task(), given[1:])


@contextmanager
def _signals_raised(hint: str, interrupts: list[int]) -> Iterator[None]:
    """SIGTERM ends the work like an error does: partial folders are removed, the exit code is 128 + 15. Ctrl-C is
    raised as ever, and noted in `interrupts`."""

    def interrupted(signum: int, frame: object) -> NoReturn:
        interrupts.append(signum)
        raise KeyboardInterrupt

    def stop(signum: int, frame: object) -> NoReturn:
        raise StoppedError(signum, f"stopped by {signal.Signals(signum).name}", hint=hint)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {s: signal.signal(s, act) for s, act in ((signal.SIGTERM, stop), (signal.SIGINT, interrupted))}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


if __name__ == "__main__":
    sys.exit(main())

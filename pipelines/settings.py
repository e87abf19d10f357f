"""The keys that every computing verb has, and what they do to the process before the work begins."""

from __future__ import annotations

import logging
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from core.errors import ConfigError, nearest

PRECISIONS = ("auto", "fp32", "bf16")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Keys of every verb that computes."""

    seed: int = 0
    """What everything random is a function of."""
    device: str = "auto"
    """auto (a GPU where there is one), cpu, cuda, cuda:1 ..."""
    precision: str = "auto"
    """auto, fp32 or bf16. auto trains symbol models in bf16 where the hardware multiplies it, and infers in fp32."""
    kernel: str = "auto"
    """Implementation of the Mamba scans: torch, cpp (a CPU with a compiler), mamba_ssm (CUDA), or auto, the fastest
    that is here."""
    threads: int | None = None
    """Threads of torch in this process; null leaves them as they are (OMP_NUM_THREADS, or one a core)."""
    workers: int = 0
    """Processes that make training batches; 0 makes them in the training process. Any number gives the same batches."""
    progress: bool | None = None
    """Whether a progress bar is drawn; null draws it on a terminal only."""
    dry_run: bool = False
    """Print parameters, memory and an estimate of time, and do nothing."""
    plugins: tuple[str, ...] = ()
    """Python modules to import first: they may add domains, mixers, objectives to the registries."""

    def __post_init__(self) -> None:
        for key, value, least in (("workers", self.workers, 0), ("threads", self.threads, 1)):
            if value is not None and value < least:
                raise ConfigError(f"{key}: got {value}, allowed: a whole number of at least {least}")
        if self.precision not in PRECISIONS:
            guess = nearest(self.precision, PRECISIONS)
            raise ConfigError(f"precision: got {self.precision!r}{guess}", hint=f"Allowed: {', '.join(PRECISIONS)}.")

    @property
    def shows_progress(self) -> bool:
        return sys.stderr.isatty() if self.progress is None else self.progress

    @property
    def inference_precision(self) -> str:
        """fp32 unless asked otherwise."""
        return "fp32" if self.precision == "auto" else self.precision

    def begin(self) -> None:
        """Sets torch's threads, the kernels and the log of this process.

        Raises ConfigError for a kernel that is unknown, or cannot run on this machine and device.
        """
        import torch

        from core import kernels

        _show_log()
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        device = self.device.partition(":")[0]
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        kernels.prefer(self.kernel, device)


class _Stderr(logging.Handler):
    """A line each on whatever stderr is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        print(record.getMessage(), file=sys.stderr)


def _show_log() -> None:
    """What core and domains log goes to stderr, a line each; other libraries' logging is left alone."""
    for name in ("core", "domains"):
        log = logging.getLogger(name)
        if not log.handlers:
            log.addHandler(_Stderr())
            log.setLevel(logging.INFO)


def finish(result: str, following: str) -> None:
    """The last line of a verb: where the result lies, and what to type next."""
    print(f"{result}; next: {following}", flush=True)


def command(verb: str, **values: object) -> str:
    """A command line as a user types it: paths quoted for the shell where they need it, None left out."""
    words = [f"{key}={_word(value)}" for key, value in values.items() if value is not None]
    return " ".join(["foretell", verb, *map(shlex.quote, words)])


def after(bundle: Path, **made: Path) -> str:
    """What to type once something was made from a bundle: the report of its run, where it lies in one.

    Args:
        made: by the report's key what was made; named where a report would not look for it by itself.
    """
    run = bundle.parent
    if not (run / "config.yaml").is_file():
        return f"{command('describe')} {shlex.quote(str(bundle))}"
    looked_at = {run.resolve(), run.resolve().parent}
    told = {key: path for key, path in made.items() if path.stem != key or path.resolve().parent not in looked_at}
    return command("report", run=run, **told)


def _word(value: object) -> str:
    return ",".join(map(_word, value)) if isinstance(value, list | tuple) else str(value)


def beside(bundle: Path, name: str) -> Path:
    """Where what is made from a bundle goes by default: RUN/name for RUN/bundle, else next to the bundle."""
    return bundle.parent / name if bundle.name == "bundle" else bundle.with_name(f"{bundle.name}-{name}")

"""How a launcher spreads blocks over processes, as values that a command line can check before it starts any."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import ConfigError


@dataclass(frozen=True)
class LaunchOptions:
    """How a launcher spreads blocks over processes. None of it shows in a byte of the output."""

    workers: int = 0
    """Processes of launcher=local and dask, tasks of slurm; 0: local and dask as many as cores allow, slurm 8."""
    scheduler: str = ""
    """launcher=dask: the address of a running scheduler (tcp://host:8786); empty starts a cluster on this machine."""
    sbatch: tuple[str, ...] = ()
    """launcher=slurm: further options for sbatch, as --partition=cpu, --time=2:00:00, --mem=8G."""
    setup: str = ""
    """launcher=slurm: a line of shell before each task, as `module load python` or `source .venv/bin/activate`."""

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ConfigError(f"workers: got {self.workers}, allowed: a positive whole number, or 0")
        for option in self.sbatch:
            if not option.startswith("-") or option.startswith(("--array", "-a")):
                raise ConfigError(
                    f"sbatch: got {option!r}, allowed: options of sbatch, as --partition=cpu, without --array",
                    hint="The number of tasks is `workers`.",
                )

"""Where a run computes: Lightning's Trainer for this process or for torchrun's many, without Lightning's own habits.

No folders, loggers, checkpoints, progress bars, summaries, samplers or signal handlers of its: foretell has its own.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, Strategy

from core.errors import ConfigError, ResourceError
from core.run_folder import LOCK
from core.training.config import TrainingConfig


def processes() -> tuple[int, int]:
    """World size and how many of it are on this machine, as torchrun says; (1, 1) without."""
    world = int(os.environ.get("WORLD_SIZE", 1))
    return world, int(os.environ.get("LOCAL_WORLD_SIZE", world))


def is_first() -> bool:
    """Whether this is the process that writes files."""
    return int(os.environ.get("RANK", 0)) == 0


def _strategy(config: TrainingConfig, world: int) -> Strategy | str:
    if world == 1:
        return "auto"
    if config.strategy == "fsdp":
        return ModelParallelStrategy(data_parallel_size=world, tensor_parallel_size=1)
    return DDPStrategy()


def make_trainer(config: TrainingConfig, run: Path, callbacks: list[L.Callback]) -> L.Trainer:
    """A Trainer for one pass over the steps that are left. Raises ConfigError for a device that is not there."""
    world, local = processes()
    try:
        trainer = L.Trainer(
            accelerator=config.device,
            devices=local,
            num_nodes=world // local,
            strategy=_strategy(config, world),
            max_epochs=1,
            accumulate_grad_batches=config.accumulate,
            callbacks=callbacks,
            default_root_dir=run,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_autolog_hparams=False,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
    except (MisconfigurationException, ValueError) as error:
        raise ConfigError(f"training.device={config.device}, training.strategy={config.strategy}: {error}") from error
    # it would take SIGTERM, and under SLURM ask for a requeue with a checkpoint of its own
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning's advice and announcements are not shown inside the block; its errors are."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for module in ("lightning", "torch"):
            warnings.filterwarnings("ignore", module=rf"{module}\.")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def memory_named() -> Iterator[None]:
    """Turns running out of memory inside the block, the device's or the machine's, into a ResourceError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch's CPU allocator has no class of its own for it
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "DefaultCPUAllocator" not in str(error):
            raise
        raise ResourceError(
            f"not enough memory to train: {str(error).splitlines()[0]}",
            hint="Use smaller batches with training.accumulate, shorter rows, or a smaller model.",
        ) from error


@contextmanager
def only_writer(run: Path) -> Iterator[None]:
    """The run folder belongs to this process inside the block; the system gives it back however the process ends.

    Raises ResourceError where another process trains there. The first process of a world asks for all of them.
    """
    if not is_first() or os.name != "posix":
        yield
        return
    import fcntl

    with open(run / LOCK, "w") as file:
        try:
            # a lock of the process, not of the open file: loader workers that outlive a killed trainer do not hold it
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise ResourceError(
                f"another process is training in {run}", hint="Wait for it or stop it, or choose another run folder."
            ) from error
        yield

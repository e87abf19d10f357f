"""Where curves go besides metrics.csv, by one word: `tensorboard`, `mlflow` or `wandb`, all inside the run folder."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import ConfigError
from core.registry import Registry

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger


def _needs(word: str, *modules: str) -> None:
    """Raises ConfigError where none of the modules is installed."""
    if not any(importlib.util.find_spec(module) for module in modules):
        raise ConfigError(
            f"training.logger={word} needs the package '{word}', which is not installed",
            hint=f"pip install {word}, or leave training.logger at csv.",
        )


def _csv(run: Path) -> Logger | None:
    return None


def _tensorboard(run: Path) -> Logger | None:
    _needs("tensorboard", "tensorboard", "tensorboardX")
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(run, name="tensorboard", version="")


def _mlflow(run: Path) -> Logger | None:
    _needs("mlflow", "mlflow", "mlflow_skinny")
    from lightning.pytorch.loggers import MLFlowLogger

    return MLFlowLogger(experiment_name=run.name, tracking_uri=f"sqlite:///{(run / 'mlflow.db').resolve()}")


def _wandb(run: Path) -> Logger | None:
    _needs("wandb", "wandb")
    from lightning.pytorch.loggers import WandbLogger

    return WandbLogger(name=run.name, project="foretell", save_dir=run, offline=True)


LOGGERS: Registry[Callable[[Path], Logger | None]] = Registry(
    "logger", {"csv": _csv, "tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb}
)

"""`fit`: trains a model inside a run folder, or goes on where the folder's newest checkpoint stands.

    run/  plan.json  steps.jsonl  metrics.csv  checkpoints/step-N/  bundle/

It knows models, objectives and batches by what it calls of them; how a bundle is written it is told.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import lightning as L
import torch

from core.durable import resources_named
from core.kernels.memory import keep_freed_memory
from core.training import refit
from core.training.budget import steps_within
from core.training.callbacks import CHECKPOINTS, METRICS, Recording, Resumption, Saving, Stopping
from core.training.config import TrainingConfig
from core.training.gauge import Gauge
from core.training.loggers import LOGGERS
from core.training.module import TrainingModule
from core.training.network import Network
from core.training.optimizers import OPTIMIZERS
from core.training.place import is_first, make_trainer, memory_named, only_writer, processes, quiet
from core.training.plan import Plan, Situation, make_plan
from core.training.precision import resolve_precision, subnormals_as_zero
from core.training.progress import ProgressDisplay
from core.training.signals import SignalWatch
from core.training.validation import BundleWriter, Validation

if TYPE_CHECKING:
    from collections.abc import Sequence as Many

    from core.datamodule import SequenceDataModule
    from core.nn.model import SequenceModel
    from core.objectives import Objective

PLAN, BUNDLE = "plan.json", "bundle"


@dataclass(frozen=True)
class FitResult:
    """What a finished run amounts to; counts and seconds are the whole run's, over all its resumptions."""

    steps: int
    tokens: int
    """Predicted tokens, all epochs and processes together."""
    seconds: float
    """Wall time inside the training loop, validation and saving included."""
    best_step: int
    best_val: float
    """Nats per predicted token on the validation share; NaN where there is none."""
    best_bits: float
    """The same as `measure` says."""
    measure: str
    """`bits per base`; `loss per step` where the loss is no likelihood."""
    last_val: float
    resumed_from: int
    """The step that this call started at; 0 for a fresh run."""
    precision: str
    """`fp32` or `bf16`, as it was trained."""
    bundle: Path
    checkpoint: Path
    metrics: Path


@subnormals_as_zero()
def fit(
    model: SequenceModel,
    objective: Objective,
    data: SequenceDataModule,
    config: TrainingConfig,
    run: Path,
    *,
    bundle_writer: BundleWriter,
    units_per_token: float = 1.0,
    natural_unit: str = "token",
    progress: bool = True,
    callbacks: Many[L.Callback] = (),
) -> FitResult:
    """Trains `model` in place to the end of its budget.

    The same call on the same folder goes on at the newest sound checkpoint, with the same steps as if it had never been
    interrupted; on a finished run it returns at once. The model must be initialised the same way each time.

    Args:
        model, objective: what is trained, and for what; their weights are the last ones afterwards.
        data: gives batches by step; its order has a seed of its own.
        config: the recipe.
        run: the run folder; made where it is missing.
        bundle_writer: `write(path, metrics)` makes a bundle of `model` as it is at that moment, replacing what is at
            path; called on the first process whenever validation found better weights.
        units_per_token: natural units (bases, residues) a predicted token stands for, on average.
        natural_unit: its name in the singular.
        progress: whether to show any.
        callbacks: further Lightning callbacks; they act after foretell's own.

    Raises:
        ConfigError: a device, optimizer or logger that is not there.
        IntegrityError: the folder holds another run, or a checkpoint of a later version.
        ResourceError: no space, no permission, or another process trains in this folder.
        DivergedError: loss or gradient is not finite; nothing was written after the last good step.
        StoppedError: SIGTERM or SIGINT came; the run is saved.
    """
    began = perf_counter()
    keep_freed_memory()
    OPTIMIZERS.get(config.optimizer)
    if config.refit:
        refit.check(model, config.strategy)
    with resources_named(run):
        run.mkdir(parents=True, exist_ok=True)
    logger = LOGGERS.get(config.logger)(run) if is_first() else None
    network = Network(model, objective)
    gauge = Gauge.of(model, natural_unit, units_per_token)
    sharded = config.strategy == "fsdp" and processes()[0] > 1
    trained = copy.deepcopy(network) if sharded else network
    with only_writer(run), quiet(), torch.random.fork_rng(devices=[]), SignalWatch() as watch:
        module = TrainingModule(trained, config, data, watch)

        def plan() -> Plan:
            device = module.trainer.strategy.root_device
            precision = resolve_precision(config.precision, model.spec, device)
            situation = Situation(
                precision,
                {name: list(p.shape) for name, p in network.named_parameters()},
                lambda: data.tokens_per_step * config.accumulate,
                lambda seconds: steps_within(
                    seconds,
                    network,
                    config,
                    precision,
                    device,
                    lambda n: data.train_batches(0, n),
                    data.val_dataloader,
                    started=began,
                ),
            )
            return make_plan(run / PLAN, config, situation)

        recording = Recording(run, gauge, logger)
        resumption = Resumption(run, plan, data)
        validation = Validation(data.val_dataloader, network, run / BUNDLE, bundle_writer, gauge)
        acting: list[L.Callback] = [
            resumption,
            recording,
            validation,
            *(
                [refit.Refit(lambda: data.train_batches(0, data.steps_per_epoch(0)), validation)]
                if config.refit
                else []
            ),
            Saving(run, recording),
            *([ProgressDisplay(gauge)] if progress else []),
            *callbacks,
            Stopping(),
        ]
        try:
            with memory_named():
                make_trainer(config, run, acting).fit(module, datamodule=data)
        finally:
            recording.close()
    course = module.course
    return FitResult(
        steps=course.step,
        tokens=course.tokens,
        seconds=course.seconds,
        best_step=course.best_step,
        best_val=math.nan if course.best_val is None else course.best_val,
        best_bits=gauge(course.best_val),
        measure=gauge.words,
        last_val=math.nan if course.last_val is None else course.last_val,
        resumed_from=resumption.resumed_from,
        precision=module.plan.precision,
        bundle=run / BUNDLE,
        checkpoint=run / CHECKPOINTS / f"step-{course.step:09d}",
        metrics=run / METRICS,
    )

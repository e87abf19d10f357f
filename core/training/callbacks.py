"""What surrounds the steps, one Lightning callback each, in the order in which they act at a step's end:

`Recording` writes the logs, (`Validation` measures,) `Saving` writes checkpoints, `Stopping` obeys signals.
`Resumption` stands before them all and acts once. Each asks the module for the step's facts; within a step of several
batches there are none.
"""

from __future__ import annotations

import logging
import signal
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import lightning as L

from core.errors import StoppedError
from core.training.checkpoint import load_checkpoint, newest_checkpoint, save_checkpoint, sweep
from core.training.ema import AveragedWeights
from core.training.gauge import Gauge
from core.training.module import TrainingModule
from core.training.plan import Plan
from core.training.runlog import MetricTable, StepLog
from core.training.state import gather, restore

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightning.pytorch.loggers import Logger

STEPS, METRICS, CHECKPOINTS = "steps.jsonl", "metrics.csv", "checkpoints"

log = logging.getLogger(__name__)


class Resumption(L.Callback):
    """Makes or reads the plan, and puts the newest checkpoint into model, optimizer, averages and counts.

    Args:
        run: the run folder.
        plan: makes the plan; called on the first process, the others are told.
        data: told which steps are left.
    """

    def __init__(self, run: Path, plan: Callable[[], Plan], data: Any) -> None:
        self.run, self._make_plan, self.data = run, plan, data
        self.resumed_from = 0

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        assert isinstance(module, TrainingModule)
        first = trainer.global_rank == 0
        if first:
            sweep(self.run)
        found: Any = (self._make_plan(), newest_checkpoint(self.run / CHECKPOINTS)) if first else None
        module.plan, self.path = trainer.strategy.broadcast(found)

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, TrainingModule)
        if module.config.ema:
            module.averages = AveragedWeights(module.network, module.config.ema)
        if self.path is not None:
            checkpoint = load_checkpoint(self.path)
            restore(checkpoint.state, module.network, trainer.optimizers[0], module.averages)
            module.course.restore(checkpoint.course)
            self.resumed_from = module.course.step
            finished = self.resumed_from >= module.plan.steps
            said = "finished at step %s: %s" if finished else "going on after step %s from %s"
            log.info(said, self.resumed_from, self.path)
        batches = module.config.accumulate
        self.data.start_step = module.course.step * batches
        self.data.stop_step = max(module.course.step, module.plan.steps) * batches
        module.network.train()


class Recording(L.Callback):
    """steps.jsonl every step, metrics.csv and an outside logger every `log_every` steps and after a validation."""

    def __init__(self, run: Path, gauge: Gauge, logger: Logger | None) -> None:
        self.run, self.gauge, self.logger = run, gauge, logger
        self.columns = ["step", "seconds", "tokens", "loss", "lr", "grad_norm", "tokens_per_second", "val_nll"]
        self.columns.append(gauge.column)
        self._open = False
        self._losses: list[float] = []
        self._marked = 0.0, 0
        """Seconds and tokens that the next row's speed is counted from."""

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, TrainingModule)
        self._seconds_before, self._begun = module.course.seconds, perf_counter()
        self._losses = []
        self._validated = module.course.validated
        if trainer.global_rank == 0:
            lengths = module.course.logs
            self.steps = StepLog(self.run / STEPS, lengths.get(STEPS, 0))
            self.metrics = MetricTable(self.run / METRICS, self.columns, lengths.get(METRICS, 0))
            self._open = True
        self._mark(module)

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *unused: Any) -> None:
        assert isinstance(module, TrainingModule)
        facts = module.facts
        if facts is None:
            return
        self.clock(module)
        self._losses.append(facts.loss)
        if self._open:
            self.steps.write(facts)
        if facts.step % module.config.log_every == 0 or facts.step == module.plan.steps:
            seconds = module.course.seconds - self._marked[0]
            self._row(
                module,
                {
                    "tokens": facts.tokens,
                    "loss": sum(self._losses) / len(self._losses),
                    "lr": facts.lr,
                    "grad_norm": facts.grad_norm,
                    "tokens_per_second": (facts.tokens - self._marked[1]) / seconds,
                },
            )
            self._losses = []
            self._mark(module)

    def clock(self, module: TrainingModule) -> None:
        """Brings the course's seconds up to now."""
        module.course.seconds = self._seconds_before + perf_counter() - self._begun

    def record_validation(self, module: TrainingModule) -> bool:
        """Writes a row for a validation that was made since the last call; whether there was one."""
        course = module.course
        fresh = course.validated != self._validated
        if fresh and course.last_val is not None:
            self._row(module, {"val_nll": course.last_val, self.gauge.column: self.gauge(course.last_val)})
        self._validated = course.validated
        return fresh

    def go_on(self, module: TrainingModule) -> None:
        """The next step begins: what happened since the last one's end is left out of tokens per second."""
        before = module.course.seconds
        self.clock(module)
        self._marked = self._marked[0] + module.course.seconds - before, self._marked[1]

    def settle(self, module: TrainingModule) -> None:
        """Everything on disk, and its length noted for the checkpoint."""
        if self._open:
            for file in (self.steps, self.metrics):
                file.sync()
                module.course.logs[file.path.name] = file.length

    def close(self) -> None:
        if self._open:
            self.steps.close()
            self.metrics.close()
            self._open = False
            if self.logger is not None:
                self.logger.finalize("success")

    def _row(self, module: TrainingModule, values: dict[str, float]) -> None:
        if self._open:
            row = {"step": module.course.step, "seconds": module.course.seconds, **values}
            self.metrics.write(row)
            if self.logger is not None:
                self.logger.log_metrics(values, step=module.course.step)

    def _mark(self, module: TrainingModule) -> None:
        self.clock(module)
        self._marked = module.course.seconds, module.course.tokens


class Saving(L.Callback):
    """A checkpoint where the plan says so, and one more when the run is to stop."""

    def __init__(self, run: Path, recording: Recording) -> None:
        self.folder, self.recording = run / CHECKPOINTS, recording

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, TrainingModule)
        if self.recording.record_validation(module) and module.course.step:
            self.save(trainer, module)

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *unused: Any) -> None:
        assert isinstance(module, TrainingModule)
        if module.facts is None:
            return
        self.recording.record_validation(module)
        if module.plan.saves(module.facts.step) or module.stop_signal:
            self.save(trainer, module)
        self.recording.go_on(module)

    def save(self, trainer: L.Trainer, module: TrainingModule) -> None:
        """A collective: all processes gather, the first one writes, all go on when it is on disk."""
        state = gather(module.network, trainer.optimizers[0], module.averages)
        self.recording.settle(module)
        if trainer.global_rank == 0:
            save_checkpoint(self.folder, state, module.course.to_config(), keep=module.config.keep)
        trainer.strategy.barrier("checkpoint")


class Stopping(L.Callback):
    """Ends the run after a step at whose end a signal was known; `Saving` has saved it by then."""

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *unused: Any) -> None:
        assert isinstance(module, TrainingModule)
        number = module.stop_signal
        if module.facts is not None and number:
            step, steps = module.course.step, module.plan.steps
            raise StoppedError(
                number,
                f"stopped by {signal.Signals(number).name} after step {step} of {steps}; it is saved",
                hint="The same command again goes on from there.",
            )

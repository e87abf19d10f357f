"""Progress on stderr: a bar with tokens/s, the loss by its gauge and the time left; plain lines without a terminal."""

from __future__ import annotations

import sys
from time import monotonic
from typing import Any

import lightning as L
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from core.training.gauge import Gauge
from core.training.module import TrainingModule

SMOOTHING = 0.05
"""Weight of the newest step in what is shown."""
REFRESH = 0.2
"""Seconds between changes of the bar."""
PLAIN_SHARE, PLAIN_SECONDS = 0.1, 30.0
"""A plain line at every such share of the run, and whenever so many seconds have passed."""


class ProgressDisplay(L.Callback):
    """Shows a run's loss as its gauge has it. First process only."""

    def __init__(self, gauge: Gauge) -> None:
        self.gauge, self.unit = gauge, gauge.words.replace(" per ", "/")
        self.bar: Progress | None = None

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, TrainingModule)
        self._shown = trainer.global_rank == 0
        self._loss: float | None = None
        self._tokens, self._begun, self._last = module.course.tokens, monotonic(), monotonic()
        self._share = module.course.step / module.plan.steps
        if self._shown and sys.stderr.isatty():
            self.bar = Progress(
                TextColumn("training"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[facts]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                refresh_per_second=1 / REFRESH,
                auto_refresh=False,
            )
            self.bar.start()
            self._task = self.bar.add_task("training", total=module.plan.steps, completed=module.course.step, facts="")

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *unused: Any) -> None:
        assert isinstance(module, TrainingModule)
        facts = module.facts
        if facts is None or not self._shown:
            return
        self._loss = facts.loss if self._loss is None else self._loss + SMOOTHING * (facts.loss - self._loss)
        now, last_step = monotonic(), facts.step == module.plan.steps
        if self.bar is not None:
            if now - self._last >= REFRESH or last_step:
                self._last = now
                self.bar.update(self._task, completed=facts.step, facts=self._text(module, now), refresh=True)
            return
        share = facts.step / module.plan.steps
        if now - self._last >= PLAIN_SECONDS or share - self._share >= PLAIN_SHARE - 1e-9 or last_step:
            self._last, self._share = now, share
            left = (now - self._begun) * (1 - share) / max(share, 1e-9)
            text = self._text(module, now)
            print(f"step {facts.step} of {module.plan.steps}: {text}, {left:.0f} s left", file=sys.stderr, flush=True)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _text(self, module: TrainingModule, now: float) -> str:
        speed = (module.course.tokens - self._tokens) / max(now - self._begun, 1e-9)
        text = f"{speed:,.0f} tokens/s, {self.gauge(self._loss):.4g} {self.unit}"
        if module.course.last_val is not None:
            text += f", validation {self.gauge(module.course.last_val):.4g}"
        return text

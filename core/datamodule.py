"""Token stores as Lightning sees them. Domains subclass `SequenceDataModule` where they need more.

There is no state: training asks for steps [start_step, stop_step), and gets the same batches whatever came before.
Batches are sliced by rank here already, so Lightning must not put a sampler of its own in place
(`Trainer(use_distributed_sampler=False)`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence as Many
from functools import partial
from math import ceil
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any, cast

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from core.alive import lives
from core.batching.batch import Batch
from core.batching.config import VAL_TOKENS, BatchingConfig
from core.batching.epoch import PlanReport, Portion, Tokens
from core.batching.feed import BatchFeed, TrainingSteps, ValidationSteps
from core.batching.stream import StoreStream
from core.errors import ConfigError
from core.order import torch_generator
from core.sequence import TokenSpec
from core.store import TokenStore
from core.tokenizer import Tokenizer

Stores = Tokens | str | Path | Many[tuple[Tokens | str | Path, float]]


class SequenceDataModule(LightningDataModule):
    """Batches of one or several stores.

    Args:
        stores: a store or its path, or several as (store, weight): rows are taken in proportion to the weights.
        tokenizer: whose views are read in training, and whose spec the batches have; None for the first store's spec.
        batching: rows and batches.
        seed: of order, phases and views.
        workers: processes that make batches; 0 makes them where they are used.
        views: whether training reads windows through `tokenizer.view_window`.
        val_tokens: about so many tokens of the validation spans are read, windows or records evenly spread over them,
            always the same; 0 reads all.

    Raises:
        ConfigError: the stores' tokens differ, or a value is not allowed.
        InputError: at the first batch, where no row can be made of a store's training spans.
    """

    def __init__(
        self,
        stores: Stores,
        tokenizer: Tokenizer[Any] | None = None,
        batching: BatchingConfig | None = None,
        *,
        seed: int = 0,
        workers: int = 0,
        views: bool = True,
        val_tokens: int = VAL_TOKENS,
    ) -> None:
        super().__init__()
        if workers < 0:
            raise ConfigError(f"workers is {workers}; it must be at least 0")
        if val_tokens < 0:
            raise ConfigError(f"val_tokens is {val_tokens}; it must be at least 0")
        weighted = stores if isinstance(stores, Many) and not isinstance(stores, str) else [(stores, 1.0)]
        self.stores = [TokenStore.open(s) if isinstance(s, str | Path) else s for s, _ in weighted]
        self.weights = [float(weight) for _, weight in weighted]
        self.tokenizer, self.batching, self.seed, self.workers = tokenizer, batching or BatchingConfig(), seed, workers
        self.views = views and tokenizer is not None
        self.spec: TokenSpec = tokenizer.spec if tokenizer is not None else self.stores[0].spec
        for number, store in enumerate(self.stores):
            if not self.spec.extends(store.spec):
                raise ConfigError(
                    f"store {number + 1} of {len(self.stores)} has tokens {store.spec.names} that differ from "
                    f"{self.spec.names} of {'the tokenizer' if tokenizer is not None else 'the first store'}",
                    hint="Stores that are mixed must be prepared with the same tokenizer.",
                )
        training = Portion("train", seed)
        self._training = [StoreStream(s, self.batching, training, k) for k, s in enumerate(self.stores)]
        self.training_steps = TrainingSteps(self._training, self.weights, self.batching)
        held_out = [store.spans("validation") for store in self.stores]
        total = sum(int((spans[:, 2] - spans[:, 1]).sum()) for spans in held_out)
        share = val_tokens / total if 0 < val_tokens < total else 1.0
        fixed = Portion("validation", shuffled=False, share=share)
        self._validation = [
            StoreStream(s, self.batching, fixed, k) for k, s in enumerate(self.stores) if len(held_out[k])
        ]
        self.start_step = 0
        """The first step of `train_dataloader`."""
        self.stop_step: int | None = None
        """One after its last step; None for the end of the first epoch."""

    def train_batches(
        self, start_step: int, stop_step: int, *, rank: int | None = None, world: int | None = None
    ) -> DataLoader[Batch]:
        """Batches of steps [start_step, stop_step), of this process's rank unless another is named.

        Its `dataset[step]` is the batch of any single step.
        """
        tokenizer = self.tokenizer if self.views else None
        here = self.place()
        feed = BatchFeed(
            self._training,
            self.training_steps,
            self.spec,
            self.batching,
            rank=here[0] if rank is None else rank,
            world=here[1] if world is None else world,
            tokenizer=tokenizer,
        )
        return _loader(feed, range(start_step, stop_step), self.workers)

    def train_dataloader(self) -> DataLoader[Batch]:
        stop = self.steps_per_epoch(0) if self.stop_step is None else self.stop_step
        return self.train_batches(self.start_step, stop)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The fixed share of the validation spans: no views, no jitter, the same for every seed; empty without spans.

        Made in this process: a pass is short, starting workers for each is not.
        """
        rank, world = self.place()
        steps = ValidationSteps(self._validation, self.batching)
        feed = BatchFeed(self._validation, steps, self.spec, self.batching, rank=rank, world=world)
        return _loader(feed, range(len(steps)), 0)

    def place(self) -> tuple[int, int]:
        """Rank and world size: the trainer's, else torch.distributed's, else (0, 1)."""
        if self.trainer is not None:
            return self.trainer.global_rank, self.trainer.world_size
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_rank(), torch.distributed.get_world_size()
        return 0, 1

    def steps_per_epoch(self, epoch: int = 0) -> int:
        """Steps after which every store has been read once. With jitter epochs may differ by a few windows."""
        return self.training_steps.per_epoch(epoch)

    @property
    def tokens_per_step(self) -> float:
        """Tokens that a step predicts, EOS counted and padding not, on average over the first epoch."""
        return self.training_steps.tokens_per_step

    @property
    def tokens_per_epoch(self) -> int:
        """Tokens that the steps of the first epoch predict."""
        return ceil(self.tokens_per_step * self.steps_per_epoch(0))

    def report(self, epoch: int = 0) -> list[PlanReport]:
        """What an epoch reads of each store's training spans and what it leaves out."""
        return [stream.plan(epoch).report() for stream in self._training]


def _loader(feed: BatchFeed, steps: range, workers: int) -> DataLoader[Batch]:
    """Steps in order; worker k makes every `workers`-th one. torch's global random state is left alone."""
    return DataLoader(
        feed,
        batch_size=None,
        sampler=cast(Any, steps),
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        generator=torch_generator("loader"),
        worker_init_fn=partial(_serve, os.getpid()),
    )


def _serve(trainer: int, worker: int) -> None:
    """A terminal or a scheduler signals workers too, but the trainer may need a batch to stop: it says when they end.

    torch's own watch looks at the worker's parent, which is another process where workers come from a fork server.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if _KNOWS_SENDERS:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    Thread(target=_end_with, args=(trainer,), daemon=True).start()


_KNOWS_SENDERS = hasattr(signal, "sigtimedwait")
"""Not on macOS and Windows: there SIGTERM ends a worker whoever sent it."""


def _end_with(trainer: int) -> None:
    """Ends this process when the trainer terminates it, or is gone."""
    while True:
        if _KNOWS_SENDERS:
            told = signal.sigtimedwait({signal.SIGTERM}, 1.0)
            if told is not None and told.si_pid == trainer:
                os._exit(0)
        else:
            sleep(1)
        if not lives(trainer):
            os._exit(1)

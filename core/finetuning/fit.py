"""Training of a head and of what is below it: epochs, early stopping on validation, a rate for each layer.

The head begins as the regression on frozen embeddings, and these weights are the first that validation sees: training
can only end where it is better there than what it began with.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.engine import Engine
from core.errors import DivergedError
from core.finetuning.config import SupervisedConfig
from core.finetuning.head import Head
from core.finetuning.labels import Labels
from core.finetuning.other_readings import OtherReadings
from core.finetuning.pairs import combined
from core.finetuning.records import MICRO_TOKENS, Records, by_token, epoch, pooled
from core.nn.model import SequenceModel
from core.order import seed_of
from core.training.ema import AveragedWeights
from core.training.precision import arithmetic, resolve_precision, subnormals_as_zero

Values = NDArray[np.float64]
_WARMUP = 0.1


@dataclass
class Course:
    """What happened."""

    losses: list[float] = field(default_factory=list)
    """Validation loss before training and after each epoch, in nats."""
    best_epoch: int = 0
    steps: int = 0
    seconds: float = 0.0
    trained: int = 0
    """Parameters that changed."""


@subnormals_as_zero()
def fit(
    model: SequenceModel,
    head: Head,
    records: Records,
    labels: Labels,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    config: SupervisedConfig,
    *,
    rate: float,
    seed: int,
    class_weights: Values | None = None,
    device: str = "auto",
    precision: str = "auto",
    batch_tokens: int = 4096,
    readings: OtherReadings | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Course:
    """Trains `head`, and what of `model` requires a gradient, in place; the best weights on validation are left.

    Args:
        records: the members of the labels. train, validation: positions among the labels.
        rate: peak learning rate.
        readings: of the records, another one for each epoch; None: as the store has them.

    Raises DivergedError where a loss is not finite.
    """
    began = time.perf_counter()
    engine = Engine(model, device=device, batch_tokens=batch_tokens)
    place = engine.device
    head.to(place)
    below = any(p.requires_grad for p in model.parameters())
    optimizer, rates = _optimizer(model, head, config, rate)
    number = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    course = Course(trained=number)
    arithmetic_name = resolve_precision(precision, model.spec, place)
    weights = None if class_weights is None else torch.as_tensor(class_weights, dtype=torch.float32, device=place)
    held_y = torch.as_tensor(labels.where(validation), device=place, dtype=torch.float32)
    frozen: dict[int, Tensor] | None = None
    if not below:  # the embeddings stay what they are: they are computed once
        frozen = _embedded(engine, records, labels, np.concatenate([train, validation]))

    def validation_loss() -> float:
        held = (
            torch.cat([frozen[i] for i in validation.tolist()])
            if frozen is not None
            else torch.as_tensor(embed(engine, records, labels, validation), dtype=torch.float32)
        )
        with torch.inference_mode():
            return float(head.eval().loss(held.to(place), held_y, weights))

    averages = AveragedWeights(nn.ModuleList([model, head]), config.ema) if config.ema else None
    best = validation_loss()
    course.losses.append(best)
    kept = _state(model, head)
    members = labels.members_of(train)
    steps = config.epochs * math.ceil(len(train) / config.batch_size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "finetune_dropout"))
        for number in range(1, config.epochs + 1):
            model.train()
            head.train()
            read = records if readings is None or frozen is not None else readings.again(members, seed, number)
            lengths = read.lengths[labels.halves].sum(axis=1)
            for batch in epoch(lengths, train, config.batch_size, seed, number):
                share = _rate(course.steps, steps)
                for group, peak in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = peak * share
                loss = _step(model, head, read, labels, batch, frozen, weights, arithmetic_name, place)
                if not math.isfinite(loss):
                    raise DivergedError(
                        f"the loss is {loss} in epoch {number}, step {course.steps}", hint="Choose a smaller lr."
                    )
                torch.nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], config.clip)
                optimizer.step()
                optimizer.zero_grad()
                if averages is not None:
                    averages.update(course.steps)
                course.steps += 1
            model.eval()
            with averages.in_place() if averages is not None else nullcontext():
                course.losses.append(validation_loss())
                if course.losses[-1] < best:
                    best, kept, course.best_epoch = course.losses[-1], _state(model, head), number
            say(f"epoch {number}: validation {course.losses[-1]:.4f} nats (best {best:.4f}, epoch {course.best_epoch})")
            if course.best_epoch and number - max(course.best_epoch, config.epochs // 2) >= config.patience:
                break
    _restore(model, head, kept)
    model.eval()
    head.eval()
    course.seconds = time.perf_counter() - began
    return course


def embed(engine: Engine, records: Records, labels: Labels, chosen: NDArray[np.int64]) -> Values:
    """(m, F) what a head reads of the chosen ones, or of their tokens end to end, as prediction has it."""
    return labels.joined(vectors(engine, records, labels.members_of(chosen)), chosen)


def vectors(engine: Engine, records: Records, chosen: NDArray[np.int64]) -> Values:
    """(m, D) embeddings of the chosen records, or of their tokens end to end."""
    found = list(engine.embed(records.subset(chosen), pooling=records.pooling, window=records.policy))
    if not found:
        return np.zeros((0, engine.model.hidden_width))
    return (np.concatenate(found) if records.pooling == "token" else np.stack(found)).astype(np.float64)


def _embedded(engine: Engine, records: Records, labels: Labels, chosen: NDArray[np.int64]) -> dict[int, Tensor]:
    """What a head reads, (1 or tokens, F), by record or pair."""
    if labels.pairs:
        joined = torch.from_numpy(embed(engine, records, labels, chosen).astype(np.float32))
        return {i: joined[k : k + 1] for k, i in enumerate(chosen.tolist())}
    found = engine.embed(records.subset(chosen), pooling=records.pooling, window=records.policy)
    return {
        i: torch.from_numpy(vector if records.pooling == "token" else vector[None])
        for i, vector in zip(chosen.tolist(), found, strict=True)
    }


def _step(
    model: SequenceModel,
    head: Head,
    records: Records,
    labels: Labels,
    batch: NDArray[np.int64],
    frozen: dict[int, Tensor] | None,
    weights: Tensor | None,
    precision: str,
    device: torch.device,
) -> float:
    """Gradients of one batch; its loss."""
    if frozen is not None:
        found = torch.cat([frozen[i] for i in batch.tolist()]).to(device)
        loss = head.loss(found, _aim(labels, batch, device), weights)
        loss.backward()
        return loss.item()
    total = 0.0
    read = _pairs_read if labels.pairs else _records_read
    for found, these in read(model, records, labels, batch, precision, device):
        loss = head.loss(found, _aim(labels, these, device), weights) * (len(these) / len(batch))
        loss.backward()
        total += loss.item()
    return total


def _records_read(
    model: SequenceModel,
    records: Records,
    labels: Labels,
    batch: NDArray[np.int64],
    precision: str,
    device: torch.device,
) -> Iterator[tuple[Tensor, NDArray[np.int64]]]:
    """What a head reads of a batch, with its graph, some records after the other: (m or tokens, D), and which."""
    for part in records.parts(batch, device):
        with arithmetic(precision, device):
            if records.pooling == "token":
                found = by_token(model, part, [records.stretches[i].tokens for i in part.records.tolist()])
            else:
                found = pooled(model, part)
        yield found, part.records


def _pairs_read(
    model: SequenceModel,
    records: Records,
    labels: Labels,
    batch: NDArray[np.int64],
    precision: str,
    device: torch.device,
) -> Iterator[tuple[Tensor, NDArray[np.int64]]]:
    """As `_records_read` of pairs: as many at a time as a forward pass has room for, a shared record read once."""
    sizes = records.lengths[labels.halves[batch]].sum(axis=1)
    part = np.cumsum(sizes) // MICRO_TOKENS
    for number in np.unique(part):
        these = batch[part == number]
        members = labels.members_of(these)
        read = list(_records_read(model, records, labels, members, precision, device))
        order = torch.from_numpy(np.argsort(np.concatenate([which for _, which in read]))).to(device)
        vectors = torch.cat([found for found, _ in read])[order]
        first, second = torch.from_numpy(np.searchsorted(members, labels.halves[these])).to(device).T
        yield combined(vectors[first], vectors[second], labels.pairs), these


def _aim(labels: Labels, chosen: NDArray[np.int64], device: torch.device) -> Tensor:
    return torch.as_tensor(labels.where(chosen), device=device, dtype=torch.float32)


def _rate(step: int, steps: int) -> float:
    """Share of the peak: a linear warm-up, then a cosine to 0."""
    warmup = max(1, int(_WARMUP * steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _optimizer(
    model: SequenceModel, head: Head, config: SupervisedConfig, rate: float
) -> tuple[torch.optim.Optimizer, list[float]]:
    """AdamW with a group for each depth and for what decays, and the peak rate of each group."""
    layers = len(model.backbone.layers)
    groups: dict[tuple[int, bool], list[Tensor]] = {}
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad and not name.startswith("readouts.")]
    for name, parameter in [*named, *((f"head.{n}", p) for n, p in head.named_parameters())]:
        decays = parameter.ndim > 1 and not getattr(parameter, "_no_weight_decay", False)
        groups.setdefault((depth(name, layers), decays), []).append(parameter)
    described: list[dict[str, Any]] = []
    rates = []
    for (level, decays), parameters in sorted(groups.items()):
        described.append({"params": parameters, "weight_decay": config.weight_decay * decays})
        rates.append(rate * config.layer_decay ** (layers + 1 - level))
    return torch.optim.AdamW(described, lr=rate, betas=(0.9, 0.98)), rates


def depth(name: str, layers: int) -> int:
    """0 for embeddings, 1 to `layers` for blocks, one more for the last norm and the head."""
    parts = name.split(".")
    if parts[0] == "embed":
        return 0
    if parts[:2] == ["backbone", "layers"]:
        return int(parts[2]) + 1
    return layers + 1


def _state(model: nn.Module, head: nn.Module) -> dict[str, Tensor]:
    named = [*((f"model.{n}", p) for n, p in model.named_parameters() if p.requires_grad)]
    named += [(f"head.{n}", p) for n, p in head.named_parameters()]
    return {name: p.detach().clone() for name, p in named}


def _restore(model: nn.Module, head: nn.Module, kept: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for prefix, module in (("model", model), ("head", head)):
            for name, parameter in module.named_parameters():
                if f"{prefix}.{name}" in kept:
                    parameter.copy_(kept[f"{prefix}.{name}"])

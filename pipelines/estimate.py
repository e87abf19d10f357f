"""What `dry_run=true` says: parameters, memory, and an estimate of time from this machine's own matrix rate."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from core.amounts import duration, size
from core.errors import ConfigError

if TYPE_CHECKING:
    from core.nn.model import SequenceModel
    from core.recipe import Recipe, Source
    from core.sequence import TokenSpec

REACHED = 1 / 3
"""Share of the matrix rate that a training step of these models reaches on a CPU [BARS.md: about 1/3]."""
_FORWARD = 1 / 3
"""Share of a step's FLOPs that are its forward pass (Kaplan et al. 2020, arXiv 2001.08361: backward costs twice)."""
_STATE_BYTES = 16
"""A parameter in training: fp32 weight, gradient and Adam's two moments."""
_ACTIVATIONS = 40
"""Values of width D that a block keeps for its backward pass, a token: about 34 (arXiv 2205.05198) and our norms."""


def training_estimate(recipe: Recipe, source: Source | None, domain: str | None) -> str:
    """Some lines on a training run, without its data or weights; with a store its epochs as well.

    Raises ConfigError where neither a store nor a domain says what a token is, or as `core.recipe.make_objective`.
    """
    import torch

    from core.nn.model import SequenceModel
    from core.recipe import make_objective

    config, batching, training = recipe.model, recipe.batching, recipe.training
    spec = _spec(source, domain)
    make_objective(recipe, spec)
    with torch.device("meta"):
        model = SequenceModel(spec, config, dict(recipe.readouts) or None)
    read = batching.batch_tokens or batching.batch_size * batching.length
    positions, tokens_per_step = spec.positions(read), read * training.accumulate
    memory = _STATE_BYTES * model.n_parameters + 4 * positions * config.layers * _ACTIVATIONS * config.width
    rate = matrix_rate()
    speed = spec.patch * REACHED * rate / model.flops_per_token(spec.positions(batching.length))
    kind, amount = training.budget
    tokens = {"steps": amount * tokens_per_step, "tokens": amount, "minutes": 60 * amount * speed}[kind]
    epochs = f", {tokens / _training_tokens(source):.2g} epochs" if source else ""
    return "\n".join(
        [
            f"model       {config.mixers}, width {config.width}, {model.n_parameters:,} parameters",
            f"step        {tokens_per_step:,} tokens ({batching.kind} of {batching.length}, {training.accumulate} x)",
            f"memory      about {size(memory)} for weights, gradients, optimizer and activations in fp32",
            f"machine     {rate / 1e9:,.0f} GFLOP/s in matrices; a third of it: about {speed:,.0f} tokens/s",
            f"budget      {kind} {amount:,g}: about {tokens:,.0f} tokens{epochs}, {duration(tokens / speed)} here",
        ]
    )


def inference_estimate(model: SequenceModel, tokens: int, batch_tokens: int) -> str:
    """Some lines on a pass of a model over so many tokens."""
    config = model.config
    rate = matrix_rate()
    patch = model.spec.patch
    speed = patch * REACHED * rate / (_FORWARD * model.flops_per_token(model.spec.positions(config.context)))
    memory = 4 * (model.n_parameters + 8 * batch_tokens * config.width)
    return "\n".join(
        [
            f"model       {config.mixers}, width {config.width}, {model.n_parameters:,} parameters",
            f"memory      about {size(memory)} for weights and one batch",
            f"work        {tokens:,} tokens at about {speed:,.0f} a second: {duration(tokens / speed)} here",
        ]
    )


def matrix_rate(size: int = 1024) -> float:
    """FLOP/s of fp32 matrix products on this machine, the best of some that together take about a tenth of a second."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    a = torch.ones(size, size, device=device)
    best = 0.0
    for _ in range(4):
        began = time.perf_counter()
        float((a @ a)[0, 0])
        best = max(best, 2 * size**3 / (time.perf_counter() - began))
    return best


def _spec(source: Source | None, domain: str | None) -> TokenSpec:
    """What a token is: the source's, or that of the domain's default tokenizer."""
    from domains import DOMAINS

    if source is not None:
        return source.tokenizer.spec
    if domain is None:
        raise ConfigError("store= or domain= is required", hint="For example domain=dna.")
    tokenizer = DOMAINS.get(domain).make_tokenizer()
    if tokenizer.needs_fit:
        raise ConfigError(
            f"store= is required: tokenizer '{tokenizer.kind}' learns from data what a token is",
            hint=f"First: foretell prepare domain={domain} ... store=OUT.zarr",
        )
    return tokenizer.spec


def _training_tokens(source: Source) -> int:
    spans = [store.spans("train") for store in source.stores]
    return max(1, sum(int((s[:, 2] - s[:, 1]).sum()) for s in spans))

"""Our models and their peers at one shape: equal width, layers and vocabulary, each with its own defaults elsewhere.

A peer is transformers' class with random weights, as a user makes it from a config: LlamaForCausalLM,
MambaForCausalLM (on mambapy's parallel scan), Mamba2ForCausalLM; and nn.LSTM, whose speed everyone knows. Where a
default would make the peer another model than ours (Llama's MLP, Mamba-2's state), it is set to ours; parameter counts
are stated beside every figure. Nothing here measures.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.sequence import Symbols
from core.vocabulary import Vocabulary

SPECIALS = 5
"""Ids below are PAD, BOS, EOS, MASK, UNK."""


@dataclass(frozen=True)
class Shape:
    """Of a model and its batches. `batch` rows of `length` tokens."""

    width: int = 256
    layers: int = 4
    vocabulary: int = 64
    batch: int = 8
    length: int = 512

    @property
    def tokens(self) -> int:
        return self.batch * self.length

    def ids(self, seed: int = 0) -> Tensor:
        """(batch, length) int64, uniform over the symbols that are not special."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(SPECIALS, self.vocabulary, (self.batch, self.length), generator=generator)


def spec(shape: Shape) -> Symbols:
    return Symbols(Vocabulary(tuple(f"s{i}" for i in range(shape.vocabulary - SPECIALS))))


def ours(shape: Shape, pattern: str) -> SequenceModel:
    """A `transformer`, `mamba` or `mamba2` (or other letters) with foretell's defaults."""
    torch.manual_seed(0)
    return SequenceModel(spec(shape), _config(shape, pattern))


def _config(shape: Shape, pattern: str) -> ModelConfig:
    return ModelConfig(pattern=pattern, layers=shape.layers, width=shape.width, context=shape.length)


def hf_llama(shape: Shape) -> nn.Module:
    """LlamaForCausalLM with our heads and our MLP's width; attention by its default, SDPA."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = _config(shape, "transformer")
    return _made(
        LlamaForCausalLM,
        LlamaConfig(
            **_common(shape),
            intermediate_size=config.hidden,
            num_attention_heads=config.query_heads,
            num_key_value_heads=config.key_heads,
            max_position_embeddings=max(2048, shape.length),
        ),
    )


def hf_mamba(shape: Shape, mambapy: bool = True) -> nn.Module:
    """MambaForCausalLM, on mambapy's parallel scan or on its sequential default."""
    from transformers import MambaConfig, MambaForCausalLM

    if mambapy:
        import_module("mambapy.pscan")  # where it is missing transformers takes its default without a word
    return _made(MambaForCausalLM, MambaConfig(**_common(shape), tie_word_embeddings=False, use_mambapy=mambapy))


def hf_mamba2(shape: Shape, chunk: int = 256) -> nn.Module:
    """Mamba2ForCausalLM with our state size and heads; its default chunk is 256."""
    from transformers import Mamba2Config, Mamba2ForCausalLM

    config = _config(shape, "mamba2")
    return _made(
        Mamba2ForCausalLM,
        Mamba2Config(
            **_common(shape),
            state_size=config.state_size("S"),
            head_dim=config.ssd_headdim,
            num_heads=config.inner // config.ssd_headdim,
            n_groups=config.ngroups,
            chunk_size=chunk,
        ),
    )


class LSTM(nn.Module):
    """Embedding, nn.LSTM of `layers` layers, readout."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed = nn.Embedding(shape.vocabulary, shape.width)
        self.body = nn.LSTM(shape.width, shape.width, shape.layers, batch_first=True)
        self.readout = nn.Linear(shape.width, shape.vocabulary, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) int64 -> logits (B, T, V)."""
        return self.readout(self.body(self.embed(ids))[0])


def lstm(shape: Shape) -> LSTM:
    torch.manual_seed(0)
    return LSTM(shape)


def lstm_loss(model: LSTM, ids: Tensor) -> Tensor:
    """Mean nats of each token given those before it."""
    return F.cross_entropy(model(ids[:, :-1]).flatten(0, 1).float(), ids[:, 1:].flatten())


def hf_loss(model: nn.Module, ids: Tensor, mask: Tensor | None = None) -> Tensor:
    """transformers' own loss, without the cache that Llama would fill; mask (B, T) is 0 where padded."""
    labels = ids if mask is None else ids.masked_fill(mask == 0, -100)
    return model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss


def n_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def _common(shape: Shape) -> dict[str, Any]:
    return {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


def _made(model: Callable[[Any], nn.Module], config: Any) -> nn.Module:
    from transformers.utils import logging

    logging.set_verbosity_error()  # advice about CUDA kernels
    torch.manual_seed(0)
    return model(config)

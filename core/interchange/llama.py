"""Attention throughout (pattern A) as transformers' Llama, Mistral (a sliding window) and Qwen3 (QK-norm).

Ours fuses what theirs keeps apart: `in_proj` is [q, k, v], `fc1` is [value, gate], theirs [up, gate]. The rotary
convention is the same on both sides (core/nn/rotary.py), so no channel changes its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.interchange.family import Layout, Shape
from core.interchange.keys import Keys
from core.interchange.transformers_config import BIAS, head, refuse_common
from core.nn.config import ModelConfig

FULL, SLIDING = "full_attention", "sliding_attention"


@dataclass(frozen=True)
class LlamaLike:
    """A class of the Llama kind."""

    architecture: str
    model_type: str
    write_window: Callable[[ModelConfig], dict[str, Any]]
    """Its own keys, those of the sliding window above all."""
    read_window: Callable[[Keys, int], int]
    """The sliding window that all of so many layers have, 0 for none."""
    normed: bool = False
    """Whether queries and keys are normed; always or never."""
    windowed: bool = False
    """Whether attention may have a sliding window."""
    head_dim: int = 0
    """What a config means that does not say `head_dim`; 0: the width over the heads."""
    mixers: str = "A"

    def against(self, config: ModelConfig) -> list[str]:
        reasons = []
        if config.qk_norm and not self.normed:
            reasons.append(f"{self.architecture} has no QK-norm")
        if self.normed and not config.qk_norm:
            reasons.append(f"{self.architecture} always has QK-norm")
        if config.window and not self.windowed:
            reasons.append(f"{self.architecture} has no sliding window (window={config.window})")
        return reasons

    def write_config(self, config: ModelConfig, ids: int) -> dict[str, Any]:
        return {
            **head(self.architecture, self.model_type, ids),
            "hidden_size": config.width,
            "intermediate_size": config.hidden,
            "num_hidden_layers": config.layers,
            "num_attention_heads": config.query_heads,
            "num_key_value_heads": config.key_heads,
            "head_dim": config.width // config.query_heads,
            "hidden_act": "silu",
            "max_position_embeddings": config.context,
            "rms_norm_eps": config.norm_eps,
            "rope_theta": config.rope_base,  # where transformers 4 looks; 5 looks below rope_parameters
            "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_base},
            "attention_bias": False,
            "attention_dropout": 0.0,
            **self.write_window(config),
        }

    def read_config(self, keys: Keys) -> Shape:
        refuse_common(keys)
        for name in ("attention_bias", "mlp_bias"):
            keys.must(name, (False,), BIAS)
        width, heads, layers = (keys.whole(k) for k in ("hidden_size", "num_attention_heads", "num_hidden_layers"))
        channels = keys.whole("head_dim", self.head_dim or (width // heads if heads else 0))
        if heads * channels != width:
            keys.refuse(f"{heads} heads of head_dim {channels} are not the width {width}, which ours divide among them")
        rope_base, window = _rope_base(keys), self.read_window(keys, layers)
        keys.check()
        config = ModelConfig(
            pattern="A",
            layers=layers,
            width=width,
            heads=heads,
            kv_heads=keys.whole("num_key_value_heads", heads),
            mlp_hidden=keys.whole("intermediate_size"),
            qk_norm=self.normed,
            rope_base=rope_base,
            window=window,
            norm_eps=keys.number("rms_norm_eps", 1e-6),
            context=max(1, keys.whole("max_position_embeddings", 2048)),
        )
        ids = keys.whole("vocab_size")
        return Shape(config, ids, ids, tied=keys.flag("tie_word_embeddings", False))

    def layout(self, config: ModelConfig) -> Layout:
        channels = config.width // config.query_heads
        queries, keys = config.query_heads * channels, config.key_heads * channels
        normed = ("q_norm", "k_norm") if self.normed else ()
        return Layout(
            embedding="model.embed_tokens.weight",
            readout="lm_head.weight",
            final_norm="model.norm.weight",
            layer="model.layers.{}.",
            tensors={
                "norm.weight": (("input_layernorm.weight", 0),),
                "mixer.in_proj.weight": (
                    ("self_attn.q_proj.weight", queries),
                    ("self_attn.k_proj.weight", keys),
                    ("self_attn.v_proj.weight", keys),
                ),
                **{f"mixer.{name}.weight": ((f"self_attn.{name}.weight", 0),) for name in normed},
                "mixer.out_proj.weight": (("self_attn.o_proj.weight", 0),),
                "norm2.weight": (("post_attention_layernorm.weight", 0),),
                "mlp.fc1.weight": (("mlp.up_proj.weight", config.hidden), ("mlp.gate_proj.weight", config.hidden)),
                "mlp.fc2.weight": (("mlp.down_proj.weight", 0),),
            },
            ignored=("rotary_emb.inv_freq",),
        )


def _no_window(config: ModelConfig) -> dict[str, Any]:
    return {"mlp_bias": False}


def _mistral_window(config: ModelConfig) -> dict[str, Any]:
    return {"sliding_window": config.window or None}


def _read_mistral_window(keys: Keys, layers: int) -> int:
    return 0 if keys.values.get("sliding_window", 4096) is None else keys.whole("sliding_window", 4096)


def _qwen3_window(config: ModelConfig) -> dict[str, Any]:
    return {
        "use_sliding_window": config.window > 0,
        "sliding_window": config.window or None,
        "max_window_layers": 0 if config.window else config.layers,
        "layer_types": [SLIDING if config.window else FULL] * config.layers,
    }


def _read_qwen3_window(keys: Keys, layers: int) -> int:
    if not keys.flag("use_sliding_window", False):
        return 0
    full = keys.whole("max_window_layers", 28)
    usual = [FULL] * (full > 0) + [SLIDING] * (full < layers)
    kinds = set(keys.names("layer_types", usual))
    if kinds == {FULL}:
        return 0
    if kinds != {SLIDING}:
        keys.refuse("some of its layers have a sliding window and some have not; ours all have the same")
    return keys.whole("sliding_window", 4096)


def _rope_base(keys: Keys) -> float:
    """The base of the plain rotary embedding; every other kind of it is refused."""
    rope = keys.below("rope_parameters" if keys.get("rope_parameters") else "rope_scaling")
    kind = rope.get("rope_type", rope.get("type", "default"))
    if any(isinstance(value, dict) for value in rope.values.values()):
        keys.refuse("its layers have different rotary embeddings")
    elif kind != "default":
        keys.refuse(f"its rotary embedding is scaled ({kind}); ours is the plain one")
    for place in (keys, rope):
        place.must("partial_rotary_factor", (1.0,), "ours rotates all channels of a head")
    return rope.number("rope_theta", keys.number("rope_theta", 10_000.0))


LLAMA = LlamaLike("LlamaForCausalLM", "llama", _no_window, lambda keys, layers: 0)
MISTRAL = LlamaLike("MistralForCausalLM", "mistral", _mistral_window, _read_mistral_window, windowed=True)
QWEN3 = LlamaLike(
    "Qwen3ForCausalLM", "qwen3", _qwen3_window, _read_qwen3_window, normed=True, windowed=True, head_dim=128
)

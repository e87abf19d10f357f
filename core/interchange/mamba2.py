"""Mamba-2 throughout (pattern S) as transformers' Mamba2ForCausalLM; weights are named as ours, both being mamba-ssm's.

Theirs has one epsilon for all norms, also the gated one inside the mixer, which is GATE_EPS in mamba-ssm and in ours.
"""

from __future__ import annotations

import math
from typing import Any

from core.interchange.family import Layout, Shape, same_names
from core.interchange.keys import Keys
from core.interchange.mamba import backbone
from core.interchange.transformers_config import BIAS, head, refuse_common
from core.nn.config import ModelConfig

TENSORS = same_names(
    "norm.weight",
    "mixer.in_proj.weight",
    "mixer.conv1d.weight",
    "mixer.conv1d.bias",
    "mixer.dt_bias",
    "mixer.A_log",
    "mixer.D",
    "mixer.norm.weight",
    "mixer.out_proj.weight",
)
GATE_EPS = 1e-5
CHUNK = 256
"""Chunk length that is written where ours is chosen by shape; any gives the same result."""


class Mamba2:
    architecture = "Mamba2ForCausalLM"
    mixers = "S"

    def against(self, config: ModelConfig) -> list[str]:
        if config.norm_eps == GATE_EPS:
            return []
        return [f"{self.architecture} has one epsilon for all norms; here it is {config.norm_eps:g} and {GATE_EPS:g}"]

    def write_config(self, config: ModelConfig, ids: int) -> dict[str, Any]:
        return {
            **head(self.architecture, "mamba2", ids),
            "hidden_size": config.width,
            "num_hidden_layers": config.layers,
            "num_heads": config.inner // config.ssd_headdim,
            "head_dim": config.ssd_headdim,
            "n_groups": config.ngroups,
            "state_size": config.state_size("S"),
            "conv_kernel": config.d_conv,
            "expand": config.expand,
            "chunk_size": config.chunk or CHUNK,
            "layer_norm_epsilon": config.norm_eps,
            "hidden_act": "silu",
            "rms_norm": True,
            "use_bias": False,
            "use_conv_bias": True,
            "residual_in_fp32": True,
        }

    def read_config(self, keys: Keys) -> Shape:
        refuse_common(keys)
        keys.must("use_bias", (False,), BIAS)
        refuse_steps(keys, "time_step_limit")
        epsilon = keys.number("layer_norm_epsilon", GATE_EPS)
        if epsilon != GATE_EPS:
            keys.refuse(f"layer_norm_epsilon is {epsilon:g}: the gated norm of ours has {GATE_EPS:g}")
        width, expand = keys.whole("hidden_size"), keys.whole("expand", 2)
        heads, headdim = keys.whole("num_heads", 128), keys.whole("head_dim", 64)
        if heads * headdim != expand * width:
            keys.refuse(f"{heads} heads of head_dim {headdim} are not expand x width = {expand * width}")
        keys.check()
        config = ModelConfig(
            pattern="S",
            layers=keys.whole("num_hidden_layers"),
            width=width,
            d_state=keys.whole("state_size", 128),
            d_conv=keys.whole("conv_kernel", 4),
            expand=expand,
            headdim=headdim,
            ngroups=keys.whole("n_groups", 8),
            norm_eps=epsilon,
        )
        ids = keys.whole("vocab_size")
        absent = () if keys.flag("use_conv_bias", True) else ("mixer.conv1d.bias",)
        return Shape(config, ids, ids, keys.flag("tie_word_embeddings", False), absent)

    def layout(self, config: ModelConfig) -> Layout:
        return backbone(TENSORS, "embeddings")


def refuse_steps(keys: Keys, name: str) -> None:
    """Step sizes that are cut off on either side."""
    if list(keys.get(name, [0.0, math.inf])) != [0.0, math.inf]:
        keys.refuse(f"{name} is {keys.get(name)}: our step sizes have no limits")


MAMBA2 = Mamba2()

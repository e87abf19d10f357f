"""Mamba throughout (pattern M) as transformers' MambaForCausalLM; weights are named as ours, both being mamba-ssm's."""

from __future__ import annotations

from typing import Any

from core.interchange.family import Layout, Shape, same_names
from core.interchange.keys import Keys
from core.interchange.transformers_config import BIAS, head, refuse_common
from core.nn.config import ModelConfig

TENSORS = same_names(
    "norm.weight",
    "mixer.in_proj.weight",
    "mixer.conv1d.weight",
    "mixer.conv1d.bias",
    "mixer.x_proj.weight",
    "mixer.dt_proj.weight",
    "mixer.dt_proj.bias",
    "mixer.A_log",
    "mixer.D",
    "mixer.out_proj.weight",
)
RANK = "ours is the width over 16, rounded up"


class Mamba:
    architecture = "MambaForCausalLM"
    mixers = "M"

    def against(self, config: ModelConfig) -> list[str]:
        return []

    def write_config(self, config: ModelConfig, ids: int) -> dict[str, Any]:
        return {
            **head(self.architecture, "mamba", ids),
            "hidden_size": config.width,
            "intermediate_size": config.inner,
            "num_hidden_layers": config.layers,
            "state_size": config.state_size("M"),
            "conv_kernel": config.d_conv,
            "expand": config.expand,
            "time_step_rank": config.dt_rank,
            "layer_norm_epsilon": config.norm_eps,
            "hidden_act": "silu",
            "use_bias": False,
            "use_conv_bias": True,
            "residual_in_fp32": True,
        }

    def read_config(self, keys: Keys) -> Shape:
        refuse_common(keys)
        keys.must("use_bias", (False,), BIAS)
        config = ModelConfig(
            pattern="M",
            layers=keys.whole("num_hidden_layers"),
            width=keys.whole("hidden_size"),
            d_state=keys.whole("state_size", 16),
            d_conv=keys.whole("conv_kernel", 4),
            expand=keys.whole("expand", 2),
            norm_eps=keys.number("layer_norm_epsilon", 1e-5),
        )
        keys.must("time_step_rank", (config.dt_rank, "auto"), f"{RANK}, {config.dt_rank}")
        ids = keys.whole("vocab_size")
        absent = () if keys.flag("use_conv_bias", True) else ("mixer.conv1d.bias",)
        return Shape(config, ids, ids, keys.flag("tie_word_embeddings", True), absent)

    def layout(self, config: ModelConfig) -> Layout:
        return backbone(TENSORS, "embeddings")


def backbone(tensors: dict[str, tuple[tuple[str, int], ...]], embedding: str) -> Layout:
    """The layout that mamba-ssm began and transformers follows but for the embedding's name."""
    other = {"embeddings": "embedding", "embedding": "embeddings"}[embedding]
    return Layout(
        embedding=f"backbone.{embedding}.weight",
        readout="lm_head.weight",
        final_norm="backbone.norm_f.weight",
        layer="backbone.layers.{}.",
        tensors=tensors,
        older={f"backbone.{other}.weight": f"backbone.{embedding}.weight"},
    )


MAMBA = Mamba()

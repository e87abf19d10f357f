"""Mamba or Mamba-2 throughout as mamba-ssm's own MambaLMHeadModel: `d_model n_layer vocab_size ssm_cfg ...`.

Its config.json names no class and may hold no key that its MambaConfig does not have. Its epsilon is fixed, and its
vocabulary may be filled up to a multiple; rows beyond `vocab_size` mean no id and are left out on reading.
"""

from __future__ import annotations

from typing import Any

from core.interchange import mamba, mamba2
from core.interchange.family import Layout, Shape
from core.interchange.keys import Keys
from core.interchange.transformers_config import BIAS
from core.nn.config import ModelConfig

EPS = 1e-5
_LAYERS = {"Mamba1": "M", "Mamba2": "S"}
_FIRST_VALUES = {"dt_min", "dt_max", "dt_init", "dt_scale", "dt_init_floor", "A_init_range", "conv_init"}
_HOW_IT_RUNS = {"use_fast_path", "use_mem_eff_path", "chunk_size", "sequence_parallel", "process_group"}
_READ = {
    "M": {"layer", "d_state", "d_conv", "expand", "dt_rank", "bias", "conv_bias"},
    "S": {
        *("layer", "d_state", "d_conv", "expand", "headdim", "ngroups", "bias", "conv_bias"),
        *("d_ssm", "D_has_hdim", "rmsnorm", "norm_before_gate", "dt_limit"),
    },
}


class MambaSSM:
    architecture = "MambaLMHeadModel"
    mixers = "MS"

    def against(self, config: ModelConfig) -> list[str]:
        if config.norm_eps == EPS:
            return []
        return [f"{self.architecture} norms with epsilon {EPS:g}, this model with {config.norm_eps:g}"]

    def write_config(self, config: ModelConfig, ids: int) -> dict[str, Any]:
        letter = config.mixers[0]
        layer: dict[str, Any] = {"d_state": config.state_size(letter), "d_conv": config.d_conv, "expand": config.expand}
        if letter == "S":
            layer |= {"layer": "Mamba2", "headdim": config.ssd_headdim, "ngroups": config.ngroups}
        else:
            layer |= {"layer": "Mamba1", "dt_rank": config.dt_rank}
        return {
            "d_model": config.width,
            "d_intermediate": 0,
            "n_layer": config.layers,
            "vocab_size": ids,
            "ssm_cfg": layer,
            "attn_layer_idx": [],
            "attn_cfg": {},
            "rms_norm": True,
            "residual_in_fp32": True,
            "fused_add_norm": True,
            "pad_vocab_size_multiple": 1,
            "tie_embeddings": False,
        }

    def read_config(self, keys: Keys) -> Shape:
        keys.must("rms_norm", (True,), "ours are RMSNorms")
        keys.must("d_intermediate", (0,), "our Mamba blocks have no MLP")
        keys.must("attn_layer_idx", ([],), "its layers of attention are not those of ours")
        layer = keys.below("ssm_cfg")
        kind = layer.get("layer", "Mamba1")
        if kind not in _LAYERS:
            keys.refuse(f"its layers are {kind!r}, ours {' or '.join(_LAYERS)}")
        letter = _LAYERS.get(kind, "M")
        if unknown := set(layer.values) - _READ[letter] - _FIRST_VALUES - _HOW_IT_RUNS:
            keys.refuse(f"ssm_cfg has keys that are not known here: {', '.join(sorted(unknown))}")
        layer.must("bias", (False,), BIAS)
        shape: dict[str, Any] = {
            "pattern": letter,
            "layers": keys.whole("n_layer"),
            "width": keys.whole("d_model"),
            "d_state": layer.whole("d_state", 16 if letter == "M" else 128),
            "d_conv": layer.whole("d_conv", 4),
            "expand": layer.whole("expand", 2),
            "norm_eps": EPS,
        }
        if letter == "S":
            shape |= {"headdim": layer.whole("headdim", 64), "ngroups": layer.whole("ngroups", 1)}
            layer.must("D_has_hdim", (False,), "ours has one D a head")
            layer.must("d_ssm", (shape["expand"] * shape["width"],), "all inner channels of ours go through the state")
            mamba2.refuse_steps(layer, "dt_limit")
            layer.must("rmsnorm", (True,), "ours norms the mixer's output")
            layer.must("norm_before_gate", (False,), "ours norms after the gate")
        keys.check()
        config = ModelConfig(**shape)
        if letter == "M":
            layer.must("dt_rank", (config.dt_rank, "auto"), f"{mamba.RANK}, {config.dt_rank}")
        ids, multiple = keys.whole("vocab_size"), max(1, keys.whole("pad_vocab_size_multiple", 8))
        absent = () if layer.flag("conv_bias", True) else ("mixer.conv1d.bias",)
        return Shape(config, ids, -(-ids // multiple) * multiple, keys.flag("tie_embeddings", True), absent)

    def layout(self, config: ModelConfig) -> Layout:
        return mamba.backbone(mamba.TENSORS if config.mixers[0] == "M" else mamba2.TENSORS, "embedding")


MAMBA_SSM = MambaSSM()

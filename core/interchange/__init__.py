"""Models to and from folders of other libraries: `config.json` and weights as transformers and mamba-ssm keep them.

    export_folder("out", model, format="transformers", ...)     core.interchange.export
    found = read_folder("theirs")                               core.interchange.folder

Neither library is imported. A *family* knows one class of theirs: which of our configs it can express, the keys of its
config.json, and where each of our weights stands in its file. What it cannot express is refused with the reason, in
both directions. Weights are written as safetensors only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.registry import Registry

if TYPE_CHECKING:
    from core.interchange.family import Family

FAMILIES: Registry[Family] = Registry(
    "architecture",
    {
        "LlamaForCausalLM": "core.interchange.llama:LLAMA",
        "MistralForCausalLM": "core.interchange.llama:MISTRAL",
        "Qwen3ForCausalLM": "core.interchange.llama:QWEN3",
        "MambaForCausalLM": "core.interchange.mamba:MAMBA",
        "Mamba2ForCausalLM": "core.interchange.mamba2:MAMBA2",
        "MambaLMHeadModel": "core.interchange.mamba_ssm:MAMBA_SSM",
    },
)
"""By the class's name, as `architectures` of a config.json has it."""

MODEL_TYPES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "mamba": "MambaForCausalLM",
    "mamba2": "Mamba2ForCausalLM",
}
"""`model_type` to the class that it means where `architectures` is not given."""

FORMATS = {
    "transformers": (
        "LlamaForCausalLM",
        "MistralForCausalLM",
        "Qwen3ForCausalLM",
        "MambaForCausalLM",
        "Mamba2ForCausalLM",
    ),
    "mamba_ssm": ("MambaLMHeadModel",),
}
"""What `format=` offers: the families to choose from; the first one that can express the model is taken."""

"""What config.json and generation_config.json of every transformers class have in common."""

from __future__ import annotations

from typing import Any

from core.interchange.keys import Keys
from core.vocabulary import BOS, EOS, MASK, PAD, UNK

BIAS = "our projections have none"
ACTIVATION = "ours is silu"


def head(architecture: str, model_type: str, ids: int) -> dict[str, Any]:
    """The keys that say what the model is and which ids are special."""
    return {
        "architectures": [architecture],
        "model_type": model_type,
        "vocab_size": ids,
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "tie_word_embeddings": False,
        "dtype": "float32",
    }


def generation(*, ends: bool) -> dict[str, Any]:
    """generation_config.json: draws as `foretell sample` does, from the whole distribution but for the specials.

    Args:
        ends: whether the model knows the end of a record; one of windows never draws EOS.
    """
    return {
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "do_sample": True,
        "temperature": 1.0,
        "top_k": 0,
        "top_p": 1.0,
        "suppress_tokens": [PAD, BOS, MASK, UNK] + ([] if ends else [EOS]),
    }


def refuse_common(keys: Keys) -> None:
    """What no class of theirs may have to be one of ours."""
    keys.must("hidden_act", ("silu", "swish"), ACTIVATION)
    if keys.get("quantization_config"):
        keys.refuse("its weights are quantised")

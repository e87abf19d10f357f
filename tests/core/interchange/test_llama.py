"""Attention: ours in transformers' Llama, Mistral and Qwen3 and theirs in ours, with equal logits."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core.errors import InputError
from core.interchange.folder import read_folder, read_shape
from tests.core.interchange.theirs import (
    TOLERANCE,
    exported,
    loaded,
    our_logits,
    randomised,
    rebuilt,
    some_ids,
    their_logits,
)
from tests.core.tiny import tiny_model

OURS = {
    "LlamaForCausalLM": {"qk_norm": False, "heads": 4},
    "MistralForCausalLM": {"qk_norm": False, "heads": 4, "kv_heads": 2, "window": 3},
    "Qwen3ForCausalLM": {"heads": 4, "kv_heads": 2, "rope_base": 500.0, "norm_eps": 1e-3},
    "Qwen3ForCausalLM, window": {"heads": 2, "window": 5},
}
SHAPE = {
    "vocab_size": 11,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "rms_norm_eps": 1e-4,
}
THEIRS = {
    "Llama": {},
    "Llama, tied": {"tie_word_embeddings": True, "num_key_value_heads": 6},
    "Mistral": {"sliding_window": 4},
    "Mistral without a window": {"sliding_window": None},
    "Qwen3": {"rope_parameters": {"rope_type": "default", "rope_theta": 77.0}},
    "Qwen3, window": {"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 0},
}


@pytest.mark.parametrize("name", OURS)
def test_ours_is_loaded_by_transformers_with_equal_logits(name, tmp_path):
    pytest.importorskip("transformers")
    model = tiny_model(**OURS[name])
    theirs = loaded(exported(tmp_path / "out", model))
    assert type(theirs).__name__ == name.partition(",")[0]
    ids = some_ids(9)
    assert torch.allclose(our_logits(model, ids), their_logits(theirs, ids), atol=TOLERANCE)


@pytest.mark.parametrize("name", THEIRS)
def test_theirs_is_read_with_equal_logits_and_goes_back_unchanged(name, tmp_path):
    transformers = pytest.importorskip("transformers")
    kind = name.replace(",", "").split()[0]
    config = getattr(transformers, f"{kind}Config")(**{**SHAPE, **THEIRS[name]})
    theirs = randomised(getattr(transformers, f"{kind}ForCausalLM")(config))
    theirs.save_pretrained(tmp_path / "theirs")
    found = read_folder(tmp_path / "theirs")
    assert (found.architecture, found.ids, found.tokenizer) == (f"{kind}ForCausalLM", 11, None)
    ours, ids = rebuilt(found.parts), some_ids(11)
    assert torch.allclose(our_logits(ours, ids), their_logits(theirs, ids), atol=TOLERANCE)
    back = exported(tmp_path / "back", ours)
    before, after = (load_file(folder / "model.safetensors") for folder in (tmp_path / "theirs", back))
    before.setdefault("lm_head.weight", before["model.embed_tokens.weight"])
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    again = loaded(back)
    assert torch.equal(their_logits(again, ids), their_logits(theirs, ids))


@pytest.mark.parametrize(
    "architecture, change, reason",
    [
        ("LlamaForCausalLM", {"attention_bias": True}, "attention_bias is True: our projections have none"),
        ("LlamaForCausalLM", {"mlp_bias": True}, "mlp_bias is True"),
        ("LlamaForCausalLM", {"hidden_act": "gelu"}, "hidden_act is 'gelu': ours is silu"),
        ("LlamaForCausalLM", {"head_dim": 8}, "6 heads of head_dim 8 are not the width 24"),
        ("Qwen3ForCausalLM", {"head_dim": None}, "6 heads of head_dim 128 are not the width 24"),
        ("LlamaForCausalLM", {"rope_scaling": {"type": "linear", "factor": 2.0}}, r"scaled \(linear\)"),
        ("LlamaForCausalLM", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, r"scaled \(yarn\)"),
        ("LlamaForCausalLM", {"rope_parameters": {"full_attention": {"rope_theta": 1e4}}}, "different rotary"),
        ("LlamaForCausalLM", {"partial_rotary_factor": 0.5}, "rotates all channels"),
        ("LlamaForCausalLM", {"quantization_config": {"quant_method": "gptq"}}, "quantised"),
        ("Qwen3ForCausalLM", {"use_sliding_window": True, "max_window_layers": 1}, "some of its layers have a sliding"),
        ("Qwen3ForCausalLM", {"hidden_size": "24"}, "hidden_size is '24', expected a whole number"),
        ("Qwen3ForCausalLM", {"hidden_size": None}, "does not say 'hidden_size'"),
        ("Qwen3ForCausalLM", {"layer_types": 3, "use_sliding_window": True}, "expected a list of names"),
    ],
)
def test_what_ours_cannot_be_is_refused_with_the_reason(architecture, change, reason):
    with pytest.raises(InputError, match=reason):
        read_shape(architecture, {**SHAPE, **change}, Path("config.json"))


def test_all_reasons_are_told_at_once():
    values = {**SHAPE, "hidden_act": "gelu", "attention_bias": True, "head_dim": 5}
    with pytest.raises(InputError, match=r"gelu.*attention_bias.*head_dim 5"):
        read_shape("LlamaForCausalLM", values, Path("config.json"))

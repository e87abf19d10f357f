"""Mamba and Mamba-2: ours in transformers' classes and theirs in ours, with equal logits."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core.errors import InputError
from core.interchange import mamba2
from core.interchange.folder import read_folder, read_shape
from core.nn.config import ModelConfig
from core.nn.mamba2 import Mamba2
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
    "Mamba": {"pattern": "M", "d_conv": 3, "expand": 3, "norm_eps": 1e-3},
    "Mamba2": {"pattern": "S"},
    "Mamba2, groups": {"pattern": "S", "ngroups": 2, "chunk": 4, "expand": 4},
}
SHAPE = {"vocab_size": 11, "hidden_size": 24, "num_hidden_layers": 2, "state_size": 6, "conv_kernel": 3}
THEIRS = {
    "Mamba": {"layer_norm_epsilon": 1e-4},
    "Mamba, tied, no bias of the convolution": {"tie_word_embeddings": True, "use_conv_bias": False, "expand": 3},
    "Mamba2": {"num_heads": 6, "head_dim": 8, "n_groups": 3, "chunk_size": 4},
    "Mamba2, tied": {"num_heads": 3, "head_dim": 16, "n_groups": 1, "tie_word_embeddings": True},
}


@pytest.mark.parametrize("name", OURS)
def test_ours_is_loaded_by_transformers_with_equal_logits(name, tmp_path):
    pytest.importorskip("transformers")
    model = tiny_model(**OURS[name])
    theirs = loaded(exported(tmp_path / "out", model))
    assert type(theirs).__name__ == f"{name.partition(',')[0]}ForCausalLM"
    ids = some_ids(9)
    assert torch.allclose(our_logits(model, ids), their_logits(theirs, ids), atol=TOLERANCE)


@pytest.mark.parametrize("name", THEIRS)
def test_theirs_is_read_with_equal_logits_and_goes_back_unchanged(name, tmp_path):
    transformers = pytest.importorskip("transformers")
    kind = name.partition(",")[0]
    values = {"tie_word_embeddings": False, **SHAPE, **THEIRS[name]}
    theirs = randomised(getattr(transformers, f"{kind}ForCausalLM")(getattr(transformers, f"{kind}Config")(**values)))
    theirs.save_pretrained(tmp_path / "theirs")
    found = read_folder(tmp_path / "theirs")
    ours, ids = rebuilt(found.parts), some_ids(11)
    assert torch.allclose(our_logits(ours, ids), their_logits(theirs, ids), atol=TOLERANCE)
    back = exported(tmp_path / "back", ours)
    before, after = (load_file(folder / "model.safetensors") for folder in (tmp_path / "theirs", back))
    before.setdefault("lm_head.weight", before["backbone.embeddings.weight"])
    added = after.keys() - before.keys()
    assert added == ({n for n in after if n.endswith("conv1d.bias")} if "no bias" in name else set())
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(after[name].any() for name in added)
    assert torch.allclose(their_logits(loaded(back), ids), their_logits(theirs, ids), atol=1e-6)


@pytest.mark.parametrize(
    "architecture, change, reason",
    [
        ("MambaForCausalLM", {"use_bias": True}, "use_bias is True: our projections have none"),
        ("MambaForCausalLM", {"time_step_rank": 5}, "time_step_rank is 5: ours is the width over 16, rounded up, 2"),
        ("MambaForCausalLM", {"hidden_act": "relu"}, "ours is silu"),
        ("MambaForCausalLM", {"expand": 1.5}, "expand is 1.5, expected a whole number"),
        ("Mamba2ForCausalLM", {"use_bias": True}, "use_bias is True"),
        ("Mamba2ForCausalLM", {"time_step_limit": [0.0, 0.1]}, "our step sizes have no limits"),
        ("Mamba2ForCausalLM", {"layer_norm_epsilon": 1e-6}, "the gated norm of ours has 1e-05"),
        ("Mamba2ForCausalLM", {"num_heads": 5}, "5 heads of head_dim 8 are not expand x width = 48"),
    ],
)
def test_what_ours_cannot_be_is_refused_with_the_reason(architecture, change, reason):
    with pytest.raises(InputError, match=reason):
        read_shape(architecture, {**SHAPE, "num_heads": 6, "head_dim": 8, "n_groups": 1, **change}, Path("config.json"))


def test_the_gated_norms_epsilon_is_what_the_mixer_has():
    assert Mamba2(ModelConfig(pattern="S", width=32, norm_eps=0.1)).norm.eps == mamba2.GATE_EPS

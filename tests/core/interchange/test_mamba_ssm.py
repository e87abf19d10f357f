"""mamba-ssm's own layout, made by hand from its documented names: the logits are those of transformers' class."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.errors import InputError
from core.interchange.folder import read_folder, read_shape
from tests.core.interchange.theirs import (
    TOLERANCE,
    exported,
    our_logits,
    randomised,
    rebuilt,
    some_ids,
    their_logits,
)
from tests.core.tiny import tiny_model

CONFIG = {
    "d_model": 24,
    "d_intermediate": 0,
    "n_layer": 2,
    "vocab_size": 11,
    "ssm_cfg": {},
    "attn_layer_idx": [],
    "attn_cfg": {},
    "rms_norm": True,
    "residual_in_fp32": True,
    "fused_add_norm": True,
    "pad_vocab_size_multiple": 8,
    "tie_embeddings": True,
}
"""The fields of mamba-ssm's MambaConfig; its vocabulary is filled up to 16 rows."""
MAMBA2 = {"layer": "Mamba2", "d_state": 8, "headdim": 8, "ngroups": 2, "dt_limit": [0.0, float("inf")]}


def their_model(layer):
    """transformers' class of the same shape, of 16 ids, tied."""
    transformers = pytest.importorskip("transformers")
    shape = {"vocab_size": 16, "hidden_size": 24, "num_hidden_layers": 2, "tie_word_embeddings": True}
    if layer.get("layer") == "Mamba2":
        config = transformers.Mamba2Config(**shape, num_heads=6, head_dim=8, n_groups=2, state_size=8)
        return randomised(transformers.Mamba2ForCausalLM(config))
    return randomised(transformers.MambaForCausalLM(transformers.MambaConfig(**shape)))


@pytest.mark.parametrize("layer", [{}, {"layer": "Mamba1", "dt_rank": "auto", "dt_min": 0.01}, MAMBA2])
@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.safetensors"])
def test_a_model_that_mamba_ssm_saved_is_read(layer, file, tmp_path):
    theirs = their_model(layer)
    weights = {name.replace("embeddings", "embedding"): w.clone() for name, w in theirs.state_dict().items()}
    (torch.save if file.endswith("bin") else save_file)(weights, tmp_path / file)
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "ssm_cfg": layer}))
    found = read_folder(tmp_path)
    assert (found.architecture, found.ids) == ("MambaLMHeadModel", 11)
    ids = some_ids(11)
    ours, reference = our_logits(rebuilt(found.parts), ids), their_logits(theirs, ids)
    assert torch.allclose(ours, reference[..., :11], atol=TOLERANCE)


@pytest.mark.parametrize("pattern", ["M", "S"])
def test_ours_is_written_with_their_names_and_comes_back(pattern, tmp_path):
    model = tiny_model(pattern=pattern)
    folder = exported(tmp_path / "out", model, "mamba_ssm")
    config = json.loads((folder / "config.json").read_text())
    assert config.keys() == CONFIG.keys()  # MambaConfig(**config) takes no other
    assert (config["vocab_size"], config["pad_vocab_size_multiple"], config["tie_embeddings"]) == (9, 1, False)
    names = load_file(folder / "model.safetensors").keys()
    assert {"backbone.embedding.weight", "backbone.layers.1.mixer.A_log", "backbone.norm_f.weight"} <= names
    assert not (folder / "generation_config.json").exists()
    ids = some_ids(9)
    assert torch.equal(our_logits(rebuilt(read_folder(folder).parts), ids), our_logits(model, ids))


@pytest.mark.parametrize(
    "change, layer, reason",
    [
        ({"d_intermediate": 64}, {}, "our Mamba blocks have no MLP"),
        ({"attn_layer_idx": [1]}, {}, "its layers of attention"),
        ({"rms_norm": False}, {}, "ours are RMSNorms"),
        ({}, {"layer": "Mamba3"}, "its layers are 'Mamba3', ours Mamba1 or Mamba2"),
        ({}, {"bias": True}, "bias is True"),
        ({}, {"dt_rank": 7}, "dt_rank is 7"),
        ({}, {"wavelets": 3}, "keys that are not known here: wavelets"),
        ({}, MAMBA2 | {"D_has_hdim": True}, "one D a head"),
        ({}, MAMBA2 | {"d_ssm": 16}, "all inner channels"),
        ({}, MAMBA2 | {"rmsnorm": False}, "norms the mixer's output"),
        ({}, MAMBA2 | {"norm_before_gate": True}, "after the gate"),
        ({}, MAMBA2 | {"dt_limit": [0.0, 1.0]}, "no limits"),
        ({"ssm_cfg": 3}, {}, "ssm_cfg is 3, expected an object"),
    ],
)
def test_what_ours_cannot_be_is_refused_with_the_reason(change, layer, reason):
    with pytest.raises(InputError, match=reason):
        read_shape("MambaLMHeadModel", {**CONFIG, "ssm_cfg": layer, **change}, Path("config.json"))

"""A folder is read as what its files say together; where they contradict each other, nothing is taken."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.errors import ConfigError, InputError, IntegrityError
from core.interchange.folder import architecture_of, is_foreign, read_folder
from tests.core.interchange.theirs import exported, our_logits, rebuilt, some_ids
from tests.core.tiny import TOKENIZER, tiny_model, write_bundle


@pytest.fixture
def folder(tmp_path):
    return exported(tmp_path / "llama", tiny_model(qk_norm=False))


def reconfigure(folder, **changes):
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **changes}))


def reweigh(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def test_what_our_export_wrote_says_what_its_ids_mean(folder):
    found = read_folder(folder)
    assert (found.tokenizer, found.domain) == (TOKENIZER, "dna")
    model, ids = tiny_model(qk_norm=False), some_ids(9)
    assert torch.equal(our_logits(rebuilt(found.parts), ids), our_logits(model, ids))


def test_the_fingerprint_is_of_config_and_weights_wherever_they_lie(folder, tmp_path):
    before = read_folder(folder).fingerprint
    moved = folder.rename(tmp_path / "elsewhere")
    (moved / "README.md").write_text("another card")
    assert read_folder(moved).fingerprint == before
    reweigh(moved, lambda w: w["model.norm.weight"].mul_(2))
    assert read_folder(moved).fingerprint != before


def test_which_class_it_is(tmp_path):
    file = tmp_path / "config.json"
    for values, expected in (
        ({"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}, "Qwen3ForCausalLM"),
        ({"architectures": None, "model_type": "mamba2"}, "Mamba2ForCausalLM"),
        ({"d_model": 8, "n_layer": 1, "vocab_size": 9}, "MambaLMHeadModel"),
    ):
        assert architecture_of(values, file) == expected
    for values, said in (
        ({"architectures": ["LlamaForSequenceClassification"], "model_type": "llama"}, "ForSequenceClassification"),
        ({"model_type": "gpt2"}, "is of class gpt2"),
        ({"architectures": ["os.system"]}, "is of class os.system"),
        ({"hidden_size": 3}, "names no class"),
    ):
        with pytest.raises(InputError, match=said):
            architecture_of(values, file)


def test_what_is_a_folder_of_another_library(folder, tmp_path):
    assert is_foreign(folder)
    bundle = write_bundle(tmp_path / "bundle", tiny_model())
    assert not is_foreign(bundle)
    (bundle / "MANIFEST.json").unlink()
    assert not is_foreign(bundle)  # a damaged bundle is told of as a bundle
    with pytest.raises(ConfigError, match=r"no config\.json"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"num_hidden_layers": 10**9}, "1,000,000,000 layers, but there are 21 tensors"),
        ({"num_hidden_layers": 1}, "layers.1.input_layernorm.weight': not there and"),
        ({"num_hidden_layers": 3}, "layers.2.input_layernorm.weight': .* and not there"),
        ({"hidden_size": 2**30, "head_dim": 2**30}, "no model can have this shape|disagree on weight"),
        ({"intermediate_size": 2**31}, "disagree on weight 'model.layers.0.mlp.down_proj"),
        ({"vocab_size": 10}, r"lm_head.weight': \(10, 32\) and \(9, 32\)"),
        ({"tie_word_embeddings": True}, "are one, but their weights differ"),
    ],
)
def test_a_config_that_the_weights_do_not_bear_out_is_refused(folder, change, said):
    reconfigure(folder, **change)
    with pytest.raises(IntegrityError, match=said):
        read_folder(folder)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda w: w.pop("model.norm.weight"), r"'model.norm.weight': \(32,\) and not there"),
        (lambda w: w.pop("lm_head.weight"), r"'lm_head.weight': \(9, 32\) and not there"),
        (lambda w: w.update(extra=torch.ones(2)), r"'extra': not there and \(2,\)"),
        (lambda w: w.update({"model.norm.weight": torch.full((32,), torch.nan)}), "not finite"),
        (lambda w: w.update({"model.norm.weight": torch.ones(32, dtype=torch.int8)}), "expected floats"),
    ],
)
def test_weights_that_are_not_those_of_the_config_are_refused(folder, change, said):
    reweigh(folder, change)
    with pytest.raises(IntegrityError, match=said):
        read_folder(folder)


def test_buffers_that_older_versions_saved_are_passed_over_and_half_precision_is_widened(folder):
    reweigh(folder, lambda w: w.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}))
    reweigh(folder, lambda w: w.update({name: value.to(torch.bfloat16) for name, value in w.items()}))
    parts = read_folder(folder).parts
    assert all(weight.dtype == torch.float32 for weight in parts.state_dict("tokens").values())


@pytest.mark.parametrize(
    "file, text, error, said",
    [
        ("config.json", "{", IntegrityError, "config.json is damaged"),
        ("config.json", "[]", IntegrityError, "config.json is damaged"),
        ("config.json", '{"a":' * 600 + "1" + "}" * 600, IntegrityError, "nested too deeply|not JSON"),
        ("foretell_tokenizer.json", "{}", IntegrityError, "does not describe a tokenizer"),
        ("foretell_tokenizer.json", '{"tokenizer": 3}', IntegrityError, "does not describe a tokenizer"),
    ],
)
def test_damaged_words_are_named(folder, file, text, error, said):
    (folder / file).write_text(text)
    with pytest.raises(error, match=said):
        read_folder(folder)


def test_values_that_no_model_can_have_are_refused(folder):
    reconfigure(folder, num_key_value_heads=3, num_attention_heads=2, head_dim=16)
    with pytest.raises(InputError, match=r"ours cannot be: model\.kv_heads: got 3"):
        read_folder(folder)

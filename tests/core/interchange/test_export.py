"""What an export writes, what it refuses to replace, and the reasons why a model cannot be exported."""

import json
from dataclasses import replace

import pytest
import torch

from core.durable import file_digest
from core.errors import ConfigError, ResourceError
from core.interchange.export import export_folder, family_for
from core.vocabulary import BOS, EOS, PAD, SPECIALS
from tests.core.interchange.theirs import ORIGIN, exported, loaded
from tests.core.tiny import MIXED, TOKENIZER, tiny_model

FILES = ["README.md", "config.json", "foretell_tokenizer.json", "generation_config.json", "model.safetensors"]


def test_the_folder_has_weights_words_and_the_card(tmp_path):
    folder = tmp_path / "out"
    assert export_folder(folder, tiny_model(), ORIGIN) == "Qwen3ForCausalLM"
    assert sorted(path.name for path in folder.iterdir()) == FILES
    config = json.loads((folder / "config.json").read_text())
    assert [config[f"{name}_token_id"] for name in ("pad", "bos", "eos")] == [PAD, BOS, EOS]
    assert config["architectures"] == ["Qwen3ForCausalLM"]
    words = json.loads((folder / "foretell_tokenizer.json").read_text())
    assert words["symbols"] == [*SPECIALS, "A", "C", "G", "T"]
    assert words["tokenizer"] == TOKENIZER
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1  # whoever may read one may read all
    card = (folder / "README.md").read_text()
    assert "Data licence: CC0" in card
    assert "Qwen3ForCausalLM.from_pretrained" in card


def test_the_same_model_gives_the_same_bytes(tmp_path):
    a, b = (exported(tmp_path / name, tiny_model(pattern="S")) for name in "ab")
    assert [file_digest(a / name) for name in FILES] == [file_digest(b / name) for name in FILES]


@pytest.mark.parametrize("pattern", ["A", "M", "S"])
def test_transformers_generates_data_symbols_only(pattern, tmp_path):
    pytest.importorskip("transformers")
    export_folder(tmp_path / "out", tiny_model(pattern=pattern), replace(ORIGIN, ends=False))
    torch.manual_seed(0)
    drawn = loaded(tmp_path / "out").generate(torch.full((16, 1), BOS), max_new_tokens=12)
    assert drawn.shape == (16, 13)
    assert set(drawn[:, 1:].flatten().tolist()) == {5, 6, 7, 8}


def test_a_model_that_knows_ends_may_draw_them(tmp_path):
    for ends in (True, False):
        export_folder(tmp_path / "out", tiny_model(), replace(ORIGIN, ends=ends))
        words = json.loads((tmp_path / "out" / "generation_config.json").read_text())
        assert words["eos_token_id"] == EOS
        assert (EOS in words["suppress_tokens"]) is not ends


def test_only_what_an_export_wrote_is_replaced(tmp_path):
    folder = exported(tmp_path / "out", tiny_model(seed=0))
    before = file_digest(folder / "model.safetensors")
    exported(folder, tiny_model(seed=1))
    assert file_digest(folder / "model.safetensors") != before
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"files that no export wrote: notes\.txt"):
        exported(folder, tiny_model())
    assert (folder / "notes.txt").read_text() == "mine"
    for name in ("empty", "file"):
        place = tmp_path / name
        place.mkdir() if name == "empty" else place.write_text("text")
        with pytest.raises(ConfigError, match="no folder of an export"):
            exported(place, tiny_model())


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.interchange.export.save_file", full)
    with pytest.raises(ResourceError, match="out"):
        exported(tmp_path / "out", tiny_model())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changes, format, reason",
    [
        ({"pattern": "SA"}, "transformers", r"layers are of different kinds \(SA\)"),
        ({"ngrams": (2, 3)}, "transformers", "reads n-grams of orders 2, 3"),
        ({"spec": MIXED}, "transformers", "field 'values' is real; .*several fields"),
        ({"pattern": "S", "norm_eps": 1e-6}, "transformers", "one epsilon for all norms"),
        ({"pattern": "M", "norm_eps": 1e-6}, "mamba_ssm", "norms with epsilon 1e-05, this model with 1e-06"),
        ({"pattern": "A"}, "mamba_ssm", "its layers are attention"),
        ({"pattern": "A"}, "mamba", "format: got 'mamba'; did you mean 'mamba_ssm'"),
    ],
)
def test_what_cannot_be_expressed_is_refused_with_the_reason(changes, format, reason, tmp_path):
    with pytest.raises(ConfigError, match=reason):
        exported(tmp_path / "out", tiny_model(**changes), format)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"qk_norm": False}, "LlamaForCausalLM"),
        ({"qk_norm": False, "window": 4}, "MistralForCausalLM"),
        ({"window": 4, "dropout": 0.5}, "Qwen3ForCausalLM"),
        ({"pattern": "MM"}, "MambaForCausalLM"),
    ],
)
def test_the_class_that_can_is_chosen(changes, expected):
    assert family_for(tiny_model(**changes), "transformers").architecture == expected

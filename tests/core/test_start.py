"""What a run starts from: weights with what their ids mean, or the backbone alone."""

import logging
from dataclasses import replace

import pytest
import torch

from core.batching.config import BatchingConfig
from core.errors import ConfigError, InputError, IntegrityError
from core.finetuning.config import AdapterConfig
from core.recipe import Recipe, Source, make_model, run_config
from core.sequence import Symbols, TokenSpec, symbol
from core.start import going_on, load_start
from core.tokenizer import fingerprint
from core.training.config import TrainingConfig
from core.vocabulary import Vocabulary
from tests.core.interchange.theirs import exported
from tests.core.tiny import DNA, LETTERS, MIXED, TOKENIZER, records, tiny_model, write_bundle, write_store

_BODY = {"kind": "letters", "version": 1, "config": {"alphabet": "ACGTN"}}
FIVE = {**_BODY, "fingerprint": fingerprint(_BODY)}
FIVE_LETTERS = Symbols(Vocabulary(tuple("ACGTN")))
RENAMED = TokenSpec((symbol("bases", LETTERS),))


class Reading:
    """As much of a tokenizer as a recipe asks for."""

    kind, version = "letters", 1

    def __init__(self, spec, described):
        self.spec, self.described = spec, described

    def to_config(self):
        return self.described["config"]


@pytest.fixture
def places(tmp_path):
    """A bundle, what it exports to, and the same without a word on its ids."""
    model = tiny_model()
    folder = exported(tmp_path / "silent", model)
    (folder / "foretell_tokenizer.json").unlink()
    return {
        "bundle": write_bundle(tmp_path / "bundle", model),
        "exported": exported(tmp_path / "exported", model),
        "silent": folder,
    }


def store_of(path, spec=DNA, tokenizer=TOKENIZER):
    return write_store(path, records(20, spec=spec), spec=spec, tokenizer=tokenizer)


def first_model(start, spec, store, described=TOKENIZER):
    recipe = Recipe(start.config, BatchingConfig(length=16), TrainingConfig(steps=1), seed=5)
    return make_model(recipe, Source([store], [1.0], Reading(spec, described), None), start)


@pytest.mark.parametrize("place", ["bundle", "exported", "silent"])
def test_a_run_begins_with_the_weights_that_lie_there(place, places, tmp_path):
    start, store = load_start(places[place]), store_of(tmp_path / "s.zarr")
    start.check(store)
    weights = first_model(start, DNA, store).state_dict()
    for name, weight in tiny_model().state_dict().items():
        assert torch.equal(weights[name], weight), name


def test_another_librarys_only_field_may_be_called_otherwise_here(places, tmp_path):
    start, store = load_start(places["silent"]), store_of(tmp_path / "s.zarr", RENAMED)
    start.check(store)
    weights = first_model(start, RENAMED, store).state_dict()
    assert torch.equal(weights["embed.fields.bases.weight"], tiny_model().state_dict()["embed.fields.tokens.weight"])


@pytest.mark.parametrize("place", ["bundle", "exported", "silent"])
@pytest.mark.parametrize("spec", [FIVE_LETTERS, MIXED])
def test_with_a_new_vocabulary_only_the_backbone_is_taken(place, spec, places, tmp_path):
    store = store_of(tmp_path / "s.zarr", spec, FIVE)
    with pytest.raises(IntegrityError):
        load_start(places[place]).check(store)
    start = load_start(places[place], "new")
    start.check(store)
    model = first_model(start, spec, store, FIVE)
    before = tiny_model().state_dict()
    for name, weight in model.backbone.state_dict().items():
        assert torch.equal(weight, before[f"backbone.{name}"]), name
    assert (start.tokenizer, start.domain) == (None, None)


def test_the_new_part_is_a_function_of_the_seed(places, tmp_path):
    store = store_of(tmp_path / "s.zarr")
    a, b = (first_model(load_start(places[name], "new"), DNA, store).state_dict() for name in ("bundle", "silent"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["embed.fields.tokens.weight"], tiny_model().state_dict()["embed.fields.tokens.weight"])


def test_ids_that_cannot_mean_the_same_are_refused(places, tmp_path, caplog):
    store = store_of(tmp_path / "five.zarr", FIVE_LETTERS, FIVE)
    with pytest.raises(IntegrityError, match=r"has 9 ids, .*five.zarr.* has 10\s.*init_vocabulary=new"):
        load_start(places["silent"]).check(store)
    with pytest.raises(IntegrityError, match="one symbol a token"):
        load_start(places["silent"]).check(store_of(tmp_path / "mixed.zarr", MIXED, FIVE))
    with pytest.raises(IntegrityError, match=r"prepared with another tokenizer[\s\S]*init_vocabulary=new"):
        load_start(places["exported"]).check(store)
    with caplog.at_level(logging.INFO, "core.start"):
        load_start(places["silent"]).check(store_of(tmp_path / "s.zarr"))
    assert "does not say what its ids mean" in caplog.text


def test_a_run_says_what_it_began_with(places, tmp_path):
    store = store_of(tmp_path / "s.zarr")
    source = Source([store], [1.0], Reading(DNA, TOKENIZER), None)
    keep, new = load_start(places["silent"]), load_start(places["silent"], "new")
    recipe = Recipe(keep.config, BatchingConfig(length=16), TrainingConfig(steps=1))
    said = [run_config(recipe, source, start, 0) for start in (None, keep, new)]
    assert [s["init_from"] for s in said] == [None, keep.fingerprint, keep.fingerprint]
    assert ["init_vocabulary" in s for s in said] == [False, False, True]


def test_what_is_no_start_is_refused(tmp_path, places):
    with pytest.raises(ConfigError, match="there is no folder"):
        load_start(tmp_path / "state-spaces" / "mamba-130m")
    with pytest.raises(ConfigError, match="not a bundle"):
        load_start(tmp_path)
    with pytest.raises(ConfigError, match="allowed: keep, new"):
        load_start(places["bundle"], "fresh")
    with pytest.raises(ConfigError, match="init_from= gives, which is missing"):
        load_start(None, "new")
    assert load_start(None) is None
    config = places["silent"] / "config.json"
    config.write_text(config.read_text().replace('"attention_bias": false', '"attention_bias": true'))
    with pytest.raises(InputError, match="attention_bias"):
        load_start(places["silent"])


def test_a_shape_that_does_not_fit_is_refused(places, tmp_path):
    start, store = load_start(places["silent"], "new"), store_of(tmp_path / "s.zarr")
    recipe = Recipe(tiny_model(qk_norm=False).config, BatchingConfig(length=16), TrainingConfig(steps=1))
    with pytest.raises(ConfigError, match=r"4 weights of .* do not fit this model"):
        make_model(recipe, Source([store], [1.0], Reading(DNA, TOKENIZER), None), start)


def test_training_goes_on_with_the_optimizer_that_it_had(places, tmp_path):
    start = replace(load_start(places["bundle"]), training={"optimizer": "muon", "lr": 6e-3, "schedule": "wsd"})
    told = {"steps": 5}
    said = {
        "as before": going_on(start, told),
        "another rate": going_on(start, {**told, "lr": 1e-4}),
        "another optimizer": going_on(start, {**told, "optimizer": "adamw"}),
        "an adapter": going_on(start, told, AdapterConfig("lora")),
        "another library's": going_on(load_start(places["silent"]), told),
        "nothing": going_on(None, told),
    }
    rates = {name: (config.optimizer, pytest.approx(config.lr)) for name, config in said.items()}
    assert rates == {
        "as before": ("muon", 2e-3),
        "another rate": ("muon", 1e-4),
        "another optimizer": ("adamw", 1e-3),
        "an adapter": ("adamw", 1e-3),
        "another library's": ("adamw", 1e-3),
        "nothing": ("adamw", 1e-3),
    }

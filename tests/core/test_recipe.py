"""A run put together from checked values: what it says of itself, what it refuses to mix."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.batching.config import BatchingConfig
from core.datamodule import SequenceDataModule
from core.errors import ConfigError, IntegrityError
from core.nn.config import ModelConfig
from core.recipe import Recipe, Source, make_model, of_domain, run_config, suited_batching, units_per_token
from core.start import Start
from core.store import TokenStore
from core.tokenizer import accepts, describe, restore
from core.training.config import TrainingConfig
from domains import tokenizer_classes
from tests.conftest import foretell_cli

SMALL = ModelConfig(layers=1, width=16, context=32)


def recipe(seed: int = 0) -> Recipe:
    return Recipe(SMALL, BatchingConfig(length=32), TrainingConfig(steps=3), seed=seed)


@pytest.fixture
def source(dna_store: Path) -> Source:
    store = TokenStore.open(dna_store)
    return Source([store], [1.0], restore(store.tokenizer, tokenizer_classes()), SequenceDataModule)


def test_a_run_says_all_that_it_is(source: Source) -> None:
    said = run_config(recipe(), source, None, workers=0)
    assert said["domain"] == "dna"
    assert said["data"][0]["fingerprint"] == source.stores[0].fingerprint
    assert said["model"]["width"] == 16
    assert TrainingConfig.from_config(said["training"]) == TrainingConfig(steps=3)
    assert BatchingConfig(**said["batching"]) == BatchingConfig(length=32)


def test_the_first_weights_are_a_function_of_the_seed(source: Source) -> None:
    a, b, c = (make_model(recipe(seed), source).state_dict() for seed in (0, 0, 1))
    assert all(a[name].equal(b[name]) for name in a)
    assert not all(a[name].equal(c[name]) for name in a)


def test_natural_units_of_a_token(source: Source, dna_genome: Path, tmp_path: Path) -> None:
    assert units_per_token(source) == 1
    kmers = tmp_path / "kmers.zarr"
    keys = ("domain=dna", f"data.path={dna_genome}", "tokenizer=dna_kmer", "tokenizer.k=3")
    assert foretell_cli("prepare", *keys, f"store={kmers}") == 0
    store = TokenStore.open(kmers)
    of_kmers = Source([store], [1.0], restore(store.tokenizer, tokenizer_classes()), SequenceDataModule)
    assert units_per_token(of_kmers) == pytest.approx(3, rel=0.01)
    with pytest.raises(IntegrityError, match="another tokenizer"):
        Source([source.stores[0], store], [1.0, 1.0], source.tokenizer, SequenceDataModule)


def test_what_does_not_belong_together_is_refused(source: Source) -> None:
    with pytest.raises(ConfigError, match="1 stores, but 2 weights"):
        Source(source.stores, [1.0, 2.0], source.tokenizer, SequenceDataModule)
    with pytest.raises(IntegrityError, match="is of domain 'dna', expected 'music'"):
        of_domain(source.stores[0], "music")


def test_the_domain_chooses_the_batching_and_what_is_given_stays(source: Source) -> None:
    assert suited_batching(source, {"batch_size": 3}) == BatchingConfig(batch_size=3)
    chosen = suited_batching(source, {})
    strided = replace(
        source, open_data=lambda *_, **__: SimpleNamespace(batching=replace(chosen, stride=4, look_back=2))
    )
    assert suited_batching(strided, {}).stride == 4
    assert suited_batching(strided, {"kind": "buckets"}) == replace(chosen, kind="buckets")


def test_a_store_that_is_older_than_a_key_of_its_tokenizer_is_read(source: Source) -> None:
    mine = describe(source.tokenizer)
    older = {**mine, "config": {**mine["config"], "a_later_key": None}}
    other = {**mine, "config": {**mine["config"], "a_later_key": 3}}
    assert accepts(older, mine)
    assert accepts(mine, older)
    assert not accepts(other, mine)


@pytest.mark.parametrize(
    ("before", "given", "found"),
    [
        ({"batch_size": 5, "length": 512, "stride": 7}, {}, {"batch_size": 5, "length": 512, "stride": 7}),
        ({"batch_size": 8, "length": 10**6}, {}, {"batch_size": 31250}),  # as many tokens a batch
        ({"batch_size": 8, "length": 512, "stride": 7}, {"length": 64}, {"length": 64, "batch_size": 64}),
        ({"batch_size": 5, "stride": 7}, {"kind": "buckets"}, {"kind": "buckets"}),
        ({"kind": "buckets", "length": 8}, {}, {}),
        (
            {"kind": "buckets", "length": 64, "batch_tokens": 4096, "long": "refuse"},
            {"kind": "buckets"},
            {"kind": "buckets", "length": 64, "batch_tokens": 4096, "long": "refuse"},
        ),
        (
            {"kind": "buckets", "length": 64, "batch_tokens": 4096},
            {"kind": "buckets", "batch_size": 3},
            {"kind": "buckets", "length": 64, "batch_size": 3},
        ),
        (
            {"kind": "buckets", "length": 64, "batch_tokens": 128},
            {"kind": "buckets", "length": 512},
            {"kind": "buckets", "length": 512, "batch_tokens": 513},
        ),
    ],
)
def test_rows_are_cut_as_those_of_the_start_where_that_fits(source: Source, before, given, found) -> None:
    """The data are windows of one long sequence by default."""
    start = Start(Path("base"), "f", SMALL, {}, None, "dna", None, batching=BatchingConfig(**before))
    assert suited_batching(source, given, start) == BatchingConfig(**found)


def test_records_that_the_domain_has_whole_stay_whole(source: Source) -> None:
    longer = replace(source, open_data=partial(_whole, length=300))
    start = Start(Path("base"), "f", SMALL, {}, None, "dna", None)
    short = BatchingConfig(kind="buckets", length=64, batch_tokens=128)
    cut = suited_batching(longer, {}, replace(start, batching=short))
    assert (cut.length, cut.batch_tokens, cut.long) == (300, 301, "refuse")


def _whole(stores, tokenizer, batching, *, length, **options):
    chosen = BatchingConfig(kind="buckets", length=length, long="refuse")
    return SequenceDataModule(stores, tokenizer, batching or chosen, **options)

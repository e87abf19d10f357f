from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import ConfigError, InputError
from core.evaluation import MODEL, MetricTable
from core.ingest import prepare_store
from core.report.gallery import read_gallery
from core.split import SplitConfig
from core.store import TokenStore
from domains.molecules.descriptors import property_of
from domains.molecules.evaluation import EvaluationConfig, chemnet, evaluate
from domains.molecules.evaluation.fingerprints import fingerprints, mean_similarity, nearest
from domains.molecules.evaluation.likelihood import fit_markov
from domains.molecules.evaluation.moses import compared, cosine, even_part, internal_diversity, read_valid, statistics
from domains.molecules.evaluation.properties import PENALTIES, ridge, scaffold_split
from domains.molecules.evaluation.reference import load_statistics, save_statistics
from domains.molecules.evaluation.stored import stored_smiles, token_blocks
from domains.molecules.parsing import canonical_smiles, parse
from domains.molecules.source import open_source
from domains.molecules.tokenizer import SmilesAtomsConfig, SmilesAtomsTokenizer
from tests.domains.molecules.made import PLAIN, Chooser

CHAINS = tuple("C" * n + end for n in range(1, 7) for end in ("O", "N", "Cl", "c1ccccc1", "C(=O)O", "C1CC1"))
ALL = tuple(dict.fromkeys(canonical_smiles(s) for s in PLAIN + CHAINS))


def made_store(folder: Path, tokenizer: Any = None) -> tuple[TokenStore, Any]:
    """Molecules with a label that their size decides, divided by scaffold."""
    path = folder / "m.csv"
    path.write_text("smiles,size\n" + "".join(f"{text},{len(text) + 0.5}\n" for text in ALL))
    source = open_source(path=path, labels=["size"], scaffolds=True)
    out = folder / "m.zarr"
    split = SplitConfig(rule="random", validation=0.15, test=0.3, leakage=False)
    prepare_store(source, tokenizer or SmilesAtomsTokenizer(), out, split=split, domain="molecules")
    store = TokenStore.open(out)
    from core.tokenizer import restore
    from domains import tokenizer_classes

    return store, restore(store.tokenizer, tokenizer_classes())


def run(store: TokenStore, tokenizer: Any, out: Path, texts: list[str], **options: Any) -> MetricTable:
    asked = {"samples": 40, "fcd": False, "published": False, "resamples": 100, "condition_samples": 4, **options}
    return evaluate(Chooser(tokenizer, texts), store, tokenizer, out=out, **asked)


def test_everything_is_measured_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "cache"))
    store, tokenizer = made_store(tmp_path)
    train = list(stored_smiles(store, tokenizer, store.spans("train")))
    drawn = [*train[:5], "CCCCCCCCCN", "C1CC", "CCCCCCCCCS", "c1cccc1", "C(C)(C)(C)(C)C"]
    table = run(store, tokenizer, tmp_path / "out", drawn)
    found = {row.name: row for row in table.rows if row.model == MODEL}
    assert found["valid"].value == pytest.approx(0.7)
    assert found["novelty"].value == pytest.approx(2 / 7)  # of seven different valid ones two are not in training
    assert found["unique_1k"].value == pytest.approx(7 / 28)
    for name in (
        "bits_per_atom",
        "nats_per_molecule",
        "snn_test",
        "frag_test",
        "intdiv",
        "wasserstein_logp",
        "rmse_size",
    ):
        assert found[name].value is not None, name
    assert found["nats_per_molecule"].split == "m/test"
    baselines = {row.model for row in table.rows} - {MODEL}
    assert {"train", "morgan_ridge", "mean"} <= baselines
    assert any(name.startswith("markov_") for name in baselines)
    pictures = {Path(figure.path).stem for figure in read_gallery(tmp_path / "out")}
    assert pictures == {"samples", "properties", "similarity_to_train", "predicted_size"}
    assert len((tmp_path / "out" / "per_molecule.csv").read_text().splitlines()) == len(store.spans("test")) + 1
    again = run(store, tokenizer, tmp_path / "again", drawn, figures=False)
    assert again.to_json() == table.to_json(), "the same seed gave other numbers, or the cache changes them"


def test_conditions_are_judged_by_what_samples_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "cache"))
    store, tokenizer = made_store(tmp_path, SmilesAtomsTokenizer(SmilesAtomsConfig(conditions=("weight",), bins=3)))
    (condition,) = tokenizer.conditions

    class Obedient(Chooser):
        def sample(self, prefixes: Any, *, max_length: int, seed: int, **drawing: float) -> list[Any]:
            symbol = tokenizer.vocabulary.symbol(int(prefixes[0].arrays["tokens"][0]))
            low, high = condition.bounds(symbol)
            from domains.molecules.descriptors import weight

            fit = [text for text in ALL if low <= weight(parse(text)) < high]
            return Chooser(tokenizer, fit).sample(prefixes, max_length=max_length, seed=seed)

    options = {
        "samples": 20,
        "fcd": False,
        "resamples": 100,
        "condition_samples": 6,
        "figures": False,
        "properties": False,
    }
    table = evaluate(Obedient(tokenizer, []), store, tokenizer, out=tmp_path / "out", **options)
    obeyed, unasked = (table.find("recall_of_asked_weight", model=model) for model in (MODEL, "unasked"))
    assert obeyed is not None
    assert unasked is not None
    assert obeyed.value == 1
    assert unasked.value == pytest.approx(1 / 3)


def test_two_conditions_are_judged_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "cache"))
    config = SmilesAtomsConfig(conditions=("weight", "logp"), bins=2)
    store, tokenizer = made_store(tmp_path, SmilesAtomsTokenizer(config))
    weight_asked, logp_asked = tokenizer.conditions
    fitting = {}

    def within(text: str, bounds: list[tuple[float, float]]) -> bool:
        has = [property_of(parse(text), name) for name in config.conditions]
        return all(low <= value < high for value, (low, high) in zip(has, bounds, strict=True))

    class Obedient(Chooser):
        def sample(self, prefixes: Any, *, max_length: int, seed: int, **drawing: float) -> list[Any]:
            symbols = [tokenizer.vocabulary.symbol(int(t)) for t in prefixes[0].arrays["tokens"][:2]]
            bounds = [c.bounds(s) for c, s in zip((weight_asked, logp_asked), symbols, strict=False) if s in c.symbols]
            fit = ALL
            if len(bounds) == 2:
                fit = [text for text in ALL if within(text, bounds)]
                fitting[tuple(symbols)] = bool(fit)
            return Chooser(tokenizer, fit or ALL[:1]).sample(prefixes, max_length=max_length, seed=seed)

    options = {"samples": 20, "fcd": False, "resamples": 100, "condition_samples": 5, "properties": False}
    table = evaluate(Obedient(tokenizer, []), store, tokenizer, out=tmp_path / "out", **options)
    obeyed, unasked = (table.find("recall_of_asked_weight_and_logp", model=m) for m in (MODEL, "unasked"))
    assert obeyed is not None
    assert unasked is not None
    assert len(fitting) == 4
    assert sum(fitting.values()) >= 3
    assert obeyed.value == sum(fitting.values()) / 4
    assert unasked.value == pytest.approx(1 / 4)
    assert "asked_weight_and_logp" in {Path(figure.path).stem for figure in read_gallery(tmp_path / "out")}


def test_markov_tables_are_distributions_over_molecules(tmp_path: Path) -> None:
    store, tokenizer = made_store(tmp_path)
    markov = fit_markov(store, tokenizer, 30)
    blocks = list(token_blocks(store, store.spans("test")))
    whole = np.concatenate([markov.nats(*block) for block in blocks])
    (tokens, lengths), at = blocks[0], 0
    for n, expected in zip(lengths.tolist(), whole.tolist(), strict=True):  # one by one as all together
        assert markov.nats(tokens[at : at + n], np.array([n]))[0] == pytest.approx(expected)
        at += n
    drawn = markov.sample(50, np.random.default_rng(0))
    assert all(len(row) <= 30 for row in drawn)
    assert np.mean([tokenizer.spell(row, "") in ALL for row in drawn]) > 0.1
    symbols = markov.letters.ids
    one = np.exp(-markov.nats(np.repeat(symbols, 1), np.ones(len(symbols), np.int64))).sum()
    assert one < 1, "molecules of one symbol have a probability of more than 1 together"


def test_read_blocks_hold_what_rows_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import domains.molecules.evaluation.stored as stored

    store, _ = made_store(tmp_path)
    monkeypatch.setattr(stored, "BLOCK", 64)
    spans = store.spans("train")
    blocks = list(token_blocks(store, spans))
    assert len(blocks) > 3
    joined = np.concatenate([tokens for tokens, _ in blocks])
    assert joined.tolist() == [t for row in spans[:, 0].tolist() for t in store[row].arrays["tokens"].tolist()]
    assert np.concatenate([n for _, n in blocks]).tolist() == (spans[:, 2] - spans[:, 1]).tolist()


def test_similarities_are_rdkits() -> None:
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
    from rdkit.DataStructs import BulkTanimotoSimilarity

    mols = [parse(text) for text in ALL]
    known = [GetMorganGenerator(radius=2, fpSize=1024).GetFingerprint(mol) for mol in mols]
    table = np.array([BulkTanimotoSimilarity(one, known) for one in known])
    packed = fingerprints(mols)
    assert mean_similarity(packed) == pytest.approx(table.mean(), abs=1e-6)
    best, which = nearest(packed[:5], packed[5:])
    assert best == pytest.approx(table[:5, 5:].max(axis=1), abs=1e-6)
    assert table[np.arange(5), 5 + which] == pytest.approx(best, abs=1e-6)


def test_a_set_against_itself(tmp_path: Path) -> None:
    valid = read_valid([*PLAIN, "C1CC", ""])
    assert valid.total == len(PLAIN) + 2
    assert valid.places.tolist() == list(range(len(PLAIN)))
    found = statistics(valid.smiles, valid.mols, fcd=False, names=("logp", "weight"))
    values = compared(found, found)
    assert values["frag_test"] == pytest.approx(1)
    assert values["scaf_test"] == pytest.approx(1)
    assert all(value == 0 for name, value in values.items() if name.startswith("wasserstein"))
    assert 0.5 < internal_diversity(found) < 1
    save_statistics(found, tmp_path / "s.npz")
    again = load_statistics(tmp_path / "s.npz")
    assert compared(again, found) == values
    assert (again.fragments, again.scaffolds) == (found.fragments, found.scaffolds)
    assert again.packed.tolist() == found.packed.tolist()


def test_cosine_of_counts() -> None:
    assert cosine(Counter(a=3, b=4), Counter(a=3, b=4)) == pytest.approx(1)
    assert cosine(Counter(a=1), Counter(b=1)) == 0
    assert cosine(Counter(a=1, b=1), Counter(a=2)) == pytest.approx(1 / np.sqrt(2))
    assert np.isnan(cosine(Counter(), Counter(a=1)))


def test_the_frechet_distance_of_gaussians() -> None:
    draw = np.random.default_rng(0)
    a, b = (np.cov(draw.normal(size=(60, 6)).T) for _ in range(2))
    mean = np.arange(6.0)
    assert chemnet.frechet_distance(mean, a, mean, a) == pytest.approx(0, abs=1e-9)
    assert chemnet.frechet_distance(mean, a, mean + 1, a) == pytest.approx(6)
    diagonal = chemnet.frechet_distance(mean, np.diag([1.0, 4.0, 9.0, 1, 1, 1]), mean, np.eye(6))
    assert diagonal == pytest.approx(0 + 1 + 4)
    assert chemnet.frechet_distance(mean, a, mean, b) == pytest.approx(chemnet.frechet_distance(mean, b, mean, a))


@pytest.mark.skipif(not chemnet.is_there(), reason="fcd_torch is not installed")
def test_chemnet_is_the_published_network() -> None:
    import torch
    from fcd_torch.utils import calculate_frechet_distance, get_one_hot

    torch.manual_seed(0)
    texts = [canonical_smiles(s) for s in (*PLAIN, "C[Si](C)(C)C", "[Al+3]", "CC(=O)[O-].[Na+]")]
    published = np.stack([get_one_hot(text, chemnet.PADDED) / len(chemnet.SYMBOLS) for text in texts])
    assert np.allclose(chemnet.one_hot(texts), published)
    active = chemnet.activations(texts)
    mean, covariance = active.mean(0), np.cov(active.T)
    other = active[:10]
    ours = chemnet.frechet_distance(mean, covariance, other.mean(0), np.cov(other.T))
    theirs = calculate_frechet_distance(mean, covariance, other.mean(0), np.cov(other.T))
    assert ours == pytest.approx(theirs, rel=1e-2, abs=1e-2)


@pytest.mark.network
def test_filters_screen_as_they_match() -> None:
    from rdkit import Chem

    from domains.molecules.evaluation.filters import matches, passes, patterns

    assert len(patterns().queries) == 502
    for text in ALL:
        whole = Chem.AddHs(parse(text))
        assert matches(whole) == any(whole.HasSubstructMatch(query) for query in patterns().queries)
    assert passes(parse("CN=C=O")) is False  # an isocyanate
    assert passes(parse("Cn1c(=O)c2c(ncn2C)n(C)c1=O")) is True
    assert passes(parse("C1CCCCCCC1")) is False
    assert passes(parse("C[Si](C)(C)C")) is False


def test_ridge_finds_a_line_and_ignores_noise() -> None:
    draw = np.random.default_rng(1)
    features = draw.normal(size=(120, 30))
    values = 3 + features[:, 0] - 2 * features[:, 1] + 0.01 * draw.normal(size=120)
    train, validation, test = np.arange(60), np.arange(60, 90), np.arange(90, 120)
    assert np.abs(ridge(features, values, train, validation, test) - values[test]).max() < 0.1
    noise = draw.normal(size=120)
    guess = ridge(features, noise, train, validation, test)
    assert np.std(guess) < 0.7 * np.std(noise)
    assert len(PENALTIES) > 5


def test_scaffolds_stay_together() -> None:
    scaffolds = np.array([f"s{i % 40}" for i in range(400)])
    there = np.ones(400, bool)
    split = scaffold_split(scaffolds, there, 1)
    assert all(len(set(split[scaffolds == name])) == 1 for name in set(scaffolds.tolist()))
    assert np.bincount(split).tolist() == [320, 40, 40]
    assert scaffold_split(scaffolds, there, 2).tolist() != split.tolist()


def test_an_even_part() -> None:
    assert even_part(10, 0).tolist() == list(range(10))
    assert even_part(10, 20).tolist() == list(range(10))
    assert even_part(10, 5).tolist() == [0, 2, 4, 6, 8]


def test_options_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.samples"):
        EvaluationConfig(samples=-1)
    store, tokenizer = made_store(tmp_path)
    with pytest.raises(ConfigError, match="did you mean 'samples'"):
        run(store, tokenizer, tmp_path / "out", ["C"], sample=3)
    kept = store.subset(np.unique(store.spans("train")[:, 0]), tmp_path / "train.zarr")
    with pytest.raises(InputError, match="has no test split"):
        run(kept, tokenizer, tmp_path / "out", ["C"])

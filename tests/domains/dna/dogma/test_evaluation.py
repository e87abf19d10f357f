"""Translation is judged residue by residue: an engine that knows the code, and one that errs where it is told to."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core.decoding.slots import Sample
from core.engine import Score
from core.errors import ConfigError, InputError
from core.ingest import prepare_store
from core.sequence import Sequence
from core.split import SplitConfig
from core.store import TokenStore
from domains.dna.dogma.gene import Gene, translate
from domains.dna.dogma.source import DogmaConfig, DogmaSource
from domains.dna.dogma.tokenizer import DogmaTokenizer
from domains.dna.evaluation import evaluate
from tests.domains.formats.test_genbank import coding, genbank_text

TOKENIZER = DogmaTokenizer()


class Ribosome:
    """Draws the true protein; of genes of more than `reads` codons the last residue is wrong."""

    def __init__(self, reads: int = 99) -> None:
        self.reads = reads

    def sample(self, prefixes, *, max_length, temperature, grammar=None):
        assert temperature == 0
        return [self._sample(prefix) for prefix in prefixes]

    def _sample(self, prefix: Sequence) -> Sample:
        gene = TOKENIZER.decode(prefix)
        protein = translate(gene.cds)
        if len(protein) > self.reads:
            protein = protein[:-1] + ("M" if protein[-1] != "M" else "A")
        tokens = TOKENIZER.encode(Gene(gene.id, gene.cds, protein)).arrays["tokens"]
        return Sample(Sequence({"tokens": tokens}, prefix.id), 0.0, len(protein) + 1, True, 0.0)

    def score(self, sequences, *, mode):
        for sequence in sequences:
            n = int(sequence.loss_mask["tokens"].sum())
            yield Score(n * np.log(2), n + 1, np.zeros(len(sequence) + 1, np.float32), {})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    folder = tmp_path_factory.mktemp("genes")
    rng, sense = np.random.default_rng(1), np.array(["ATG", "GCT", "AAA", "CCC", "TGG", "GAA"])
    letters = ["".join(sense[rng.integers(6, size=2 + i % 5)]) for i in range(80)]
    text = "".join(genbank_text(f"R{i}", x, (coding((0, len(x), 1)),)) for i, x in enumerate(letters))
    (folder / "genes.gb").write_text(text)
    source = DogmaSource(DogmaConfig(random_orfs=0), [folder / "genes.gb"], own=False)
    split = SplitConfig(**source.suggested_split)
    prepare_store(source, TOKENIZER, folder / "s.zarr", split=split, domain="dna")
    return TokenStore.open(folder / "s.zarr")


def rows(out: Path) -> dict[tuple[str, str], float]:
    return {(row["name"], row["model"]): row["value"] for row in json.loads((out / "metrics.json").read_text())}


def test_an_engine_that_knows_the_code_is_right(tmp_path: Path, store: TokenStore) -> None:
    evaluate(Ribosome(), store, TOKENIZER, out=tmp_path, training={"seconds": 3.0, "seed": 1}, resamples=100)
    found = rows(tmp_path)
    assert found["success_rate", "foretell"] == found["accuracy", "foretell"] == 1
    assert found["success_rate", "codon_table"] == found["success_rate_free", "foretell"] == 1
    assert found["bits_per_residue", "foretell"] == pytest.approx(1)
    assert found["bits_per_residue", "uniform"] == pytest.approx(np.log2(20))
    assert found["seconds_training", "foretell"] == 3
    assert list(tmp_path.rglob("exact_match_by_length*"))


def test_one_wrong_residue_costs_the_protein(tmp_path: Path, store: TokenStore) -> None:
    evaluate(Ribosome(reads=4), store, TOKENIZER, out=tmp_path, resamples=100, figures=False)
    found = rows(tmp_path)
    genes = [TOKENIZER.decode(store[row]) for row in store.spans("test")[:, 0].tolist()]
    lengths = np.array([len(g.cds) // 3 for g in genes])
    assert found["success_rate", "foretell"] == pytest.approx(np.mean(lengths <= 4))
    assert found["accuracy", "foretell"] == pytest.approx(1 - np.sum(lengths > 4) / lengths.sum())
    short = tmp_path / "short"
    evaluate(Ribosome(reads=4), store, TOKENIZER, out=short, resamples=100, figures=False, max_codons=4)
    assert rows(short)["success_rate", "foretell"] == 1


def test_what_cannot_be_measured_is_said(tmp_path: Path, store: TokenStore) -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.genes"):
        evaluate(Ribosome(), store, TOKENIZER, out=tmp_path, genes=-1)
    with pytest.raises(InputError, match="no gene"):
        evaluate(Ribosome(), store, TOKENIZER, out=tmp_path, max_codons=1)

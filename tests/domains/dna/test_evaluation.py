"""Evaluation of DNA on a store of random letters with a stand-in for the engine whose likelihoods are known."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import pytest
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord

from core.baselines import MarkovRule, MarkovTable
from core.errors import ConfigError, InputError, IntegrityError
from core.evaluation import MODEL
from core.report import read_gallery
from core.spans import read_spans
from core.store.writer import TokenStoreWriter
from core.tokenizer import describe
from core.vocabulary import UNK
from domains.dna.evaluation import EvaluationConfig, evaluate
from domains.dna.evaluation.generation import divergence, spectrum
from domains.dna.evaluation.letters import (
    COMPLEMENT,
    SpanLetters,
    draw_pieces,
    first_tokens,
    per_base,
    sequence_letters,
)
from domains.dna.evaluation.likelihood import Profile, fit_markov
from domains.dna.tokenizer import KmerConfig, KmerTokenizer, NucleotideTokenizer

NUCLEOTIDES, TRIPLES = NucleotideTokenizer(), KmerTokenizer(KmerConfig(k=3))


def random_dna(n, seed, *, n_share=0.0):
    """Letters with memory: each depends on the one before, so that order 1 beats order 0."""
    rng = np.random.default_rng(seed)
    steps = np.where(rng.random(n) < 0.5, 1, rng.integers(0, 4, n))
    letters = np.array(list("ACGT"))[np.cumsum(steps) % 4]
    letters[rng.random(n) < n_share] = "N"
    return "".join(letters)


def make_store(path, tokenizer, records, *, codons=False, name="toy"):
    """Each record's first 70 % are train, then 10 % validation, then 20 % test."""
    spans, splits = [], []
    with TokenStoreWriter(path, tokenizer.spec, describe(tokenizer), domain="dna", source={"name": name}) as writer:
        for i, letters in enumerate(records):
            sequence = tokenizer.encode(SeqRecord(Seq(letters), id=f"r{i}"))
            if codons:
                sequence.token_labels["codon_position"] = (np.arange(len(sequence)) % 4 - 1).astype(np.int8)
            row, n = writer.append(sequence), len(sequence)
            cuts = [0, n * 7 // 10, n * 8 // 10, n]
            spans += [(row, cuts[j], cuts[j + 1]) for j in range(3)]
            splits += [0, 1, 2]
        return writer.finish(
            spans=np.array(spans, np.int64), span_split=np.array(splits, np.uint8), counts={}, split={}
        )


class MarkovEngine:
    """Scores and samples as the engine does, from the order-2 baseline of the training split; `extra` nats worse."""

    def __init__(self, store, tokenizer, extra=0.0):
        self.tokenizer, self.extra, self.rule = tokenizer, extra, MarkovRule(2)
        self.table = fit_markov(store, tokenizer, SMALL["markov_order"]).table

    def nats(self, sequence):
        bases = self.table.nll(sequence_letters(sequence, self.tokenizer), self.rule) + self.extra
        sizes = self.tokenizer.units(sequence.arrays).astype(int)
        return np.add.reduceat(np.nan_to_num(bases), np.cumsum(sizes) - sizes).astype(np.float32)

    def score_spans(self, store, spans):
        return (self.nats(sequence) for sequence in read_spans(store, spans))

    def score(self, sequences, *, mode):
        assert mode == "windows"
        return (SimpleNamespace(token_nll=self.nats(sequence)) for sequence in sequences)

    def next_symbols(self, sequence):
        return np.log(np.full((len(sequence) + 1, len(self.tokenizer.spec.fields[0].vocabulary)), 0.1, np.float32))

    def sample(self, n, *, max_length, min_length, seed, **drawing):
        assert min_length == max_length
        drawn = self.table.sample(n, 3 * max_length, self.rule, np.random.default_rng(seed))
        found = []
        for codes in drawn:
            sequence = self.tokenizer.encode("".join(np.array(list("ACGT"))[codes])).slice(0, max_length)
            found.append(SimpleNamespace(sequence=sequence, nll=float(self.nats(sequence).sum())))
        return found


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("dna") / "toy.zarr", NUCLEOTIDES, [random_dna(40_000, 0)], codons=True)


SMALL = {"markov_order": 4, "samples": 6, "sample_length": 200, "kmer": 2, "resamples": 200, "strand_bases": 3000}


@pytest.fixture(scope="module")
def evaluated(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluation")
    lines = []
    facts = {"seconds": 55.5, "seed": 7}
    table = evaluate(
        MarkovEngine(store, NUCLEOTIDES), store, NUCLEOTIDES, out=out, training=facts, say=lines.append, **SMALL
    )
    return table, out, lines


def test_a_whole_evaluation(evaluated):
    """The example: every number with its unit, its interval and what a sceptic would put beside it."""
    _, out, lines = evaluated
    rows = json.loads((out / "metrics.json").read_text())
    by_key = {(row["name"], row["model"]): row for row in rows}
    mine = by_key["bits_per_base", MODEL]
    assert mine["split"] == "toy/test"
    assert mine["n"] == 8
    assert mine["low"] < mine["value"] < mine["high"]
    for order in range(5):
        assert ("bits_per_base", f"markov_{order}") in by_key
        assert (f"bits_per_base_minus_markov_{order}", MODEL) in by_key
    assert ("bits_per_base", "markov_4_interpolated") in by_key
    assert by_key["seconds_training", MODEL]["value"] == 55.5
    assert by_key["seed", MODEL]["value"] == 7
    validated = next(row for row in rows if row["name"] == "markov_order_validated")
    assert validated["split"] == "toy/validation"
    assert validated["value"] in (1, 4)  # the text's own order, or all of them interpolated
    assert len(lines) == 4
    assert "| bits_per_base | toy/test | foretell |" in (out / "table.md").read_text()


def test_model_and_baseline_are_counted_on_the_same_bases(evaluated):
    """A model that is the order-2 table has exactly its bits, everywhere."""
    table, _, _ = evaluated
    rows = {row.model: row for row in table.rows if row.name == "bits_per_base"}
    assert rows[MODEL].value == pytest.approx(rows["markov_2"].value, abs=1e-6)
    difference = table.find("bits_per_base_minus_markov_2", "toy/test")
    assert difference.value == pytest.approx(0, abs=1e-6)
    assert table.find("bits_per_base_minus_markov_0", "toy/test").high < 0


def test_two_strands_of_a_table_of_both(evaluated):
    table, _, _ = evaluated
    row = table.find("strand_asymmetry_bits_per_base", "toy/test")
    assert row.n == 3
    assert row.value == pytest.approx(0, abs=0.02)


def test_the_baselines_read_the_strands_that_serve_them(tmp_path):
    """Where the other strand differs, counting it would handicap the baseline; where it does not, it doubles counts."""
    rng = np.random.default_rng(0)
    one_sided = "".join(rng.choice(list("ACGT"), 20_000, p=[0.5, 0.3, 0.15, 0.05]))
    both = SimpleNamespace(
        one=make_store(tmp_path / "one.zarr", NUCLEOTIDES, [one_sided]),
        two=make_store(tmp_path / "two.zarr", NUCLEOTIDES, ["".join(rng.choice(list("ACGT"), 20_000))]),
    )
    chosen = fit_markov(both.one, NUCLEOTIDES, 3)
    assert chosen.strands == 1
    letters = next(iter(SpanLetters(both.one, NUCLEOTIDES, both.one.spans("test"))))
    entropy = -sum(p * np.log2(p) for p in (0.5, 0.3, 0.15, 0.05))
    assert chosen.table.nll(letters, MarkovRule(0)).mean() / np.log(2) == pytest.approx(entropy, abs=0.03)
    table = MarkovTable(3, 4, complement=COMPLEMENT).fit(SpanLetters(both.one, NUCLEOTIDES, both.one.spans("train")))
    assert table.nll(letters, MarkovRule(0)).mean() / np.log(2) > entropy + 0.1
    assert fit_markov(both.two, NUCLEOTIDES, 3).strands == 2


def test_codon_positions_are_told_apart(evaluated):
    table, _, _ = evaluated
    for place in ("codon_1", "codon_2", "codon_3", "noncoding"):
        row = table.find(f"bits_per_base_{place}", "toy/test")
        assert 1 < row.value < 2
    whole = table.find("bits_per_base", "toy/test").value
    places = [table.find(f"bits_per_base_{p}").value for p in ("codon_1", "codon_2", "codon_3", "noncoding")]
    assert np.mean(places) == pytest.approx(whole, abs=1e-3)


def test_samples_stand_beside_their_floor_and_chance(evaluated):
    table, _, _ = evaluated
    for model in (MODEL, "train"):
        row = table.find("kmer2_js_divergence_bits", "toy/test", model)
        assert 0 <= row.low <= row.value <= row.high < 0.1
    for model in (MODEL, "train", "test"):
        assert 0.4 < table.find("gc_fraction", "toy/test", model).value < 0.6
    for model in (MODEL, "test"):
        longest = table.find("longest_copy_bases_max", "toy/test", model).value
        assert table.find("longest_copy_bases_mean", "toy/test", model).value <= longest <= 40
    assert table.find("bits_per_base_of_samples", "toy/test").value == pytest.approx(
        table.find("bits_per_base", "toy/test").value, abs=0.1
    )


def test_what_is_written(evaluated):
    table, out, _ = evaluated
    with open(out / "per_position.csv") as file:
        lines = list(csv.DictReader(file))
    assert [int(line["block_start_base"]) for line in lines] == list(range(0, 8000, 1000))
    assert np.mean([float(line["bits_per_base_foretell"]) for line in lines]) == pytest.approx(
        table.find("bits_per_base", "toy/test").value, abs=1e-3
    )
    figures = read_gallery(out)
    assert {figure.path.stem for figure in figures} == {
        "per_position", "expected_bases", "codon_positions", "strand_asymmetry", "kmer_spectrum", "gc_content",
        "longest_copies",
    }  # fmt: skip
    for figure in figures:
        assert len(figure.alt) > 20
        assert ET.parse(figure.path).getroot().tag.endswith("svg")
        assert figure.path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_the_same_twice(store, evaluated, tmp_path):
    _, out, _ = evaluated
    facts = {"seconds": 55.5, "seed": 7}
    evaluate(MarkovEngine(store, NUCLEOTIDES), store, NUCLEOTIDES, out=tmp_path, training=facts, figures=False, **SMALL)
    for name in ("metrics.json", "table.md", "per_position.csv"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()
    assert read_gallery(tmp_path) == []


def test_tokenizers_compare_per_base(store, tmp_path):
    """The same letters in triples: the same bits per base from the same model, but for where splits are cut."""
    letters = random_dna(40_000, 0)
    triples = make_store(tmp_path / "triples.zarr", TRIPLES, [letters])
    options = {**SMALL, "figures": False}
    one = evaluate(MarkovEngine(store, NUCLEOTIDES, 0.1), store, NUCLEOTIDES, out=tmp_path / "a", **options)
    three = evaluate(MarkovEngine(triples, TRIPLES, 0.1), triples, TRIPLES, out=tmp_path / "b", **options)
    for name in ("bits_per_base", "bits_per_base_minus_markov_2", "bits_per_base_of_samples"):
        assert three.find(name, "toy/test").value == pytest.approx(one.find(name, "toy/test").value, abs=0.02)
    assert one.find("bits_per_base_minus_markov_2", "toy/test").value == pytest.approx(0.1 / np.log(2), abs=1e-4)
    assert one.hardest("bits_per_base", "toy/test").verdict == "worse"


def test_letters_that_are_no_bases_are_counted_for_nobody(tmp_path):
    letters = random_dna(20_000, 1, n_share=0.01)
    for tokenizer in (NUCLEOTIDES, TRIPLES):
        store = make_store(tmp_path / f"{tokenizer.kind}.zarr", tokenizer, [letters])
        engine = MarkovEngine(store, tokenizer, 0.2)
        table = evaluate(engine, store, tokenizer, out=tmp_path / "out", figures=False, **SMALL)
        gap = table.find("bits_per_base_minus_markov_2", "toy/test").value
        assert gap == pytest.approx(0.2 / np.log(2), abs=1e-4)


def test_many_short_records(tmp_path):
    """Records of 300 bases: each is a unit of the bootstrap, and the curve is their mean by position."""
    records = [random_dna(1500, i) for i in range(25)]
    store = make_store(tmp_path / "short.zarr", NUCLEOTIDES, records, name="promoters")
    table = evaluate(
        MarkovEngine(store, NUCLEOTIDES), store, NUCLEOTIDES, out=tmp_path / "out", **SMALL | {"samples": 0}
    )
    assert table.find("bits_per_base", "promoters/test").n == 25
    assert "mean over spans" in read_gallery(tmp_path / "out")[0].alt
    with open(tmp_path / "out" / "per_position.csv") as file:
        lines = list(csv.DictReader(file))
    assert [line["block_start_base"] for line in lines] == ["0", "100", "200"]
    assert lines[0]["record"] == "mean of 25 spans"


def test_a_mean_curve_weighs_bases_equally():
    profile = Profile([MODEL, "markov_0"], 30, 1000)
    profile.add("a", 0, {MODEL: np.full(150, 1.0), "markov_0": np.full(150, 2.0)})
    profile.add("b", 0, {MODEL: np.r_[np.full(50, np.nan), np.full(50, 4.0)], "markov_0": np.full(100, 2.0)})
    (curve,) = profile.finish()
    assert curve.bits[MODEL].tolist() == [2.0, 1.0]


def test_limits(store):
    spans = np.array([(0, 10, 20), (1, 0, 100), (2, 5, 6)])
    assert first_tokens(spans, 0).tolist() == spans.tolist()
    assert first_tokens(spans, 15).tolist() == [[0, 10, 20], [1, 0, 5]]
    assert first_tokens(spans, 10).tolist() == [[0, 10, 20]]


def test_pieces_come_from_the_spans(store):
    whole = bytes(next(iter(SpanLetters(store, NUCLEOTIDES, store.spans("test")))))
    pieces = draw_pieces(store, NUCLEOTIDES, store.spans("test"), 20, 300, 0)
    assert all(len(piece) == 300 and bytes(piece) in whole for piece in pieces)
    assert len({bytes(piece) for piece in pieces}) > 15
    short = draw_pieces(store, NUCLEOTIDES, np.array([(0, 5, 8)]), 3, 300, 0)
    assert [len(piece) for piece in short] == [3, 3, 3]


def test_a_token_shares_its_nats_among_its_bases():
    sequence = TRIPLES.encode("ACGTTTA")
    letters = sequence_letters(sequence, TRIPLES)
    found = per_base(np.array([3.0, 6.0, 1.0]), sequence, letters, TRIPLES)
    assert found.tolist() == [1, 1, 1, 2, 2, 2, 1]
    with pytest.raises(IntegrityError, match="decodes to 5"):
        per_base(np.zeros(3), sequence, letters[:5], TRIPLES)


def test_spectra():
    counts = spectrum(np.array([0, 1, 4, 0, 0], np.uint8), 2)  # AC and AA; on the other strand TT and GT
    assert {i: int(n) for i, n in enumerate(counts) if n} == {0b0001: 1, 0b0000: 1, 0b1111: 1, 0b1011: 1}
    assert divergence(counts, counts) == pytest.approx(0, abs=1e-12)
    assert divergence(np.array([1, 0]), np.array([0, 5])) == pytest.approx(1)
    assert divergence(np.array([0, 0]), np.array([0, 5])) == 1


@pytest.mark.filterwarnings("error")
def test_a_model_that_draws_no_bases(store, tmp_path):
    """An untrained model draws ambiguity codes and specials: the worst numbers, not a crash."""

    class Untrained(MarkovEngine):
        def sample(self, n, *, max_length, min_length, seed, **drawing):
            noise = [NUCLEOTIDES.encode("N" * (max_length - 1)) for _ in range(n)]
            for sequence in noise:
                sequence.arrays["tokens"] = np.append(sequence.arrays["tokens"], UNK).astype(np.uint8)
            return [SimpleNamespace(sequence=sequence, nll=5.0 * max_length) for sequence in noise]

    table = evaluate(Untrained(store, NUCLEOTIDES), store, NUCLEOTIDES, out=tmp_path, **SMALL)
    assert table.find("kmer2_js_divergence_bits", "toy/test").value == 1
    assert table.find("gc_fraction", "toy/test").value is None
    assert table.find("longest_copy_bases_max", "toy/test").value == 0


def test_refusals(store, tmp_path):
    engine = MarkovEngine(store, NUCLEOTIDES)
    with pytest.raises(ConfigError, match="did you mean 'samples'"):
        evaluate(engine, store, NUCLEOTIDES, out=tmp_path, sample=3)
    with pytest.raises(ConfigError, match=r"evaluation\.block: got 10"):
        EvaluationConfig(block=10)
    empty = make_store(tmp_path / "n.zarr", NUCLEOTIDES, ["ACGT" * 300 + "N" * 300])
    with pytest.raises(InputError, match="no A, C, G or T"):
        evaluate(MarkovEngine(empty, NUCLEOTIDES), empty, NUCLEOTIDES, out=tmp_path, figures=False, **SMALL)

"""Evaluation of proteins on stores of random letters with a stand-in for the engine whose likelihoods are known."""

from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest

from core.errors import ConfigError, InputError, IntegrityError
from core.evaluation import MODEL
from core.report import read_gallery
from core.spans import read_spans
from core.store.writer import TokenStoreWriter
from core.tokenizer import describe
from core.vocabulary import UNK
from domains.formats.seq_record import make_record
from domains.proteins.evaluation import evaluate
from domains.proteins.evaluation.generation import low_complexity, of_equal_lengths, spectrum
from domains.proteins.evaluation.likelihood import fit_markov
from domains.proteins.evaluation.nearest import nearest_identities
from domains.proteins.evaluation.relatives import known_shares
from domains.proteins.evaluation.residues import per_residue, sequence_letters, some_spans
from domains.proteins.evaluation.variants import (
    BACKGROUND,
    additive_ridge,
    auc,
    blosum62,
    ndcg,
    residue_frequency,
    site_independent,
    spearman,
    top_recall,
)
from domains.proteins.tokenizer import (
    CODES,
    RESIDUES,
    ProteinBpeConfig,
    ProteinBpeTokenizer,
    ResidueConfig,
    ResidueTokenizer,
)

RESIDUE = ResidueTokenizer()
BOTH = ResidueTokenizer(ResidueConfig(directions="both"))
BPE = ProteinBpeTokenizer(ProteinBpeConfig(learned=("LL", "GS")))
SMALL = {"samples": 4, "sample_length": 40, "resamples": 100, "markov_order": 2, "kmer": 2, "figures": False}


def random_protein(n, seed):
    """Letters with memory: a quarter of them repeat the one before."""
    rng = np.random.default_rng(seed)
    steps = np.where(rng.random(n) < 0.25, 0, rng.integers(0, 20, n))
    return "".join(np.array(list(RESIDUES))[np.cumsum(steps) % 20])


def make_store(path, tokenizer, records, sides, labels=()):
    labels = labels or [{}] * len(records)
    with TokenStoreWriter(path, tokenizer.spec, describe(tokenizer), domain="proteins", source={"name": "toy"}) as out:
        for i, (letters, known) in enumerate(zip(records, labels, strict=True)):
            sequence = tokenizer.encode(make_record(letters.encode(), f"p{i}"))
            sequence.labels = dict(known)
            out.append(sequence)
        rows = np.arange(len(records))
        spans = np.stack([rows, np.zeros_like(rows), out.row_lengths], axis=1)
        return out.finish(spans=spans, span_split=np.array(sides, np.uint8), counts={}, split={})


def protein_store(path, tokenizer):
    """30 train, 6 validation, 12 test, the last three of them copies from training."""
    records = [random_protein(80 + i, i) for i in range(45)]
    return make_store(path, tokenizer, [*records, *records[:3]], [0] * 30 + [1] * 6 + [2] * 12)


class MarkovEngine:
    """Scores and samples as the engine does, from the order-1 table of the training split; `extra` nats worse."""

    def __init__(self, store, tokenizer, extra=0.0):
        self.tokenizer, self.extra = tokenizer, extra
        self.baselines = fit_markov(store, tokenizer, 2)

    def nats(self, sequence):
        residues = self.baselines.table.nll(sequence_letters(sequence, self.tokenizer), self.baselines.rules[1])
        sizes = self.tokenizer.units(sequence.arrays).astype(int)
        turned = self.tokenizer.is_reversed(sequence.arrays["tokens"])
        values = np.nan_to_num(residues[::-1] if turned else residues) + self.extra
        ends = np.cumsum(sizes)
        sums = np.concatenate([[0.0], np.cumsum(values)])
        nats = sums[ends] - sums[ends - sizes]
        return np.where(sizes > 0, nats, np.nan).astype(np.float32)

    def score_spans(self, store, spans):
        return (self.nats(sequence) for sequence in read_spans(store, spans))

    def score(self, sequences, *, mode):
        assert mode == "windows"
        for sequence in sequences:
            nats = self.nats(sequence)
            yield SimpleNamespace(token_nll=nats, nll=float(np.nansum(nats)))

    def next_symbols(self, sequence):
        return np.log(np.full((len(sequence) + 1, len(self.tokenizer.spec.fields[0].vocabulary)), 0.1, np.float32))

    def sample(self, prefixes, *, max_length, seed, **drawing):
        n = prefixes if isinstance(prefixes, int) else len(prefixes)
        drawn = [self.tokenizer.encode(random_protein(max_length - 2, 1000 + seed + i)) for i in range(n)]
        drawn[0].arrays["tokens"] = np.append(drawn[0].arrays["tokens"], np.uint8(UNK))
        return [SimpleNamespace(sequence=s, nll=float(len(s))) for s in drawn]


@pytest.mark.parametrize("tokenizer", [RESIDUE, BPE, BOTH], ids=["residue", "bpe", "both"])
def test_the_model_is_measured_where_its_baselines_are(tmp_path, tokenizer):
    store = protein_store(tmp_path / "s.zarr", tokenizer)
    engine = MarkovEngine(store, tokenizer, extra=0.1)
    table = evaluate(engine, store, tokenizer, out=tmp_path / "out", **SMALL)
    head = table.rows[0]
    assert (head.name, head.split, head.model, head.n) == ("bits_per_residue", "toy/test_honest", MODEL, 9)
    for part in ("test_honest", "test_leaky", "test"):
        mine, same = (table.find("bits_per_residue", f"toy/{part}", m) for m in (MODEL, "markov_1"))
        assert mine.value - same.value == pytest.approx(0.1 / np.log(2), rel=0.2 if tokenizer is BPE else 1e-4)
        if part == "test_leaky":
            assert (mine.n, mine.low) == (3, None)  # too few for an interval
        else:
            assert mine.low <= mine.value <= mine.high
    assert table.find("bits_per_residue", "toy/test_leaky").n == 3
    assert table.find("share_honest", model="test").value == pytest.approx(0.75)
    assert bool(table.find("bits_per_residue_c_to_n")) == (tokenizer is BOTH)
    assert len(list(csv.DictReader((tmp_path / "out" / "per_protein.csv").open()))) == 12
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())[0]["name"] == "bits_per_residue"


def test_both_directions_are_the_same_where_the_model_says_so(tmp_path):
    """The stand-in gives a residue the same nats from either end."""
    store = protein_store(tmp_path / "s.zarr", BOTH)
    table = evaluate(MarkovEngine(store, BOTH), store, BOTH, out=tmp_path / "out", **SMALL)
    for part, n in (("toy/test_honest", 9), ("toy/test_leaky", 3), ("toy/test", 12)):
        assert table.find("direction_asymmetry_bits_per_residue", part).value == pytest.approx(0, abs=1e-6)
        forward = table.find("bits_per_residue", part, MODEL)
        for name in ("bits_per_residue_c_to_n", "bits_per_residue_both"):
            found = table.find(name, part)
            assert (found.value, found.n) == (pytest.approx(forward.value, abs=1e-6), n)


def test_figures_say_what_they_show(tmp_path):
    store = protein_store(tmp_path / "s.zarr", RESIDUE)
    evaluate(MarkovEngine(store, RESIDUE), store, RESIDUE, out=tmp_path / "out", **{**SMALL, "figures": True})
    shown = read_gallery(tmp_path / "out")
    assert [figure.path.stem for figure in shown] == [
        "bits_by_length", "likelihood_track", "expected_residues", "composition", "kmer_distance", "novelty",
    ]  # fmt: skip
    assert all(figure.alt and figure.path.is_file() for figure in shown)


def test_samples_stand_beside_real_proteins(tmp_path):
    store = protein_store(tmp_path / "s.zarr", RESIDUE)
    table = evaluate(MarkovEngine(store, RESIDUE), store, RESIDUE, out=tmp_path / "out", **SMALL)
    chosen = next(r.model for r in table.rows if r.name == "kmer2_js_bits" and r.model not in (MODEL, "train"))
    assert chosen.startswith("markov_")
    for model in (MODEL, "train", chosen):
        assert 0 <= table.find("kmer2_js_bits", model=model).value <= 1
    assert table.find("length_residues_mean").value == 38
    assert table.find("longest_copy_residues_max", model="test").value == 40, "copies from training are not found"
    assert table.find("nearest_train_identity_percent", model="test").value > 20
    assert table.find("bits_per_residue_of_samples").value == pytest.approx(1 / np.log(2), rel=0.1)


def test_a_mark_and_a_rare_letter_count_for_nobody():
    sequence = BOTH.encode("MKXLV")
    letters = sequence_letters(sequence, BOTH)
    nats = per_residue(np.array([np.nan, 1, 2, 3, 4, 5]), sequence, letters, BOTH)
    assert nats.tolist()[:2] + nats.tolist()[3:] == [1, 2, 4, 5]
    assert np.isnan(nats[2])
    backwards = BOTH.encode_reversed("MKXLV")
    nats = per_residue(np.array([np.nan, 1, 2, 3, 4, 5]), backwards, letters, BOTH)
    assert nats.tolist()[:2] + nats.tolist()[3:] == [5, 4, 2, 1]
    pieces = BPE.encode("GSLX")
    nats = per_residue(np.array([1.0, 2, 3]), pieces, sequence_letters(pieces, BPE), BPE)
    assert nats.tolist()[:3] == [0.5, 0.5, 2]
    with pytest.raises(IntegrityError, match="says its tokens are"):
        per_residue(np.ones(3), pieces, letters[:2], BPE)


def test_shares_of_known_8mers():
    train = [CODES[np.frombuffer(random_protein(100, i).encode(), np.uint8)] for i in range(5)]
    new = CODES[np.frombuffer(random_protein(100, 99).encode(), np.uint8)]
    half = np.concatenate([train[0][:54], new[:53]])
    shares = known_shares([train[2], new, half, new[:5]], train)
    assert shares[[0, 1, 3]].tolist() == [1, 0, 0]
    assert shares[2] == pytest.approx(47 / 100, abs=0.03)


def test_some_proteins_are_drawn_evenly_and_the_same_way():
    spans = np.arange(300).reshape(100, 3)
    drawn = some_spans(spans, 10, 1)
    assert np.array_equal(drawn, some_spans(spans, 10, 1))
    assert len(np.unique(drawn[:, 0])) == 10
    assert (np.diff(drawn[:, 0]) > 0).all()
    assert some_spans(spans, 0) is spans


def test_low_complexity_is_what_seg_means():
    text = "MKVLWDERTYHNQPFGACSI" + "S" * 20 + "MKVLWDERTYHNQPFGACSI"
    marked = low_complexity(CODES[np.frombuffer(text.encode(), np.uint8)])
    assert marked[20:40].all()
    assert not marked[:8].any()
    assert not marked[-8:].any()
    assert not low_complexity(np.zeros(5, np.uint8)).any()


def test_the_nearest_protein_is_found_with_its_identity():
    corpus = [CODES[np.frombuffer(random_protein(200, i).encode(), np.uint8)] for i in range(20)]
    changed = corpus[7].copy()
    changed[::10] = (changed[::10] + 1) % 20
    unlike = CODES[np.frombuffer(b"WCWCWHWCWM", np.uint8)]
    found = nearest_identities([corpus[3], changed, corpus[3][50:100], unlike], corpus)
    assert found[0] == found[2] == 1
    assert found[1] == pytest.approx(0.9, abs=0.02)
    assert found[3] < 0.5


def test_sources_are_compared_at_equal_lengths():
    long, short = np.arange(9, dtype=np.uint8), np.arange(4, dtype=np.uint8)
    cut = of_equal_lengths({"a": [short, long, short], "b": [short[:2], long[:6]]})
    assert {name: [len(piece) for piece in listed] for name, listed in cut.items()} == {"a": [6, 2], "b": [6, 2]}
    assert np.array_equal(cut["a"][0], long[:6])


def test_spectra_count_every_kmer():
    letters = CODES[np.frombuffer(b"MKMKX", np.uint8)]
    counts = spectrum(letters, 2)
    assert counts.sum() == 3
    assert counts[RESIDUES.index("M") * 20 + RESIDUES.index("K")] == 2


WILD = "MKVLAGWDER"


def variant_store(path, tokenizer=RESIDUE, n=60):
    """Effects add up over positions; singles train, doubles test."""
    rng = np.random.default_rng(0)
    effect = rng.normal(size=(len(WILD), 20))
    records, labels, sides = [WILD], [{"mutant": "WT", "score": 0.0}], [0]
    singles = [(p, b) for p in range(len(WILD)) for b in RESIDUES if b != WILD[p]]
    doubles = [(singles[i], singles[j]) for i, j in rng.integers(0, len(singles), (n, 2))
               if singles[i][0] != singles[j][0]]  # fmt: skip
    for change in [*((s,) for s in singles), *doubles]:
        letters = list(WILD)
        for p, b in change:
            letters[p] = b
        records.append("".join(letters))
        text = ":".join(f"{WILD[p]}{p + 1}{b}" for p, b in change)
        score = sum(effect[p, RESIDUES.index(b)] for p, b in change)
        labels.append({"mutant": text, "score": float(score)})
        sides.append(0 if len(change) == 1 else 2)
    return make_store(path, tokenizer, records, sides, labels), effect


class EffectEngine:
    """Its log-likelihood of a sequence is the sum of the true effects: a perfect zero-shot model."""

    def __init__(self, tokenizer, effect):
        self.tokenizer, self.effect = tokenizer, effect

    def score(self, sequences, *, mode):
        for sequence in sequences:
            letters = str(self.tokenizer.decode(sequence).seq)
            gain = sum(self.effect[p, RESIDUES.index(b)] for p, b in enumerate(letters) if b != WILD[p])
            yield SimpleNamespace(nll=30.0 - gain)


@pytest.mark.parametrize("tokenizer", [RESIDUE, BOTH], ids=["forward", "both"])
def test_a_perfect_model_orders_variants_perfectly(tmp_path, tokenizer):
    store, effect = variant_store(tmp_path / "v.zarr", tokenizer)
    engine = EffectEngine(tokenizer, effect)
    table = evaluate(engine, store, tokenizer, out=tmp_path / "out", resamples=100)
    head = table.rows[0]
    assert (head.name, head.split, head.model) == ("spearman", "toy/test", MODEL)
    for name in ("spearman", "ndcg_top10", "auc", "recall_top10"):
        assert table.find(name).value == pytest.approx(1)
    assert abs(table.find("spearman", model="blosum62").value) < 0.6
    assert table.find("spearman_minus_blosum62").low > 0
    assert table.find("spearman_fitted_on_train_scores", model="additive_ridge").value > 0.9
    rows = list(csv.DictReader((tmp_path / "out" / "variants.csv").open()))
    assert float(rows[0][MODEL]) == pytest.approx(float(rows[0]["score"]), abs=1e-4)
    assert {figure.path.stem for figure in read_gallery(tmp_path / "out")} == {"variant_effects", "variant_roc"}
    worse = evaluate(engine, store, tokenizer, out=tmp_path / "minus", resamples=100, score_sign=-1, figures=False)
    assert worse.find("spearman").value == pytest.approx(-1)


def test_an_alignment_gives_the_site_independent_baseline(tmp_path):
    store, effect = variant_store(tmp_path / "v.zarr")
    (tmp_path / "a.a3m").write_text(f">q\n{WILD}\n>h\nMKVLAGWDEK\n>i\nMRVLAG-DEK\n")
    options = {"resamples": 100, "figures": False, "alignment": str(tmp_path / "a.a3m")}
    table = evaluate(EffectEngine(RESIDUE, effect), store, RESIDUE, out=tmp_path / "out", **options)
    assert table.find("spearman", model="site_independent")
    (tmp_path / "a.a3m").write_text(">q\nMKVLAGWDEW\n")
    with pytest.raises(InputError, match="is not the wild type"):
        evaluate(EffectEngine(RESIDUE, effect), store, RESIDUE, out=tmp_path / "out", **options)


def test_baselines_of_single_mutations_are_known_numbers():
    assert blosum62(["A1W", "I2V", "A1W:I2V", "WT"]).tolist() == [-3 - 4, 3 - 4, -8, 0]
    assert residue_frequency(["W1L", "WT"]) == pytest.approx([np.log(0.09019 / 0.01330), 0])
    assert sum(BACKGROUND.values()) == pytest.approx(1, abs=1e-3)
    alignment = np.frombuffer(b"MKMRMR", np.uint8).reshape(3, 2)
    scores = site_independent(["K2R", "M1K"], alignment, ["MK", "MK"])
    assert scores[0] == pytest.approx(np.log((2 + 0.025) / (1 + 0.025)))
    assert scores[1] == pytest.approx(np.log(0.025 / 3.025))
    fitted = additive_ridge(["A1G", "K2R", "A1G:K2R"] * 50, np.array([1.0, 2.0, 3.0] * 50), ["A1G", "K2R"], 1e-3)
    assert fitted == pytest.approx([1, 2], abs=0.05)


def test_rank_statistics_are_known_numbers():
    measured = np.arange(20.0)
    assert spearman(measured, measured**3) == pytest.approx(1)
    assert spearman(measured, -measured) == pytest.approx(-1)
    assert np.isnan(spearman(measured, np.ones(20)))
    assert auc(measured, measured) == 1
    assert auc(measured, np.ones(20)) == pytest.approx(0.5)
    assert top_recall(measured, measured) == 1
    assert top_recall(measured, -measured) == 0
    assert ndcg(measured, measured) == pytest.approx(1)
    swapped = np.append(measured[:-2], [19, 18])
    assert 0.9 < ndcg(measured, swapped) < 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample": 3}, "did you mean 'samples'"),
        ({"markov_order": 5}, "markov_order: got 5, allowed: 0 to 4"),
        ({"score_sign": 0}, "score_sign: got 0"),
    ],
)
def test_wrong_options_are_explained(tmp_path, options, message):
    store = protein_store(tmp_path / "s.zarr", RESIDUE)
    with pytest.raises(ConfigError, match=message):
        evaluate(MarkovEngine(store, RESIDUE), store, RESIDUE, out=tmp_path / "out", **options)


def test_a_split_without_proteins_is_an_error(tmp_path):
    store = make_store(tmp_path / "s.zarr", RESIDUE, [random_protein(50, 0)], [0])
    with pytest.raises(InputError, match="has no test split"):
        evaluate(MarkovEngine(store, RESIDUE), store, RESIDUE, out=tmp_path / "out")

"""Protein tokenizers: what a scientist sees first, then the contract, then letters, directions and pieces in detail."""

from __future__ import annotations

import numpy as np
import pytest
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError, RecordError
from core.sequence import Sequence
from core.vocabulary import EOS
from domains.formats.seq_record import make_record
from domains.proteins.tokenizer import (
    RESIDUES,
    ProteinBpeConfig,
    ProteinBpeTokenizer,
    ResidueConfig,
    ResidueTokenizer,
)
from tests.tokenizer_kit import TokenizerContract, for_records

NAMES = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=8)
LETTERS = RESIDUES + "XBZJUO*" + RESIDUES.lower()


def proteins(letters: str = LETTERS, max_size: int = 50) -> st.SearchStrategy[SeqRecord]:
    motifs = st.lists(st.sampled_from(["MKVLA", "GGGSGGGS", "HHHHHH", "W"]), min_size=1, max_size=6).map("".join)
    text = st.one_of(motifs, st.text(letters, min_size=1, max_size=max_size))
    return st.builds(lambda t, n: make_record(t.encode(), n), text, NAMES)


def anything() -> st.SearchStrategy[SeqRecord | str]:
    raw = st.binary(max_size=30).map(lambda b: make_record(b, "raw"))
    return st.one_of(st.text("MKVWX*-.12\0 acgt", max_size=80), st.text(max_size=10), raw, proteins())


REFUSED = [
    (make_record(b"", "empty"), "empty_sequence"),
    (SeqRecord(Seq(None, 10), id="undefined"), "empty_sequence"),
    (make_record(b"MKV-LA", "aligned"), "gap"),
    (make_record(b"MKV.LA", "dots"), "gap"),
    (make_record(b"1 MKVLA", "numbered"), "digit"),
    (make_record(b"MKV\0LA", "nul"), "nul"),
    (make_record(b"MKV LA", "spaced"), "white_space"),
    (make_record(b"MK?LA", "odd"), "bad_letter"),
    (make_record("MKVé".encode("latin-1"), "latin"), "bad_letter"),
    (make_record(b"ACGTTGCAAC" * 10, "gene"), "looks_like_dna"),
]
BOTH = ResidueTokenizer(ResidueConfig(directions="both"))
TRAINING = [make_record(("MKVLAGGG" + "".join(np.random.default_rng(i).choice(list(RESIDUES), 30))).encode(), str(i))
            for i in range(60)]  # fmt: skip
LEARNED = ProteinBpeTokenizer(ProteinBpeConfig(vocabulary_size=60, sample_residues=5000)).fit(TRAINING)


def test_a_protein_goes_through() -> None:
    tokenizer = ResidueTokenizer()
    record = SeqRecord(Seq("acMKUx*"), id="P1", description="P1 lower case, selenocysteine, unknown, stop")
    sequence = tokenizer.encode(record)
    assert sequence.id == "P1"
    assert sequence.arrays["tokens"].tolist() == [5, 6, 15, 13, 29, 25, 31]
    assert str(tokenizer.decode(sequence).seq) == "ACMKUX*"
    with pytest.raises(RecordError, match=r"record 'P2', residue 3: '-' is a gap\n  data.gaps=drop"):
        tokenizer.encode(make_record(b"MK-V", "P2"))


class ProteinContract(TokenizerContract):
    records = proteins()
    anything = anything()
    refused = REFUSED

    def size(self, record: SeqRecord) -> int:
        return len(record)


class TestResidue(ProteinContract):
    tokenizer = ResidueTokenizer()


class TestStrict(ProteinContract):
    tokenizer = ResidueTokenizer(ResidueConfig(case="refuse", rare="refuse", stop="refuse"))
    records = proteins(RESIDUES)
    refused = [
        *REFUSED,
        (make_record(b"MKVa", "soft"), "lower_case"),
        (make_record(b"MKVU", "sec"), "rare_letter"),
        (make_record(b"MKV*", "stop"), "stop"),
    ]


class TestRareAsX(ProteinContract):
    tokenizer = ResidueTokenizer(ResidueConfig(rare="x"))


class TestBothDirections(ProteinContract):
    tokenizer = BOTH


class TestWithLettersAndMarks(ProteinContract):
    tokenizer = BOTH.extend(["<task>", "-"])
    records = proteins(LETTERS + "-")
    refused = [entry for entry in REFUSED if entry[0].id != "aligned"]
    symbols = ("<more>",)


class TestBpe(ProteinContract):
    tokenizer = LEARNED
    unfitted = ProteinBpeTokenizer(ProteinBpeConfig(vocabulary_size=60, sample_residues=5000))
    training = TRAINING


class TestBpeBothDirections(ProteinContract):
    tokenizer = ProteinBpeTokenizer(ProteinBpeConfig(directions="both", learned=("MK", "MKV", "GG")))
    unfitted = ProteinBpeTokenizer(ProteinBpeConfig(directions="both", vocabulary_size=60))
    training = TRAINING


def test_rare_letters_as_x_are_canonical_x() -> None:
    tokenizer = ResidueTokenizer(ResidueConfig(rare="x"))
    assert str(tokenizer.canonical("MBZUOJX").seq) == "MXXXXXX"


@pytest.mark.parametrize("tokenizer", [BOTH, TestBpeBothDirections.tokenizer], ids=["residue", "bpe"])
def test_a_protein_reads_the_same_from_either_end(tokenizer) -> None:
    def check(record: SeqRecord) -> None:
        backwards = tokenizer.encode_reversed(record)
        assert tokenizer.is_reversed(backwards.arrays["tokens"])
        assert tokenizer.same(tokenizer.decode(backwards), tokenizer.canonical(record))
        assert backwards.loss_mask["tokens"].tolist() == [False] + [True] * (len(backwards) - 1)

    for_records(proteins(), check)


def test_windows_are_turned_half_the_time_and_only_from_their_start() -> None:
    sequence = BOTH.encode("MKVLW")
    seen = {bytes(BOTH.view_window(sequence.arrays, np.random.default_rng(i))["tokens"]) for i in range(40)}
    assert seen == {bytes(sequence.arrays["tokens"]), bytes(BOTH.encode_reversed("MKVLW").arrays["tokens"])}
    middle = {"tokens": sequence.arrays["tokens"][1:]}
    assert all(BOTH.view_window(middle, np.random.default_rng(i)) is middle for i in range(20))


def test_masks_turn_with_their_window() -> None:
    sequence = BOTH.encode("MKVLW")
    mask = np.array([False, True, True, True, True, False])
    views = [
        BOTH.view_window({**sequence.arrays, "loss_mask/tokens": mask}, np.random.default_rng(i)) for i in range(20)
    ]
    turned = [view["loss_mask/tokens"].tolist() for view in views if BOTH.is_reversed(view["tokens"])]
    assert turned
    assert turned[0] == [False, False, True, True, True, True]


def test_residue_labels_follow_the_reading() -> None:
    record = make_record(b"MKVGG", "r")
    record.letter_annotations["site"] = np.arange(5)
    assert ResidueTokenizer().encode(record).token_labels["site"].tolist() == [0, 1, 2, 3, 4]
    assert BOTH.encode_reversed(record).token_labels["site"].tolist() == [4, 4, 3, 2, 1, 0]
    assert TestBpeBothDirections.tokenizer.encode(record).token_labels["site"].tolist() == [0, 0, 3]


def test_pieces_are_learned_and_matched_longest_first() -> None:
    assert any("MKV" in piece for piece in LEARNED.pieces())
    tokenizer = ProteinBpeTokenizer(ProteinBpeConfig(learned=("MK", "MKVL", "VLA")))
    spelled = [tokenizer.vocabulary.symbols[t - 5] for t in tokenizer.encode("MKVLAMKVXMK").arrays["tokens"]]
    assert spelled == ["MKVL", "A", "MK", "V", "X", "MK"]
    with pytest.raises(ConfigError, match="has not learned its pieces"):
        ProteinBpeTokenizer().encode("MKV")


def test_specials_are_no_residues() -> None:
    with pytest.raises(RecordError, match="token 1 is "):
        ResidueTokenizer().decode(Sequence({"tokens": np.array([5, EOS, 6], np.uint8)}, "s"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (lambda: ResidueConfig(case="lower"), "case='lower' is not allowed"),
        (lambda: ResidueConfig(rare="X"), "rare='X' is not allowed"),
        (lambda: ResidueConfig(directions="back"), "directions='back' is not allowed"),
        (lambda: ResidueConfig(extension=("A",)), "read as a residue already"),
        (lambda: ResidueConfig(extension=("<n>",)), "mark of a reading direction"),
        (lambda: ProteinBpeConfig(vocabulary_size=9), "vocabulary_size=9 is not allowed"),
        (lambda: ProteinBpeConfig(learned=("MX",)), "'MX' is no piece"),
        (lambda: ResidueTokenizer.from_config({"rar": "x"}), "did you mean 'rare'"),
        (lambda: ResidueTokenizer().encode_reversed("MK"), "reads forwards only"),
    ],
)
def test_wrong_settings_are_explained(config, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config()


@given(st.lists(st.text(RESIDUES, min_size=1, max_size=9), min_size=1, max_size=6))
def test_rows_end_to_end_are_read_from_their_other_ends(records: list[str]) -> None:
    turn = BOTH.other_strand
    assert turn is not None
    here = [BOTH.encode(letters) for letters in records]
    arrays = {
        "tokens": np.concatenate([s.arrays["tokens"] for s in here]),
        "loss_mask/tokens": np.concatenate([s.loss_mask["tokens"] for s in here]),
    }
    turned, there = turn(arrays), [BOTH.encode_reversed(letters) for letters in reversed(records)]
    assert turned["tokens"].tolist() == np.concatenate([s.arrays["tokens"] for s in there]).tolist()
    assert turned["loss_mask/tokens"].tolist() == np.concatenate([s.loss_mask["tokens"] for s in there]).tolist()
    assert all((turn(turned)[name] == arrays[name]).all() for name in arrays)
    assert ResidueTokenizer().other_strand is None

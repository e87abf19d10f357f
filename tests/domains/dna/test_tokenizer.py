"""DNA tokenizers: what a scientist sees first, then the contract, then letters, strands and cutting in detail."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord
from hypothesis import strategies as st

from core.errors import ConfigError, RecordError
from core.sequence import Sequence
from core.vocabulary import EOS
from domains.dna.tokenizer import (
    BpeConfig,
    BpeTokenizer,
    KmerConfig,
    KmerTokenizer,
    NucleotideConfig,
    NucleotideTokenizer,
)
from domains.dna.tokenizer.letters import BASES, CODES
from domains.formats.bpe_learning import learn_pieces, sample_codes
from domains.formats.seq_record import make_record
from tests.tokenizer_kit import TokenizerContract, for_records

NAMES = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=8)
LETTERS = "ACGTUNRYKMSWBDHVacgtunrykmswbdhv"


def dna_records(letters: str = LETTERS, max_size: int = 60) -> st.SearchStrategy[SeqRecord]:
    """Mostly plain bases, with runs, so that k-mers and pieces occur."""
    plain = st.text("ACGT", min_size=1, max_size=max_size)
    runs = st.lists(st.sampled_from(["AAAAAAAAA", "ACGACGACG", "GATTACA", "N"]), min_size=1, max_size=6).map("".join)
    text = st.one_of(plain, runs, st.text(letters, min_size=1, max_size=max_size))
    return st.builds(lambda t, n: make_record(t.encode(), n), text, NAMES)


def anything() -> st.SearchStrategy[SeqRecord | str]:
    text = st.one_of(st.text("ACGTacgtN-.*EFQ12\0 ", max_size=30), st.text(max_size=10))
    raw = st.binary(max_size=30).map(lambda b: make_record(b, "raw"))
    return st.one_of(text, raw, dna_records())


REFUSED = [
    (make_record(b"", "empty"), "empty_sequence"),
    (SeqRecord(Seq(None, 10), id="undefined"), "empty_sequence"),
    (make_record(b"MKVLAAGIVGLCAKAYLDEFQ", "protein"), "looks_like_protein"),
    (make_record(b"ACGT-ACGT", "aligned"), "gap"),
    (make_record(b"ACGT.ACGT", "dots"), "gap"),
    (make_record(b"1 ACGTACGT", "numbered"), "digit"),
    (make_record(b"ACGT\0ACGT", "nul"), "nul"),
    (make_record(b"ACGT ACGT", "spaced"), "white_space"),
    (make_record(b"ACGT*", "stop"), "bad_letter"),
    (make_record(b"ACGXT", "x"), "bad_letter"),
    (make_record("ACGTé".encode("latin-1"), "latin"), "bad_letter"),
]


def genome_with_repeats() -> SeqRecord:
    draw = np.random.default_rng(1)
    motifs = ["GATTACAGATTA", "ACGACGTTTACG", "CCCCCCCCCCCC", "TATAATGC"]
    pieces = [motifs[i] if i < 4 else "".join(draw.choice(list("ACGT"), 7)) for i in draw.integers(0, 6, 2000)]
    return make_record("".join(pieces).encode(), "genome")


GENOME = genome_with_repeats()
LEARNED = BpeTokenizer(BpeConfig(vocabulary_size=120, max_length=12)).fit([GENOME])


def test_a_genome_goes_through() -> None:
    tokenizer = NucleotideTokenizer()
    record = SeqRecord(Seq("acgtNnUuRACGT"), id="chr1", description="chr1 soft-masked, RNA, IUPAC")
    sequence = tokenizer.encode(record)
    assert sequence.id == "chr1"
    assert sequence.arrays["tokens"].tolist() == [5, 6, 7, 8, 9, 9, 8, 8, 10, 5, 6, 7, 8]
    assert str(tokenizer.decode(sequence).seq) == "ACGTNNTTRACGT"
    assert tokenizer.encode("ACGT").arrays["tokens"].tolist() == [5, 6, 7, 8]
    with pytest.raises(RecordError, match=r"record 'chr2', base 3: '-' is a gap\n  Take the gaps out"):
        tokenizer.encode(make_record(b"AC-GT", "chr2"))


class DnaContract(TokenizerContract):
    records = dna_records()
    anything = anything()
    refused = REFUSED

    def size(self, record: SeqRecord) -> int:
        return len(record)


class TestNucleotide(DnaContract):
    tokenizer = NucleotideTokenizer()


class TestNucleotideWithN(DnaContract):
    tokenizer = NucleotideTokenizer(NucleotideConfig(iupac="n", reverse_complement=1.0))


class TestNucleotideStrict(DnaContract):
    tokenizer = NucleotideTokenizer(NucleotideConfig(case="refuse", iupac="refuse", reverse_complement=0.0))
    records = dna_records("ACGTU").filter(lambda record: "N" not in record.seq)
    refused = [
        *REFUSED,
        (make_record(b"ACGTa", "soft"), "lower_case"),
        (make_record(b"ACGTN", "n"), "ambiguous"),
        (make_record(b"ACGTr", "r"), "ambiguous"),
    ]


class TestNucleotideWithLetters(DnaContract):
    """Single characters appended by `extend` are letters: the alphabet of trace reconstruction."""

    tokenizer = NucleotideTokenizer().extend(["<task>", "-", "|", ":", "#"])
    records = dna_records(LETTERS + "-|:#")
    refused = [entry for entry in REFUSED if entry[0].id != "aligned"]
    symbols = ("<more>",)


class TestKmer(DnaContract):
    tokenizer = KmerTokenizer(KmerConfig(k=3))


class TestKmerOfOne(DnaContract):
    tokenizer = KmerTokenizer(KmerConfig(k=1))


class TestBpe(DnaContract):
    tokenizer = LEARNED
    unfitted = BpeTokenizer(BpeConfig(vocabulary_size=120, max_length=12))
    training = [GENOME]


@pytest.mark.parametrize(
    "tokenizer",
    [
        NucleotideTokenizer(NucleotideConfig(reverse_complement=1.0)),
        KmerTokenizer(KmerConfig(k=4, reverse_complement=1.0)),
    ],
    ids=["nucleotide", "kmer"],
)
def test_view_window_is_the_other_strand(tokenizer) -> None:
    """Against Biopython's complement, which knows all IUPAC codes."""

    def check(record: SeqRecord) -> None:
        window = tokenizer.encode(record).arrays
        turned = tokenizer.decode(Sequence(tokenizer.view_window(window, np.random.default_rng(0))))
        assert str(turned.seq) == str(tokenizer.canonical(record).seq.reverse_complement())

    for_records(dna_records(), check)


def test_complements_pair_and_other_strand_twice_is_the_same() -> None:
    tokenizer = NucleotideTokenizer(NucleotideConfig(reverse_complement=1.0))
    letters = tokenizer.encode("ACGTNRYKMSWBDHV").arrays
    once = tokenizer.view_window(letters, np.random.default_rng(0))
    assert str(tokenizer.decode(Sequence(once)).seq) == "BDHVWSKMRYNACGT"
    assert np.array_equal(tokenizer.view_window(once, np.random.default_rng(0))["tokens"], letters["tokens"])


def test_views_turn_about_half_of_the_windows() -> None:
    tokenizer = NucleotideTokenizer()
    window = tokenizer.encode("AACCGGGT").arrays
    turned = sum(tokenizer.view_window(window, np.random.default_rng(i)) is not window for i in range(200))
    assert 70 < turned < 130


def test_view_record_turns_token_labels_with_the_letters() -> None:
    tokenizer = NucleotideTokenizer(NucleotideConfig(reverse_complement=1.0))
    record = make_record(b"AACG", "a")
    record.letter_annotations["codon_position"] = np.array([-1, 0, 1, 2], np.int8)
    view = tokenizer.view_record(record, np.random.default_rng(0))
    assert str(tokenizer.decode(view).seq) == "CGTT"
    assert view.token_labels["codon_position"].tolist() == [2, 1, 0, -1]


def test_a_window_with_a_mark_keeps_its_strand() -> None:
    tokenizer = NucleotideTokenizer(NucleotideConfig(reverse_complement=1.0)).extend(["<label>"])
    window = tokenizer.encode("AACC").arrays
    assert np.array_equal(tokenizer.view_window(window, np.random.default_rng(0))["tokens"], [7, 7, 8, 8])
    marked = {"tokens": np.append(window["tokens"], tokenizer.vocabulary.ids["<label>"]).astype(np.uint8)}
    assert tokenizer.view_window(marked, np.random.default_rng(0)) is marked


def test_tokens_carry_the_label_of_their_first_base() -> None:
    record = make_record(b"ACGTACNA", "a")
    record.letter_annotations["place"] = np.arange(8)
    assert KmerTokenizer(KmerConfig(k=3)).encode(record).token_labels["place"].tolist() == [0, 3, 6, 7]


def test_marks_are_left_out_and_specials_refused_by_decode() -> None:
    tokenizer = NucleotideTokenizer().extend(["<task>"])
    tokens = np.array([tokenizer.vocabulary.ids["<task>"], 5, 6], np.uint8)
    assert str(tokenizer.decode(Sequence({"tokens": tokens})).seq) == "AC"
    with pytest.raises(RecordError, match="token 1 is <eos>"):
        tokenizer.decode(Sequence({"tokens": np.array([5, EOS], np.uint8)}))


def test_a_large_extension_still_encodes() -> None:
    tokenizer = NucleotideTokenizer().extend([f"<{i}>" for i in range(300)]).extend(["#"])
    assert tokenizer.encode("A#").arrays["tokens"].tolist() == [5, 320]
    assert tokenizer.encode("A#").arrays["tokens"].dtype == np.uint16


def test_kmers_are_cut_from_the_first_base_and_the_rest_is_spelled() -> None:
    tokenizer = KmerTokenizer(KmerConfig(k=3))
    symbols = tokenizer.vocabulary.decode(tokenizer.encode("ACGTTTANACCGT").arrays["tokens"])
    assert symbols == ["ACG", "TTT", "A", "N", "A", "CCG", "T"]
    assert len(tokenizer.vocabulary) == 5 + 15 + 4**3
    assert tokenizer.units(tokenizer.encode("ACGTTTANACCGT").arrays).tolist() == [3, 3, 1, 1, 1, 3, 1]


def test_the_largest_k_needs_wider_ids() -> None:
    tokenizer = KmerTokenizer(KmerConfig(k=8))
    tokens = tokenizer.encode("AAAAAAAATTTTTTTTC").arrays["tokens"]
    assert tokens.tolist() == [20, 20 + 4**8 - 1, 6]
    assert tokens.dtype == np.uint32


def plain_longest_match(text: str, symbols: tuple[str, ...]) -> list[str]:
    found, at = [], 0
    while at < len(text):
        found.append(max((s for s in symbols if text.startswith(s, at)), key=len))
        at += len(found[-1])
    return found


def test_bpe_takes_the_longest_match_from_the_left() -> None:
    def check(record: SeqRecord) -> None:
        text = str(LEARNED.canonical(record).seq)
        symbols = LEARNED.vocabulary.decode(LEARNED.encode(record).arrays["tokens"])
        assert symbols == plain_longest_match(text, LEARNED.vocabulary.symbols)

    assert max(map(len, LEARNED.pieces())) > 8, "the table of 8-mers alone would do: nothing is tested of the tree"
    for_records(dna_records(max_size=200), check, examples=60)


def test_bpe_blocks_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LEARNED.encode(GENOME).arrays["tokens"]
    monkeypatch.setattr("domains.dna.tokenizer.bpe._BLOCK", 100)
    assert np.array_equal(LEARNED.encode(GENOME).arrays["tokens"], whole)


def test_bpe_learns_the_most_frequent_pair_first() -> None:
    codes = sample_codes([CODES[list(b"GATGATGATCCGATN")]], 1000, 4, 0)
    assert codes.tolist()[-2:] == [-1, -1]
    # AT and GA occur four times each; AT comes first in the alphabet. Then G AT four times.
    assert learn_pieces(codes, BASES, 2, 16) == ["AT", "GAT"]
    assert "GATGAT" in learn_pieces(codes, BASES, 50, 16)
    assert max(map(len, learn_pieces(codes, BASES, 50, 4))) <= 4


def test_counts_kept_from_join_to_join_are_those_of_a_recount() -> None:
    """The plain definition: count all pairs anew before every join."""

    def plain(codes: list[int], count: int, longest: int) -> list[str]:
        spelled = list("ACGT")
        while len(spelled) < 4 + count:
            pairs: dict[tuple[int, int], int] = {}
            for a, b in pairwise(codes):
                if a >= 0 and b >= 0 and len(spelled[a] + spelled[b]) <= longest:
                    pairs[a, b] = pairs.get((a, b), 0) + 1
            best = max(pairs.values(), default=0)
            if best < 2:
                break
            a, b = min(pair for pair, n in pairs.items() if n == best)
            joined = spelled[a] + spelled[b]
            if joined not in spelled:
                spelled.append(joined)
            new, out, i = spelled.index(joined), [], 0
            while i < len(codes):
                here = codes[i : i + 2] == [a, b]
                out.append(new if here else codes[i])
                i += 2 if here else 1
            codes = out
        return spelled[4:]

    def check(record: SeqRecord) -> None:
        codes = sample_codes([CODES[list(bytes(record.seq))]], 1000, 4, 0)
        assert learn_pieces(codes, BASES, 20, 6) == plain(codes.tolist(), 20, 6)

    for_records(dna_records(max_size=120), check)


def test_bpe_samples_within_its_budget_and_from_everywhere() -> None:
    records = [np.full(10_000, i % 4, np.uint8) for i in range(40)]
    codes = sample_codes(records, 100_000, 4, 0)
    held = int((codes >= 0).sum())
    assert 100_000 <= held < 110_000
    assert set(codes.tolist()) == {-1, 0, 1, 2, 3}
    assert np.array_equal(codes, sample_codes(records, 100_000, 4, 0))
    assert not np.array_equal(codes, sample_codes(records, 100_000, 4, 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NucleotideTokenizer.from_config({"iupak": "n"}), "did you mean 'iupac'"),
        (lambda: NucleotideTokenizer.from_config({"iupac": "keeep"}), "did you mean 'keep'"),
        (lambda: NucleotideTokenizer.from_config({"case": "lower"}), "case='lower' is not allowed"),
        (lambda: NucleotideTokenizer.from_config({"reverse_complement": 1.5}), "no probability"),
        (lambda: NucleotideTokenizer.from_config({"reverse_complement": "yes"}), "expected float"),
        (lambda: NucleotideTokenizer.from_config({"extension": ["A"]}), "read as a base already"),
        (lambda: NucleotideTokenizer.from_config({"extension": ["<a>", "<a>"]}).spec, "stands twice"),
        (lambda: KmerTokenizer.from_config({"k": 9}), "k=9 is not allowed"),
        (lambda: KmerTokenizer.from_config({"k": "six"}), "expected int"),
        (lambda: BpeTokenizer.from_config({"vocabulary_size": 10}), "vocabulary_size=10"),
        (lambda: BpeTokenizer.from_config({"learned": ["ACX"]}), "'ACX' is no piece"),
        (lambda: BpeTokenizer().encode("ACGT"), "has not learned its pieces"),
    ],
)
def test_wrong_settings_are_explained(make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_protein_is_recognised_but_a_typing_error_is_not_protein() -> None:
    tokenizer = NucleotideTokenizer()
    with pytest.raises(RecordError, match=r"looks like protein: \d+ % .*\n.*proteins are another domain"):
        tokenizer.encode(make_record(b"MKVLEFQPIL", "p"))
    with pytest.raises(RecordError, match="base 101: 'E' is no letter of DNA"):
        tokenizer.encode(make_record(b"ACGTA" * 20 + b"E" + b"ACGTA" * 20, "d"))

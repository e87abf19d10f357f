"""Hashes that know strands, samples that agree between records."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kmers import BLOCK, KmerSample, containment_pairs, kmer_hashes, shared

COMPLEMENT = np.arange(256, dtype=np.uint8)
for one, other in ("AT", "CG"):
    COMPLEMENT[ord(one)], COMPLEMENT[ord(other)] = ord(other), ord(one)


def dna(n, seed=0):
    return np.frombuffer(b"ACGT", np.uint8)[np.random.default_rng(seed).integers(0, 4, n)]


def test_equal_windows_have_equal_hashes():
    letters = np.frombuffer(b"ACGTTTACGT", np.uint8)
    hashes = kmer_hashes(letters, 4)
    assert len(hashes) == 7
    assert hashes[0] == hashes[6]
    assert len(np.unique(hashes)) == 6


@given(text=st.binary(min_size=0, max_size=60), k=st.integers(1, 40))
def test_hashes_tell_windows_apart_exactly(text, k):
    letters = np.frombuffer(text, np.uint8)
    windows = [text[i : i + k] for i in range(len(text) - k + 1)]
    hashes = kmer_hashes(letters, k)
    assert len(hashes) == len(windows)
    assert len(np.unique(hashes)) == len(set(windows))
    for window, h in zip(windows, hashes, strict=True):
        assert kmer_hashes(np.frombuffer(window, np.uint8), k)[0] == h


@given(text=st.text("ACGTN", min_size=1, max_size=60), k=st.integers(1, 33))
def test_a_strand_and_its_reverse_complement_have_the_same_hashes(text, k):
    letters = np.frombuffer(text.encode(), np.uint8)
    turned = COMPLEMENT[letters][::-1]
    forward, backward = kmer_hashes(letters, k, COMPLEMENT), kmer_hashes(turned, k, COMPLEMENT)
    np.testing.assert_array_equal(forward, backward[::-1])
    windows = {min(bytes(letters[i : i + k]), bytes(COMPLEMENT[letters[i : i + k]][::-1])) for i in range(len(forward))}
    assert len(np.unique(forward)) == len(windows)


@pytest.mark.parametrize("limit", [10**9, 2000, 300])
def test_a_sample_is_the_same_part_of_every_record(limit):
    records = [dna(n, seed) for seed, n in enumerate((3 * BLOCK + 7, 50, 3, 0, 400, BLOCK))]
    sample = KmerSample(11, limit, positions=True)
    for record in records:
        sample.add(record)
    hashes, at, positions = sample.entries()
    assert len(hashes) <= limit
    threshold = np.uint64(sample.fraction * 2**64 - 1) if sample.fraction < 1 else np.uint64(2**64 - 1)
    for index, record in enumerate(records):
        whole = kmer_hashes(record, 11)
        mine = np.sort(positions[at == index])
        np.testing.assert_array_equal(whole[mine], hashes[at == index][np.argsort(positions[at == index])])
        assert abs(len(mine) - np.sum(whole <= threshold)) <= 2  # neighbours that repeat count once


def test_gaps_of_one_letter_do_not_fill_the_sample():
    sample = KmerSample(5, 10**6)
    sample.add(np.frombuffer(b"N" * 10**5, np.uint8))
    assert len(sample.entries()[0]) == 2  # one a block of letters


def test_share_of_common_kmers():
    assert shared(np.array([1, 1, 2, 3], np.uint64), np.array([3, 9], np.uint64)) == pytest.approx(1 / 3)
    assert shared(np.array([], np.uint64), np.array([3], np.uint64)) is None


def sets_of(records, k=8):
    sample = KmerSample(k, 10**7)
    for record in records:
        sample.add(record)
    return sample.entries()[:2]


@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), least=st.sampled_from([0.1, 0.3, 0.9]))
def test_pairs_equal_those_of_plain_sets(seed, n, least):
    rng = np.random.default_rng(seed)
    ancestor = dna(80, seed)
    records = []
    for _ in range(n):
        record = ancestor[: rng.integers(0, 81)].copy()
        changed = rng.random(len(record)) < rng.choice([0, 0.05, 0.5])
        record[changed] = dna(int(changed.sum()), int(rng.integers(1000)))
        records.append(record)
    sets = [{bytes(r[i : i + 8]) for i in range(len(r) - 7)} for r in records]
    expected = {
        (i, j)
        for i in range(n)
        for j in range(i + 1, n)
        if sets[i] & sets[j] and len(sets[i] & sets[j]) >= least * min(len(sets[i]), len(sets[j]))
    }
    assert {tuple(pair) for pair in containment_pairs(*sets_of(records), n, least).tolist()} == expected


def test_a_large_family_is_one_chain():
    """300 copies of one ancestor, each k-mer in 300 records: more than the 64 that are all compared."""
    ancestor = dna(200)
    pairs = containment_pairs(*sets_of([ancestor] * 300), 300, 0.5)
    reached = {0}
    for a, b in sorted(map(tuple, pairs.tolist())):
        if a in reached:
            reached.add(b)
    assert reached == set(range(300))


def test_thinning_keeps_pairs_of_long_records():
    records = [dna(20000, seed) for seed in range(3)]
    records += [r.copy() for r in records]
    pairs = containment_pairs(*sets_of(records, 16), 6, 0.5, limit=5000)
    assert {tuple(pair) for pair in pairs.tolist()} == {(0, 3), (1, 4), (2, 5)}

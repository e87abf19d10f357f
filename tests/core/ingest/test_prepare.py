"""records_in = ok + rejected, whatever comes in; a store that holds just the good records, or no store at all."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.data_report import LetterCounts, in_short
from core.errors import ConfigError, InputError
from core.ingest import Ledger, prepare_store, rejects_path
from core.split import SplitConfig
from core.store import TokenStore
from tests.core.ingest.words import Lines, Words

COMPLEMENT = np.arange(256, dtype=np.uint8)


RANDOM = SplitConfig("random", k=4)


def test_records_become_a_store_and_a_report(tmp_path):
    source = Lines(("a", "ABCDABCD"), ("b", "ABBA"), ("c", "#"), ("b", "DDDD"))
    out = tmp_path / "lines.zarr"
    report = prepare_store(source, Words(()), out, split=RANDOM, domain="test", max_bad=0.5)

    store = TokenStore.open(out)
    assert [Words(()).decode(sequence) for sequence in store] == [("a", "ABCDABCD"), ("b", "ABBA"), ("b.2", "DDDD")]
    assert store.counts == report.counts == {"in": 4, "ok": 3, "rejected": {"comment": 1}}
    assert store.attrs["report"] == json.loads(json.dumps(report.to_dict()))
    line = json.loads(rejects_path(out).read_text())
    assert line == {
        "file": "lines.txt", "index": 2, "id": "c", "line": 3, "offset": None, "reason": "comment",
        "message": "'c' is a comment",
    }  # fmt: skip
    assert report.letters == {"D": 6, "A": 4, "B": 4, "C": 2}
    assert report.lengths == {"min": 4, "median": 4.0, "max": 8, "total": 16}
    text = report.to_text()
    for words in (
        "4 read, 3 kept, 1 rejected (comment 1; see",
        "1 repeated ids got a number",
        "D 37.5 %  A 25 %",
        "min 4, median 4, max 8; 16 letters in all",
        "random, seed 0: train",
        "lines (CC0)",
    ):
        assert words in text


texts = st.text("ABCD", min_size=0, max_size=30)
items = st.tuples(st.sampled_from(["a", "b", "c"]), st.one_of(texts, texts.map("#{}".format), texts.map("{}!".format)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    records=st.lists(items, max_size=12),
    rule=st.sampled_from(["random", "last", "cluster"]),
    max_bad=st.sampled_from([0.0, 0.4, 1.0]),
    learn=st.booleans(),
)
def test_no_record_is_lost_or_counted_twice(tmp_path, records, rule, max_bad, learn):
    out = tmp_path / "s.zarr"
    good = [text for _, text in records if text and text[0] != "#" and text[-1] != "!"]
    n_bad = len(records) - len(good)
    tokenizer = Words(None if learn else ())
    split = SplitConfig(rule, validation=0.2, test=0.2, k=4)
    allowed = good and n_bad <= max_bad * len(records)
    try:
        report = prepare_store(
            Lines(*records), tokenizer, out, split=split, domain="t", max_bad=max_bad, overwrite=True
        )
    except InputError:
        assert not allowed
        assert not list(tmp_path.glob("*partial*"))
    else:
        assert allowed
        store = TokenStore.open(out)
        assert report.counts["in"] == len(records) == len(store) + n_bad
        learned = Words(tuple(store.tokenizer["config"]["pairs"]))
        assert [learned.decode(s)[1] for s in store] == good
        assert len(set(store.ids)) == len(store)
        assert store.labels("length").tolist() == list(map(len, good))
        covered = np.zeros(store.n_tokens, int)
        for row, start, stop in store.spans():
            covered[store.offsets[row] + start : store.offsets[row] + stop] += 1
        assert (covered == 1).all()
    lines = rejects_path(out).read_text().splitlines() if rejects_path(out).exists() else []
    if allowed or n_bad == 0:
        assert len(lines) == n_bad


def test_what_is_learned_is_learned_on_the_training_part_only(tmp_path):
    text = "AABB" * 20 + "CDCD" * 5
    tokenizer = Words()
    split = SplitConfig("last", validation=0.1, test=0.1, k=4)
    report = prepare_store(Lines(("long", text)), tokenizer, tmp_path / "s.zarr", split=split, domain="t")
    assert tokenizer.seen == [("long", text[:80])]
    store = TokenStore.open(tmp_path / "s.zarr")
    assert store.tokenizer["config"] == {"pairs": ["AA", "BB"]}
    np.testing.assert_array_equal(store.spans(), [[0, 0, 40], [0, 40, 50], [0, 50, 60]])
    assert report.split["units"] == {"train": 80, "validation": 10, "test": 10}


def test_borders_of_a_long_record_fall_where_the_units_say(tmp_path):
    """A tokenizer with pairs and single letters, nothing to learn: one pass, borders found by counting units."""
    text = "AAB" * 70_000
    learned = Words(("AA",))
    split = SplitConfig("last", validation=0.3, test=0.3, leakage=False)
    prepare_store(Lines(("long", text)), learned, tmp_path / "s.zarr", split=split, domain="t")
    store = TokenStore.open(tmp_path / "s.zarr")
    tokens = store[0].arrays["tokens"]
    starts = np.concatenate([[0], np.cumsum(learned.units({"tokens": tokens}))])
    np.testing.assert_array_equal(starts[store.spans()[:, 2]], [84_000, 147_000, 210_000])


def test_labels_are_told_by_part_a_cut_record_in_each_of_its_parts(tmp_path):
    lines = Lines(("a", "ABCDABCD" * 5), ("b", "ABBA" * 10), ("c", "AB"))
    split = SplitConfig("last", validation=0.1, test=0.1, k=4)
    report = prepare_store(lines, Words(()), tmp_path / "s.zarr", split=split, domain="t")
    length = report.labels["length"]
    assert (length["kind"], length["records"]) == ("classes", 3)
    assert length["classes"] == {
        "40": {"train": 2, "validation": 2, "test": 2},
        "2": {"train": 1, "validation": 0, "test": 0},
    }
    first, second = report.to_text().split("leakage")[1].splitlines()[1:3]
    assert first == "labels     length: 2 classes; none missing"
    assert second == "             train        3   40: 66.7 % (2)   2: 33.3 % (1)"


class Noting(Words):
    """Writes into every sequence what decoding must know."""

    def encode(self, record):
        sequence = super().encode(record)
        sequence.labels = {"scale": 1}
        return sequence


def test_labels_of_records_themselves_are_not_warned_of(tmp_path):
    source = Lines(*[(f"r{i}", "ABCD" * 3) for i in range(9)])
    warned = prepare_store(source, Words(()), tmp_path / "a.zarr", split=RANDOM, domain="t")
    assert "label 'length' is '12' in all 9 records: nothing to tell apart" in warned.warnings
    source.own_labels = ("length",)
    report = prepare_store(source, Noting(()), tmp_path / "b.zarr", split=RANDOM, domain="t")
    assert report.labels["length"]["own"]
    assert report.labels["scale"]["own"]
    assert not any("label" in warning for warning in report.warnings)


def test_groups_reach_the_store_and_the_split(tmp_path):
    records = [(f"r{i}", "ABCD" * (i + 1)) for i in range(9)]
    groups = {f"r{i}": f"g{i % 3}" for i in range(9)}
    source = Lines(*records, groups=groups)
    prepare_store(source, Words(()), tmp_path / "s.zarr", split=SplitConfig("group", k=4), domain="t")
    store = TokenStore.open(tmp_path / "s.zarr")
    assert list(store.groups) == [groups[name] for name, _ in records]
    sides = {group: set() for group in groups.values()}
    for (row, _, _), split in zip(store.spans(), store.span_split, strict=True):
        sides[store.groups[int(row)]].add(int(split))
    assert all(len(side) == 1 for side in sides.values())


def test_too_many_bad_records_leave_no_store_but_their_list(tmp_path):
    source = Lines(*[("x", "ABCD")] * 97, *[("y", "AB!")] * 3)
    with pytest.raises(
        InputError, match=r"3 of 100 records \(3 %\) were rejected \(3 bad_letter\).*allows 1 %"
    ) as caught:
        prepare_store(source, Words(()), tmp_path / "s.zarr", split=RANDOM, domain="t")
    assert caught.value.exit_code == 3
    assert "'y' holds a '!'" in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr.rejects.jsonl"]
    assert len(rejects_path(tmp_path / "s.zarr").read_text().splitlines()) == 3


@pytest.mark.parametrize("how", [{}, {"on_bad": "fail"}])
@pytest.mark.parametrize("learn", [None, ()])
def test_what_helps_against_the_reasons_that_occur_is_said_once(tmp_path, how, learn):
    source, tokenizer = Lines(("a", "AB!"), ("b", "CD!"), ("c", "#"), ("d", "AB")), Words(learn)
    source.remedies = {"comment": "Comments go.", "unseen": "Never said."}
    tokenizer.remedies = dict.fromkeys(("bad_letter", "worse_letter"), "Words of! take it.")
    with pytest.raises(InputError) as caught:
        prepare_store(source, tokenizer, tmp_path / "s.zarr", split=RANDOM, domain="t", **how)
    begins = "Words of! take it. " + ("on_bad=reject" if how else "Comments go. All are listed in")
    assert caught.value.hint.startswith(begins)


def test_letters_that_are_no_text_are_not_reported(tmp_path):
    source = Lines(*((f"r{i}", "ABCD" * 9) for i in range(9)))
    shown = prepare_store(source, Words(()), tmp_path / "a.zarr", split=RANDOM, domain="t")
    source.letters_are_keys = True
    hidden = prepare_store(source, Words(()), tmp_path / "b.zarr", split=RANDOM, domain="t")
    assert "\nletters    A 25 %" in shown.to_text()
    assert "letters  " not in hidden.to_text()
    assert (hidden.lengths, hidden.duplicates) == (shown.lengths, shown.duplicates)


@pytest.mark.parametrize(("n", "said"), [(1, "0.mid"), (3, "0.mid, 1.mid, 2.mid"), (31, "31 files (0.mid to 30.mid)")])
def test_many_files_are_said_in_short(n, said):
    assert in_short([f"{i}.mid" for i in range(n)]) == said
    assert in_short("a package") == "a package"


@pytest.mark.parametrize("tokenizer", [Words(()), Words()])
def test_on_bad_fail_stops_at_the_first(tmp_path, tokenizer):
    source = Lines(("a", "AB"), ("b", "A!"), ("c", "#"))
    with pytest.raises(InputError, match="'b' holds a '!'"):
        prepare_store(source, tokenizer, tmp_path / "s.zarr", split=RANDOM, domain="t", on_bad="fail")
    assert not (tmp_path / "s.zarr").exists()


@pytest.mark.parametrize("tokenizer", [Words(()), Words()])
@pytest.mark.parametrize(("records", "words"), [([], "no records"), ([("a", "#")], "1 of 1 records")])
def test_nothing_good_is_an_error(tmp_path, tokenizer, records, words):
    with pytest.raises(InputError, match=words):
        prepare_store(Lines(*records), tokenizer, tmp_path / "s.zarr", split=RANDOM, domain="t", max_bad=1.0)
    assert not (tmp_path / "s.zarr").exists()


def test_a_hopeless_file_is_given_up_early(tmp_path):
    class Long(Lines):
        total_bytes = 100_000
        read = 0

        @property
        def bytes_read(self):
            return self.read

        def __iter__(self):
            for i in range(100_000):
                self.read = i + 1
                yield f"r{i}", "A!" if i % 2 else "AB"

    source = Long()
    with pytest.raises(InputError, match=r"after .* % of the input"):
        prepare_store(source, Words(()), tmp_path / "s.zarr", split=RANDOM, domain="t")
    assert source.read < 10_000


def test_a_record_that_a_reader_swallowed_is_noticed(tmp_path):
    class Swallowing(Lines):
        records_in = 3

    with pytest.raises(InputError, match="3 records are in the input, 2 were kept and 0 rejected: 1 do not add up"):
        prepare_store(Swallowing(("a", "AB"), ("b", "CD")), Words(()), tmp_path / "s.zarr", split=RANDOM, domain="t")
    assert not list(tmp_path.iterdir())


def test_damage_to_the_file_itself_ends_it(tmp_path):
    class Truncated(Lines):
        def __iter__(self):
            yield from super().__iter__()
            raise InputError("lines.txt ends early, 2 records were read")

    with pytest.raises(InputError, match="ends early"):
        prepare_store(Truncated(("a", "AB"), ("b", "#")), Words(()), tmp_path / "s.zarr", split=RANDOM, domain="t")
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr.rejects.jsonl"]


def test_lengths_out_of_bounds_are_counted(tmp_path):
    source = Lines(("short", "A"), ("good", "ABCD"), ("long", "ABCDABCD"))
    limits = {"min_length": 2, "max_length": 5, "max_bad": 1.0}
    report = prepare_store(source, Words(()), tmp_path / "s.zarr", split=RANDOM, domain="t", **limits)
    assert report.counts["rejected"] == {"too_long": 1, "too_short": 1}


def test_an_existing_store_is_refused_before_anything_is_read(tmp_path):
    class Unreadable(Lines):
        def __iter__(self):
            raise AssertionError("was read")

    prepare_store(Lines(("a", "AB")), Words(()), tmp_path / "s.zarr", split=RANDOM, domain="t")
    with pytest.raises(ConfigError, match="exists already"):
        prepare_store(Unreadable(), Words(()), tmp_path / "s.zarr", split=RANDOM, domain="t")


def test_progress_tells_of_every_phase(tmp_path):
    told = {}
    source = Lines(("a", "ABAB"), ("b", "CDCD"))
    progress = lambda phase, *now: told.update({phase: now})  # noqa: E731
    prepare_store(source, Words(), tmp_path / "s.zarr", split=RANDOM, domain="t", progress=progress)
    assert list(told) == ["splitting", "fitting", "encoding"]
    assert set(told.values()) == {(0, None, 2)}


def test_warnings_name_what_looks_odd(tmp_path):
    source = Lines(*[(f"r{i}", "ABBA" * 5) for i in range(3)], ("x", "ABBA" * 6))
    report = prepare_store(source, Words(()), tmp_path / "s.zarr", split=RANDOM, domain="t")
    assert any("C, D never occur" in warning for warning in report.warnings)
    assert report.duplicates == {"records": 2, "sets": 1, "across_splits": 0}
    assert "warning" in report.to_text()


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_letters_are_counted_exactly(pieces):
    counts = LetterCounts()
    for piece in pieces:
        counts.add(np.frombuffer(piece, np.uint8))
    counts.by_letter()
    for piece in pieces:
        counts.add(np.frombuffer(piece, np.uint8))
    expected = Counter(b"".join(pieces + pieces))
    counts.by_letter()
    assert {i: int(n) for i, n in enumerate(counts.counts) if n} == dict(expected)


@pytest.mark.parametrize("wrong", [{"on_bad": "skip"}, {"max_bad": 2}])
def test_settings_of_the_ledger_are_checked(tmp_path, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Ledger(tmp_path / "r.jsonl", **wrong)


class Variants(Lines):
    """A name like `x` is a reference, `x>y` is compared with it."""

    def reference(self, record):
        name = record[0]
        return None if name == "alone" else (name.split(">")[0], ">" not in name)


def test_what_is_compared_is_paired_with_its_reference(tmp_path):
    lines = [("a", "AB"), ("a>1", "AC"), ("alone", "AA"), ("a>2", "AD"), ("b", "A!"), ("b>1", "AA"), ("c>1", "CC")]
    report = prepare_store(Variants(*lines), Words(()), tmp_path / "s.zarr", split=RANDOM, domain="test", max_bad=0.5)
    store = TokenStore.open(tmp_path / "s.zarr")
    assert store.pairs.tolist() == [[0, 1], [0, 3]]
    assert report.counts == {"in": 7, "ok": 4, "rejected": {"bad_letter": 1, "no_reference": 2}}
    assert "'b>1': what it is compared with, 'b', was rejected" in rejects_path(tmp_path / "s.zarr").read_text()

"""Every unit of every record stands in exactly one split, and nothing equal stands in two."""

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError, InputError
from core.split import RULES, SPLITS, SplitConfig, SplitKeys, assign, leakage

COMPLEMENT = np.arange(256, dtype=np.uint8)
for one, other in ("AT", "CG"):
    COMPLEMENT[ord(one)], COMPLEMENT[ord(other)] = ord(other), ord(one)


def letters(text):
    return np.frombuffer(text.encode(), np.uint8)


def random_letters(n, seed, alphabet="ACGT"):
    return letters(alphabet)[np.random.default_rng(seed).integers(0, len(alphabet), n)]


def collect(config, records, complement=None, **columns):
    keys = SplitKeys(config, complement)
    for i, record in enumerate(records):
        keys.add(record, **{name: values[i] for name, values in columns.items()})
    return keys


def split_of(plan):
    """Split of each record, for rules that do not cut."""
    return [SPLITS[s] for s in plan.split]


def test_the_last_part_of_a_genome_is_tested_on():
    genome = random_letters(10_000, 0)
    plan = assign(collect(SplitConfig("last", validation=0.05, test=0.1), [genome]))
    np.testing.assert_array_equal(plan.spans, [[0, 0, 8500], [0, 8500, 9000], [0, 9000, 10_000]])
    assert split_of(plan) == ["train", "validation", "test"]
    assert plan.report["units"] == {"train": 8500, "validation": 500, "test": 1000}
    assert plan.report["leakage"]["test"] == 0
    json.dumps(plan.report, allow_nan=False)


record_lists = st.lists(st.text("ACGT", max_size=40), min_size=1, max_size=30)


@settings(max_examples=80, deadline=None)
@given(texts=record_lists, rule=st.sampled_from(RULES), seed=st.integers(0, 5), draw=st.randoms(use_true_random=False))
def test_laws_of_every_rule(texts, rule, seed, draw):
    n = len(texts)
    config = SplitConfig(rule, validation=0.2, test=0.3, seed=seed, k=6, containment=0.5)
    columns = {
        "group": [draw.choice("xyz") for _ in range(n)],
        "stamp": [draw.randint(0, 5) for _ in range(n)],
        "split": [draw.choice(SPLITS) for _ in range(n)],
    }
    records = [letters(text) for text in texts]
    plan = assign(collect(config, records, **columns))
    for i, record in enumerate(records):  # every unit exactly once
        spans, _ = plan.of(i)
        assert spans[0, 1] == 0
        assert spans[-1, 2] == len(record)
        np.testing.assert_array_equal(spans[1:, 1], spans[:-1, 2])
    assert sum(plan.report["units"].values()) == sum(map(len, texts))
    again = assign(collect(config, records, **columns))
    np.testing.assert_array_equal(plan.split, again.split)
    assert plan.report == again.report
    json.dumps(plan.report, allow_nan=False)
    if rule == "last":
        return
    split = split_of(plan)
    if rule == "given":
        assert set(split) <= set(SPLITS)
        return
    for a, b in ((i, j) for i in range(n) for j in range(i)):
        if texts[a] == texts[b] or (rule == "group" and columns["group"][a] == columns["group"][b]):
            assert split[a] == split[b]
        if rule == "time" and columns["stamp"][a] < columns["stamp"][b] and texts.count(texts[b]) == 1:
            assert SPLITS.index(split[a]) <= SPLITS.index(split[b])
    assert plan.report["duplicates"]["across_splits"] == 0
    if rule != "time":
        order = list(range(n))
        draw.shuffle(order)
        shuffled = {name: [values[i] for i in order] for name, values in columns.items()}
        other = split_of(assign(collect(config, [records[i] for i in order], **shuffled)))
        assert [split[i] for i in order] == other


def family(size, seed, changes=3):
    rng = np.random.default_rng(seed)
    ancestor = random_letters(120, seed)
    members = []
    for _ in range(size):
        member = ancestor.copy()
        member[rng.integers(0, 120, changes)] = random_letters(changes, int(rng.integers(10**6)))
        members.append(member)
    return members


def test_families_stay_together_under_cluster_and_leak_under_random():
    records = [member for seed in range(60) for member in family(5, seed)]
    cluster = assign(collect(SplitConfig("cluster", k=10, test=0.2), records))
    sides = np.array(split_of(cluster)).reshape(60, 5)
    assert (sides == sides[:, :1]).all()
    assert {"train", "validation", "test"} == set(sides[:, 0])
    assert cluster.report["clusters"]["n"] == 60
    assert cluster.report["leakage"]["test"] < 0.01
    scattered = assign(collect(SplitConfig("random", k=10, test=0.2), records))
    assert scattered.report["leakage"]["test"] > 0.5
    assert scattered.report["leakage"]["test_records_over_20"] > 0.9


def test_the_other_strand_is_a_copy_where_there_are_strands():
    records = [random_letters(50, seed) for seed in range(20)]
    records += [COMPLEMENT[r][::-1] for r in records]
    turned = assign(collect(SplitConfig("random", test=0.5, complement=True), records, COMPLEMENT))
    assert split_of(turned)[:20] == split_of(turned)[20:]
    assert turned.report["duplicates"] == {"records": 20, "sets": 20, "across_splits": 0}
    plain = assign(collect(SplitConfig("random", test=0.5), records))
    assert plain.report["duplicates"]["records"] == 0
    assert split_of(plain)[:20] != split_of(plain)[20:]
    with pytest.raises(ConfigError, match="complement"):
        SplitKeys(SplitConfig(complement=True))


def test_shares_are_close_to_what_was_asked():
    records = [random_letters(10 + seed % 50, seed) for seed in range(2000)]
    units = assign(collect(SplitConfig(validation=0.05, test=0.1), records)).report["units"]
    total = sum(units.values())
    assert units["test"] / total == pytest.approx(0.1, abs=0.002)
    assert units["validation"] / total == pytest.approx(0.05, abs=0.002)


def test_another_seed_gives_another_split():
    records = [random_letters(30, seed) for seed in range(50)]
    one, other = (split_of(assign(collect(SplitConfig(seed=seed), records))) for seed in (0, 1))
    assert one != other


def test_few_groups_still_give_every_part_something():
    records = [random_letters(1000 * (i + 1), i) for i in range(4)]
    plan = assign(collect(SplitConfig("group"), records, group=list("abcd")))
    assert set(split_of(plan)) == set(SPLITS)
    assert split_of(plan)[3] == "train"


def test_time_keeps_the_future_apart_and_copies_with_the_past():
    records = [random_letters(20, seed) for seed in range(20)]
    records[19] = records[0]
    stamps = [f"2024-{i // 2 + 1:02d}" for i in range(20)]
    plan = assign(collect(SplitConfig("time", validation=0.1, test=0.2), records, stamp=stamps))
    assert split_of(plan) == ["train"] * 14 + ["validation"] * 2 + ["test"] * 3 + ["train"]
    assert plan.report["moved_copies"] == 1
    with pytest.raises(InputError, match="record 0 has no time stamp"):
        assign(collect(SplitConfig("time"), records))


def test_a_given_split_is_kept_and_its_copies_are_reported():
    records = [random_letters(20, 0), random_letters(20, 0), random_letters(20, 1)]
    given_split = ["train", "test", "validation"]
    plan = assign(collect(SplitConfig("given"), records, split=given_split))
    assert split_of(plan) == given_split
    assert plan.report["duplicates"]["across_splits"] == 1
    with pytest.raises(InputError, match="record 1 says 'dev'"):
        assign(collect(SplitConfig("given"), records, split=["train", "dev", "test"]))


def test_validation_is_dealt_out_of_a_given_training_part():
    records = [random_letters(20, seed) for seed in range(40)]
    plan = assign(collect(SplitConfig("given", validation=0.25), records, split=["train"] * 32 + ["test"] * 8))
    assert split_of(plan)[32:] == ["test"] * 8
    assert split_of(plan)[:32].count("validation") == 8


def test_leakage_of_a_strain_that_was_trained_on():
    strain = random_letters(5000, 0)
    mutated = strain.copy()
    mutated[::100] = random_letters(50, 1)
    other = random_letters(5000, 2)
    assert leakage([other], [strain], 16) == 0
    assert leakage([strain], [strain], 16) == 1
    assert 0.7 < leakage([mutated], [strain], 16) < 0.95
    assert leakage([COMPLEMENT[strain][::-1]], [strain], 16) == 0
    assert leakage([COMPLEMENT[strain][::-1]], [strain], 16, COMPLEMENT) == 1
    assert leakage([strain[:10]], [strain], 16) is None
    sampled = leakage([mutated], [strain], 16, limit=500)
    assert sampled == pytest.approx(leakage([mutated], [strain], 16), abs=0.08)


def test_windows_over_the_border_of_spans_are_no_leak():
    """A repeat whose two copies touch at the border between train and test is in neither part as a whole."""
    genome = np.concatenate([random_letters(900, 0), random_letters(100, 1)])
    plan = assign(collect(SplitConfig("last", validation=0, test=0.1, k=20), [genome]))
    assert plan.report["leakage"]["test"] == 0
    repeat = genome.copy()
    repeat[950:1000] = repeat[100:150]
    assert assign(collect(SplitConfig("last", validation=0, test=0.1, k=20), [repeat])).report["leakage"]["test"] > 0.3


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"rule": "lastest"}, "rule"),
        ({"test": 1.0}, "test"),
        ({"test": 0.6, "validation": 0.5}, "nothing is left"),
        ({"k": 0}, "k"),
        ({"containment": 0}, "containment"),
    ],
)
def test_settings_that_are_not_allowed(values, word):
    with pytest.raises(ConfigError, match=word):
        SplitConfig(**values)


@pytest.mark.slow
def test_twenty_thousand_proteins_are_clustered_within_a_minute():
    rng = np.random.default_rng(0)
    families = [random_letters(450, seed, "ACDEFGHIKLMNPQRSTVWY") for seed in range(4000)]
    keys = SplitKeys(SplitConfig("cluster", k=8))
    started = time.process_time()
    for _ in range(20_000):
        member = families[int(4000 * rng.random() ** 2)].copy()
        changed = rng.random(450) < 0.08
        member[changed] = random_letters(int(changed.sum()), int(rng.integers(10**6)), "ACDEFGHIKLMNPQRSTVWY")
        keys.add(member)
    plan = assign(keys)
    assert time.process_time() - started < 60
    assert plan.report["leakage"]["test"] < 0.01

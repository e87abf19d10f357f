"""Epochs, streams and feeds over a store in memory whose tokens know where they stand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.batching.batch import collate, make_row, pack_rows
from core.batching.config import BatchingConfig
from core.batching.epoch import Portion
from core.batching.feed import BatchFeed, TrainingSteps, ValidationSteps
from core.batching.stream import StoreStream
from core.errors import InputError
from core.sequence import Role, Sequence, TokenSpec, real, symbol
from tests.core.batching.test_batch import same
from tests.core.memory_store import LETTERS, MIXED, MemoryStore, letters, mixed

PLACED = TokenSpec((symbol("tokens", LETTERS), real("place", 1, Role.KNOWN_AHEAD)))
"""Letters, and beside each, as something known ahead, its position in the store counted from 1."""


def placed_store(lengths, spans=None, shard=16):
    firsts = np.cumsum([1, *lengths[:-1]])
    records = [
        Sequence({**r.arrays, "place": np.arange(first, first + len(r))[:, None].astype(np.float64)}, r.id)
        for r, first in zip(letters(*lengths), firsts, strict=True)
    ]
    return MemoryStore(records, PLACED, spans, shard)


def feed(store, config, seed=0, rank=0, world=1):
    stream = StoreStream(store, config, Portion("train", seed))
    return BatchFeed([stream], TrainingSteps([stream], [1.0], config), store.spec, config, rank=rank, world=world)


def plan(store, config):
    return StoreStream(store, config, Portion()).plan(0)


def read_tokens(batch):
    """Store positions that a batch predicts, and those that it reads as look-back."""
    places = batch.inputs.fields["place"][..., 0].numpy().astype(int)
    predicted = batch.loss_mask["tokens"].numpy()
    return places[predicted & (places > 0)] - 1, places[~predicted & (places > 0)] - 1


def test_an_epoch_of_windows():
    store = placed_store([40, 25], [(0, 0, 30, "train"), (0, 30, 40, "validation"), (1, 0, 25, "train")])
    config = BatchingConfig(length=8, batch_size=3, jitter=False)
    assert len(plan(store, config)) == 4 + 4
    report = plan(store, config).report()
    assert (report.spans, report.read, report.left_out, report.predicted) == (55, 55, 0, 64)
    batch = feed(store, config)[0]
    assert batch.targets["tokens"].shape == (3, 8)


@st.composite
def cases(draw):
    """Records, spans of two splits, shards, and a way to batch them."""
    lengths = draw(st.lists(st.integers(1, 70), min_size=1, max_size=6))
    spans = []
    for i, n in enumerate(lengths):
        cut = draw(st.sampled_from([0, 0, n // 2, n]))
        spans += [(i, 0, cut, "validation"), (i, cut, n, "train")]
    length = draw(st.integers(2, 12))
    kind = draw(st.sampled_from(["windows", "buckets", "packed"]))
    options = {"kind": kind, "length": length, "batch_size": draw(st.integers(1, 5))}
    if kind == "windows":
        options |= {"stride": draw(st.integers(1, length)), "look_back": draw(st.integers(0, 4))}
    if kind == "buckets" and draw(st.booleans()):
        options["batch_tokens"] = draw(st.integers(length + 1, 60))
    config = BatchingConfig(**options, jitter=draw(st.booleans()), buffer_shards=draw(st.integers(1, 3)))
    return lengths, spans, draw(st.integers(4, 40)), config


def trainable(spans):
    return any(a < b for _, a, b, split in spans if split == "train")


@given(cases(), st.integers(0, 3))
@settings(max_examples=50, deadline=None)
def test_an_epoch_reads_every_training_token_and_no_other(case, seed):
    lengths, spans, shard, config = case
    store = placed_store(lengths, spans, shard)
    if not trainable(spans):
        with pytest.raises(InputError, match="train spans"):
            feed(store, config)[0]
        return
    batches = feed(store, config, seed)
    stream = batches.streams[0]
    for epoch in (0, 1):
        epoch_plan = stream.plan(epoch)
        predicted, context, ends = [], [], 0
        first = sum(len(stream.plan(e)) for e in range(epoch))
        for item in range(first, first + len(epoch_plan)):
            batches.steps = lambda _, item=item: [(0, item, item + 1)]
            batch = batches[0]
            tokens, before = read_tokens(batch)
            predicted.append(tokens)
            context.append(before)
            ends += int((batch.targets["tokens"] == 2).sum())
        report = epoch_plan.report()
        inside = {
            p for i, a, b, split in spans if split == "train" for p in range(store.offsets[i] + a, store.offsets[i] + b)
        }
        assert set(np.concatenate(predicted).tolist()) == inside
        assert set(np.concatenate(context).tolist()) <= inside
        assert report.spans == report.read == len(inside)
        assert report.predicted == len(np.concatenate(predicted)) + ends
        if config.kind != "windows":
            fits = config.length - (config.kind == "packed")
            records = sum(s == "train" and a == 0 and lengths[i] <= fits for i, a, b, s in spans if a < b)
            assert ends == records


@given(cases(), st.integers(0, 30), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_any_step_of_any_rank_is_the_same_whatever_came_before(case, step, world):
    lengths, spans, shard, config = case
    if not trainable(spans):
        return
    whole = feed(placed_store(lengths, spans, shard), config)
    in_order = [whole[s] for s in range(step + 1)][-1]
    fresh = feed(placed_store(lengths, spans, shard), config)[step]
    same(fresh, in_order)
    assert fresh.row_digest() == in_order.row_digest()
    predicted = []
    for rank in range(world):
        part = feed(placed_store(lengths, spans, shard), config, rank=rank, world=world)[step]
        assert part.row_digest() == in_order.row_digest()
        assert part.global_tokens == in_order.global_tokens == in_order.n_tokens
        if config.kind != "packed":
            assert np.array_equal(part.rows, in_order.rows[rank::world])
        predicted += read_tokens(part)[0].tolist()
    assert sorted(predicted) == sorted(read_tokens(in_order)[0].tolist())


def test_a_rank_without_a_row_takes_part_with_nothing_predicted():
    part = feed(placed_store([40]), BatchingConfig(length=8, batch_size=2), rank=2, world=3)[0]
    assert part.n_tokens == 0
    assert len(part.rows) == 0
    assert part.targets["tokens"].shape == (1, 8)


@given(cases(), st.integers(0, 20), st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_batches_of_mixed_fields_are_the_definition(case, step, seed):
    """Each batch built again from the ids of its rows, record by record, with the plain functions."""
    lengths, spans, shard, config = case
    if not trainable(spans):
        return
    store = MemoryStore(mixed(*lengths, seed=seed), MIXED, spans, shard)
    batch = feed(store, config, seed)[step]
    sizes = batch.inputs.lengths
    sizes = np.full(len(batch.rows), batch.loss_mask["action"].shape[1]) if sizes is None else sizes.numpy()
    if config.kind == "packed":
        segments = batch.inputs.segments.numpy()
        sizes = np.concatenate([np.bincount(row[row >= 0]) for row in segments])
    starts = {i: a for i, a, b, split in spans if split == "train"}
    fits = config.length - (config.kind == "packed")
    documents = []
    for place, size in zip(batch.rows.tolist(), sizes.tolist(), strict=True):
        _, sequence, start = place
        eos = config.kind != "windows" and starts[sequence] == 0 and lengths[sequence] <= fits
        context = min(config.look_back, start - starts[sequence])
        window = store.records[sequence].slice(start - context, start - context + size - eos)
        documents.append(make_row(window, MIXED, eos=eos, context=context, place=tuple(place)))
    if config.kind == "packed":
        counts = segments.max(1) + 1
        groups = np.split(np.arange(len(documents)), np.cumsum(counts)[:-1])
        documents = [pack_rows([documents[i] for i in group]) for group in groups]
    same(batch, collate(documents, MIXED, width=config.length if config.kind == "packed" else None))


def test_epochs_differ_in_order_and_phase_and_seeds_do_too():
    store = placed_store([400])
    config = BatchingConfig(length=8, batch_size=4)

    def starts(seed, epoch):
        stream = StoreStream(store, config, Portion("train", seed))
        return stream.plan(epoch).arrangement(0).stretches.start.tolist()

    orders = [starts(0, 0), starts(0, 1), starts(1, 0)]
    assert starts(0, 0) == orders[0]
    assert len({tuple(o) for o in orders}) == len({tuple(sorted(o)) for o in orders}) == 3
    assert orders[0] != sorted(orders[0])


@pytest.mark.parametrize("kind", ["windows", "buckets", "packed"])
@pytest.mark.parametrize("shards", [5, 16, 31, 32, 50])
def test_shards_in_memory_are_bounded_and_each_is_read_once_an_epoch(kind, shards):
    store = placed_store([20] * (shards * 2), shard=40)
    config = BatchingConfig(kind=kind, length=24, batch_size=4)
    batches = feed(store, config)
    stream = batches.streams[0]
    seen = []
    for step in range(stream.plan(0).first_items[-1] // batches.steps.items):
        before = len(store.reads)
        batches[step]
        if len(store.reads) > before:
            seen.append(len(store.reads) - before)
        held = len(stream._buffer.tokens)
        assert held <= 31 * 40
    assert sum(seen) == shards
    assert all(min(16, shards) <= n < 32 for n in seen)
    assert len(set(store.reads)) == shards


def test_windows_across_shard_ends_are_read_whole():
    store = placed_store([100], shard=7)
    config = BatchingConfig(length=20, batch_size=1, buffer_shards=2, look_back=3)
    batches = feed(store, config)
    for step in range(len(batches.streams[0].plan(0))):
        places = batches[step].inputs.fields["place"][0, :, 0]
        assert (places.diff() == 1).all()


def test_a_batch_from_two_buffers_gives_the_first_one_up():
    """Memory holds one buffer: rows of the earlier one are copied out before the next is loaded."""
    store = placed_store([400], shard=20)
    config = BatchingConfig(length=10, batch_size=7, buffer_shards=4)
    batches = feed(store, config)
    sizes = np.diff(batches.streams[0].plan(0).first_items)
    crossing = int(sizes[0]) // 7
    assert sizes[0] % 7
    pieces, _, _ = batches._pieces(crossing, 0, 1)
    assert {len(source) for source in pieces.sources} == {10}


def test_long_records_are_refused_by_policy_and_counted():
    store = placed_store([5, 30, 7])
    config = BatchingConfig(kind="buckets", length=10, long="refuse")
    report = plan(store, config).report()
    assert (report.refused, report.left_out, report.read, report.rows) == (1, 30, 12, 2)
    assert report.sentence.endswith("1 records longer than the context are left out; 30 tokens are left out")
    windows = plan(store, BatchingConfig(kind="buckets", length=10)).report()
    assert (windows.long, windows.left_out, windows.read, windows.rows) == (1, 0, 42, 5)
    with pytest.raises(InputError, match="1 of 30 to 30 tokens"):
        plan(placed_store([30]), config)


def test_a_wide_stride_leaves_tokens_out_and_says_so():
    report = plan(placed_store([100]), BatchingConfig(length=5, stride=10, jitter=False)).report()
    assert report.left_out == 100 - report.read
    assert report.read == 5 * 11 - 0


def test_padding_is_measured():
    store = placed_store([4, 8])
    report = plan(store, BatchingConfig(kind="buckets", length=10, batch_size=2)).report()
    assert (report.predicted, report.positions) == (14, 18)
    assert report.padding == pytest.approx(4 / 18)
    report = plan(store, BatchingConfig(length=6, batch_size=3)).report()
    assert (report.predicted, report.positions, report.rows, report.short) == (16, 18, 3, 1)
    report = plan(store, BatchingConfig(kind="packed", length=10)).report()
    assert (report.predicted, report.positions) == (14, 20)


@given(cases(), st.floats(0.05, 1), st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_validation_is_a_fixed_share_and_the_same_for_every_seed(case, share, seed):
    lengths, spans, shard, config = case
    spans = [(i, a, b, {"train": "validation", "validation": "train"}[split]) for i, a, b, split in spans]
    if not any(a < b for _, a, b, split in spans if split == "validation"):
        return
    store = placed_store(lengths, spans, shard)

    def read(seed, share):
        stream = StoreStream(store, config, Portion("validation", seed, shuffled=False, share=share))
        steps = ValidationSteps([stream], config)
        batches = BatchFeed([stream], steps, PLACED, config)
        return [tuple(row) for step in range(len(steps)) for row in batches[step].rows.tolist()]

    rows = read(seed, share)
    assert rows == read(seed + 1, share)
    assert len(set(rows)) == len(rows)
    everything = read(seed, 1.0)
    assert set(rows) <= set(everything)
    assert abs(len(rows) - share * len(everything)) < 1
    inside = {(i, p) for i, a, b, split in spans if split == "validation" for p in range(a, b)}
    assert {(i, start) for _, i, start in everything} <= inside


def test_shards_come_in_another_order_every_epoch():
    stream = StoreStream(placed_store([800], shard=20), BatchingConfig(length=10, buffer_shards=4), Portion())
    orders = [np.concatenate(stream.plan(epoch).buffers).tolist() for epoch in (0, 1)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(40))
    assert orders[0] != orders[1]
    assert all(order != sorted(order) for order in orders)

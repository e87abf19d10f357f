import json
import os
import subprocess
import sys
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core.batching.config import BatchingConfig
from core.datamodule import SequenceDataModule
from core.errors import ConfigError, IntegrityError
from core.sequence import Sequence, Symbols
from core.store import SPLITS, TokenStoreWriter
from core.tokenizer import describe
from core.vocabulary import Vocabulary
from tests.core.batching.test_batch import same
from tests.core.memory_store import LETTERS, MIXED, MemoryStore, letters, mixed

DNA = Symbols(LETTERS)
ROOT = Path(__file__).parents[2]


class Plain:
    """A tokenizer as far as batches know one; its views turn windows around."""

    kind, version, spec = "plain", 1, DNA

    def to_config(self):
        return {}

    def view_window(self, arrays, rng):
        return {name: a[::-1] for name, a in arrays.items()} if rng.random() < 0.5 else arrays


def write(path, records, spec, spans, shard_tokens=32):
    with TokenStoreWriter(path, spec, describe(Plain()), domain="test", source={}, shard_tokens=shard_tokens) as writer:
        for record in records:
            writer.append(record)
        return writer.finish(
            spans=np.array([span[:3] for span in spans]),
            span_split=np.array([SPLITS.index(span[3]) for span in spans], np.uint8),
            counts={"in": len(records), "ok": len(records)},
            split={"rule": "given"},
        )


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    """One sequence of 700 letters: 500 to train on, 100 to validate, 100 to test."""
    spans = [(0, 0, 500, "train"), (0, 500, 600, "validation"), (0, 600, 700, "test")]
    return write(tmp_path_factory.mktemp("data") / "genome.zarr", letters(700), DNA, spans)


def test_a_run_reads_steps_and_a_later_one_goes_on(genome):
    config = BatchingConfig(length=16, batch_size=4, buffer_shards=8)
    data = SequenceDataModule(genome.path, batching=config, seed=3)
    data.stop_step = 12
    digests = [batch.row_digest() for batch in data.train_dataloader()]
    again = SequenceDataModule(genome.path, batching=config, seed=3)
    again.start_step, again.stop_step = 5, 12
    assert [batch.row_digest() for batch in again.train_dataloader()] == digests[5:]
    assert len(set(digests)) == 12
    assert data.steps_per_epoch() == 8
    assert data.tokens_per_step == 64
    validation = list(data.val_dataloader())
    assert sum(batch.n_tokens for batch in validation) == 6 * 16 + 16


@pytest.mark.parametrize("kind", ["windows", "buckets", "packed"])
def test_the_real_store_gives_what_the_one_in_memory_gives(tmp_path, kind):
    lengths = [30, 7, 51, 16, 1, 22]
    spans = [(0, 3, 30, "train"), (2, 0, 51, "train"), (3, 0, 16, "train"), (5, 0, 22, "train"), (1, 0, 7, "test")]
    records = mixed(*lengths)
    store = write(tmp_path / "mixed.zarr", records, MIXED, spans)
    config = BatchingConfig(kind=kind, length=24, batch_size=3, buffer_shards=2)
    real = SequenceDataModule(store, batching=config).train_batches(0, 9)
    memory = SequenceDataModule(MemoryStore(records, MIXED, spans, shard=32), batching=config).train_batches(0, 9)
    for a, b in zip(real, memory, strict=True):
        same(a, b)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(genome, workers):
    config = BatchingConfig(length=16, batch_size=3, buffer_shards=4)
    alone = SequenceDataModule(genome, Plain(), config).train_batches(4, 20)
    state = torch.random.get_rng_state()
    many = list(SequenceDataModule(genome.path, Plain(), config, workers=workers).train_batches(4, 20))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert len(many) == 16
    for a, b in zip(alone, many, strict=True):
        same(a, b)
        assert a.row_digest() == b.row_digest()
    assert alone.dataset[7].row_digest() == many[3].row_digest()


def test_views_are_drawn_by_epoch_and_row_and_only_in_training(genome):
    config = BatchingConfig(length=16, batch_size=8, jitter=False)
    viewed = SequenceDataModule(genome, Plain(), config)
    plain = SequenceDataModule(genome, Plain(), config, views=False)
    steps = viewed.steps_per_epoch()
    turned = []
    for a, b in zip(viewed.train_batches(0, 2 * steps), plain.train_batches(0, 2 * steps), strict=True):
        assert a.row_digest() == b.row_digest()
        for x, y in zip(a.targets["tokens"], b.targets["tokens"], strict=True):
            assert torch.equal(x, y) or torch.equal(x.flip(0), y)
            turned.append(not torch.equal(x, y))
    assert 0.25 < np.mean(turned) < 0.75
    assert turned[: len(turned) // 2] != turned[len(turned) // 2 :]
    for a, b in zip(viewed.val_dataloader(), plain.val_dataloader(), strict=True):
        same(a, b)


def test_a_view_must_move_the_masks_too():
    (record,) = letters(64)
    masked = Sequence(record.arrays, "m", loss_mask={"tokens": np.arange(64) >= 8})
    config = BatchingConfig(length=64, batch_size=1)

    class Forgets(Plain):
        def view_window(self, arrays, rng):
            return {"tokens": arrays["tokens"][::-1]}

    with pytest.raises(ConfigError, match="loss_mask/tokens"):
        SequenceDataModule(MemoryStore([masked], DNA), Forgets(), config).train_batches(0, 1).dataset[0]
    batches = SequenceDataModule(MemoryStore([masked], DNA), Plain(), config).train_batches(0, 30)
    fronts = {bool(batch.loss_mask["tokens"][0, 0]) for batch in batches}
    assert fronts == {False, True}
    assert {batch.n_tokens for batch in batches} == {56}

    class Shortens(Plain):
        def view_window(self, arrays, rng):
            return {name: a[1:] for name, a in arrays.items()}

    with pytest.raises(ConfigError, match="number of tokens"):
        SequenceDataModule(MemoryStore([masked], DNA), Shortens(), config).train_batches(0, 1).dataset[0]


def test_a_view_cannot_change_the_store_in_memory():
    store = MemoryStore(letters(64), DNA)
    config = BatchingConfig(length=16, batch_size=4, jitter=False)

    class Overwrites(Plain):
        def view_window(self, arrays, rng):
            arrays["tokens"][:] = 5
            return arrays

    SequenceDataModule(store, Overwrites(), config).train_batches(0, 1).dataset[0]
    batches = list(SequenceDataModule(store, Overwrites(), config, views=False).train_batches(0, 1))
    assert len(np.unique(batches[0].targets["tokens"])) == 4


@pytest.mark.parametrize("kind", ["windows", "packed", "buckets"])
def test_stores_are_mixed_by_weight(kind):
    many, few = (MemoryStore(letters(*[12] * n, seed=n), DNA) for n in (60, 5))
    config = BatchingConfig(kind=kind, length=13, batch_size=8)
    data = SequenceDataModule([(many, 3), (few, 1)], batching=config)
    rows = [batch.rows for batch in data.train_batches(0, 40)]
    if kind == "windows":
        assert {tuple(np.bincount(r[:, 0])) for r in rows} == {(6, 2)}
    share = np.concatenate(rows)[:, 0].mean()
    assert share == pytest.approx(0.25, abs=0.07)
    assert data.steps_per_epoch() * (1 if kind == "buckets" else 8) * 0.75 >= len(data._training[0].plan(0))


def test_rows_of_a_mixture_are_sliced_by_rank():
    stores = [(MemoryStore(letters(200, seed=n), DNA), w) for n, w in ((1, 2.0), (2, 1.0))]
    config = BatchingConfig(length=8, batch_size=5)
    data = SequenceDataModule(stores, batching=config)
    for step in range(20):
        whole = data.train_batches(0, 20).dataset[step]
        parts = [data.train_batches(0, 20, rank=r, world=3).dataset[step] for r in range(3)]
        for rank, part in enumerate(parts):
            assert np.array_equal(part.rows, whole.rows[rank::3])
            assert torch.equal(part.targets["tokens"], whole.targets["tokens"][rank::3])
            assert part.row_digest() == whole.row_digest()


def test_rank_and_world_are_the_trainers(genome):
    data = SequenceDataModule(genome, batching=BatchingConfig(length=16, batch_size=4))
    assert data.place() == (0, 1)
    data.trainer = SimpleNamespace(global_rank=1, world_size=2)
    batch = data.train_batches(0, 1).dataset[0]
    assert np.array_equal(batch.rows, batch.global_rows[1::2])
    whole, part = batch.global_tokens, sum(b.n_tokens for b in data.val_dataloader())
    assert whole == 64
    assert part == 16 * 3


def test_a_store_without_validation_spans_has_an_empty_loader():
    data = SequenceDataModule(MemoryStore(letters(50), DNA), batching=BatchingConfig(length=8))
    assert list(data.val_dataloader()) == []


def test_the_report_says_what_an_epoch_reads(genome):
    (report,) = SequenceDataModule(genome, batching=BatchingConfig(length=16, jitter=False)).report()
    assert (report.spans, report.read, report.left_out, report.rows) == (500, 500, 0, 32)
    assert json.loads(json.dumps(report.to_dict()))["predicted"] == 512


def test_stores_of_other_tokens_are_refused():
    other = MemoryStore(letters(20), Symbols(Vocabulary(tuple("TGCA"))))
    with pytest.raises(ConfigError, match="store 2 of 2 has tokens"):
        SequenceDataModule([(MemoryStore(letters(20), DNA), 1), (other, 1)])


@pytest.mark.parametrize("values", [{"workers": -1}, {"val_tokens": -1}])
def test_values_that_are_not_allowed(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        SequenceDataModule(MemoryStore(letters(20), DNA), **values)


RANKS = """
import json, sys
import numpy as np
import torch.distributed as dist
from core.batching.config import BatchingConfig
from core.datamodule import SequenceDataModule

store, out = sys.argv[1:]
dist.init_process_group("gloo")
config = BatchingConfig(length=16, batch_size=5, buffer_shards=4)
data = SequenceDataModule(store, batching=config, seed=3)
steps = [(b.row_digest(), b.rows.tolist(), b.global_tokens) for b in data.train_batches(2, 14)]
with open(f"{out}/{dist.get_rank()}.json", "w") as file:
    json.dump({"world": dist.get_world_size(), "steps": steps}, file)
dist.destroy_process_group()
"""


def test_two_processes_under_torchrun_read_what_one_reads(genome, tmp_path):
    script = tmp_path / "ranks.py"
    script.write_text(RANKS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [*command, str(genome.path), str(tmp_path)],
        env=environment, cwd=tmp_path, timeout=120, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    config = BatchingConfig(length=16, batch_size=5, buffer_shards=4)
    alone = SequenceDataModule(genome, batching=config, seed=3).train_batches(2, 14)
    for step, batch in enumerate(alone):
        for rank, found in enumerate(ranks):
            assert found["world"] == 2
            digest, rows, tokens = found["steps"][step]
            assert digest == batch.row_digest()
            assert rows == batch.rows[rank::2].tolist()
            assert tokens == batch.n_tokens


def test_a_feed_travels_to_workers_that_share_no_memory(genome):
    """Where workers are spawned (macOS, Windows), the feed is copied to them: without its buffers."""
    feed = SequenceDataModule(genome, batching=BatchingConfig(length=16, batch_size=3)).train_batches(0, 1).dataset
    expected = feed[3]
    blob = ForkingPickler.dumps(feed)
    assert len(blob) < 20_000
    same(ForkingPickler.loads(blob)[3], expected)


def test_a_damaged_store_is_the_same_error_from_a_worker():
    class Damaged(MemoryStore):
        def read(self, start, stop):
            raise IntegrityError("shard 3 is damaged")

    data = SequenceDataModule(Damaged(letters(64), DNA), batching=BatchingConfig(length=8), workers=1)
    with pytest.raises(IntegrityError, match="shard 3 is damaged"):
        list(data.train_batches(0, 2))

"""What is written is what is read, in any shape; or an IntegrityError says what is lost."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core.errors import ConfigError, InputError, IntegrityError, RecordError, ResourceError
from core.sequence import Role, Sequence, Symbols, TokenSpec, real, symbol
from core.store import READERS, SPLITS, TokenStore, TokenStoreWriter
from core.store.layout import SHARD_BYTES, manifest_bytes, shard_tokens_for
from core.vocabulary import Vocabulary

LETTERS = Vocabulary(tuple("ACGT"))
DNA = Symbols(LETTERS)
MIXED = TokenSpec(
    (
        real("position", 2),
        symbol("action", LETTERS),
        real("goal", 1, Role.GIVEN),
        symbol("calendar", Vocabulary(tuple(map(str, range(300)))), Role.KNOWN_AHEAD),
    )
)
TOKENIZER = {"kind": "letters", "version": 1, "config": {}, "fingerprint": "0" * 64}
COUNTS = {"in": 0, "ok": 0, "rejected": {}}


def letters(*lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [Sequence({"tokens": rng.integers(5, 9, n, dtype=np.uint8)}, f"r{i}") for i, n in enumerate(lengths)]


def write(path, sequences, spec=DNA, shard_tokens=16, splits=None, pairs=None, **options):
    with TokenStoreWriter(
        path, spec, TOKENIZER, domain="test", source={"what": "made"}, shard_tokens=shard_tokens, **options
    ) as writer:
        for sequence in sequences:
            writer.append(sequence)
        spans = np.array([(i, 0, len(s)) for i, s in enumerate(sequences)], np.int64).reshape(-1, 3)
        split = np.zeros(len(spans), np.uint8) if splits is None else np.array(splits, np.uint8)
        counts = {"in": len(spans), "ok": len(spans), "rejected": {}}
        given = {"rule": "given", "seed": 0}
        return writer.finish(spans=spans, span_split=split, counts=counts, split=given, pairs=pairs)


def same(written, read):
    """Masks that are all True and masks that are absent mean the same."""
    assert read.id == written.id
    assert read.group == written.group
    assert read.labels == written.labels
    assert read.arrays.keys() == written.arrays.keys()
    for name, array in written.arrays.items():
        np.testing.assert_array_equal(read.arrays[name], array)
    for mine, theirs in ((written.observed, read.observed), (written.loss_mask, read.loss_mask)):
        for name, mask in {**mine, **theirs}.items():
            everything = np.ones_like(mask)
            np.testing.assert_array_equal(theirs.get(name, everything), mine.get(name, everything))
    for name, values in written.token_labels.items():
        np.testing.assert_array_equal(read.token_labels.get(name, []), values)


@pytest.fixture
def memory_path(tmp_path_factory):
    """A folder in memory where there is one: properties write hundreds of stores, each with dozens of fsyncs."""
    if not Path("/dev/shm").is_dir():
        yield tmp_path_factory.mktemp("stores")
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def test_records_come_back_as_they_were_written(tmp_path):
    path = tmp_path / "genomes.zarr"
    records = letters(40, 0, 7)
    with TokenStoreWriter(path, DNA, TOKENIZER, domain="dna", source={"what": "three contigs"}) as writer:
        for record in records:
            writer.append(record)
        spans = np.array([[0, 0, 30], [0, 30, 40], [1, 0, 0], [2, 0, 7]])
        writer.finish(spans=spans, span_split=np.array([0, 2, 0, 1], np.uint8), counts=COUNTS, split={"rule": "last"})

    store = TokenStore.open(path)
    assert (len(store), store.n_tokens, list(store.ids)) == (3, 47, ["r0", "r1", "r2"])
    for record, read in zip(records, store, strict=True):
        same(record, read)
    np.testing.assert_array_equal(store.spans("test"), [[0, 30, 40]])
    np.testing.assert_array_equal(store.read(38, 42).arrays["tokens"][:2], records[0].arrays["tokens"][38:])
    assert store.domain == "dna"
    assert store.tokenizer == TOKENIZER
    assert not list(tmp_path.glob("*partial*"))


@st.composite
def mixed_records(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    flags = draw(st.fixed_dictionaries({name: st.booleans() for name in ("group", "labels", "token_labels")}))
    ids = draw(st.lists(st.text(max_size=6), min_size=0, max_size=5, unique=True))
    records = []
    for name in ids:
        n = draw(st.integers(0, 12))
        arrays, observed, loss_mask = {}, {}, {}
        for f in MIXED.fields:
            shape = (n, f.width) if f.width else (n,)
            values = rng.normal(size=shape) if f.width else rng.integers(3, len(f.vocabulary), n)
            arrays[f.name] = values.astype(np.float32 if f.width else f.vocabulary.dtype)
            if draw(st.booleans()):
                observed[f.name] = rng.random(shape) > 0.3
                if f.width:
                    arrays[f.name][~observed[f.name]] = np.nan
            if f.is_target and draw(st.booleans()):
                loss_mask[f.name] = rng.random(n) > 0.3
        records.append(
            Sequence(
                arrays,
                name,
                observed,
                loss_mask,
                draw(st.one_of(st.none(), st.text(min_size=1, max_size=3))) if flags["group"] else None,
                {"score": float(n) / 3, "name": name, "count": n, "good": n > 3} if flags["labels"] else {},
                {"site": rng.integers(0, 9, n).astype(np.int8)} if flags["token_labels"] else {},
            )
        )
    return records


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=mixed_records(), shard=st.sampled_from([2, 8, 32, 256]), part=st.integers(0, 99), at=st.integers(0, 99))
def test_any_records_survive(memory_path, records, shard, part, at):
    shutil.rmtree(memory_path / "s.zarr", ignore_errors=True)
    store = write(memory_path / "s.zarr", records, MIXED, shard)
    assert len(store) == len(records)
    for record, read in zip(records, store, strict=True):
        same(record, read)
    for row in reversed(range(len(records))):
        same(records[row], store[row])
    start, stop = sorted((part % (store.n_tokens + 1), at % (store.n_tokens + 1)))
    flat = store.read(start, stop)
    for name in MIXED.names:
        whole = np.concatenate([r.arrays[name] for r in records]) if records else flat.arrays[name]
        np.testing.assert_array_equal(flat.arrays[name], whole[start:stop])
        assert flat.arrays[name].dtype == whole.dtype
    assert store.n_shards == -(-store.n_tokens // shard)
    assert (store.groups is not None) == any(r.group for r in records)
    store.verify()


EMPTY = Sequence(
    {
        "position": np.zeros((0, 2), np.float32),
        "action": np.zeros(0, np.uint8),
        "goal": np.zeros((0, 1), np.float32),
        "calendar": np.zeros(0, np.uint16),
    },
    observed={"calendar": np.zeros(0, bool)},
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=mixed_records(), seed=st.integers(0, 999))
@example(records=[EMPTY], seed=0)
def test_subset_merge_and_parts_hold_the_same_records(memory_path, records, seed):
    for name in ("s.zarr", "a.zarr", "b.zarr", "m.zarr", "p.zarr"):
        shutil.rmtree(memory_path / name, ignore_errors=True)
    rng = np.random.default_rng(seed)
    store = write(memory_path / "s.zarr", records, MIXED, splits=rng.integers(0, 3, len(records)))
    order = rng.permutation(len(records))
    cut = int(rng.integers(0, len(records) + 1))
    first, rest = store.subset(order[:cut], memory_path / "a.zarr"), store.subset(order[cut:], memory_path / "b.zarr")
    merged = TokenStore.merge([first, rest], memory_path / "m.zarr")
    (memory_path / "p.zarr" / "parts").mkdir(parents=True)
    for i, part in enumerate((first, rest)):
        shutil.copytree(part.path, memory_path / "p.zarr" / "parts" / f"{i:04d}.zarr")
    for whole in (merged, TokenStore.open(memory_path / "p.zarr")):
        for row, read in zip(order, whole, strict=True):
            same(records[row], read)
        assert whole.n_tokens == store.n_tokens
        for split in SPLITS:
            rows = {int(order[row]) for row, _, _ in whole.spans(split)}
            assert rows == {int(row) for row, _, _ in store.spans(split)}
        assert list(whole.ids) == [records[row].id for row in order]
        assert whole.shard_bounds[-1] == whole.n_tokens
        assert whole.counts["ok"] == len(records)
        for i in range(whole.n_shards):
            assert len(whole.shard_digest("action", i)) == 64


def test_fingerprint_is_of_the_data(tmp_path):
    first = write(tmp_path / "a.zarr", letters(30, 4))
    assert write(tmp_path / "b.zarr", letters(30, 4)).fingerprint == first.fingerprint
    assert write(tmp_path / "c.zarr", letters(30, 5)).fingerprint != first.fingerprint


def test_a_store_crosses_to_a_worker_by_its_path(tmp_path):
    store = write(tmp_path / "a.zarr", letters(30, 4))
    same(store[1], pickle.loads(pickle.dumps(store))[1])


def test_to_table(tmp_path):
    records = letters(3, 5)
    for number, record in enumerate(records):
        record.labels, record.group = {"score": number / 2}, "x,y"
    path = write(tmp_path / "a.zarr", records, splits=[0, 2]).to_table(tmp_path / "t.csv")
    header, first, second = path.read_text().splitlines()
    assert header == "id,group,split,length,label_score,tokens"
    assert first == f'r0,"x,y",train,3,0.0,{"".join(LETTERS.decode(records[0].arrays["tokens"]))}'
    assert second.startswith('r1,"x,y",test,5,0.5,')
    with pytest.raises(ConfigError, match="csv"):
        TokenStore.open(tmp_path / "a.zarr").to_table(tmp_path / "t.xls")


def test_shards_are_small_in_bytes_however_wide_a_token(tmp_path):
    assert shard_tokens_for(1) == SHARD_BYTES
    assert shard_tokens_for(156) * 156 <= SHARD_BYTES < 2 * shard_tokens_for(156) * 156
    assert write(tmp_path / "a.zarr", letters(3), shard_tokens=None).shard_tokens == 2**22


def test_masks_that_begin_late_are_true_before(tmp_path):
    records = letters(40, 10)
    records[1].loss_mask["tokens"] = np.arange(10) > 4
    mask = write(tmp_path / "a.zarr", records).read(0, 50).loss_mask["tokens"]
    np.testing.assert_array_equal(mask, (np.arange(50) < 40) | (np.arange(50) >= 45))


def test_groups_that_begin_late_are_empty_before(tmp_path):
    records = letters(3, 3)
    records[1].group = "K12"
    store = write(tmp_path / "a.zarr", records)
    assert list(store.groups) == ["", "K12"]
    assert store[0].group is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"arrays": {"tokens": np.array([5, 300])}}, "fields"),
        ({"arrays": {"tokens": np.array([0, 5])}}, "fields"),
        ({"arrays": {"tokens": np.zeros((2, 2), np.uint8)}}, "fields"),
        ({"arrays": {"letters": np.array([5], np.uint8)}}, "fields"),
        ({"loss_mask": {"tokens": np.array([1, 1])}}, "loss_mask"),
        ({"observed": {"tokens": np.array([True])}, "arrays": {"tokens": np.empty(0, np.uint8)}}, None),
        ({"labels": {"x": [1]}}, "labels"),
        ({"labels": {}}, "labels"),
        ({"labels": {"x": "text"}}, "labels"),
        ({"id": "\ud800"}, "bad_id"),
        ({"token_labels": {"late": np.array([1, 2])}}, "token_labels"),
    ],
)
def test_a_refused_record_leaves_the_store_as_it_was(tmp_path, change, reason):
    good = {"arrays": {"tokens": np.array([5, 6], np.uint8)}, "id": "a", "labels": {"x": 1.5}}
    with TokenStoreWriter(tmp_path / "s.zarr", DNA, TOKENIZER, domain="test", source={}, shard_tokens=4) as writer:
        writer.append(Sequence(**good))
        if reason is None:
            with pytest.raises(Exception, match="lengths"):
                Sequence(**{**good, **change})
            return
        with pytest.raises(RecordError) as caught:
            writer.append(Sequence(**{**good, "id": "b", **change}))
        assert caught.value.reason == reason
        writer.append(Sequence(**{**good, "id": "c"}))
        spans = np.array([[0, 0, 2], [1, 0, 2]])
        store = writer.finish(spans=spans, span_split=np.zeros(2, np.uint8), counts=COUNTS, split={})
    assert list(store.ids) == ["a", "c"]
    assert store.n_tokens == 4


def test_values_that_are_not_finite_are_refused_unless_marked_missing(tmp_path):
    spec = TokenSpec((real("x", 2),))
    values = np.array([[0, 1], [2, np.nan]], np.float32)
    with TokenStoreWriter(tmp_path / "s.zarr", spec, TOKENIZER, domain="test", source={}) as writer:
        with pytest.raises(RecordError, match="token 1"):
            writer.append(Sequence({"x": values}, "a"))
        writer.append(Sequence({"x": values}, "a", {"x": np.isfinite(values)}))
        with pytest.raises(RecordError, match="float64"):
            writer.append(Sequence({"x": np.zeros((1, 2))}, "b"))


def test_ids_outside_the_vocabulary_are_found_when_their_shard_is_written(tmp_path):
    bad = letters(3, 30)
    bad[1].arrays["tokens"][7] = 1
    with pytest.raises(Exception, match=r"row 1: fields/tokens holds id 1 at token 7"):
        write(tmp_path / "s.zarr", bad)
    assert not list(tmp_path.iterdir())


def test_two_rows_of_one_id_are_refused(tmp_path):
    records = letters(3, 3, 3)
    records[2].id = "r0"
    with pytest.raises(Exception, match="rows 0 and 2 are both called 'r0'"):
        write(tmp_path / "s.zarr", records)


def test_spans_outside_their_row_are_refused(tmp_path):
    with TokenStoreWriter(tmp_path / "s.zarr", DNA, TOKENIZER, domain="test", source={}) as writer:
        writer.append(letters(3)[0])
        with pytest.raises(Exception, match=r"\[0, 0, 4\] lies outside"):
            writer.finish(spans=np.array([[0, 0, 4]]), span_split=np.zeros(1, np.uint8), counts=COUNTS, split={})


def test_an_existing_store_is_replaced_only_when_asked(tmp_path):
    write(tmp_path / "s.zarr", letters(3))
    with pytest.raises(ConfigError, match="exists already"):
        write(tmp_path / "s.zarr", letters(4))
    assert write(tmp_path / "s.zarr", letters(4), overwrite=True).n_tokens == 4
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr"]
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("")
    with pytest.raises(ConfigError, match="not overwritten"):
        write(tmp_path / "home", letters(4), overwrite=True)
    assert (tmp_path / "home" / "thesis.tex").exists()


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ValueError])
def test_a_block_left_early_leaves_nothing(tmp_path, error):
    def abandoned():
        with TokenStoreWriter(tmp_path / "s.zarr", DNA, TOKENIZER, domain="test", source={}, shard_tokens=4) as writer:
            writer.append(letters(30)[0])
            if error:
                raise error

    if error:
        with pytest.raises(error):
            abandoned()
    else:
        abandoned()
    assert not list(tmp_path.iterdir())


def test_a_shard_of_fill_values_is_stored(tmp_path):
    spec = TokenSpec((real("x", 1),))
    store = write(tmp_path / "s.zarr", [Sequence({"x": np.zeros((64, 1), np.float32)}, "a")], spec)
    assert len(list((store.path / "fields/x/c").rglob("0"))) == 4 + 1  # a folder or file "0" under each shard, and "0"


def files_of(path):
    return sorted(p for p in path.rglob("*") if p.is_file())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    rng = np.random.default_rng(5)
    records = []
    for i, n in enumerate((30, 0, 11, 25)):
        values = rng.normal(size=(n, 2)).astype(np.float32)
        arrays = {
            "position": values,
            "action": rng.integers(5, 9, n).astype(np.uint8),
            "goal": rng.normal(size=(n, 1)).astype(np.float32),
            "calendar": rng.integers(5, 300, n).astype(np.uint16),
        }
        mask = {"position": rng.random((n, 2)) > 0.1}
        values[~mask["position"]] = np.nan
        records.append(
            Sequence(arrays, f"é{i}", mask, {"action": rng.random(n) > 0.5}, f"g{i % 2}", {"y": i, "t": "a"})
        )
    return write(tmp_path_factory.mktemp("whole") / "s.zarr", records, MIXED, 16), records


def read_all(path):
    """All that a user can get out of a store."""
    store = TokenStore.open(path)
    rows = list(store)
    store.verify()
    return rows, store.spans(), store.span_split, store.counts, store.split, store.source, store.fingerprint


def test_no_flipped_bit_goes_unseen(tmp_path, whole):
    store, records = whole
    rng = np.random.default_rng(0)
    targets = [(path, bit) for path in files_of(store.path) for bit in rng.integers(0, 8 * path.stat().st_size, 1)]
    path = tmp_path / "s.zarr"
    shutil.copytree(store.path, path)
    for source, bit in targets:
        victim = path / source.relative_to(store.path)
        data = bytearray(source.read_bytes())
        data[bit // 8] ^= 1 << (bit % 8)
        victim.write_bytes(data)
        with pytest.raises(IntegrityError):
            read_all(path)
        victim.write_bytes(source.read_bytes())
    for record, read in zip(records, read_all(path)[0], strict=True):
        same(record, read)


def test_reading_alone_finds_flipped_bits_in_data(tmp_path, whole):
    """Without `verify`: what is read is right, or it is not read."""
    store, records = whole
    path = tmp_path / "s.zarr"
    shutil.copytree(store.path, path)
    rng = np.random.default_rng(1)
    seen = 0
    for source in (p for p in files_of(store.path) if "/c/" in p.as_posix()):
        victim = path / source.relative_to(store.path)
        for bit in rng.integers(0, 8 * source.stat().st_size, 1):
            data = bytearray(source.read_bytes())
            data[bit // 8] ^= 1 << (bit % 8)
            victim.write_bytes(data)
            try:
                opened = TokenStore.open(path)
                for record, read in zip(records, opened, strict=True):
                    same(record, read)
                np.testing.assert_array_equal(opened.spans(), store.spans())
                np.testing.assert_array_equal(opened.span_split, store.span_split)
            except IntegrityError:
                seen += 1
        victim.write_bytes(source.read_bytes())
    assert seen > 15


def test_damage_names_the_file_and_the_rows_it_costs(tmp_path, whole):
    store, records = whole
    path = tmp_path / "s.zarr"
    shutil.copytree(store.path, path)
    shard = path / "fields/action/c/2"
    data = bytearray(shard.read_bytes())
    data[3] ^= 4
    shard.write_bytes(data)
    opened = TokenStore.open(path)
    same(records[0], opened[0])
    with pytest.raises(IntegrityError, match=r"fields/action/c/2 is damaged.*rows 2\.\.3 of 4"):
        opened[2]
    with pytest.raises(IntegrityError, match=r"fields/action/c/2 is damaged.*rows 2\.\.3 of 4"):
        opened.verify()
    with pytest.raises(IntegrityError, match="fields/action/c/2"):
        TokenStore.open(path, verify="manifest")
    kept = opened.subset([0, 1], tmp_path / "rest.zarr")
    same(records[0], kept[0])


def test_a_missing_shard_is_not_zeros(tmp_path, whole):
    store = whole[0]
    path = tmp_path / "s.zarr"
    shutil.copytree(store.path, path)
    opened = TokenStore.open(path)
    os.unlink(path / "fields/position/c/1/0")
    with pytest.raises(IntegrityError, match=r"fields/position/c/1/0 is missing.*rows 0\.\.2"):
        opened.read(0, 60)
    with pytest.raises(IntegrityError, match="fields/position/c/1/0 is missing"):
        TokenStore.open(path)
    os.unlink(path / "ids/c/0")
    with pytest.raises(IntegrityError, match="ids/c/0 is missing"):
        opened.ids[0]


def test_truncation_is_seen_when_the_store_is_opened(tmp_path, whole):
    path = tmp_path / "s.zarr"
    shutil.copytree(whole[0].path, path)
    shard = path / "fields/action/c/0"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match="bytes"):
        TokenStore.open(path)


def forge(path, name, change):
    """Changes one metadata file and makes the manifest right again, as a hostile author would."""
    metadata = json.loads((path / name).read_text())
    change(metadata)
    (path / name).write_text(json.dumps(metadata))
    from core.durable import manifest

    (path / "manifest.json").write_bytes(manifest_bytes(manifest(path)))


def test_pickles_and_object_arrays_are_refused(tmp_path, whole):
    for number, (change, words) in enumerate(
        [
            (lambda m: m["codecs"].insert(0, {"name": "numcodecs.pickle", "configuration": {}}), "numcodecs.pickle"),
            (lambda m: m.update(data_type="object"), "object"),
            (lambda m: m.update(data_type={"name": "structured"}), "structured"),
        ]
    ):
        path = tmp_path / f"{number}.zarr"
        shutil.copytree(whole[0].path, path)
        forge(path, "ids/zarr.json", change)
        with pytest.raises(IntegrityError, match=words):
            TokenStore.open(path)


def test_other_folders_and_newer_formats_say_what_they_are(tmp_path, whole):
    with pytest.raises(ConfigError, match="no token store"):
        TokenStore.open(tmp_path / "none.zarr")
    zarr.open_group(tmp_path / "other.zarr", mode="w")
    with pytest.raises(IntegrityError, match="no manifest"):
        TokenStore.open(tmp_path / "other.zarr")
    path = tmp_path / "new.zarr"
    shutil.copytree(whole[0].path, path)
    text = (path / "manifest.json").read_text()
    assert sorted(READERS) == [1]
    import hashlib

    from core.durable import json_bytes

    body = {k: v for k, v in json.loads(text).items() if k != "sha256"} | {"format_version": 2}
    (path / "manifest.json").write_bytes(json_bytes({**body, "sha256": hashlib.sha256(json_bytes(body)).hexdigest()}))
    with pytest.raises(IntegrityError, match=r"format version 2.*reads \[1\]"):
        TokenStore.open(path)


def test_a_place_below_a_file_is_a_resource_error(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "s.zarr", tmp_path / "file" / "deep" / "s.zarr"):
        with pytest.raises(ResourceError, match=r"s\.zarr"):
            write(path, letters(3))


def run_limited(code):
    """Runs Python code in a process of its own; its stdout."""
    setup = (
        "import sys, numpy as np\n"
        "from core.store import TokenStoreWriter\nfrom core.errors import ResourceError\n"
        "from core.sequence import Sequence, Symbols\nfrom core.vocabulary import Vocabulary\n"
        "spec = Symbols(Vocabulary(tuple('ACGT')))\nrng = np.random.default_rng(0)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", setup + code], capture_output=True, text=True, cwd=root, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


FILL = """
try:
    with TokenStoreWriter(path, spec, {}, domain="d", source={}) as writer:
        for i in range(40):
            writer.append(Sequence({"tokens": rng.integers(5, 9, 2**20, dtype=np.uint8)}, f"r{i}"))
        writer.finish(spans=np.empty((0, 3), np.int64), span_split=np.empty(0, np.uint8), counts={}, split={})
    print("written")
except ResourceError as error:
    print(error)
"""


def test_a_full_disk_is_a_resource_error_and_leaves_nothing(tmp_path):
    """On a tmpfs of 4 MB where mounting is allowed, otherwise with a limit on the size of files."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", place], capture_output=True, check=False)
    limit = (
        "" if mounted.returncode == 0 else "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2**20,) * 2)\n"
    )
    try:
        said = run_limited(f"{limit}path = {str(place / 's.zarr')!r}\n{FILL}")
        assert "no space left" in said
        assert "s.zarr" in said
        assert not list(place.iterdir())
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", place], check=True)


def test_a_read_only_place_is_a_resource_error(tmp_path):
    """On a read-only mount where mounting is allowed, otherwise in a folder without permission (not as root)."""
    place = tmp_path / "readonly"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", place], capture_output=True, check=False)
    if mounted.returncode != 0:
        if os.geteuid() == 0:
            pytest.skip("root may write anywhere and may not mount here")
        place.chmod(0o500)
    try:
        with pytest.raises(ResourceError, match=r"cannot write .*s\.zarr"):
            write(place / "s.zarr", letters(3))
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", place], check=True)


def test_memory_does_not_grow_with_the_store(tmp_path):
    """64 MB of tokens pass through; beyond what 8 MB need, the process grows by less than two shards."""
    said = run_limited(
        "import resource\n"
        f"def fill(n):\n path = {str(tmp_path)!r} + f'/{{n}}.zarr'\n"
        " with TokenStoreWriter(path, spec, {}, domain='d', source={}) as writer:\n"
        "  for i in range(n):\n"
        "   writer.append(Sequence({'tokens': rng.integers(5, 9, 2**20, dtype=np.uint8)}, f'r{i}'))\n"
        "  store = writer.finish(spans=np.array([(i, 0, 2**20) for i in range(n)]),"
        " span_split=np.zeros(n, np.uint8), counts={}, split={})\n"
        " for start, stop in zip(store.shard_bounds[:-1], store.shard_bounds[1:]): store.read(int(start), int(stop))\n"
        " return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "few, many = fill(8), fill(64)\nprint(many - few)\n"
    )
    assert float(said) < 2 * SHARD_BYTES / 2**20


def test_pairs_go_with_their_rows(tmp_path):
    pairs = np.array([[0, 1], [0, 2], [3, 1]])
    store = write(tmp_path / "s.zarr", letters(3, 4, 5, 6), pairs=pairs)
    assert (store.pairs == pairs).all()
    assert store.subset([2, 0, 1], tmp_path / "some.zarr").pairs.tolist() == [[1, 2], [1, 0]]
    plain = write(tmp_path / "plain.zarr", [Sequence({"tokens": np.array([5], np.uint8)}, "one")])
    assert plain.pairs.shape == (0, 2)
    both = TokenStore.merge([plain, store], tmp_path / "both.zarr")
    assert both.pairs.tolist() == (pairs + 1).tolist()
    for number, part in enumerate((tmp_path / "plain.zarr", tmp_path / "s.zarr")):
        shutil.copytree(part, tmp_path / f"folder/parts/{number:04d}.zarr")
    assert (TokenStore.open(tmp_path / "folder").pairs == pairs + 1).all()


@pytest.mark.parametrize("pairs", [[[0, 2]], [[-1, 0]], [[1, 1]], [[0, 1, 1]]])
def test_pairs_of_rows_that_are_not_there_are_refused(tmp_path, pairs):
    with pytest.raises(InputError, match="pair"):
        write(tmp_path / "s.zarr", letters(3, 4), pairs=np.array(pairs))

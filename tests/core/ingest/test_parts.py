"""Parts that many make are, put together, what one pass over all files makes, whoever is killed meanwhile."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from core.durable import manifest
from core.errors import ConfigError, InputError, IntegrityError, ResourceError, StoppedError
from core.ingest import prepare_store, rejects_path
from core.ingest.parts import PartsOptions, prepare_parts, share_out, unfinished
from core.kmers import KmerSample
from core.launch import LAUNCHERS, LaunchOptions
from core.split import SplitConfig
from core.store import TokenStore
from tests.core.ingest.words import Lines, Words, open_words


@pytest.fixture
def folder(tmp_path):
    """Six files: copies, names that are taken, records without a name, rejects of source and tokenizer."""
    return write(tmp_path / "files", 6, 12)


def write(folder, files, lines):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(files):
        texts = ["".join(rng.choice(list("ABCD"), n)) for n in rng.integers(6, 30, lines)]
        texts[0], texts[3] = "ABBA", "#" if number == 2 else "ABCDABCDABCD"
        texts[5] = "AB!" if number in (1, 4) else texts[5]
        names = ["same", "-", *(f"r{number}_{i}" for i in range(lines - 2))]
        rows = [f"{name} {text} g{i % 4}" for i, (name, text) in enumerate(zip(names, texts, strict=True))]
        (folder / f"{number}.txt").write_text("\n".join(rows) + "\n")
    return folder


def prepare(folder, out, *, pairs=(), rule="random", launcher="inprocess", part_bytes=400, more=None, **how):
    recipe = {"folder": str(folder), "pairs": pairs, **(more or {})}
    source, tokenizer = open_words(recipe, None)
    options = PartsOptions(open_words, recipe, launcher, LaunchOptions(workers=2), part_bytes)
    how = {"split": SplitConfig(rule, k=4), "domain": "test", "max_bad": 0.1, "shard_tokens": 64} | how
    return prepare_parts(source, tokenizer, out, options, **how)


def prepare_whole(folder, out, *, pairs=(), rule="random", **how):
    source, tokenizer = open_words({"folder": str(folder), "pairs": pairs}, None)
    how = {"split": SplitConfig(rule, k=4), "domain": "test", "max_bad": 0.1, "shard_tokens": 64} | how
    return prepare_store(source, tokenizer, out, **how)


def contents(out):
    """sha256 of every file of a store, but for those that tell its own name: the report's."""
    own = ("0000.zarr/zarr.json", "0000.zarr/manifest.json")
    return {name: entry["sha256"] for name, entry in manifest(out, without=()).items() if not name.endswith(own)}


SLOW = pytest.mark.slow
RULES = [((), "random"), pytest.param((), "last", marks=SLOW), pytest.param((), "group", marks=SLOW), (None, "cluster")]


@pytest.mark.parametrize(("pairs", "rule"), RULES)
def test_parts_are_what_one_pass_makes(tmp_path, folder, pairs, rule):
    told = prepare(folder, tmp_path / "parts.zarr", pairs=pairs, rule=rule)
    expected = prepare_whole(folder, tmp_path / "one.zarr", pairs=pairs, rule=rule)
    parts, one = (TokenStore.open(tmp_path / name) for name in ("parts.zarr", "one.zarr"))
    assert len(list((tmp_path / "parts.zarr/parts").glob("*.zarr"))) > 2
    assert list(parts.ids) == list(one.ids)
    assert len(set(parts.ids)) == len(parts) == told.counts["ok"] == 69
    assert {"same.6", "record_62"} <= set(parts.ids)
    for a, b in zip(parts, one, strict=True):
        assert np.array_equal(a.arrays["tokens"], b.arrays["tokens"])
        assert (a.group, str(a.labels)) == (b.group, str(b.labels))  # as text, NaN equals NaN
    assert np.array_equal(parts.spans(), one.spans())
    assert np.array_equal(parts.span_split, one.span_split)
    assert parts.tokenizer == one.tokenizer
    assert parts.counts == one.counts
    assert parts.split == one.split
    mine, theirs = told.to_dict(), expected.to_dict()
    assert mine | {"store": "", "rejects": ""} == theirs | {"store": "", "rejects": ""}
    assert parts.report == json.loads(json.dumps(mine))
    assert [mine["labels"][name]["kind"] for name in ("first", "letters", "share")] == ["classes", "texts", "numbers"]
    if rule != "last":
        assert sum(part["records"] for part in mine["labels"]["length"]["parts"].values()) == len(parts)
    assert rejects_path(parts.path).read_text() == rejects_path(one.path).read_text()
    assert not unfinished(parts.path).exists()


@given(st.lists(st.integers(0, 100), min_size=1, max_size=30), st.integers(1, 120))
def test_every_file_is_in_one_part_in_order(sizes, part_bytes):
    parts = share_out(sizes, part_bytes)
    assert [a for a, _ in parts] + [len(sizes)] == [0] + [b for _, b in parts]
    assert all(b - a == 1 or sum(sizes[a:b]) <= part_bytes for a, b in parts)
    assert all(sum(sizes[a : b + 1]) > part_bytes for a, b in parts[:-1]), "another file would have found room"


@given(st.lists(st.text("ABCD", max_size=40), max_size=20), st.integers(0, 20), st.integers(1, 40))
def test_samples_of_parts_are_the_sample_of_all(texts, at, limit):
    def sample(some):
        found = KmerSample(4, limit, positions=True)
        for text in some:
            found.add(np.frombuffer(text.encode(), np.uint8))
        return found

    whole, joined = sample(texts), sample(texts[:at])
    joined.join(sample(texts[at:]).to_arrays())
    for mine, theirs in zip(joined.entries(), whole.entries(), strict=True):
        assert np.array_equal(mine, theirs)
    assert joined.fraction == whole.fraction


def test_bad_records_are_judged_over_all_parts(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(Words, "remedies", {"bad_letter": "Leave the letter out."}, raising=False)
    with pytest.raises(InputError, match=r"3 of 72 records .* were rejected") as caught:
        prepare(folder, tmp_path / "a.zarr", max_bad=0.02)
    assert caught.value.hint.startswith("Leave the letter out. All are listed")
    assert not (tmp_path / "a.zarr").exists()
    assert len(rejects_path(tmp_path / "a.zarr").read_text().splitlines()) == 3
    prepare(folder, tmp_path / "a.zarr", max_bad=0.05)  # goes on: all parts are there
    with pytest.raises(InputError, match="'r1_3' holds a '!'"):
        prepare(folder, tmp_path / "b.zarr", on_bad="fail")


def test_what_is_begun_otherwise_is_refused_and_the_difference_shown(tmp_path, folder):
    out = tmp_path / "out.zarr"
    stopped_after(1, folder, out)
    with pytest.raises(IntegrityError, match=r"min_length: 1 -> 7"):
        prepare(folder, out, min_length=7)
    with pytest.raises(IntegrityError, match=r"part_bytes="):
        prepare(folder, out, part_bytes=10_000)
    with FileLock(unfinished(out) / ".lock"), pytest.raises(ResourceError, match="another process"):
        prepare(folder, out)
    with (folder / "5.txt").open("a") as file:
        file.write("late ABCD\n")
    with pytest.raises(IntegrityError, match=r"files: .*5\.txt"):
        prepare(folder, out)


def test_what_is_done_is_kept_and_what_is_damaged_is_done_again(tmp_path, folder):
    out = tmp_path / "out.zarr"
    stopped_after(3, folder, out)
    tokens = unfinished(out) / "store/parts/0001.zarr/fields/tokens/c/0"
    tokens.write_bytes(tokens.read_bytes()[:-1])
    LAUNCHERS.add("counts_for_a_test", counts)
    prepare(folder, out, launcher="counts_for_a_test")
    assert COUNTED.pop() == [1, *range(3, 6)]
    quiet = prepare(folder, tmp_path / "quiet.zarr")
    assert contents(out) == contents(tmp_path / "quiet.zarr")
    assert TokenStore.open(out).report["labels"] == quiet.labels


COUNTED = []


def counts(work):
    COUNTED.append(list(work.todo))
    LAUNCHERS.get("inprocess")(work)


def stopped_after(parts, folder, out):
    """As if SIGTERM had come when so many parts were done."""

    def stops(work):
        runner = work.job.open_runner()
        for part in work.todo[:parts]:
            runner.run(part)
        raise StoppedError(15, "stopped")

    name = f"stops_after_{parts}_for_a_test_{id(stops)}"
    LAUNCHERS.add(name, stops)
    with pytest.raises(StoppedError, match=f"{parts} of 6 parts are done"):
        prepare(folder, out, launcher=name)
    assert not out.exists()


def test_a_store_that_is_there_is_kept_unless_told(tmp_path, folder):
    out = tmp_path / "out.zarr"
    prepare(folder, out)
    with pytest.raises(ConfigError, match="exists already"):
        prepare(folder, out)
    prepare(folder, out, overwrite=True, min_length=5, max_bad=0.5)
    assert TokenStore.open(out).counts["rejected"] == {"comment": 1, "too_short": 8}  # each file's ABBA and two AB!


def test_a_source_that_is_no_files_is_for_one_process(tmp_path):
    _, tokenizer = open_words({"folder": str(tmp_path), "pairs": ()}, None)
    options = PartsOptions(open_words, {})
    with pytest.raises(ConfigError, match="prepared by one process"):
        prepare_parts(Lines(("a", "AB")), tokenizer, tmp_path / "a.zarr", options, split=SplitConfig(), domain="test")


@pytest.mark.slow
@pytest.mark.parametrize("pairs", [(), None])
def test_a_worker_that_is_killed_is_replaced(tmp_path, folder, pairs):
    prepare(folder, tmp_path / "quiet.zarr", pairs=pairs)
    prepare(folder, tmp_path / "out.zarr", pairs=pairs, launcher="local", more={"died": str(tmp_path / "died")})
    assert (tmp_path / "died").exists()
    assert contents(tmp_path / "out.zarr") == contents(tmp_path / "quiet.zarr")


@pytest.mark.slow
def test_dask_makes_the_same_parts(tmp_path, folder):
    pytest.importorskip("distributed")
    prepare(folder, tmp_path / "quiet.zarr", pairs=None)
    prepare(folder, tmp_path / "out.zarr", pairs=None, launcher="dask")
    assert contents(tmp_path / "out.zarr") == contents(tmp_path / "quiet.zarr")


@pytest.mark.slow
@pytest.mark.usefixtures("sbatch")
def test_an_array_of_slurm_makes_the_same_parts(tmp_path, folder):
    prepare(folder, tmp_path / "quiet.zarr")
    prepare(folder, tmp_path / "out.zarr", launcher="slurm")
    assert contents(tmp_path / "out.zarr") == contents(tmp_path / "quiet.zarr")


@pytest.mark.slow
@pytest.mark.parametrize("doomed", ["worker", "coordinator"])
def test_whoever_is_killed_the_bytes_are_those_of_a_quiet_run(tmp_path, doomed):
    folder, out, chance = write(tmp_path / "files", 40, 60), tmp_path / "out.zarr", random.Random(1)
    kills = 0
    process = start(folder, out)
    while kills < 4 and waited(out, process, chance):
        running = psutil.Process(process.pid)
        workers = [p for p in running.children() if "spawn_main" in " ".join(p.cmdline())]
        if doomed == "worker":
            chance.choice(workers).kill()
        else:
            running.kill()
            process.wait()
            assert not psutil.wait_procs(workers, timeout=60)[1]
            process = start(folder, out)
        kills += 1
    assert kills == 4
    assert process.wait(300) == 0
    prepare(folder, tmp_path / "quiet.zarr", pairs=None, more={"kind": "slow"}, part_bytes=1200)
    assert contents(out) == contents(tmp_path / "quiet.zarr")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("out.zarr.un")]
    assert not list(out.rglob("*.partial-*"))


def start(folder, out):
    """`prepare_parts` with two workers, as a process."""
    return subprocess.Popen([sys.executable, "-m", "tests.core.ingest.test_parts", str(folder), str(out)])


def waited(out, process, chance):
    """Until some more parts are done, and a little more; whether it still runs."""

    def done():
        return len(list(unfinished(out).glob("*/*.npz")))

    wanted = done() + chance.randint(1, 5)
    while done() < wanted and process.poll() is None:
        time.sleep(0.01)
    time.sleep(chance.random() / 10)
    return process.poll() is None


if __name__ == "__main__":
    prepare(sys.argv[1], Path(sys.argv[2]), pairs=None, launcher="local", more={"kind": "slow"}, part_bytes=1200)

"""A store goes in, a store comes out: row by row, whatever interrupts it, and never mixed with another plan."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import zarr

from core.bundle import load_bundle
from core.decoding.sampling import SamplingConfig
from core.engine import Engine
from core.errors import ConfigError, IntegrityError, ResourceError, StoppedError
from core.launch import LAUNCHERS
from core.launch.stop import Stop
from core.prediction.block import BlockRunner
from core.prediction.plan import PredictOptions, difference
from core.prediction.predict import predict, run_block
from core.prediction.store import PredictionStore
from core.tokenizer import fingerprint
from core.window_policy import WindowPolicy
from tests.core.tiny import MIXED, records, tiny_model, write_bundle, write_store

LENGTHS = [3, 0, 16, 17, 20, 40, 1, 16, 5, 5, 5, 31, 2, 8, 34, 7, 7, 7, 12]
EVERYTHING = ("score", "token_scores", "embedding", "sample")
OPTIONS = PredictOptions(draws=2, max_length=40, min_length=40)


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "bundle", tiny_model())


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "in.zarr", records(*LENGTHS), shard_tokens=128)


def run(bundle, store, output, **changes):
    settings = {"what": EVERYTHING[:3], "options": OPTIONS, "rows_per_block": 4, "threads": 1, "batch_tokens": 64}
    return predict(bundle, store.path, output, **(settings | changes))


def keys(path):
    """sha256 of every file of a store."""
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return {p.relative_to(path).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_row_i_of_the_output_belongs_to_row_i_of_the_input(tmp_path, bundle, store):
    report = run(bundle, store, tmp_path / "out.zarr", what=EVERYTHING)
    out = PredictionStore.open(report.path)
    engine = Engine(load_bundle(bundle).model)
    sequences = list(store)
    scores = list(engine.score(sequences))
    assert (report.rows, report.ok, report.refused, report.blocks) == (19, 19, {}, 5)
    assert np.allclose(out["nll"], [s.nll for s in scores], atol=1e-4)
    assert out["n_tokens"].tolist() == [n + 1 for n in LENGTHS]
    for row, (score, vector) in enumerate(zip(scores, engine.embed(sequences), strict=True)):
        assert np.allclose(out.row("token_nll", row), score.token_nll, atol=1e-5)
        assert np.allclose(out["embedding"][row], vector, atol=1e-5)
    samples = engine.sample(sequences, draws=2, max_length=40, min_length=40, seed=0)
    for row, drawn in enumerate(out.rows("sample_tokens")):
        for k, ids in enumerate(drawn):
            assert np.array_equal(ids, samples[2 * row + k].sequence.arrays["tokens"])
    assert np.allclose(out["sample_nll"].ravel(), [s.nll for s in samples], atol=1e-3)
    assert out["sample_nll"].shape == (19, 2)
    assert (out["status"] == 0).all()


def test_what_lies_on_disk_is_plain_zarr_with_names_and_checksums(tmp_path, bundle, store):
    run(bundle, store, tmp_path / "out.zarr")
    group = zarr.open_group(tmp_path / "out.zarr", mode="r")
    assert group.attrs["complete"] is True
    assert group["nll"].metadata.dimension_names == ("row",)
    assert group["embedding"].metadata.dimension_names == ("row", "width")
    assert group["embedding"].shards == (4, 32)
    assert group["token_nll/offsets"][:].tolist() == np.cumsum([0] + [n + 1 for n in LENGTHS]).tolist()
    for path in (tmp_path / "out.zarr").rglob("zarr.json"):
        text = path.read_text()
        assert text.count('"crc32c"') == 2 * text.count('"array"'), path


def test_a_second_run_does_nothing_and_changes_no_byte(tmp_path, bundle, store):
    run(bundle, store, tmp_path / "out.zarr")
    before = keys(tmp_path / "out.zarr")
    seen = []
    report = run(bundle, store, tmp_path / "out.zarr", progress=seen.append)
    assert (report.blocks_kept, report.blocks, seen) == (5, 5, [])
    assert keys(tmp_path / "out.zarr") == before


def test_an_interrupted_run_goes_on_and_the_bytes_are_those_of_an_undisturbed_one(tmp_path, bundle, store, monkeypatch):
    run(bundle, store, tmp_path / "whole.zarr")
    blocks = BlockRunner.run

    def fails_later(self, index):
        if index == 3:
            raise RuntimeError("power cut")
        blocks(self, index)

    monkeypatch.setattr(BlockRunner, "run", fails_later)
    with pytest.raises(RuntimeError, match="power cut"):
        run(bundle, store, tmp_path / "out.zarr")
    with pytest.raises(IntegrityError, match="2 of 5 blocks are missing"):
        PredictionStore.open(tmp_path / "out.zarr")
    part = PredictionStore.open(tmp_path / "out.zarr", incomplete=True)
    assert (part["status"] == np.repeat([0, 255], [12, 7])).all()
    assert len(part.row("token_nll", 5)) == LENGTHS[5] + 1
    (tmp_path / "out.zarr/nll/c/3.partial-1").write_bytes(b"left by a killed process")
    monkeypatch.undo()
    progress = []
    report = run(bundle, store, tmp_path / "out.zarr", progress=progress.append)
    assert report.blocks_kept == 3
    assert [p.rows_done for p in progress] == [16, 19]
    assert keys(tmp_path / "out.zarr") == keys(tmp_path / "whole.zarr")


def test_blocks_may_be_run_in_any_order_by_anyone(tmp_path, bundle, store):
    run(bundle, store, tmp_path / "whole.zarr")

    def backwards(work):
        for index in reversed(work.todo):
            run_block(work.job, index)
            work.done(index)

    LAUNCHERS.add("backwards_for_a_test", backwards)
    run(bundle, store, tmp_path / "out.zarr", launcher="backwards_for_a_test")
    assert keys(tmp_path / "out.zarr") == keys(tmp_path / "whole.zarr")
    with pytest.raises(ConfigError, match="inprocess"):
        run(bundle, store, tmp_path / "other.zarr", launcher="inproces")


@pytest.mark.parametrize("key", ["nll/c/2", "token_nll/parts/00002/c/0", "blocks/00002.json"])
def test_a_damaged_block_is_noticed_and_done_again(tmp_path, bundle, store, key):
    run(bundle, store, tmp_path / "out.zarr")
    before = keys(tmp_path / "out.zarr")
    path = tmp_path / "out.zarr" / key
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    if not key.startswith("blocks"):
        out = PredictionStore.open(tmp_path / "out.zarr")
        with pytest.raises(IntegrityError, match=key.partition("/")[0]):
            _ = out["nll"] if key.startswith("nll") else list(out.rows("token_nll"))
    with pytest.raises(IntegrityError, match="block 2"):
        PredictionStore.open(tmp_path / "out.zarr", verify="full")
    assert run(bundle, store, tmp_path / "out.zarr").blocks_kept == 4
    assert keys(tmp_path / "out.zarr") == before
    path.unlink()
    with pytest.raises(IntegrityError, match="block 2"):
        PredictionStore.open(tmp_path / "out.zarr")


@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
def test_damage_of_the_input_costs_its_own_blocks_with_the_rows_named(tmp_path, bundle, store, damage):
    shard = store.path / "fields/tokens/c/0"
    data = bytearray(shard.read_bytes())
    data[10] ^= 1
    shard.unlink() if damage == "missing" else shard.write_bytes(data[: 20 if damage == "truncated" else None])
    with pytest.raises(IntegrityError, match=r"(?s)could not be made.* block \d, rows \d+ to \d+: .*tokens/c/0 is "):
        run(bundle, store, tmp_path / "out.zarr")
    damaged = PredictionStore.open(tmp_path / "out.zarr", incomplete=True)
    bad = np.flatnonzero(damaged["status"] != 0)
    assert 0 < len(bad) < 19
    assert damaged["status"][-1] == 0, "blocks behind the damage are done as well"


def test_another_plan_is_refused_with_the_difference_shown(tmp_path, bundle, store):
    run(bundle, store, tmp_path / "out.zarr")
    before = keys(tmp_path / "out.zarr")
    for changes, line in (
        ({"seed": 7}, "seed: 0 -> 7"),
        ({"threads": 2}, "threads: 1 -> 2"),
        ({"precision": "bf16"}, "precision: fp32 -> bf16"),
        ({"what": ["score"]}, "what: score token_scores embedding -> score"),
        ({"options": PredictOptions(draws=3, max_length=40, min_length=40)}, "options.draws: 2 -> 3"),
    ):
        with pytest.raises(IntegrityError, match=line) as caught:
            run(bundle, store, tmp_path / "out.zarr", **changes)
        assert caught.value.exit_code == 4
    other = write_store(tmp_path / "other.zarr", records(*LENGTHS, seed=1))
    with pytest.raises(IntegrityError, match=r"input\.fingerprint"):
        run(bundle, other, tmp_path / "out.zarr")
    with pytest.raises(IntegrityError, match="bundle: "):
        run(write_bundle(tmp_path / "b2", tiny_model(seed=1)), store, tmp_path / "out.zarr")
    assert keys(tmp_path / "out.zarr") == before


def test_bundle_and_store_may_be_moved_in_between(tmp_path, bundle, store):
    run(bundle, store, tmp_path / "out.zarr")
    bundle.rename(tmp_path / "moved")
    assert run(tmp_path / "moved", store, tmp_path / "out.zarr").blocks_kept == 5


def test_refused_rows_keep_their_place_and_are_counted(tmp_path, bundle, store):
    options = PredictOptions(window=WindowPolicy(long="refuse"), pooling="token")
    report = run(bundle, store, tmp_path / "out.zarr", options=options)
    out = PredictionStore.open(tmp_path / "out.zarr")
    long = np.array(LENGTHS) > 16
    assert report.refused == {"too_long": int(long.sum())}
    assert report.rows == report.ok + sum(report.refused.values())
    assert out.summary == {
        "rows": 19,
        "ok": report.ok,
        "refused": report.refused,
        "tokens": sum(LENGTHS),
        "blocks": 5,
    }
    assert (out["status"] == long).all()
    assert (np.isnan(out["nll"]) == long).all()
    assert [len(t) for t in out.rows("embedding")] == [0 if n > 16 else n for n in LENGTHS]
    assert [(r["row"], r["id"], r["reason"]) for r in out.refused()] == [
        (i, f"r{i}", "too_long") for i in np.flatnonzero(long)
    ]
    assert "40 tokens" in out.refused()[2]["message"]


def test_progress_tells_how_far_it_is_and_how_long_it_will_take(tmp_path, bundle, store):
    seen = []
    run(
        bundle,
        store,
        tmp_path / "out.zarr",
        options=PredictOptions(window=WindowPolicy(long="refuse")),
        progress=seen.append,
    )
    assert [p.blocks_done for p in seen] == [1, 2, 3, 4, 5]
    assert [p.rows_done for p in seen] == [4, 8, 12, 16, 19]
    assert seen[-1].refused == sum(n > 16 for n in LENGTHS)
    assert seen[-1].tokens_done == sum(LENGTHS)
    for told in seen:
        assert told.seconds_left == pytest.approx((19 - told.rows_done) * told.seconds / told.rows_done)
    assert seen[-1].seconds_left == 0
    assert replace(seen[0], rows_done=0, rows_per_second=0.0).seconds_left == float("inf")


def test_a_model_that_gives_no_number_is_a_refused_row(tmp_path, store, monkeypatch):
    bundle = write_bundle(tmp_path / "bundle", tiny_model())
    score = Engine.score

    def broken(self, records, **kwargs):
        for found in score(self, records, **kwargs):
            object.__setattr__(found, "nll", float("nan") if found.n_tokens == 6 else found.nll)
            yield found

    monkeypatch.setattr(Engine, "score", broken)
    report = run(bundle, store, tmp_path / "out.zarr", what=["score", "token_scores"])
    out = PredictionStore.open(tmp_path / "out.zarr")
    assert report.refused == {"not_finite": LENGTHS.count(5)}
    assert [len(t) for t in out.rows("token_nll")] == [0 if n == 5 else n + 1 for n in LENGTHS]


def test_a_store_of_another_tokenizer_is_refused(tmp_path, bundle):
    body = {"kind": "letters", "version": 1, "config": {"alphabet": "ACGU"}}
    other = write_store(tmp_path / "o.zarr", records(3), tokenizer={**body, "fingerprint": fingerprint(body)})
    with pytest.raises(IntegrityError, match="tokenizer"):
        run(bundle, other, tmp_path / "out.zarr")
    assert not (tmp_path / "out.zarr").exists()


def test_two_fields_and_an_empty_store(tmp_path):
    bundle = write_bundle(tmp_path / "bundle", tiny_model(MIXED, context=32))
    sequences = records(4, 9, 0, 20, spec=MIXED)
    store = write_store(tmp_path / "in.zarr", sequences, spec=MIXED)
    report = run(bundle, store, tmp_path / "out.zarr", rows_per_block=2)
    out = PredictionStore.open(report.path)
    for row, score in enumerate(Engine(load_bundle(bundle).model).score(sequences)):
        assert out["nll_values"][row] == pytest.approx(score.field_nll["values"], abs=1e-4)
        assert out["nll"][row] == pytest.approx(score.nll, abs=1e-4)
    with pytest.raises(ConfigError, match="goal"):
        run(bundle, store, tmp_path / "o2.zarr", what=["sample"])
    nothing = write_store(tmp_path / "none.zarr", [], spec=MIXED)
    report = run(bundle, nothing, tmp_path / "o3.zarr", what=["score", "token_scores"])
    assert (report.rows, report.blocks) == (0, 0)
    assert len(PredictionStore.open(tmp_path / "o3.zarr")["nll"]) == 0


def test_a_table_for_people(tmp_path, bundle, store):
    run(bundle, store, tmp_path / "out.zarr")
    out = PredictionStore.open(tmp_path / "out.zarr")
    lines = out.to_table(tmp_path / "t.csv").read_text().splitlines()
    assert lines[0].startswith("row,id,status,nll,n_tokens,embedding_0,")
    assert lines[0].endswith(",embedding_31")
    assert len(lines) == 20
    assert lines[4].startswith(f"3,r3,ok,{out['nll'][3]}")
    splits = ["train+test"] + ["test"] * 18
    named = out.to_table(tmp_path / "s.csv", splits=splits, labels={"split": np.arange(19)}).read_text().splitlines()
    assert named[0].startswith("row,id,split,label_split,status,nll,")
    assert named[1].startswith("0,r0,train+test,0,ok,")
    with pytest.raises(ConfigError, match="xlsx"):
        out.to_table(tmp_path / "t.xlsx")
    with pytest.raises(ConfigError, match="did you mean 'nll'"):
        out["nnl"]


def test_what_is_not_allowed_is_refused_before_anything_is_written(tmp_path, bundle, store):
    for changes, word in (
        ({"what": ["scores"]}, "did you mean 'score'"),
        ({"what": []}, "nothing"),
        ({"kernel": "cudaa"}, "kernel"),
        ({"rows_per_block": 3}, "power of two"),
        ({"options": PredictOptions(window=WindowPolicy(carry=True))}, "carry"),
        ({"options": PredictOptions(grammar=True)}, "grammar"),
    ):
        with pytest.raises(ConfigError, match=word):
            run(bundle, store, tmp_path / "out.zarr", **changes)
    with pytest.raises(ConfigError, match=r"predict\.pooling"):
        PredictOptions(pooling="max")
    with pytest.raises(ConfigError, match=r"sampling\.top_p"):
        PredictOptions(sampling=SamplingConfig(top_p=2))
    assert not (tmp_path / "out.zarr").exists()
    (tmp_path / "out.zarr").mkdir()
    with pytest.raises(ConfigError, match="not a prediction store"):
        run(bundle, store, tmp_path / "out.zarr")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_place_is_a_resource_error(tmp_path, bundle, store):
    place = tmp_path / "locked"
    place.mkdir(mode=0o500)
    with pytest.raises(ResourceError, match="locked"):
        run(bundle, store, place / "out.zarr")


def test_a_read_only_file_system_is_a_resource_error(tmp_path, bundle, store, monkeypatch):
    def read_only(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "replace", read_only)
    with pytest.raises(ResourceError, match=r"cannot write .*Read-only file system"):
        run(bundle, store, tmp_path / "out.zarr")


@pytest.mark.slow
def test_a_thousand_blocks_with_64_open_files(tmp_path, bundle):
    store = write_store(tmp_path / "in.zarr", records(*[4] * 1000))
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n{SCRIPT}"
    limited = limited.replace("rows_per_block=4", "rows_per_block=1").replace(
        ', "token_scores", "embedding", "sample"', ""
    )
    command = [sys.executable, "-c", limited, str(bundle), str(store.path), str(tmp_path / "out.zarr")]
    assert subprocess.run(command, check=False).returncode == 0
    found = PredictionStore.open(tmp_path / "out.zarr")
    assert (found.n_blocks, found.summary["ok"]) == (1000, 1000)


def test_a_full_disk_ends_it_and_it_goes_on_later(tmp_path, bundle, store, monkeypatch):
    run(bundle, store, tmp_path / "whole.zarr")
    fsync, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 90:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match=r"no space left while writing .*out\.zarr"):
        run(bundle, store, tmp_path / "out.zarr")
    monkeypatch.undo()
    assert run(bundle, store, tmp_path / "out.zarr").blocks_kept > 0
    assert keys(tmp_path / "out.zarr") == keys(tmp_path / "whole.zarr")


def test_two_processes_never_write_one_output(tmp_path, bundle, store):
    def while_running(work):
        with pytest.raises(ResourceError, match="another process"):
            run(bundle, store, tmp_path / "out.zarr")
        LAUNCHERS.get("inprocess")(work)

    LAUNCHERS.add("with_a_rival_for_a_test", while_running)
    run(bundle, store, tmp_path / "out.zarr", launcher="with_a_rival_for_a_test")
    run(bundle, store, tmp_path / "whole.zarr")
    assert keys(tmp_path / "out.zarr") == keys(tmp_path / "whole.zarr")


def test_a_signal_ends_it_between_batches(tmp_path, bundle, store):
    def at_third(progress):
        if progress.blocks_done == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StoppedError, match="SIGTERM: 3 of 5 blocks") as caught:
        run(bundle, store, tmp_path / "out.zarr", progress=at_third)
    assert caught.value.exit_code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before
    run(bundle, store, tmp_path / "whole.zarr")
    assert run(bundle, store, tmp_path / "out.zarr").blocks_kept == 3
    assert keys(tmp_path / "out.zarr") == keys(tmp_path / "whole.zarr")
    Stop().check()


def test_differences_of_nested_plans():
    assert difference({"a": {"b": 1, "c": [1, 2]}, "d": 0}, {"a": {"b": 2, "c": [1, 2]}, "e": 0}) == [
        "a.b: 2 -> 1",
        "d: None -> 0",
        "e: 0 -> None",
    ]


SCRIPT = """
import json, sys
from core.prediction.predict import predict
from core.prediction.plan import PredictOptions
predict(sys.argv[1], sys.argv[2], sys.argv[3], what=["score", "token_scores", "embedding", "sample"],
        options=PredictOptions(draws=2, max_length=40, min_length=40), rows_per_block=4, threads=1, batch_tokens=64)
"""


def start(bundle, store, output):
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(bundle), str(store.path), str(output)])


def killed_once(bundle, store, output, wait):
    """Kills a run `wait` seconds after the first sign of its work; whether it was still running."""

    def signs():
        return len(list(output.glob("blocks/*"))) + output.exists()

    before = signs()
    process = start(bundle, store, output)
    while signs() == before and process.poll() is None:
        time.sleep(0.002)
    time.sleep(wait)
    process.kill()
    return process.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_killed_once_and_run_again_it_is_byte_identical(tmp_path, bundle, store):
    run(bundle, store, tmp_path / "whole.zarr", what=EVERYTHING)
    assert killed_once(bundle, store, tmp_path / "out.zarr", 0.1)
    report = run(bundle, store, tmp_path / "out.zarr", what=EVERYTHING)
    assert report.rows == 19
    assert keys(tmp_path / "out.zarr") == keys(tmp_path / "whole.zarr")


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_is_byte_identical(tmp_path, bundle):
    store = write_store(tmp_path / "in.zarr", records(*(LENGTHS * 4)))
    begin = time.perf_counter()
    run(bundle, store, tmp_path / "whole.zarr", what=EVERYTHING)
    seconds = time.perf_counter() - begin
    chance, kills, runs = random.Random(0), 0, 0
    while kills < 10:
        killed = killed_once(bundle, store, tmp_path / f"out{runs}.zarr", chance.random() * seconds / 4)
        kills += killed
        if not killed:  # it came through before it was to be killed: on with a new one
            assert keys(tmp_path / f"out{runs}.zarr") == keys(tmp_path / "whole.zarr")
            runs += 1
    assert start(bundle, store, tmp_path / f"out{runs}.zarr").wait() == 0
    assert keys(tmp_path / f"out{runs}.zarr") == keys(tmp_path / "whole.zarr")


@pytest.mark.slow
def test_two_identical_commands_at_once(tmp_path, bundle, store):
    processes = [start(bundle, store, tmp_path / "out.zarr") for _ in range(2)]
    codes = sorted(p.wait() for p in processes)
    assert codes[0] == 0  # the other one was refused, or came when all was done
    run(bundle, store, tmp_path / "whole.zarr", what=EVERYTHING)
    assert keys(tmp_path / "out.zarr") == keys(tmp_path / "whole.zarr")
    assert json.loads((tmp_path / "out.zarr/summary.json").read_text())["rows"] == 19

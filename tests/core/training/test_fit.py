import json
import math
import os
import signal
from contextlib import ExitStack

import lightning as L
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from core.errors import DivergedError, IntegrityError, ResourceError, StoppedError
from core.training.place import only_writer
from tests.core.training.full_disk import files_of_at_most
from tests.core.training.tiny import Bundles, lines, make_data, make_model, train


class At(L.Callback):
    """Does something just before a batch of a session, counted over the whole run."""

    def __init__(self, batch, action):
        self.batch, self.action = batch, action

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if module.course.step * module.config.accumulate + batch_idx % module.config.accumulate == self.batch:
            self.action(module)


class Crash(RuntimeError):
    pass


def crash(module):
    raise Crash


def tensors(folder):
    return {f"{p.stem}/{name}": t for p in folder.glob("*.safetensors") for name, t in load_file(p).items()}


def assert_same_run(a, b):
    """Steps, checkpointed weights, optimizer and averages, and the bundle's metrics are equal bit by bit."""
    assert (a / "steps.jsonl").read_bytes() == (b / "steps.jsonl").read_bytes()
    last = sorted((a / "checkpoints").iterdir())[-1].name
    mine, theirs = tensors(a / "checkpoints" / last), tensors(b / "checkpoints" / last)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(t, theirs[name]) for name, t in mine.items())
    facts = [json.loads((run / "bundle/metrics.json").read_text()) for run in (a, b)]
    assert {**facts[0], "seconds_training": 0} == {**facts[1], "seconds_training": 0}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    return run, train(run)


def test_a_run_trains_validates_and_leaves_a_bundle_of_its_best_weights(tmp_path):
    model = make_model()
    bundles = Bundles(model)
    result = train(tmp_path / "run", model, bundles=bundles)
    assert result.steps == 24
    assert result.tokens == 24 * 4 * 16
    assert result.best_val < 1.3 < math.log(4)
    assert result.best_bits == pytest.approx(result.best_val / math.log(2))
    assert bundles.written[-1][0]["step"] == result.best_step
    assert bundles.written[-1][0]["val_nll"] == result.best_val
    steps = lines(tmp_path / "run")
    assert [line["step"] for line in steps] == list(range(1, 25))
    assert steps[-1]["tokens"] == result.tokens
    assert float.fromhex(steps[-1]["loss"]) < float.fromhex(steps[0]["loss"])
    curve = pd.read_csv(result.metrics)
    assert curve.step[curve.loss.notna()].tolist() == [5, 10, 15, 20, 24]
    assert curve.step[curve.val_nll.notna()].tolist() == [8, 16, 24]
    assert not list((tmp_path / "run").glob("lightning*"))


def test_what_is_kept_is_never_worse_than_the_first_weights_where_they_are_validated(tmp_path):
    model = make_model()
    train(tmp_path / "first", model)
    kept = {name: p.detach().clone() for name, p in model.state_dict().items()}
    bundles = Bundles(model)
    result = train(tmp_path / "second", model, bundles=bundles, val_first=True, lr=50.0, warmup_steps=0)
    curve = pd.read_csv(result.metrics)
    assert curve.step[curve.val_nll.notna()].tolist() == [0, 8, 16, 24]
    assert (result.best_step, result.best_val) == (0, pytest.approx(curve.val_nll.dropna().iloc[0]))
    assert all(torch.equal(kept[name], p) for name, p in bundles.written[-1][1].items())


def test_bundled_weights_are_the_averages_and_training_goes_on_from_the_others(tmp_path):
    model = make_model()
    bundles = Bundles(model)
    result = train(tmp_path / "run", model, bundles=bundles, ema=0.9)
    assert result.best_step == 24
    averages = load_file(result.checkpoint / "ema.safetensors")
    bundled = bundles.written[-1][1]
    last = load_file(result.checkpoint / "model.safetensors")
    assert all(torch.equal(averages[f"model.{name}"], bundled[name]) for name in bundled if f"model.{name}" in averages)
    assert not any(torch.equal(bundled[name], last[f"model.{name}"]) for name, _ in model.named_parameters())
    assert all(torch.equal(last[f"model.{name}"], p) for name, p in model.state_dict().items())


@pytest.mark.parametrize("batch", [1, 6, 7, 17, 23])
def test_resume_is_exact_at_any_step(undisturbed, tmp_path, batch):
    with pytest.raises(Crash):
        train(tmp_path / "run", callbacks=[At(batch, crash)])
    result = train(tmp_path / "run")
    assert result.resumed_from == batch // 6 * 6
    assert_same_run(undisturbed[0], tmp_path / "run")


def test_resume_is_exact_with_workers(undisturbed, tmp_path):
    with pytest.raises(Crash):
        train(tmp_path / "run", data=make_data(workers=2), callbacks=[At(14, crash)])
    train(tmp_path / "run", data=make_data(workers=2))
    assert_same_run(undisturbed[0], tmp_path / "run")


@pytest.mark.parametrize("optimizer,pattern", [("muon", "A"), ("adamw", "S")])
def test_resume_is_exact_within_an_accumulated_step(tmp_path, optimizer, pattern):
    changes = {"accumulate": 3, "optimizer": optimizer, "steps": 8, "save_every": 3, "ema": 0.0}
    train(tmp_path / "whole", make_model(pattern), **changes)
    with pytest.raises(Crash):
        train(tmp_path / "run", make_model(pattern), callbacks=[At(16, crash)], **changes)
    assert len(lines(tmp_path / "run")) == 5
    assert train(tmp_path / "run", make_model(pattern), **changes).resumed_from == 3
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_resume_is_exact_in_bf16(tmp_path):
    changes = {"precision": "bf16", "steps": 6, "save_every": 2}
    train(tmp_path / "whole", **changes)
    with pytest.raises(Crash):
        train(tmp_path / "run", callbacks=[At(5, crash)], **changes)
    assert train(tmp_path / "run", **changes).resumed_from == 4
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_a_finished_run_is_left_as_it_is(undisturbed, tmp_path):
    train(tmp_path / "run", steps=3)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*.safetensors")}
    bundles = Bundles(make_model())
    result = train(tmp_path / "run", bundles=bundles, steps=3)
    assert (result.steps, result.resumed_from, bundles.written) == (3, 3, [])
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*.safetensors")}


def test_a_later_end_goes_on_with_the_same_batches(undisturbed, tmp_path):
    train(tmp_path / "run", steps=12, schedule="constant")
    result = train(tmp_path / "run", steps=24, schedule="constant")
    assert (result.resumed_from, result.steps) == (12, 24)
    assert [line["rows"] for line in lines(tmp_path / "run")] == [line["rows"] for line in lines(undisturbed[0])]


def test_another_recipe_or_model_in_the_folder_is_refused_with_the_difference(tmp_path):
    train(tmp_path / "run", steps=2)
    with pytest.raises(IntegrityError, match=r"training\.lr: 0\.01 -> 0\.02"):
        train(tmp_path / "run", steps=2, lr=0.02)
    with pytest.raises(IntegrityError, match=r"training\.steps: 2 -> 1"):
        train(tmp_path / "run", steps=1)
    with pytest.raises(IntegrityError, match=r"parameters\.model\.backbone"):
        train(tmp_path / "run", make_model("S"), steps=2)


def test_logs_are_cut_back_to_the_checkpoint_and_torn_lines_with_them(undisturbed, tmp_path):
    with pytest.raises(Crash):
        train(tmp_path / "run", callbacks=[At(9, crash)])
    with open(tmp_path / "run/steps.jsonl", "a") as file:
        file.write('{"step": 10, "lo')
    train(tmp_path / "run")
    assert_same_run(undisturbed[0], tmp_path / "run")
    curve = pd.read_csv(tmp_path / "run/metrics.csv")
    assert curve.step[curve.loss.notna()].tolist() == [5, 10, 15, 20, 24]
    assert curve.seconds.is_monotonic_increasing


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_step_saves_and_says_how_to_go_on(undisturbed, tmp_path, number):
    handlers = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(StoppedError, match="same command again") as stopped:
        train(tmp_path / "run", callbacks=[At(9, lambda module: os.kill(os.getpid(), number))])
    assert stopped.value.exit_code == 128 + number
    assert len(lines(tmp_path / "run")) == 10
    assert handlers == [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    assert train(tmp_path / "run").resumed_from == 10
    assert_same_run(undisturbed[0], tmp_path / "run")


@pytest.mark.parametrize("step", [16, 24])
def test_a_validation_that_a_signal_cut_off_is_made_up_for(undisturbed, tmp_path, step):
    class Interrupted:
        """Validation batches of which the first brings a signal."""

        def __init__(self, batches):
            self.batches = batches

        def __iter__(self):
            if len(lines(tmp_path / "run")) == step:
                os.kill(os.getpid(), signal.SIGTERM)
            return iter(self.batches)

    data = make_data()
    batches = data.val_dataloader()
    data.val_dataloader = lambda: Interrupted(batches)
    with pytest.raises(StoppedError):
        train(tmp_path / "run", data=data)
    assert json.loads((tmp_path / "run/bundle/metrics.json").read_text())["step"] == step - 8
    assert train(tmp_path / "run").resumed_from == step
    assert_same_run(undisturbed[0], tmp_path / "run")


def test_divergence_names_step_and_records_and_keeps_the_last_good_checkpoint(tmp_path):
    def poison(module):
        next(module.network.parameters()).data[:] = math.nan

    with pytest.raises(
        DivergedError, match=r"loss is nan in step 9.*record 'record\d' \(row \d\) from token \d+"
    ) as error:
        train(tmp_path / "run", callbacks=[At(8, poison)])
    assert error.value.exit_code == 6
    assert len(lines(tmp_path / "run")) == 8
    assert [p.name for p in (tmp_path / "run/checkpoints").iterdir()] == ["step-000000006"]
    assert train(tmp_path / "run").resumed_from == 6


def test_a_full_disk_during_a_save_keeps_the_last_good_checkpoint(undisturbed, tmp_path):
    with ExitStack() as stack, pytest.raises(ResourceError, match="step-000000012") as error:
        train(
            tmp_path / "run",
            callbacks=[At(8, lambda module: stack.enter_context(files_of_at_most(20_000)))],
        )
    assert error.value.exit_code == 5
    assert [p.name for p in (tmp_path / "run/checkpoints").iterdir()] == ["step-000000006"]
    assert train(tmp_path / "run").resumed_from == 6
    assert_same_run(undisturbed[0], tmp_path / "run")


def test_too_little_memory_is_a_resource_error(tmp_path):
    with pytest.raises(ResourceError, match=r"not enough memory.*allocate"):
        train(tmp_path / "run", callbacks=[At(1, lambda module: torch.empty(2**50))])


def test_a_gradient_that_is_not_finite_changes_no_weight(tmp_path):
    model = make_model()
    before = {name: p.clone() for name, p in model.named_parameters()}
    weight = model.readouts["tokens"].proj.weight
    weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(DivergedError, match="gradient norm is"):
        train(tmp_path / "run", model)
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())
    assert not (tmp_path / "run/checkpoints").exists()


def test_validation_does_not_disturb_training(undisturbed, tmp_path):
    train(tmp_path / "run", val_every=5)
    assert (tmp_path / "run/steps.jsonl").read_bytes() == (undisturbed[0] / "steps.jsonl").read_bytes()


def test_fit_leaves_the_callers_random_numbers_alone(tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    train(tmp_path / "run", make_model_without_seed(), steps=1)
    assert torch.equal(torch.rand(3), expected)


def make_model_without_seed():
    state = torch.get_rng_state()
    model = make_model()
    torch.set_rng_state(state)
    return model


def test_without_validation_data_the_last_weights_are_bundled(tmp_path):
    result = train(tmp_path / "run", data=make_data(validation=False), steps=4)
    assert math.isnan(result.best_val)
    assert (result.best_step, json.loads((result.bundle / "metrics.json").read_text())["val_nll"]) == (4, None)


def test_tokens_become_steps(tmp_path):
    result = train(tmp_path / "run", tokens=1000)
    assert result.steps == math.ceil(1000 / 64)
    assert train(tmp_path / "run", tokens=2000).steps == 32


def test_minutes_become_steps_once(tmp_path):
    with pytest.raises(Crash):
        train(tmp_path / "run", minutes=0.02, callbacks=[At(0, crash)])
    plan = json.loads((tmp_path / "run/plan.json").read_text())
    assert train(tmp_path / "run", minutes=0.02).steps == plan["steps"]


def test_one_process_trains_in_a_folder_at_a_time(tmp_path):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with only_writer(tmp_path):
            os.write(writer, b"x")
            signal.pause()
    os.read(reader, 1)
    try:
        with pytest.raises(ResourceError, match="another process is training"):
            train(tmp_path, steps=1)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert train(tmp_path, steps=1).steps == 1

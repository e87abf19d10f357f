"""More sensors and covariates than the model knows: prepared behind those that it knows, learned by going on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import foretell
from core.store import TokenStore
from tests.conftest import foretell_cli
from tests.readme.commands import OTHERS

LABELLED = ("task=regress", "label=level", "supervised.epochs=2", "supervised.max_leakage=1", "threads=1")


def write_series(path: Path, *, promoted: bool, n: int = 6) -> None:
    """Hourly series; with `promoted`, a day here and there stands higher, and a column says which."""
    rows = ["unique_id,ds,y,level" + (",promo" if promoted else "")]
    for i in range(n):
        draws = np.random.default_rng(i)
        promo = np.repeat(draws.random(20) < 0.4, 24)
        y = 10 + i + np.sin(2 * np.pi * np.arange(480) / 24) + 5 * promo * promoted + draws.normal(0, 0.1, 480)
        stamps = np.datetime64("2024-01-01T00") + np.arange(480)
        for j in range(480):
            rows.append(f"s{i},{stamps[j]},{y[j]:.4f},{10 + i}" + (f",{int(promo[j])}" if promoted else ""))
    path.write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("grown")
    write_series(at / "plain.csv", promoted=False)
    write_series(at / "own.csv", promoted=True)
    prepared = [f"data.path={at / 'plain.csv'}", "data.labels=[level]", f"store={at / 'plain.zarr'}"]
    assert foretell_cli("prepare", "domain=time_series", *prepared) == 0
    keys = [*OTHERS["time_series"]["train"], f"store={at / 'plain.zarr'}", f"run={at / 'run'}"]
    assert foretell_cli("train", *keys) == 0
    own = [f"data.path={at / 'own.csv'}", "data.known=[promo]", "data.labels=[level]", f"tokenizer_from={at / 'run'}"]
    grows = ["tokenizer_grows=true", "split.rule=random", f"store={at / 'own.zarr'}"]
    assert foretell_cli("prepare", "domain=time_series", *own, *grows) == 0
    return at


def test_a_covariate_that_is_not_read_is_told(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = [f"data.path={folder / 'own.csv'}", "data.known=[promo]", "data.labels=[level]"]
    given.append(f"tokenizer_from={folder / 'run'}")
    assert foretell_cli("prepare", "domain=time_series", *given, f"store={folder / 'told.zarr'}") == 0
    assert "covariates that are not read: promo" in "".join(capfd.readouterr())
    assert TokenStore.open(folder / "told.zarr").spec == TokenStore.open(folder / "plain.zarr").spec
    for further in (["tokenizer_grows=true"], ["launcher=local", "workers=2", "tokenizer_grows=true"]):
        assert (
            foretell_cli(
                "prepare", "domain=time_series", *given, *further, f"store={folder / 'told.zarr'}", "overwrite=true"
            )
            == 0
        )
        assert "not read" not in "".join(capfd.readouterr())
        assert TokenStore.open(folder / "told.zarr").tokenizer == TokenStore.open(folder / "own.zarr").tokenizer
    assert foretell_cli("prepare", "domain=time_series", *given[:3], f"store={folder / 'new.zarr'}") == 0
    assert "not read" not in "".join(capfd.readouterr())


def test_going_on_with_a_covariate_learns_it(folder: Path) -> None:
    known, old = TokenStore.open(folder / "own.zarr").tokenizer, TokenStore.open(folder / "plain.zarr").tokenizer
    assert known["config"]["grown_from"] == [old["fingerprint"]]
    keys = [f"init_from={folder / 'run'}", f"store={folder / 'own.zarr'}", f"run={folder / 'on'}", "task=continue"]
    small = ["training.steps=40", "training.minutes=0", "training.lr=3e-3", "training.optimizer=adamw", "threads=1"]
    assert foretell_cli("finetune", *keys, *small, "progress=false") == 0
    said = foretell.load(folder / "on").bundle.training
    assert said["grown_from"] == old["fingerprint"]
    model = foretell.load(folder / "on").bundle.model
    assert (model.embed.fields["known_promo"].proj.weight != 0).any()


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_labels_are_learned_with_a_covariate(folder: Path, adapter: str) -> None:
    run = folder / f"labels_{adapter}"
    keys = [f"init_from={folder / 'run'}", f"store={folder / 'own.zarr'}", f"run={run}", f"adapter={adapter}"]
    assert foretell_cli("finetune", *keys, *LABELLED, "progress=false") == 0
    assert foretell.load(run).bundle.training["grown_from"]
    assert not (run / "bundle" / "adapter").exists()  # it would lack the new channel's weights
    assert foretell.load(run).bundle.tokenizer == TokenStore.open(folder / "own.zarr").tokenizer


def test_a_further_channel_is_forecast_and_python_goes_on(folder: Path) -> None:
    waves = np.sin(np.arange(1200)[:, None] * np.array([0.1, 0.17, 0.23]))
    small = OTHERS["chaos"]["train"]
    for channels, further in ((2, []), (3, [f"tokenizer_from={folder / 'flow'}", "tokenizer_grows=true"])):
        np.save(folder / f"{channels}.npy", waves[:, :channels])
        store = folder / f"flow{channels}.zarr"
        keys = [f"data.path={folder / f'{channels}.npy'}", f"store={store}", *further]
        assert foretell_cli("prepare", "domain=chaos", *keys) == 0
        if channels == 2:
            assert foretell_cli("train", *small, f"store={store}", f"run={folder / 'flow'}", "readouts.values=mse") == 0
    lora = ["task=continue", "adapter=lora", f"init_from={folder / 'flow'}", f"run={folder / 'flow_lora'}"]
    steps = ["training.steps=4", "training.minutes=0", "threads=1", "progress=false"]
    assert foretell_cli("finetune", *lora, f"store={folder / 'flow3.zarr'}", *steps) == 0
    assert foretell_cli("train", *small, f"init_from={folder / 'flow'}", f"store={store}", f"run={folder / 'on3'}") == 0
    for run in ("flow_lora", "on3"):
        found = foretell.load(folder / run)
        assert np.isfinite(found.forecast(waves[:400], 8)[0].values).all()
        assert found.bundle.training["grown_from"] == TokenStore.open(folder / "flow2.zarr").tokenizer["fingerprint"]


def test_what_cannot_grow_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = [f"data.path={folder / 'own.csv'}", f"store={folder / 'x.zarr'}", "tokenizer_grows=true"]
    assert foretell_cli("prepare", "domain=time_series", *data) == 2
    assert "tokenizer_from= gives, which is missing" in capsys.readouterr().err
    keys = [f"init_from={folder / 'run'}", f"store={folder / 'own.zarr'}", f"run={folder / 'apart'}", "adapter=lora"]
    assert foretell_cli("finetune", *keys, *LABELLED, f"adapter_out={folder / 'a'}") == 2
    assert "no adapter brings those" in capsys.readouterr().err

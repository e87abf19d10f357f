"""Sources of trajectories: systems, files and equations of one's own, published series; what is refused and why."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from core.errors import ConfigError, InputError, ResourceError
from core.ingest import prepare_store
from core.rejects import Reject
from core.split import SplitConfig
from core.store import TokenStore
from domains.chaos.domain import DOMAIN
from domains.chaos.source import DATASETS, Trajectory, open_source, write_samples
from domains.chaos.source import made as made_module
from domains.chaos.source.dysts_systems import WORKS, allowed, listed
from domains.chaos.source.integrate import ATOL, RTOL
from domains.chaos.source.systems import BUILT_IN
from domains.chaos.tokenizer import StateTokenizer

SMALL = {"points": 300, "test_starts": 2, "long_points": 200, "long_trajectories": 2, "validation_points": 200}


def prepared(source, out: Path, **options):
    split = SplitConfig(**source.suggested_split)
    return prepare_store(source, StateTokenizer(), out, split=split, domain="chaos", **options)


def test_a_system_becomes_a_store(tmp_path: Path) -> None:
    """The example: trajectories from initial conditions of their own, with all that an evaluation must know."""
    report = prepared(open_source("lorenz63", **SMALL), tmp_path / "s.zarr")
    assert report.counts == {"in": 6, "ok": 6, "rejected": {}}
    assert report.split["records"] == {"train": 1, "validation": 1, "test": 4}
    assert report.leakage["test"] == 0
    store = TokenStore.open(tmp_path / "s.zarr")
    assert list(store.ids)[:3] == ["lorenz63/train/0", "lorenz63/validation/0", "lorenz63/forecast/0"]
    assert list(store.labels("purpose")) == ["series", "series", "forecast", "forecast", "geometry", "geometry"]
    assert list(store.labels("context")) == [0, 0, 150, 150, 150, 150]
    assert list(np.diff(store.offsets)) == [300, 200, 450, 450, 350, 350]
    steps = store.labels("lyapunov_time") / store.labels("dt")
    assert steps == pytest.approx(30)
    facts = store.source["systems"]["lorenz63"]
    assert facts["lyapunov_exponent"] == 0.9056
    assert "Sprott" in facts["lyapunov_source"]
    assert f"rtol {RTOL:g}, atol {ATOL:g}" in store.source["where"]
    assert len(store.source["sha256"]) == 6


def test_trajectories_follow_the_equations_and_differ(own_cache: Path) -> None:
    records = list(open_source("lorenz63", **SMALL))
    starts = np.stack([record.values[0] for record in records])
    apart = np.linalg.norm(starts[:, None] - starts[None], axis=2)
    assert apart[~np.eye(len(starts), dtype=bool)].min() > 0.1
    for record in records:
        follows(record, BUILT_IN["lorenz63"].motion, record.parameters)


def follows(record: Trajectory, motion, parameters) -> None:
    """Ten of its steps are those of the equations, by another solver."""
    for k in range(0, len(record) - 1, len(record) // 10):
        solved = solve_ivp(
            lambda t, x: motion(t, x, **parameters),
            (0, record.dt),
            record.values[k],
            method="LSODA",
            rtol=1e-10,
            atol=1e-10,
        )
        assert np.allclose(solved.y[:, -1], record.values[k + 1], rtol=0, atol=1e-6)


def test_a_second_pass_and_a_second_source_read_the_cache(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source("ikeda", **SMALL)
    first = [record.values for record in source]

    def never(*_args: object, **_options: object) -> None:
        raise AssertionError("integrated again")

    monkeypatch.setattr(made_module, "sample", never)
    for again in (source, open_source("ikeda", **SMALL)):
        assert all(np.array_equal(a, r.values) for a, r in zip(first, again, strict=True))
    monkeypatch.undo()
    array = next((own_cache / "chaos").glob("*.npy"))
    array.write_bytes(array.read_bytes()[:-8])
    assert all(np.array_equal(a, r.values) for a, r in zip(first, open_source("ikeda", **SMALL), strict=True))


def test_more_test_starts_change_no_other_trajectory() -> None:
    few = {r.id: r.values for r in open_source("lorenz63", **SMALL)}
    more = {r.id: r.values for r in open_source("lorenz63", **{**SMALL, "test_starts": 3})}
    assert set(more) - set(few) == {"lorenz63/forecast/2"}
    assert all(np.array_equal(few[name], more[name]) for name in few)
    other = {r.id: r.values for r in open_source("lorenz63", **{**SMALL, "seed": 1})}
    assert not any(np.array_equal(few[name], other[name]) for name in few)


def test_noise_is_in_what_is_given_and_not_in_what_is_asked() -> None:
    clean = list(open_source("lorenz63", **SMALL))
    noisy = list(open_source("lorenz63", noise=0.05, **SMALL))
    deviation = clean[0].values.std(axis=0)
    for a, b in zip(clean, noisy, strict=True):
        given = b.context or len(b)
        assert np.array_equal(a.values[given:], b.values[given:])
        share = (b.values[:given] - a.values[:given]).std(axis=0) / deviation
        assert share == pytest.approx(0.05, rel=0.25)
        assert b.noise == 0.05
    assert open_source("lorenz63", noise=0.05, **SMALL).provenance["name"] == "lorenz63_noise5"


def test_processes_make_what_this_one_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = [r.values for r in open_source("lorenz63", **{**SMALL, "seed": 2})]
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path))
    source = open_source("lorenz63", workers=2, **{**SMALL, "seed": 2})
    monkeypatch.setattr(made_module, "sample", None)  # nothing is left to be made here
    assert all(np.array_equal(a, r.values) for a, r in zip(alone, source, strict=True))


def test_maps_channels_and_changed_parameters() -> None:
    henon = list(open_source("henon", **SMALL))
    x, y = henon[0].values.T
    assert np.allclose(x[1:], 1 - 1.4 * x[:-1] ** 2 + y[:-1])
    assert np.allclose(y[1:], 0.3 * x[:-1])
    assert next(iter(open_source("henon", channels=["y"], **SMALL))).channels == ("y",)
    source = open_source("henon", parameters={"a": 1.2}, **SMALL)
    x, y = next(iter(source)).values.T
    assert np.allclose(x[1:], 1 - 1.2 * x[:-1] ** 2 + y[:-1])
    facts = source.provenance["systems"]["henon"]
    assert "Benettin" in facts["lyapunov_source"]
    assert 0.2 < facts["lyapunov_exponent"] < 0.4  # between order at a = 1.0 and .42 at a = 1.4


def test_several_systems_are_groups_and_some_are_held_out(tmp_path: Path) -> None:
    source = open_source("dysts", systems=["henon"], holdout_systems=["ikeda"], workers=1, **SMALL)
    report = prepared(source, tmp_path / "s.zarr")
    assert report.split["records"] == {"train": 1, "validation": 1, "test": 8}
    store = TokenStore.open(tmp_path / "s.zarr")
    systems, train = store.labels("system"), store.spans("train")[:, 0]
    assert set(systems) == {"henon", "ikeda"}
    assert set(systems[train]) == {"henon"}
    assert list(store.groups) == list(systems)


def test_a_system_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "spiral.py"
    file.write_text(
        "parameters = {'a': 0.2, 'c': 5.7}\nx0 = [1.0, 1.0, 0.0]\nlyapunov = 0.0714\nchannels = ['u', 'v', 'w']\n"
        "def rhs(t, x, a, c):\n    return -x[1] - x[2], x[0] + a * x[1], 0.2 + x[2] * (x[0] - c)\n"
    )
    records = list(open_source(system=str(file), **{**SMALL, "points": 100, "test_starts": 0, "long_trajectories": 0}))
    assert [r.id for r in records] == ["spiral/train/0", "spiral/validation/0"]
    assert records[0].channels == ("u", "v", "w")
    assert records[0].parameters == {"a": 0.2, "c": 5.7}
    same = list(open_source("own_system", system=file, **{**SMALL, "points": 100, "test_starts": 0}))
    assert np.array_equal(records[0].values, same[0].values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x0 = [1.0]", "no function rhs"),
        ("def rhs(t, x):\n    return x", "x0 is None"),
        ("x0 = [1.0]\nlyapunov = 1\ndef rhs(t, x):\n    return 1 / 0", "rhs.* failed: ZeroDivisionError"),
        ("x0 = [1.0]\nlyapunov = 1\ndef rhs(t, x):\n    return x[0], x[0]", "expected 1 numbers"),
        ("x0 = [1.0]\ndef rhs(t, x):\n    return x", "how fast the system is"),
        ("x0 = [1.0]\nlyapunov = -1\ndef rhs(t, x):\n    return x", "expected a positive number"),
        ("import nothing_like_this", "running it failed: ModuleNotFoundError"),
    ],
)
def test_a_file_that_is_no_system_is_explained(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(InputError, match=message):
        open_source(system=str(tmp_path / "bad.py"))


@pytest.mark.parametrize(
    ("motion", "reason"),
    [
        ("return x[0] ** 2, 0.0", "diverged"),
        ("return -x[0], -x[1]", "at_rest"),
        ("import time\n    time.sleep(0.001)\n    return x[1], -x[0]", "too_slow"),
    ],
)
def test_what_cannot_be_integrated_is_rejected_and_counted(tmp_path: Path, motion: str, reason: str) -> None:
    (tmp_path / "bad.py").write_text(f"x0 = [1.0, 0.5]\nlyapunov = 1.0\ndef rhs(t, x):\n    {motion}\n")
    limit = 0.2 if reason == "too_slow" else 60.0
    source = open_source(system=str(tmp_path / "bad.py"), time_limit=limit, **SMALL)
    items = list(source)
    assert source.records_in == len(items) == 6
    assert {item.reason for item in items if isinstance(item, Reject)} == {reason}
    with pytest.raises(InputError, match=reason):
        prepared(source, tmp_path / "s.zarr")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"either data=NAME or data\.path=FILES"),
        ({"data": "lorenz63", "path": "x.csv"}, r"either data=NAME or data\.path=FILES"),
        ({"data": "lorentz63"}, "no system 'lorentz63'; did you mean 'lorenz63'"),
        ({"data": "Chenn"}, "no system 'Chenn'; did you mean"),
        ({"data": "MooreSpiegel"}, "'MooreSpiegel' of dysts is not used: too_slow"),
        ({"data": "lorenz63", "pionts": 3}, r"data\.pionts is unknown; did you mean 'points'"),
        ({"data": "lorenz63", "points": 1.5}, r"data\.points: got 1\.5"),
        ({"data": "lorenz63", "noise": -1}, r"data\.noise: got -1"),
        ({"data": "lorenz63", "trajectories": 30_000}, "more than half"),
        ({"data": "lorenz63", "parameters": {"rh": 3}}, "no such parameter; did you mean 'rho'"),
        ({"data": "lorenz63", "parameters": {"rho": "high"}}, "rho='high': expected a number"),
        ({"data": "lorenz63", "systems": ["rossler"]}, "lorenz63 is one system"),
        ({"data": "dysts", "systems": ["rossler"], "holdout_systems": ["rossler"]}, "trained on as well"),
        ({"data": "own_system"}, "belong together"),
        ({"data": "lorenz63", "system": "x.py"}, "belong together"),
        ({"data": "lorenz63", "time_limit": 0}, r"data\.time_limit: got 0"),
    ],
)
def test_wrong_settings_are_explained(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_source(**options)


def test_a_channel_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="no channel 'w'"):
        list(open_source("henon", channels=["w"], **SMALL))


def test_csv_series_with_a_time_column(tmp_path: Path, orbit) -> None:
    values = orbit("lorenz63", 900)
    time = np.arange(900) * 0.0368
    lines = [
        "time,x,y,z",
        *(f"{t:.4f},{','.join(f'{v:.9g}' for v in row)}" for t, row in zip(time, values, strict=True)),
    ]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    source = open_source(path=tmp_path / "a.csv")
    (record,) = source
    assert record.id == "a"
    assert record.channels == ("x", "y", "z")
    assert record.dt == pytest.approx(0.0368, rel=1e-2)
    assert np.allclose(record.values, values)
    assert source.suggested_split["rule"] == "last"
    report = prepared(source, tmp_path / "s.zarr")
    assert report.split["units"] == {"train": 630, "validation": 90, "test": 180}


def test_an_exponent_is_estimated_or_given(tmp_path: Path, orbit) -> None:
    np.save(tmp_path / "a.npy", orbit("lorenz63", 4000))
    source = open_source(path=tmp_path / "a.npy", dt=0.0368)
    (record,) = source
    assert 1 / record.lyapunov_time == pytest.approx(0.9, rel=0.25)
    assert "Rosenstein" in source.provenance["lyapunov_source"]
    (record,) = open_source(path=tmp_path / "a.npy", lyapunov=2.0)
    assert record.lyapunov_time == 0.5
    np.save(tmp_path / "b.npy", np.random.default_rng(0).normal(size=(2000, 1)))
    source = open_source(path=tmp_path / "b.npy")
    (record,) = source
    assert record.lyapunov_time is None
    assert "unknown" in source.provenance["lyapunov_source"]


def test_arrays_of_one_and_several_series(tmp_path: Path) -> None:
    for name, shape, ids in (("a", (50,), ["a"]), ("b", (50, 2), ["b"]), ("c", (3, 50, 2), ["c/0", "c/1", "c/2"])):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(0).normal(size=shape))
        records = list(open_source(path=tmp_path / f"{name}.npy"))
        assert [r.id for r in records] == ids
        assert all(r.values.shape == (50, 1 if name == "a" else 2) for r in records)


def test_ids_splits_and_missing_values_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,split,x\na,train,1\na,train,\na,train,3\nb,test,4\nb,test,nan\nb,test,6\n")
    source = open_source(path=tmp_path / "t.csv")
    a, b = source
    assert (a.id, b.id) == ("a", "b")
    assert np.array_equal(a.values[:, 0], [1, np.nan, 3], equal_nan=True)
    assert [source.split(r) for r in (a, b)] == ["train", "test"]
    assert source.suggested_split == {"rule": "given"}
    assert source.notes == {"missing values": 2}


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        ("x,y\n1,2\n3,?\n", "not_a_number", r"series 't', line 3: column 'y' holds '\?'"),
        ("x,y\n1,2\n3,inf\n", "infinite", "series 't', line 3: column 'y' is infinite"),
        ("x,y\n1,2\n3\n", "ragged_row", "series 't', line 3: 1 cells, the header has 2"),
        ("t,x\n0,1\n1,2\n3,2\n4,2\n", "uneven_steps", "time goes from 1 to 3 at its row 3"),
        ("t,x\n0,1\n1,2\n0,2\n", "uneven_steps", "time must grow"),
        ("t,x\nnoon,1\n", "bad_time", "time 'noon' is no number"),
        ("split,x\ntrain,1\ntest,2\n", "two_splits", "split 'test', the rows before it say 'train'"),
    ],
)
def test_a_row_that_cannot_be_read_costs_its_series(tmp_path: Path, text: str, reason: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    source = open_source(path=tmp_path / "t.csv")
    (item,) = source
    assert isinstance(item, Reject)
    assert item.reason == reason
    assert item.line == 2
    assert re.search(message, item.message)
    assert source.records_in == 1


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "numbers.csv").write_text("1,2\n3,4\n")
    with pytest.raises(InputError, match="first line holds numbers"):
        open_source(path=tmp_path / "numbers.csv")
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY but no more")
    with pytest.raises(InputError, match=r"broken\.npy"):
        open_source(path=tmp_path / "broken.npy")
    np.save(tmp_path / "texts.npy", np.array(["a", "b"]))
    with pytest.raises(InputError, match="expected numbers"):
        open_source(path=tmp_path / "texts.npy")
    with pytest.raises(InputError, match="no file"):
        open_source(path=tmp_path / "nothing.csv")
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"\.parquet' cannot be read"):
        open_source(path=tmp_path / "x.parquet")


def test_series_of_another_width_are_rejected(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((9, 2)) + np.arange(9)[:, None])
    np.save(tmp_path / "b.npy", np.zeros((9, 3)))
    source = open_source(path=tmp_path)
    good, bad = source
    assert isinstance(good, Trajectory)
    assert (bad.reason, bad.id) == ("wrong_channels", "b")
    assert source.records_in == 2


def test_samples_are_written_and_read_again(tmp_path: Path) -> None:
    records = [Trajectory("a", np.arange(6.0).reshape(3, 2), ("u", "v"), dt=0.5), Trajectory("", np.ones((2, 2)))]
    assert write_samples(tmp_path / "s.csv", records, [3.0, 1.0]) == 2
    assert (tmp_path / "s.csv").read_text().startswith("id,time,u,v,nats_per_step\na,0,0,1,1\n")
    first, second = open_source(path=tmp_path / "s.csv")
    assert (first.id, second.id) == ("a", "sample_2")
    assert first.channels == ("u", "v")
    assert first.dt == 0.5
    assert np.array_equal(first.values, records[0].values)
    with pytest.raises(ValueError, match="zip"):
        write_samples(tmp_path / "s.csv", records, [3.0])
    write_samples(tmp_path / "g.csv", records, [3.0, 1.0], given=[2, 0])
    lines = (tmp_path / "g.csv").read_text().splitlines()
    assert lines[0] == "id,time,u,v,drawn,nats_per_step"
    assert [line.split(",")[4] for line in lines[1:]] == list("00111")
    assert next(iter(open_source(path=tmp_path / "g.csv"))).channels == ("u", "v")


def test_copied_stretches_are_found(tmp_path: Path, orbit) -> None:
    """Letters are a hash of the values: a series that stands in train and test leaks, two orbits do not."""
    source = open_source("lorenz63", **SMALL)
    a, b = (Trajectory("", orbit("lorenz63", 2000, i)) for i in range(2))
    letters = source.letters(a)
    assert letters.dtype == np.uint8
    assert np.bincount(letters, minlength=256).max() < 30  # of 8 on average: bytes are used evenly
    assert np.array_equal(source.letters(a.part(500, 900)), letters[500:900])
    assert np.mean(letters == source.letters(b)) < 0.02


def test_the_listing_and_the_source_agree() -> None:
    assert dict(DOMAIN.datasets) == DATASETS


def test_the_allow_list_tells_what_works() -> None:
    assert len(allowed()) == 120
    assert set(allowed(3)) < set(allowed())
    assert all(listed()[name].lyapunov > 0 and listed()[name].period > 0 for name in allowed())
    assert {s.status for s in listed().values()} == {WORKS, "too_slow", "diverged"}


def test_systems_of_dysts_are_integrated_by_us() -> None:
    pytest.importorskip("dysts")
    records = list(open_source("Rossler", **{**SMALL, "points": 100}))
    assert len(records) == 6
    assert records[0].channels == ("x", "y", "z")
    assert records[0].parameters == {"a": 0.2, "b": 0.2, "c": 5.7}
    follows(records[0], BUILT_IN["rossler"].motion, records[0].parameters)
    # Thirty points a Lyapunov time would be fewer than twelve a period
    assert records[0].dt == pytest.approx(min(listed()["Rossler"].period / 12, records[0].lyapunov_time / 30))


def test_a_series_that_cannot_be_reached_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ResourceError, match="reservoirpy"):
        open_source("laser")


@pytest.mark.network
@pytest.mark.parametrize(("name", "length", "known"), [("laser", 10_093, True), ("ecg", 108_000, False)])
def test_published_series(name: str, length: int, known: bool) -> None:
    source = open_source(name)
    (record,) = source
    assert record.values.shape == (length, 1)
    assert (record.lyapunov_time is not None) == known
    json.dumps(source.provenance)


@pytest.mark.slow
def test_every_listed_system_still_works() -> None:
    """What the allow-list says, tried again on the quick ones."""
    pytest.importorskip("dysts")
    from domains.chaos.source.try_systems import try_system

    for name in allowed():
        if listed()[name].seconds < 1.0:
            assert try_system(name).status == WORKS, name

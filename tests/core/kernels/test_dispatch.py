"""A call takes the first kernel that can do what it needs; an unknown or unfit name is refused in words."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

import core.kernels
from core.errors import ConfigError
from core.kernels import KERNELS, Kernel, Needs, choose, chosen, names, prefer, preferred, trained_with
from core.kernels.ssd import ssd

TORCH = KERNELS["ssd"][-1]


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(core.kernels, "_logged", set())
    monkeypatch.setattr(core.kernels, "_preferred", "auto")
    monkeypatch.setattr(core.kernels, "_trained", {})


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """In front of torch's: no gradient, no initial state, float32 on the CPU only, and for `ssd` only."""
    kernel = replace(
        TORCH,
        name="quick",
        gradient=False,
        initial_state=False,
        devices=frozenset({"cpu"}),
        dtypes=frozenset({"float32"}),
        run="tests.core.kernels.test_dispatch:answer",
    )
    monkeypatch.setitem(KERNELS, "ssd", [kernel, TORCH])
    monkeypatch.setitem(KERNELS, "selective_scan", [KERNELS["selective_scan"][-1]])
    return kernel


@pytest.fixture
def barred(quick: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, but this machine lacks something for it."""
    monkeypatch.setitem(KERNELS, "ssd", [replace(quick, obstacle=lambda: "needs a whirlpool"), TORCH])


def answer(x, *args, **kwargs):
    return torch.full_like(x, 42.0), None


def call(state: bool = False, **changes):
    x, a, b = torch.zeros(1, 2, 1, 1, **changes), -torch.ones(1), torch.ones(1, 2, 1, 1)
    return ssd(x, torch.ones(1, 2, 1), a, b, b, initial_state=torch.zeros(1, 1, 1, 1) if state else None)[0]


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_the_fastest_kernel_that_fits_is_taken(quick) -> None:
    assert call().unique().item() == 42
    assert call(requires_grad=True).unique().item() == 0
    assert call(dtype=torch.bfloat16).unique().item() == 0
    assert call(state=True).unique().item() == 0


def test_a_kernel_can_be_preferred_for_the_process_or_for_a_block(quick) -> None:
    prefer("torch")
    assert call().unique().item() == 0
    with preferred("quick"):
        assert call().unique().item() == 42
    assert call().unique().item() == 0


def test_a_kind_that_has_no_kernel_of_the_name_chooses_by_itself(quick) -> None:
    prefer("quick")
    assert choose("selective_scan", Needs()).name == "torch"
    assert chosen("MSA", Needs()) == {"selective_scan": "torch", "ssd": "quick"}


def test_unknown_names_are_refused_with_what_can_run_here_and_why_the_rest_cannot(barred) -> None:
    with pytest.raises(ConfigError, match="unknown kernel 'torhc'; did you mean 'torch'") as error:
        prefer("torhc")
    assert error.value.hint == "Can run here: auto, torch. quick cannot: needs a whirlpool."
    with pytest.raises(ConfigError, match="unknown kernel 'cuda'"):
        choose("ssd", Needs(), "cuda")


def test_a_kernel_that_cannot_run_here_is_refused_by_name_and_passed_over_otherwise(barred, caplog) -> None:
    for refused in (prefer, lambda name: choose("ssd", Needs(), name), lambda name: chosen("A", Needs(), name)):
        with pytest.raises(ConfigError, match="'quick' cannot run here: needs a whirlpool"):
            refused("quick")
    with caplog.at_level(logging.INFO, "core.kernels"):
        assert call().unique().item() == 0
    assert lines(caplog) == ["ssd: kernel 'torch' (cpu, float32)"]


def test_a_kernel_for_another_device_is_refused_by_name_and_not_mentioned_otherwise(quick, caplog) -> None:
    with pytest.raises(ConfigError, match="'quick' cannot run here: it runs on cpu, not on cuda") as error:
        prefer("quick", "cuda")
    assert "Can run here: auto, torch." in error.value.hint
    with caplog.at_level(logging.INFO, "core.kernels"):
        assert choose("ssd", Needs(device="cuda")).name == "torch"
    assert lines(caplog) == ["ssd: kernel 'torch' (cuda, float32)"]


def test_what_a_named_kernel_lacks_another_does_and_one_line_says_so(quick, caplog) -> None:
    prefer("quick")
    with caplog.at_level(logging.INFO, "core.kernels"):
        for _ in range(3):
            assert call().unique().item() == 42
            assert call(state=True).unique().item() == 0
    assert lines(caplog) == [
        "ssd: kernel 'quick' (cpu, float32)",
        "ssd: kernel 'torch' (cpu, float32); 'quick' lacks initial_state",
    ]


def test_needs_that_nothing_meets_are_refused_with_what_each_lacks(quick) -> None:
    with pytest.raises(ConfigError, match="no ssd kernel fits: 'quick' lacks dtype int8; 'torch' lacks dtype int8"):
        choose("ssd", Needs(dtype="int8"))


def test_a_model_without_such_mixers_has_no_kernels_and_no_line(quick, caplog) -> None:
    with caplog.at_level(logging.INFO, "core.kernels"):
        assert chosen("AAA", Needs()) == {}
        assert chosen("SA", Needs()) == {"ssd": "quick"}
    assert not lines(caplog)


def test_what_gradients_went_through_is_known_afterwards(quick) -> None:
    call()
    assert trained_with("SM") == {}
    call(requires_grad=True)
    assert trained_with("SM") == {"ssd": "torch"}
    assert trained_with("MA") == {}


def test_every_kernel_that_cannot_run_here_says_why_and_torch_always_can() -> None:
    for kernels in KERNELS.values():
        assert kernels[-1].name == "torch"
        assert kernels[-1].barred("cpu") == kernels[-1].barred("cuda") == ""
    with pytest.raises(ConfigError) as error:
        prefer("none of these", "cpu")
    here, _, others = error.value.hint.partition(".")
    for name in names():
        assert (name in here.removeprefix("Can run here: ").split(", ")) != (f"{name} cannot: " in others)
    prefer("torch", "cpu")


def test_looking_at_the_list_imports_no_torch() -> None:
    code = "import sys, core.kernels; core.kernels.prefer('torch'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

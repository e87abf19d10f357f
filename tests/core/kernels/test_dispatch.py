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
from core.kernels import KERNELS, Needs, choose, prefer
from core.kernels.ssd import ssd


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch):
    """A kernel in front of torch's that has no gradient and runs in float32 on the CPU only."""
    kernel = replace(
        KERNELS["ssd"][0],
        name="quick",
        gradient=False,
        devices=frozenset({"cpu"}),
        dtypes=frozenset({"float32"}),
        run="tests.core.kernels.test_dispatch:answer",
    )
    monkeypatch.setitem(KERNELS, "ssd", [kernel, *KERNELS["ssd"]])
    monkeypatch.setattr(core.kernels, "_logged", set())
    return kernel


def answer(x, *args, **kwargs):
    return torch.full_like(x, 42.0), None


def call(**changes):
    x = torch.zeros(1, 2, 1, 1, **changes)
    return ssd(x, torch.ones(1, 2, 1), -torch.ones(1), torch.ones(1, 2, 1, 1), torch.ones(1, 2, 1, 1))[0]


def test_the_fastest_kernel_that_fits_is_taken(quick) -> None:
    assert call().unique().item() == 42
    assert call(requires_grad=True).unique().item() == 0
    assert call(dtype=torch.bfloat16).unique().item() == 0


def test_a_kernel_can_be_preferred_for_the_process(quick) -> None:
    prefer("torch")
    try:
        assert call().unique().item() == 0
    finally:
        prefer("auto")


def test_unknown_names_are_refused_with_the_list() -> None:
    with pytest.raises(ConfigError, match="unknown kernel 'torhc'; did you mean 'torch'") as error:
        prefer("torhc")
    assert "auto, torch" in error.value.hint
    with pytest.raises(ConfigError, match="no ssd kernel is called 'cuda'"):
        choose("ssd", Needs(), "cuda")


def test_a_named_kernel_that_cannot_says_what_it_lacks(quick) -> None:
    with pytest.raises(ConfigError, match="'quick' lacks gradient, device cuda"):
        choose("ssd", Needs(gradient=True, device="cuda"), "quick")


def test_the_choice_is_logged_once(quick, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "core.kernels"):
        for _ in range(3):
            choose("ssd", Needs())
    assert [record.getMessage() for record in caplog.records] == ["ssd: kernel 'quick' (cpu, float32)"]


def test_looking_at_the_list_imports_no_torch() -> None:
    code = "import sys, core.kernels; core.kernels.prefer('torch'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

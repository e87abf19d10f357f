import subprocess
import sys

import pytest
import torch

from core.sequence import Symbols, TokenSpec, Vectors, real, symbol
from core.training import precision
from core.training.precision import arithmetic, resolve_precision, subnormals_as_zero
from tests.core.memory_store import LETTERS

CPU = torch.device("cpu")


@pytest.mark.parametrize("native", [True, False])
def test_auto_is_bf16_for_symbols_on_hardware_that_has_it(monkeypatch, native):
    monkeypatch.setattr(precision, "multiplies_bf16", lambda device: native)
    assert resolve_precision("auto", Symbols(LETTERS), CPU) == ("bf16" if native else "fp32")
    mixed = TokenSpec((symbol("action", LETTERS), real("position", 2)))
    assert resolve_precision("auto", Vectors(3), CPU) == resolve_precision("auto", mixed, CPU) == "fp32"
    assert resolve_precision("bf16", Vectors(3), CPU) == "bf16"
    assert resolve_precision("fp32", Symbols(LETTERS), CPU) == "fp32"


def test_arithmetic_decides_what_a_product_is_made_in():
    a = torch.ones(2, 2)
    with arithmetic("bf16", CPU):
        assert (a @ a).dtype == torch.bfloat16
    with arithmetic("fp32", CPU):
        assert (a @ a).dtype == torch.float32


def test_subnormals_are_zero_while_training_lasts_and_are_back_behind_it():
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor keeps them")
    small = torch.full((3,), 1e-40)

    @subnormals_as_zero()
    def diverges():
        raise ValueError(int((small * 1).count_nonzero()))

    with pytest.raises(ValueError, match="0"):
        diverges()
    assert (small * 1).count_nonzero() == 3


def test_threads_that_begin_behind_it_count_so_too():
    """In a process of its own, for torch's threads are begun once."""
    code = """
import torch
from core.training.precision import zero_subnormals
torch.set_num_threads(2)
assert zero_subnormals() is False
many = torch.full((4_000_000,), 1e-40)
print(int((many * 1).count_nonzero()))
"""
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor keeps them")
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["0"]

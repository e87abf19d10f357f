"""The likelihood without logits is the one with them: values, gradients, and what is never in memory."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import core.nn.cross_entropy as cross_entropy
import core.nn.readout as readout
from core.nn.cross_entropy import linear_cross_entropy
from core.nn.readout import Categorical
from core.sequence import symbol
from core.vocabulary import Vocabulary


@pytest.mark.parametrize("block", [1, 50, 10_000])
def test_equals_logits_and_cross_entropy(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "BLOCK", block)
    torch.manual_seed(0)
    hidden, weight = (torch.randn(n, 6, dtype=torch.float64, requires_grad=True) for n in (11, 20))
    target = torch.randint(0, 20, (11,))
    got = linear_cross_entropy(hidden, weight, target)
    torch.testing.assert_close(got, F.cross_entropy(hidden @ weight.T, target, reduction="none"))
    assert torch.autograd.gradcheck(lambda h, w: linear_cross_entropy(h, w, target), (hidden, weight))


def large(symbols: int) -> Categorical:
    torch.manual_seed(0)
    return Categorical(8, symbol("s", Vocabulary(tuple(map(str, range(symbols - 5))))))


@pytest.mark.parametrize("autocast", [False, True])
def test_a_readout_of_many_symbols_says_the_same_either_way(autocast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    module, hidden, target = large(600), torch.randn(2, 7, 8, requires_grad=True), torch.randint(0, 600, (2, 7))
    found = []
    for limit in (2**25, 100):
        monkeypatch.setattr(readout, "MANY_LOGITS", limit)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            nats = module.nll(hidden, target)
        assert nats.dtype == torch.float32
        assert nats.shape == target.shape
        found.append([nats, *torch.autograd.grad(nats.sum(), (hidden, module.proj.weight))])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-2 if autocast else 1e-5)


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.elements = max(self.elements, *(x.numel() for x in tree_leaves(out) if isinstance(x, Tensor)), 0)
        return out


def test_the_logits_of_a_large_vocabulary_are_never_all_in_memory() -> None:
    module, rows = large(32_768), 2048
    hidden, target = torch.randn(rows, 8, requires_grad=True), torch.randint(0, 32_768, (rows,))
    with Largest() as seen:
        module.nll(hidden, target).mean().backward()
    assert 0 < seen.elements <= cross_entropy.BLOCK < rows * 32_768 / 10

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.training.muon import ADAM_RMS, MuonAdamW, _newton_schulz, _on_the_gram_matrix, orthogonalize


@settings(max_examples=20, deadline=None)
@given(
    rows=st.integers(1, 40), columns=st.integers(1, 40), seed=st.integers(0, 9), size=st.sampled_from([1e-3, 1, 1e3])
)
def test_all_directions_of_a_matrix_come_out_about_one(rows, columns, seed, size):
    generator = torch.Generator().manual_seed(seed)
    u, _, v = torch.linalg.svd(torch.randn(rows, columns, generator=generator), full_matrices=False)
    s = torch.linspace(0.1, 1, len(v)) * size  # a matrix whose directions differ by up to ten
    result = orthogonalize(u * s @ v)
    assert result.dtype == torch.float32
    values = torch.linalg.svdvals(result)
    assert values.min() > 0.6
    assert values.max() < 1.3
    polar = u @ v
    assert (result * polar).sum() / (result.norm() * polar.norm()) > 0.95


@pytest.mark.parametrize("shape", [(64, 64), (64, 192), (3, 50), (1, 1)])
@pytest.mark.parametrize("smallest", [1.0, 1e-2, 1e-5])
def test_the_way_over_the_gram_matrix_is_the_plain_one(shape, smallest):
    generator = torch.Generator().manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(*shape, generator=generator), full_matrices=False)
    x = u * torch.logspace(0, torch.tensor(smallest).log10().item(), len(v)) @ v
    x /= x.norm()
    assert torch.allclose(_on_the_gram_matrix(x, 5), _newton_schulz(x.double(), 5).float(), atol=3e-4)


def test_muon_steps_a_matrix_by_its_polar_factor_times_the_rate():
    weight = torch.nn.Parameter(torch.zeros(8, 32))
    optimizer = MuonAdamW([{"params": [weight], "muon": True, "momentum": 0.95}], lr=0.1, weight_decay=0.0)
    weight.grad = torch.randn(8, 32, generator=torch.Generator().manual_seed(0))
    optimizer.step()
    values = torch.linalg.svdvals(weight.detach()) / (0.1 * ADAM_RMS * 32**0.5)
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_the_other_groups_are_stepped_by_torchs_adamw():
    generator = torch.Generator().manual_seed(0)
    ours, theirs = torch.nn.Parameter(torch.ones(5)), torch.nn.Parameter(torch.ones(5))
    matrix = torch.nn.Parameter(torch.ones(3, 3))
    optimizer = MuonAdamW(
        [
            {"params": [matrix], "muon": True, "momentum": 0.9},
            {"params": [ours], "muon": False, "weight_decay": 0.3},
        ],
        lr=0.01,
        betas=(0.8, 0.9),
    )
    reference = torch.optim.AdamW([theirs], lr=0.01, betas=(0.8, 0.9), weight_decay=0.3)
    for _ in range(4):
        ours.grad = theirs.grad = torch.randn(5, generator=generator)
        matrix.grad = torch.randn(3, 3, generator=generator)
        optimizer.step()
        reference.step()
    assert torch.equal(ours, theirs)


def test_one_state_dict_restores_both_halves():
    def make():
        generator = torch.Generator().manual_seed(0)
        parameters = [torch.nn.Parameter(torch.randn(4, 6, generator=generator)), torch.nn.Parameter(torch.ones(6))]
        groups = [
            {"params": parameters[:1], "muon": True, "momentum": 0.95},
            {"params": parameters[1:], "muon": False},
        ]
        return parameters, MuonAdamW(groups, lr=0.1)

    def steps(parameters, optimizer, seeds):
        for seed in seeds:
            for p in parameters:
                p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(seed))
            optimizer.step()

    whole, optimizer = make()
    steps(whole, optimizer, [1, 2, 3, 4])
    first, optimizer = make()
    steps(first, optimizer, [1, 2])
    second, resumed = make()
    for p, q in zip(second, first, strict=True):
        p.data.copy_(q)
    resumed.load_state_dict(optimizer.state_dict())
    steps(second, resumed, [3, 4])
    assert all(torch.equal(p, q) for p, q in zip(whole, second, strict=True))


def test_the_closure_runs_once_with_gradients_enabled():
    weight = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = MuonAdamW([{"params": [weight], "muon": True, "momentum": 0.9}], lr=0.1)
    calls = []

    def closure():
        calls.append(torch.is_grad_enabled())
        loss = (weight**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 4
    assert calls == [True]
    with pytest.raises(AssertionError):
        torch.testing.assert_close(weight.detach(), torch.ones(2, 2))

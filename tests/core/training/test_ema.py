import pytest
import torch

from core.training.ema import AveragedWeights


def test_the_average_follows_the_recursion_and_steps_aside():
    module = torch.nn.Linear(3, 2)
    averages = AveragedWeights(module, 0.9)
    expected = module.weight.detach().clone()
    for step in range(200):
        with torch.no_grad():
            module.weight.add_(0.1)
        averages.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * module.weight.detach()
    torch.testing.assert_close(averages.averages["weight"], expected)
    trained = module.weight.detach().clone()
    with averages.in_place():
        torch.testing.assert_close(module.weight.detach(), expected)
    assert torch.equal(module.weight, trained)


def test_the_trained_weights_come_back_after_an_error_too():
    module = torch.nn.Linear(3, 2)
    averages = AveragedWeights(module, 0.5)
    with torch.no_grad():
        module.weight.add_(1)
    trained = module.weight.detach().clone()
    with pytest.raises(RuntimeError), averages.in_place():
        raise RuntimeError
    assert torch.equal(module.weight, trained)


def test_a_constant_is_its_own_average():
    module = torch.nn.Linear(3, 2)
    averages = AveragedWeights(module, 0.99)
    for step in range(5):
        averages.update(step)
    torch.testing.assert_close(averages.averages["weight"], module.weight.detach())

"""What every pattern of mixers must keep: time runs forward, and how a row is cut or padded changes nothing.

Models are float64, so equal means equal up to 1e-9: rounding, and nothing else.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from core.batching.batch import Inputs, collate, pack_rows
from core.errors import ConfigError
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.nn.state import ModelState
from core.sequence import Symbols
from core.vocabulary import Vocabulary
from tests.core.nn.conftest import MIXED, SYMBOLS, inputs_of, letters, make_model, mixed_row


def same(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


def stepped(model: SequenceModel, ids: Tensor, state: ModelState) -> Tensor:
    with torch.no_grad():
        return torch.stack([model.step({"tokens": column}, state)[0] for column in ids.T], 1)


def test_a_model_in_five_lines() -> None:
    torch.manual_seed(0)
    model = SequenceModel(Symbols(Vocabulary(("A", "C", "G", "T"))), ModelConfig(pattern="transformer", width=32))
    ids = torch.tensor([[1, 5, 6, 7]])  # BOS A C G
    hidden, _ = model(Inputs({"tokens": ids}))
    nats = model.readouts["tokens"].nll(hidden, torch.tensor([[5, 6, 7, 8]]))  # A C G T
    assert nats.shape == (1, 4)
    assert nats.mean().item() == pytest.approx(torch.tensor(9.0).log().item(), abs=0.1)  # nothing learned yet


def test_step_by_step_equals_parallel(model: SequenceModel) -> None:
    ids = letters(3, 11)
    state = model.init_state(3, 11)
    same(stepped(model, ids, state), model(inputs_of(ids))[0])
    assert state.position.tolist() == [11, 11, 11]


@pytest.mark.parametrize("cuts", [(5, 6), (1, 1, 9), (8, 2, 1)])
def test_chunk_by_chunk_equals_whole(model: SequenceModel, cuts: tuple[int, ...]) -> None:
    ids = letters(2, 11)
    state: ModelState | None = model.init_state(2, 11)
    parts = []
    for part in ids.split(cuts, 1):
        hidden, state = model(inputs_of(part), state)
        parts.append(hidden)
    same(torch.cat(parts, 1), model(inputs_of(ids))[0])


def test_a_forward_leaves_the_state_it_was_given_as_it_was(model: SequenceModel) -> None:
    ids = letters(2, 4)
    _, state = model(inputs_of(ids), model.init_state(2, 10))
    first, _ = model(inputs_of(ids), state)
    model(inputs_of(letters(2, 3, seed=1)), state)
    again, _ = model(inputs_of(ids), state)
    assert torch.equal(first, again)


def test_gradients_flow_through_carried_states(model: SequenceModel) -> None:
    ids = letters(2, 6)
    weights = torch.linspace(-1, 1, 16, dtype=torch.float64)

    def gradients(lengths: tuple[int, ...]) -> list[Tensor]:
        state: ModelState | None = model.init_state(2, 6)
        total = torch.zeros((), dtype=torch.float64)
        for part in ids.split(lengths, 1):
            hidden, state = model(inputs_of(part), state)
            total = total + (hidden * weights).sum()
        return list(torch.autograd.grad(total, list(model.backbone.parameters())))

    for whole, cut in zip(gradients((6,)), gradients((1, 1, 4)), strict=True):
        same(whole, cut)


def test_right_padding_changes_neither_outputs_nor_the_final_state(model: SequenceModel) -> None:
    ids, lengths = letters(3, 9), [9, 4, 1]
    hidden, state = model(inputs_of(ids, lengths), model.init_state(3, 20))
    assert state is not None
    assert state.position.tolist() == lengths
    without, _ = model(inputs_of(ids, lengths))
    after = stepped(model, letters(3, 7, seed=1), state)  # what follows sees the state
    for row, length in enumerate(lengths):
        alone, alone_state = model(inputs_of(ids[row : row + 1, :length]), model.init_state(1, 20))
        same(hidden[row, :length], alone[0])
        same(without[row, :length], alone[0])
        same(after[row], stepped(model, letters(3, 7, seed=1)[row : row + 1], alone_state)[0])


def test_a_chunk_after_ragged_rows_continues_each_where_it_ended(model: SequenceModel) -> None:
    first, then, lengths = letters(2, 6), letters(2, 5, seed=1), [6, 2]
    _, state = model(inputs_of(first, lengths), model.init_state(2, 11))
    hidden, _ = model(inputs_of(then), state)
    for row, length in enumerate(lengths):
        whole = torch.cat((first[row, :length], then[row]))[None]
        same(hidden[row], model(inputs_of(whole))[0][0, length:])


def test_no_output_depends_on_a_later_input(model: SequenceModel) -> None:
    embedded: list[Tensor] = []
    model.embed.register_forward_hook(lambda module, args, out: embedded.append(out[0].requires_grad_()))
    hidden, _ = model(inputs_of(letters(1, 9)))
    for t in range(9):
        (gradient,) = torch.autograd.grad(hidden[0, t].sum(), embedded[0], retain_graph=True)
        reached = gradient[0].abs().sum(-1)
        assert reached[t + 1 :].eq(0).all()
        assert reached[t] > 0


def test_embeddings_see_no_later_symbol(model: SequenceModel) -> None:
    ids = letters(1, 9)
    for t in range(1, 9):
        other = ids.clone()
        other[0, t:] = (ids[0, t:] - 5 + 1) % 4 + 5
        same(model(inputs_of(ids))[0][:, :t], model(inputs_of(other))[0][:, :t])
        assert not torch.allclose(model(inputs_of(ids))[0][:, t], model(inputs_of(other))[0][:, t])


def test_packed_documents_do_not_see_each_other(model: SequenceModel) -> None:
    ids = letters(2, 12)
    segments = torch.tensor([[0] * 5 + [1] * 1 + [2] * 6, [0] * 3 + [1] * 7 + [-1] * 2], dtype=torch.int32)
    hidden, _ = model(inputs_of(ids, segments=segments))
    for row, start, stop in ((0, 0, 5), (0, 5, 6), (0, 6, 12), (1, 0, 3), (1, 3, 10)):
        same(hidden[row, start:stop], model(inputs_of(ids[row : row + 1, start:stop]))[0][0])


def test_a_state_carried_into_packed_rows_reaches_the_first_document_only(model: SequenceModel) -> None:
    before, ids = letters(1, 5), letters(1, 9, seed=1)
    segments = torch.tensor([[0] * 3 + [1] * 4 + [-1] * 2], dtype=torch.int32)
    _, state = model(inputs_of(before), model.init_state(1, 30))
    if "A" in model.config.mixers:
        with pytest.raises(ConfigError, match="attention cannot carry"):
            model(inputs_of(ids, segments=segments), state)
        return
    hidden, state = model(inputs_of(ids, segments=segments), state)
    same(hidden[:, :3], model(inputs_of(torch.cat((before, ids[:, :3]), 1)))[0][:, 5:])
    same(hidden[:, 3:7], model(inputs_of(ids[:, 3:7]))[0])
    after = letters(1, 4, seed=2)
    assert state is not None
    same(stepped(model, after, state), model(inputs_of(torch.cat((ids[:, 3:7], after), 1)))[0][:, 4:])


def test_rows_of_a_state_can_be_selected_repeated_and_reset(model: SequenceModel) -> None:
    ids, after = letters(3, 6), letters(4, 5, seed=1)
    _, state = model(inputs_of(ids), model.init_state(3, 11))
    assert state is not None
    kept = state.clone()
    rows = torch.tensor([2, 0, 0, 1])
    chosen = state.select(rows)
    chosen.reset(torch.tensor([3]))
    hidden = stepped(model, after, chosen)
    for i, row in enumerate(rows[:3].tolist()):
        same(hidden[i], model(inputs_of(torch.cat((ids[row], after[i]))[None]))[0][0, 6:])
    same(hidden[3], model(inputs_of(after[3:]))[0][0])
    assert chosen.position.tolist() == [11, 11, 11, 5]
    # neither selecting nor stepping the selection touched the state it came from, nor its clone
    same(stepped(model, after[:3], state), stepped(model, after[:3], kept))


def test_rows_of_another_state_take_the_place_of_old_ones(model: SequenceModel) -> None:
    ids, other, after = letters(3, 6), letters(2, 9, seed=3), letters(3, 5, seed=1)
    _, state = model(inputs_of(ids), model.init_state(3, 14))
    _, new = model(inputs_of(other, lengths=[9, 4]), model.init_state(2, 14))
    assert state is not None
    assert new is not None
    state.put(torch.tensor([2, 0]), new)
    hidden = stepped(model, after, state)
    for i, before in enumerate((other[1, :4], ids[1], other[0])):
        same(hidden[i], model(inputs_of(torch.cat((before, after[i]))[None]))[0][0, len(before) :])


def test_dropping_the_longest_row_makes_room_again() -> None:
    model = make_model(ModelConfig(pattern="A", layers=1, width=16, heads=2))
    ids = letters(2, 4)
    _, state = model(inputs_of(ids, [4, 1]), model.init_state(2, 5))
    assert state is not None
    short = state.select(torch.tensor([1]))
    hidden = stepped(model, letters(1, 4, seed=1), short)
    same(hidden, model(inputs_of(torch.cat((ids[1:, :1], letters(1, 4, seed=1)), 1)))[0][:, 1:])


def test_a_model_that_was_used_for_inference_first_can_be_trained(model: SequenceModel) -> None:
    fresh = copy.deepcopy(model)
    with torch.inference_mode():  # whatever it keeps for later must not be an inference tensor
        model(inputs_of(letters(1, 300)))
    for each in (model, fresh):
        each(inputs_of(letters(1, 300)))[0].square().sum().backward()
    for (name, used), new in zip(model.backbone.named_parameters(), fresh.backbone.parameters(), strict=True):
        assert used.grad is not None, name
        assert used.grad.abs().max() > 0, name
        same(used.grad, new.grad)


def test_a_full_state_refuses_the_next_token() -> None:
    model = make_model(ModelConfig(pattern="A", layers=1, width=16, heads=2))
    _, state = model(inputs_of(letters(1, 4)), model.init_state(1, 4))
    with pytest.raises(ConfigError, match="room for 4 tokens, 5 are needed"):
        model.step({"tokens": letters(1)}, state)
    with pytest.raises(ConfigError, match="room for 4 tokens, 6 are needed"):
        model(inputs_of(letters(1, 2)), state)


def test_a_sliding_window_needs_room_for_the_window_only() -> None:
    model = make_model(ModelConfig(pattern="A", layers=2, width=16, heads=2, window=4))
    state = model.init_state(2, 1000)
    assert state.layers[0].keys.shape[2] == 4
    ids = letters(2, 30)
    same(stepped(model, ids, state), model(inputs_of(ids))[0])


def test_mixed_fields_step_by_step_equal_parallel(config: ModelConfig, mixed_inputs) -> None:
    model = make_model(config, MIXED)
    inputs = mixed_inputs(7, 7)
    state = model.init_state(2, 8)
    with torch.no_grad():
        hidden, _ = model(inputs)
        for t in range(8):
            fields = {name: values[:, t] for name, values in inputs.fields.items()}
            observed = {name: mask[:, t] for name, mask in inputs.observed.items()}
            one, state = model.step(fields, state, start=inputs.start[:, t], observed=observed)
            same(one, hidden[:, t])


def test_mixed_fields_padded_and_packed_equal_alone(config: ModelConfig) -> None:
    model = make_model(config, MIXED)
    rows = [mixed_row(n, seed=n) for n in (6, 3, 4)]
    padded, _ = model(collate(rows, MIXED).inputs)
    packed, _ = model(collate([pack_rows(rows)], MIXED, width=20).inputs)
    at = 0
    for i, row in enumerate(rows):
        alone, _ = model(collate([row], MIXED).inputs)
        same(padded[i, : len(row)], alone[0])
        same(packed[0, at : at + len(row)], alone[0])
        at += len(row)


def test_bf16_autocast_stays_near_float32(config: ModelConfig) -> None:
    model = SequenceModel(SYMBOLS, config)
    ids = letters(2, 40)
    exact = model.readouts["tokens"].nll(model(inputs_of(ids))[0], ids)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model.readouts["tokens"].nll(model(inputs_of(ids))[0], ids)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, rtol=0, atol=0.02)
    rough.mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_flops_are_six_times_the_matrices_and_grow_with_attention_only() -> None:
    wide = {"layers": 2, "width": 64}
    attention = SequenceModel(SYMBOLS, ModelConfig(pattern="A", **wide))
    matrices = sum(p.numel() for name, p in attention.named_parameters() if p.dim() == 2 and "embed" not in name)
    pairs = 3 * 2 * 4 * 64  # training, layers, two products of a multiply-add each, width
    assert attention.flops_per_token(101) == 6 * matrices + pairs * 51
    assert attention.flops_per_token() == attention.flops_per_token(256)
    recurrent = SequenceModel(SYMBOLS, ModelConfig(pattern="S", **wide))
    assert recurrent.flops_per_token(100) == recurrent.flops_per_token(10_000)


def test_it_can_learn_a_periodic_sequence(config: ModelConfig) -> None:
    torch.manual_seed(0)
    model = SequenceModel(SYMBOLS, config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.02)
    ids = torch.tensor([[5, 6, 6, 8, 7] * 5]).repeat(4, 1)
    for _ in range(40):
        loss = model.readouts["tokens"].nll(model(inputs_of(ids[:, :-1]))[0], ids[:, 1:]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.3  # 1.33 for its letters' frequencies

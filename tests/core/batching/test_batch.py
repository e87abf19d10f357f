import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.batching.assembly import Pieces, assemble
from core.batching.batch import collate, make_row, pack_rows
from core.batching.config import BatchingConfig
from core.errors import ConfigError
from core.sequence import Role, Sequence, Symbols, TokenSpec, Vectors, real, symbol
from core.vocabulary import BOS, EOS, PAD, UNK
from tests.core.memory_store import LETTERS, MIXED, letters, mixed

DNA = Symbols(LETTERS)
A, C, G, T = LETTERS.encode("ACGT").tolist()


def spelled(text):
    return Sequence({"tokens": LETTERS.encode(text).astype(np.uint8)})


def test_a_record_and_a_window_in_one_batch():
    record = make_row(spelled("ACG"), DNA, eos=True, place=(0, 4, 0))
    window = make_row(spelled("TT"), DNA, eos=False, place=(0, 5, 30))
    batch = collate([record, window], DNA)
    assert batch.inputs.fields["tokens"].tolist() == [[BOS, A, C, G], [BOS, T, PAD, PAD]]
    assert batch.targets["tokens"].tolist() == [[A, C, G, EOS], [T, T, PAD, PAD]]
    assert batch.loss_mask["tokens"].tolist() == [[True] * 4, [True, True, False, False]]
    assert batch.inputs.lengths.tolist() == [4, 2]
    assert batch.rows.tolist() == [[0, 4, 0], [0, 5, 30]]
    assert batch.n_tokens == 6
    assert batch.inputs.start is None
    assert batch.inputs.segments is None


def test_look_back_is_read_but_not_predicted():
    row = make_row(spelled("ACGT"), DNA, eos=False, context=2)
    assert row.fields["tokens"].tolist() == [BOS, A, C, G]
    assert row.loss_mask["tokens"].tolist() == [False, False, True, True]


def test_every_kind_and_role_with_eos():
    spec = TokenSpec(
        (
            real("x", 1),
            symbol("action", LETTERS),
            real("reward", 1, Role.GIVEN),
            real("hour", 1, Role.KNOWN_AHEAD),
            symbol("day", LETTERS, Role.KNOWN_AHEAD),
        )
    )
    columns = {"x": [[1.0], [2.0]], "reward": [[3.0], [4.0]], "hour": [[5.0], [6.0]]}
    arrays = {name: np.array(values) for name, values in columns.items()}
    arrays |= {"action": np.array([A, C], np.uint8), "day": np.array([G, T], np.uint8)}
    row = make_row(Sequence(arrays), spec, eos=True)
    assert row.fields["x"][:, 0].tolist() == [0, 1, 2]
    assert row.fields["reward"][:, 0].tolist() == [0, 3, 4]
    assert row.fields["action"].tolist() == [BOS, A, C]
    assert row.fields["hour"][:, 0].tolist() == [5, 6, 0]
    assert row.fields["day"].tolist() == [G, T, EOS]
    assert row.start.tolist() == [True, False, True]
    assert row.targets["x"][:, 0].tolist() == [1, 2, 0]
    assert row.loss_mask["x"][:, 0].tolist() == [True, True, False]
    assert row.targets["action"].tolist() == [A, C, EOS]
    assert row.loss_mask["action"].tolist() == [True, True, True]


def test_real_targets_alone_have_no_eos():
    row = make_row(Sequence({"values": np.ones((3, 2))}), Vectors(2), eos=True)
    assert len(row) == 3
    assert row.start.tolist() == [True, False, False]


def test_missing_values_are_neither_seen_nor_predicted():
    arrays = {"position": np.array([[np.nan, 1], [2, 3], [4, 5]]), "action": np.array([A, 0, C], np.uint8)}
    spec = TokenSpec(MIXED.fields[:2])
    observed = {"position": np.array([[False, True], [True, True], [True, True]]), "action": np.array([1, 0, 1], bool)}
    row = make_row(Sequence(arrays, observed=observed), spec, eos=False)
    assert row.fields["position"].tolist() == [[0, 0], [0, 1], [2, 3]]
    assert row.observed["position"].tolist() == [[True, True], [False, True], [True, True]]
    assert row.loss_mask["position"].tolist() == [[False, True], [True, True], [True, True]]
    assert row.targets["position"].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert row.fields["action"].tolist() == [BOS, A, UNK]
    assert row.targets["action"].tolist() == [A, PAD, C]
    assert row.loss_mask["action"].tolist() == [True, False, True]


def test_a_patch_is_several_steps_in_one_position():
    spec = TokenSpec((real("values", 1), symbol("hour", LETTERS, Role.KNOWN_AHEAD)), patch=2)
    arrays = {"values": np.arange(1.0, 6.0)[:, None], "hour": np.array([A, C, G, T, A], np.uint8)}
    row = make_row(Sequence(arrays), spec, eos=False, context=2)
    assert row.targets["values"].tolist() == [[1, 2], [3, 4], [5, 0]]
    assert row.loss_mask["values"].tolist() == [[False, False], [True, True], [True, False]]
    assert row.fields["values"].tolist() == [[0, 0], [1, 2], [3, 4]]
    assert row.fields["hour"].tolist() == [A, G, A]
    batch = collate([row], spec)
    assert batch.n_tokens == 3
    assert batch.predicted().tolist() == [[[False, False], [True, True], [True, False]]]


def test_patches_have_no_symbol_targets():
    with pytest.raises(ConfigError, match="symbol field"):
        TokenSpec(DNA.fields, patch=2)


def test_packed_documents_restart():
    rows = [pack_rows([make_row(spelled("AC"), DNA, eos=True), make_row(spelled("G"), DNA, eos=True)])]
    batch = collate(rows, DNA, width=6)
    assert batch.inputs.fields["tokens"].tolist() == [[BOS, A, C, BOS, G, PAD]]
    assert batch.targets["tokens"].tolist() == [[A, C, EOS, G, EOS, PAD]]
    assert batch.inputs.positions.tolist() == [[0, 1, 2, 0, 1, 0]]
    assert batch.inputs.segments.tolist() == [[0, 0, 0, 1, 1, -1]]
    assert batch.inputs.segments.dtype == torch.int32
    assert len(batch.rows) == 2


def same(a, b):
    """Two batches equal in every tensor, and in which tensors there are."""
    for part in ("start", "positions", "segments", "lengths"):
        x, y = getattr(a.inputs, part), getattr(b.inputs, part)
        assert (x is None) == (y is None), part
        assert x is None or (x.dtype == y.dtype and torch.equal(x, y)), part
    for x, y in (
        (a.inputs.fields, b.inputs.fields),
        (a.inputs.observed, b.inputs.observed),
        (a.targets, b.targets),
        (a.loss_mask, b.loss_mask),
    ):
        assert x.keys() == y.keys()
        for name in x:
            assert x[name].dtype == y[name].dtype
            assert torch.equal(x[name], y[name]), name
    assert np.array_equal(a.rows, b.rows)


@st.composite
def layouts(draw):
    """Documents (tokens, context, eos) in rows, a spec, and whether anything is missing."""
    document = st.tuples(st.integers(1, 6), st.integers(0, 3), st.booleans())
    fields = draw(st.sets(st.sampled_from(MIXED.fields), min_size=1).filter(lambda fs: any(f.is_target for f in fs)))
    spec = TokenSpec(tuple(f for f in MIXED.fields if f in fields))
    packed = draw(st.booleans())
    if not packed and not any(f.is_symbol for f in spec.targets):
        spec = TokenSpec(spec.fields, draw(st.integers(1, 3)))
    rows = draw(st.lists(st.lists(document, min_size=1, max_size=3 if packed else 1), min_size=1, max_size=4))
    return spec, packed, rows, draw(st.booleans())


@given(layouts(), st.integers(0, 2**20))
@settings(max_examples=100, deadline=None)
def test_fast_assembly_is_the_definition(layout, seed):
    spec, packed, rows, missing = layout
    (buffer,) = mixed(200, seed=seed, spec=spec, missing=missing)
    pieces, plain, begin = [], [], 0
    for number, documents in enumerate(rows):
        offset, parts = 0, []
        for tokens, context, eos in documents:
            context *= spec.patch
            place = (0, number, begin)
            window = buffer.slice(begin, begin + tokens + context)
            parts.append(make_row(window, spec, eos=eos, context=context, place=place))
            ends = eos and any(f.is_symbol for f in spec.targets)
            pieces.append((begin, tokens + context, context, ends, number, offset, place))
            offset, begin = offset + len(parts[-1]), begin + tokens + context
        plain.append(pack_rows(parts) if packed else parts[0])
    width = 40 if packed else None
    columns = [np.array(column) for column in zip(*pieces, strict=True)]
    same(
        assemble(Pieces([buffer] * len(pieces), *columns), spec, packed=packed, width=width),
        collate(plain, spec, width=width),
    )


def test_inputs_and_targets_share_no_memory():
    (buffer,) = letters(20)
    columns = [np.array([value]) for value in (0, 8, 0, False, 0, 0, (0, 0, 0))]
    batch = assemble(Pieces([buffer], *columns), DNA)
    batch.inputs.fields["tokens"].fill_(3)
    assert not (batch.targets["tokens"] == 3).any()
    assert batch.targets["tokens"].is_contiguous()
    assert buffer.arrays["tokens"].min() >= 5


def test_nothing_to_come_reaches_the_inputs():
    """Position i reads target and given fields of tokens before i only."""
    (record,) = mixed(8, missing=False)
    row = make_row(record, MIXED, eos=True)
    for i in range(8):
        changed = record.slice(0, 8)
        changed.arrays = {n: a.copy() for n, a in record.arrays.items()}
        for f in MIXED.fields:
            if f.role is not Role.KNOWN_AHEAD:
                changed.arrays[f.name][i:] = 7
        other = make_row(changed, MIXED, eos=True)
        for f in MIXED.fields:
            assert np.array_equal(other.fields[f.name][: i + 1], row.fields[f.name][: i + 1])


def test_a_batch_moves_and_keeps_its_digest():
    batch = collate([make_row(spelled("ACG"), DNA, eos=True, place=(0, 1, 2))], DNA)
    moved = batch.to("meta")
    assert moved.inputs.fields["tokens"].device.type == moved.targets["tokens"].device.type == "meta"
    assert moved.row_digest() == batch.row_digest()
    other = collate([make_row(spelled("ACG"), DNA, eos=True, place=(0, 1, 3))], DNA)
    assert other.row_digest() != batch.row_digest()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "window"}, "did you mean 'windows'"),
        ({"long": "cut"}, "window, refuse"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"length": 1}, "at least 2"),
        ({"stride": 0}, "at least 1"),
        ({"kind": "buckets", "batch_tokens": 256}, "257 positions"),
        ({"kind": "buckets", "look_back": 3}, "for kind 'windows'"),
        ({"batch_tokens": 5000}, "for kind 'buckets'"),
    ],
)
def test_config_says_what_is_wrong(values, said):
    with pytest.raises(ConfigError, match=said):
        BatchingConfig(**values)

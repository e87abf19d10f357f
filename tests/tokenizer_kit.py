"""The tokenizer's contract as tests. A domain's test subclasses `TokenizerContract` and names a tokenizer and records.

    class TestNucleotide(TokenizerContract):
        tokenizer = NucleotideTokenizer()
        records = dna_records()                      # a hypothesis strategy of records that can be encoded
        refused = [(record("a-c"), "gap")]           # records that cannot, each with its reason code

        def size(self, record): return len(record)   # natural units

Every check is a plain function as well, so that the kit itself can be tested on tokenizers that break the contract.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from core.errors import InputError, RecordError
from core.sequence import Sequence
from core.tokenizer import Tokenizer, accepts, describe, fingerprint, restore
from core.vocabulary import SPECIALS

EXAMPLES = 40
"""Records a property: smoke size; a failing one is shrunk."""


def for_records(records: SearchStrategy[Any], check: Callable[[Any], None], examples: int = EXAMPLES) -> None:
    """Runs `check` on records drawn the same way every time."""

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(records)
    def run(record: Any) -> None:
        check(record)

    run()


def check_round_trip(tokenizer: Tokenizer[Any], record: Any) -> None:
    canonical = tokenizer.canonical(record)
    back = tokenizer.decode(tokenizer.encode(record))
    assert tokenizer.same(back, canonical), f"came back as {back!r}, canonical is {canonical!r}"
    assert tokenizer.same(tokenizer.canonical(canonical), canonical), "canonical is not idempotent"
    assert equal(tokenizer.encode(canonical), tokenizer.encode(record)), "the canonical record encodes otherwise"


def check_config(tokenizer: Tokenizer[Any], record: Any) -> None:
    """Through JSON, as a store or bundle keeps it."""
    described = json.loads(json.dumps(describe(tokenizer)))
    again = type(tokenizer).from_config(described["config"])
    assert fingerprint(describe(again)) == described["fingerprint"], "the config came back with another fingerprint"
    assert again.spec == tokenizer.spec, "the config came back with another spec"
    assert equal(again.encode(record), tokenizer.encode(record)), "the config came back and encodes otherwise"


def check_spec(tokenizer: Tokenizer[Any], arrays: dict[str, np.ndarray]) -> None:
    """Every field there, of its type, width and alphabet; no specials but MASK and UNK."""
    assert tuple(sorted(arrays)) == tuple(sorted(tokenizer.spec.names)), f"fields {sorted(arrays)}"
    for field in tokenizer.spec.fields:
        array = arrays[field.name]
        if field.vocabulary is not None:
            assert array.ndim == 1, f"{field.name}: shape {array.shape}"
            assert array.dtype == field.vocabulary.dtype, f"{field.name}: {array.dtype}, not {field.vocabulary.dtype}"
            if len(array):
                low, high = int(array.min()), int(array.max())
                assert low >= 3, f"{field.name}: the special {SPECIALS[low]} stands in a record"
                assert high < len(field.vocabulary), f"{field.name}: id {high} of {len(field.vocabulary)}"
        else:
            assert array.shape == (len(array), field.width), f"{field.name}: shape {array.shape}, width {field.width}"
            assert array.dtype in (np.float32, np.float64), f"{field.name}: {array.dtype}"


def check_units(tokenizer: Tokenizer[Any], record: Any, size: float) -> None:
    sequence = tokenizer.encode(record)
    units = tokenizer.units(sequence.arrays)
    assert units.dtype == np.float64, f"units are {units.dtype}"
    assert units.shape == (len(sequence),), f"units have shape {units.shape}, there are {len(sequence)} tokens"
    assert (units >= 0).all(), "a token has negative units"
    assert units.sum() == pytest.approx(size), f"tokens have {units.sum()} units, the record {size}"


def check_views(tokenizer: Tokenizer[Any], record: Any) -> None:
    """A view has the form of what it views, as many units, and depends on nothing but the generator."""
    sequence = tokenizer.encode(record)
    before = {name: array.copy() for name, array in sequence.arrays.items()}
    for seed in range(4):
        window = tokenizer.view_window(sequence.arrays, np.random.default_rng(seed))
        assert all(np.array_equal(sequence.arrays[n], a) for n, a in before.items()), "a view wrote into its window"
        check_spec(tokenizer, window)
        assert {n: a.shape for n, a in window.items()} == {n: a.shape for n, a in before.items()}, "another shape"
        assert tokenizer.units(window).sum() == pytest.approx(tokenizer.units(before).sum()), "a view has other units"
        again = tokenizer.view_window(sequence.arrays, np.random.default_rng(seed))
        assert all(np.array_equal(window[n], again[n]) for n in window), "the same generator gave another window"
        view = tokenizer.view_record(record, np.random.default_rng(seed))
        same = tokenizer.view_record(record, np.random.default_rng(seed))
        assert equal(view, same), "the same generator gave another view of the record"
        check_spec(tokenizer, view.arrays)
        assert view.id == sequence.id, "a view has another id"


def check_extension(tokenizer: Tokenizer[Any], record: Any, symbols: tuple[str, ...]) -> None:
    """Old ids stay; a model with the longer vocabulary accepts stores of the shorter one and not the other way."""
    longer = tokenizer.extend(symbols)
    assert longer.spec.extends(tokenizer.spec), "an old id means something else after extend"
    assert not tokenizer.spec.extends(longer.spec), "extend added no symbol"
    old, new = tokenizer.encode(record), longer.encode(record)
    for name in old.arrays:
        assert np.array_equal(old.arrays[name], new.arrays[name]), "extend changed the tokens of a record"
    assert accepts(describe(longer), describe(tokenizer)), "the extended tokenizer does not accept the old one's stores"
    assert not accepts(describe(tokenizer), describe(longer)), "the old tokenizer accepts stores of the extended one"
    check_config(longer, record)


def check_refusal(tokenizer: Tokenizer[Any], record: Any, name: str, reason: str) -> None:
    """A refusal is a RecordError with its reason, that names the record; every way in refuses alike."""
    for way in (tokenizer.encode, tokenizer.canonical):
        with pytest.raises(RecordError) as caught:
            way(record)
        error = caught.value
        assert error.reason == reason, f"refused as '{error.reason}', not '{reason}': {error}"
        assert error.record == name, f"the error is of record '{error.record}', not '{name}'"
        assert name in error.message, f"the message does not name '{name}': {error.message}"


def check_never_breaks(tokenizer: Tokenizer[Any], record: Any) -> None:
    """Whatever comes is encoded or refused; nothing else is raised."""
    try:
        tokenizer.encode(record)
    except InputError:
        return
    check_round_trip(tokenizer, record)


def equal(a: Sequence, b: Sequence) -> bool:
    """Whether two sequences have the same arrays of the same types, and the same id."""
    arrays = a.arrays.keys() == b.arrays.keys() and all(
        a.arrays[n].dtype == b.arrays[n].dtype and np.array_equal(a.arrays[n], b.arrays[n]) for n in a.arrays
    )
    return arrays and a.id == b.id


class TokenizerContract:
    """Subclass, name it Test..., set the class variables, and say the size of a record."""

    tokenizer: ClassVar[Tokenizer[Any]]
    """Fitted, where it must be."""
    records: ClassVar[SearchStrategy[Any]]
    """Records that can be encoded."""
    refused: ClassVar[list[tuple[Any, str]]] = []
    """Records that cannot, with the reason code; `name` tells their ids."""
    anything: ClassVar[SearchStrategy[Any] | None] = None
    """Records of which some can be encoded and some cannot, hostile ones among them."""
    unfitted: ClassVar[Tokenizer[Any] | None] = None
    training: ClassVar[list[Any]] = []
    """For a tokenizer that learns: one that has not yet, and what it learns from."""
    symbols: ClassVar[tuple[str, ...]] = ("<task>", "<label=1>")
    """What extend is tried with."""

    def size(self, record: Any) -> float:
        """The natural units of a record."""
        raise NotImplementedError

    def name(self, record: Any) -> str:
        """A record's id."""
        return str(record.id)

    def test_round_trip(self) -> None:
        for_records(self.records, lambda record: check_round_trip(self.tokenizer, record))

    def test_config_is_the_whole_of_it(self) -> None:
        for_records(self.records, lambda record: check_config(self.tokenizer, record))

    def test_tokens_fit_the_spec(self) -> None:
        for_records(self.records, lambda record: check_spec(self.tokenizer, self.tokenizer.encode(record).arrays))

    def test_units_are_those_of_the_record(self) -> None:
        for_records(self.records, lambda record: check_units(self.tokenizer, record, self.size(record)))

    def test_views(self) -> None:
        for_records(self.records, lambda record: check_views(self.tokenizer, record))

    def test_extension_keeps_ids(self) -> None:
        for_records(self.records, lambda record: check_extension(self.tokenizer, record, self.symbols), examples=10)

    def test_refusals_name_record_and_reason(self) -> None:
        for record, reason in self.refused:
            check_refusal(self.tokenizer, record, self.name(record), reason)

    def test_anything_is_encoded_or_refused(self) -> None:
        strategy = self.anything if self.anything is not None else self.records
        for_records(strategy, lambda record: check_never_breaks(self.tokenizer, record))

    def test_registered(self) -> None:
        from domains import tokenizer_classes

        restored = restore(describe(self.tokenizer), tokenizer_classes())
        assert type(restored) is type(self.tokenizer)

    def test_fitting_is_deterministic_and_once(self) -> None:
        assert not self.tokenizer.needs_fit
        if self.unfitted is None:
            assert self.tokenizer.fit([]) is self.tokenizer
            return
        assert self.unfitted.needs_fit
        first, second = (self.unfitted.fit(iter(self.training)) for _ in range(2))
        assert self.unfitted.needs_fit, "fit changed the tokenizer it was called on"
        assert not first.needs_fit
        assert describe(first) == describe(second)

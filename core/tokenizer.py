"""What every tokenizer can do. The classes stand in the domains; `tests/tokenizer_kit.py` holds them to this contract.

    same(decode(encode(r)), canonical(r))          a record survives, in its canonical form
    canonical(canonical(r)) same as canonical(r)   canonical is idempotent
    from_config(to_config(t)) encodes identically  the config is the whole of what was learned

A record that cannot be encoded is refused with an InputError that names it and says why; nothing is changed silently.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, IntegrityError, RecordError, nearest
from core.grammar import Grammar
from core.registry import Registry
from core.sequence import Array, Sequence, TokenSpec

Record = TypeVar("Record")


class Tokenizer(Protocol[Record]):
    """Records of a domain to Sequences and back."""

    kind: str
    """Its name in the registry."""
    version: int
    """Raised when the same config would encode differently."""
    natural_unit: str
    """What likelihoods are given per, in the singular ("base", "residue", "note"): tokenizers compare in it."""

    @property
    def spec(self) -> TokenSpec: ...

    @property
    def needs_fit(self) -> bool:
        """Whether something must still be learned from training records before `encode` works."""
        ...

    def fit(self, train_records: Iterable[Record]) -> Self:
        """A tokenizer that has learned what it needs from the training split. Returns itself if it needs nothing."""
        ...

    def encode(self, record: Record) -> Sequence:
        """Raises InputError naming the record and the reason where it is refused."""
        ...

    def decode(self, sequence: Sequence) -> Record: ...

    def canonical(self, record: Record) -> Record:
        """The form in which a record comes back from decode(encode(record))."""
        ...

    def same(self, a: Record, b: Record) -> bool: ...

    def units(self, arrays: Mapping[str, Array]) -> NDArray[np.float64]:
        """(T,) how many natural units each token of a sequence's or window's arrays stands for."""
        ...

    def extend(self, symbols: Iterable[str]) -> Self:
        """A tokenizer with more symbols; the old ids stay as they are."""
        ...

    def grammar(self, **limits: Any) -> Grammar | None:
        """The automaton of all sequences that decode, or None where every sequence does."""
        ...

    def view_record(self, record: Record, rng: np.random.Generator) -> Sequence:
        """Another reading of the record; `encode(record)` where there is only one."""
        ...

    def view_window(self, arrays: dict[str, Array], rng: np.random.Generator) -> dict[str, Array]:
        """Another reading of a window's arrays (field name to (T, ...)); the same arrays where there is only one.

        Masks, where the store has any, are among them as `observed/NAME` and `loss_mask/NAME`, and keep their meaning.
        """
        ...

    def to_config(self) -> dict[str, Any]:
        """All that is needed to make it again, as plain JSON values; symbols added by `extend` under `extension`."""
        ...

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self: ...


TokenizerClasses = Registry[type[Tokenizer[Any]]]

_OWN_LIMITS = ("self", "max_length", "template", "limits")
"""Parameters of a `grammar` that are not for who draws samples: they follow from other keys."""


def limits_of(tokenizer: Tokenizer[Any]) -> list[str]:
    """What samples may be restricted to under the tokenizer's grammar, by the names of its parameters."""
    return [name for name in inspect.signature(tokenizer.grammar).parameters if name not in _OWN_LIMITS]


def reads(tokenizer: Tokenizer[Any], record: Any) -> bool:
    """Whether the tokenizer takes a record, one that a model made for example."""
    try:
        tokenizer.encode(record)
    except RecordError:
        return False
    return True


def grammar_within(tokenizer: Tokenizer[Any], max_length: int, limits: Mapping[str, Any]) -> Grammar[Any]:
    """The automaton of samples of at most `max_length` tokens inside `limits`.

    Raises ConfigError for a limit that the tokenizer does not know (the nearest is shown), one whose value it cannot
    use, or where it has no grammar.
    """
    known = limits_of(tokenizer)
    for name in limits:
        if name not in known:
            raise ConfigError(
                f"limits.{name}: the grammar of {tokenizer.kind} has no such limit{nearest(name, known)}",
                hint=f"Known: {', '.join(known) or 'none'}.",
            )
    try:
        automaton = tokenizer.grammar(max_length=max_length, **limits)
    except (AttributeError, TypeError, ValueError) as error:
        given = ", ".join(f"limits.{name}={value!r}" for name, value in limits.items())
        if not limits:
            raise
        raise ConfigError(f"{given}: the grammar of {tokenizer.kind} cannot use it ({error})") from error
    if automaton is None:
        raise ConfigError(f"the tokenizer {tokenizer.kind} has no grammar", hint="Every sequence decodes.")
    return automaton


def describe(tokenizer: Tokenizer[Any]) -> dict[str, Any]:
    """`{kind, version, config, fingerprint}`, as stores and bundles keep it; what it grew from stands in the config."""
    lineage = list(getattr(tokenizer, "grown_from", ()))
    config = {**tokenizer.to_config(), **({"grown_from": lineage} if lineage else {})}
    body = {"kind": tokenizer.kind, "version": tokenizer.version, "config": config}
    return {**body, "fingerprint": fingerprint(body)}


def fingerprint(description: Mapping[str, Any]) -> str:
    """sha256 of kind, version and config."""
    body = {key: description[key] for key in ("kind", "version", "config")}
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def restore(description: Mapping[str, Any], classes: TokenizerClasses) -> Tokenizer[Any]:
    """The tokenizer that `describe` described.

    Raises:
        IntegrityError: its fingerprint does not match its text, or this foretell reads only an older version of it.
        ConfigError: no tokenizer of that kind is registered.
    """
    if fingerprint(description) != description["fingerprint"]:
        raise IntegrityError(f"tokenizer '{description['kind']}': its config does not match its fingerprint")
    tokenizer_class = classes.get(description["kind"])
    if description["version"] > tokenizer_class.version:
        raise IntegrityError(
            f"tokenizer '{description['kind']}' is of version {description['version']}; "
            f"this foretell reads up to {tokenizer_class.version}",
            hint="Install a newer foretell.",
        )
    if around := getattr(tokenizer_class, "around", None):  # of a tokenizer that puts something behind another one's
        made: Tokenizer[Any] = around(restore(description["config"]["base"], classes), description["config"])
        return made
    config = dict(description["config"])
    lineage = tuple(config.pop("grown_from", ()))
    plain = tokenizer_class.from_config(config)
    if lineage:
        plain.grown_from = lineage  # type: ignore[attr-defined]
    return plain


def accepts(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Whether a model with tokenizer `mine` may read a store of `theirs`: equal, or a part of mine (both as described).

    `extend` keeps what it appended under the config key `extension`; all else must be equal. A key that is null is as
    one that is absent: a store may be older than the key. Of tasks behind the same sequences, mine begin with theirs;
    whether their sequences count in training as well is the store's own.
    """

    def base(description: Mapping[str, Any]) -> tuple[Any, ...]:
        config = {k: v for k, v in description["config"].items() if k != "extension" and v is not None}
        if (behind := tokenizer_behind(description)) is not None:  # what training counts of a store is written in it
            config = {"base": behind["fingerprint"]}
        return description["kind"], description["version"], config

    def begins(key: str) -> bool:
        old = list(theirs["config"].get(key, []))
        return list(mine["config"].get(key, []))[: len(old)] == old

    if base(mine) != base(theirs):
        return False
    return begins("extension") and (tokenizer_behind(mine) is None or begins("tasks"))


def tokenizer_behind(description: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The described tokenizer whose sequences another one puts tasks behind; None of any other."""
    found = description["config"].get("base")
    return found if isinstance(found, Mapping) else None


def growing(tokenizer: Tokenizer[Any]) -> Tokenizer[Any]:
    """One to be fitted that keeps all that the tokenizer knows, in front, and learns the channels that records have
    beyond. A tokenizer with a method `growing` is of tokens that can have more.

    Raises ConfigError for any other one.
    """
    make = getattr(tokenizer, "growing", None)
    if make is None:
        raise no_channels(tokenizer.kind)
    made: Tokenizer[Any] = make()
    return made


def no_channels(kind: str) -> ConfigError:
    """What `growing` raises."""
    return ConfigError(
        f"tokenizer_grows: tokens of {kind} have no channels to add to",
        hint="New symbols are for tasks: tasks.NAME.column=... beside tokenizer_from=.",
    )


def grows(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> bool:
    """Whether `mine` keeps all ids and channels of `theirs` and may have more (both as described).

    So it is where `mine` accepts `theirs`, where it was fitted anew to records with more channels (see `growing`), and
    where it puts tasks behind the sequences of `theirs`. What was extended between two growths is not seen through.
    """
    if accepts(mine, theirs) or theirs["fingerprint"] in mine["config"].get("grown_from", ()):
        return True
    base = tokenizer_behind(mine)
    return base is not None and tokenizer_behind(theirs) is None and grows(theirs, base)

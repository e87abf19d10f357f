"""What a run starts from (`init_from=`): a bundle of ours, or a folder of another library.

A start gives weights by the names of a SequenceModel and says what its ids mean, where that is known. A store may have
more symbols than the start (tasks behind the same sequences) or more channels: then all of the start is kept and what
is new added. With `vocabulary="new"` only the backbone is taken: embedding and readout are learned anew, and the ids
are the store's.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.batching.config import BatchingConfig
from core.errors import ConfigError, IntegrityError, nearest_path
from core.nn.config import ModelConfig
from core.recipe import of_domain, readable
from core.tokenizer import accepts, grows
from core.training.config import TrainingConfig

if TYPE_CHECKING:
    from torch import Tensor

    from core.finetuning.config import AdapterConfig
    from core.sequence import TokenSpec
    from core.store import TokenStore

KEEP, NEW = "keep", "new"
_NEW_HINT = f"With init_vocabulary={NEW} only the backbone is taken, and embedding and readout are learned anew."
_FIELD = "tokens"
"""Under which name the only field of another library's model is kept; a store may call its own otherwise."""

PACE = 1 / 3
"""Of what training goes on at, against what it began with [robots, a third: better than as fast, and than AdamW at
1e-3; hourly load: as good as AdamW at 1e-3; on validation]."""
LR = 1e-3
"""AdamW's, where nothing is known of the start."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    path: Path
    fingerprint: str
    """The identity of its weights, wherever the folder lies."""
    config: ModelConfig
    weights: Mapping[str, Tensor]
    tokenizer: dict[str, Any] | None
    """As `core.tokenizer.describe` gives it; None where nothing says what the ids mean, or they are left behind."""
    domain: str | None
    ids: int | None
    """V of another library's model; None for a bundle, whose tokenizer says all."""
    vocabulary: str = KEEP
    readouts: Mapping[str, str] = field(default_factory=dict)
    """Kind per target field, where it is not the usual one; of a bundle whose readouts are kept."""
    batching: BatchingConfig | None = None
    """How rows were cut when a bundle was trained."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the TrainingConfig that a bundle was trained with."""
    spec: TokenSpec | None = None
    """The token of a bundle whose embedding and readouts are kept."""

    def check(self, store: TokenStore) -> None:
        """Raises IntegrityError where the ids of the store cannot mean here what they mean there."""
        if self.vocabulary == NEW:
            return
        if self.tokenizer is not None:
            try:
                of_domain(store, self.domain)
                if grows(self.tokenizer, store.tokenizer):
                    return
                readable(store, self.tokenizer, str(self.path))
            except IntegrityError as error:
                raise IntegrityError(error.message, hint=f"{error.hint} {_NEW_HINT}") from error
            return
        fields, described = store.spec.fields, f"{store.path}, of tokenizer '{store.tokenizer['kind']}',"
        if len(fields) > 1 or fields[0].vocabulary is None:
            raise IntegrityError(
                f"{self.path} reads one symbol a token, {described} has {len(fields)} fields or real values",
                hint=_NEW_HINT,
            )
        if len(fields[0].vocabulary) != self.ids:
            raise IntegrityError(
                f"{self.path} has {self.ids:,} ids, {described} has {len(fields[0].vocabulary):,}", hint=_NEW_HINT
            )
        _log.info(f"{self.path} does not say what its ids mean; they are taken for those of {store.path}")

    def reading(self, store: TokenStore) -> dict[str, Any]:
        """The tokenizer that a run on the store has: the start's, or the store's where that has more symbols or
        channels."""
        if self.tokenizer is None or (
            grows(self.tokenizer, store.tokenizer) and not accepts(self.tokenizer, store.tokenizer)
        ):
            return store.tokenizer
        return self.tokenizer

    def state_dict(self, spec: TokenSpec) -> dict[str, Tensor]:
        """The weights that it has for a model of `spec`."""
        if self.vocabulary == NEW:
            return {name: weight for name, weight in self.weights.items() if name.startswith("backbone.")}
        if self.ids is None:
            return dict(self.weights)
        field = spec.symbol_target.name
        return {name.replace(f".{_FIELD}.", f".{field}."): weight for name, weight in self.weights.items()}


def load_start(path: Path | None, vocabulary: str = KEEP) -> Start | None:
    """The start at `path`: a bundle, or a folder with another library's config.json; None for None.

    Args:
        vocabulary: "keep" or "new", see above.

    Raises:
        ConfigError: nothing of the kind is there, or `vocabulary` is neither, or "new" without a path.
        InputError: ours cannot be that model, with the reasons.
        IntegrityError: a file is damaged.
    """
    from core.bundle import load_bundle
    from core.interchange.folder import is_foreign, read_folder
    from core.nn.readout import readout_kinds

    if vocabulary not in (KEEP, NEW):
        raise ConfigError(f"init_vocabulary: got {vocabulary!r}, allowed: {KEEP}, {NEW}")
    if path is None:
        if vocabulary == NEW:
            raise ConfigError("init_vocabulary=new says what init_from= gives, which is missing")
        return None
    if not path.is_dir():
        raise ConfigError(
            f"init_from: there is no folder {path}{nearest_path(path)}",
            hint="Give a bundle or a run, or a folder that transformers or mamba-ssm saved. Nothing is downloaded.",
        )
    if is_foreign(path):
        found = read_folder(path)
        known = found.tokenizer if vocabulary == KEEP else None
        weights = found.parts.state_dict(_FIELD)
        domain = found.domain if vocabulary == KEEP else None
        return Start(path, found.fingerprint, found.parts.config, weights, known, domain, found.ids, vocabulary)
    bundle = load_bundle(path)
    weights, config = bundle.model.state_dict(), bundle.model.config
    if vocabulary == NEW:  # other tokens, so other lengths; fresh weights, so their own rate
        return Start(path, bundle.fingerprint, config, weights, None, None, None, vocabulary)
    usual = readout_kinds(bundle.spec, None)
    readouts = {name: kind for name, kind in bundle.model.readout_kinds.items() if kind != usual[name]}
    return Start(
        path,
        bundle.fingerprint,
        config,
        weights,
        bundle.tokenizer,
        bundle.domain,
        None,
        vocabulary,
        readouts,
        _batching(bundle.training.get("batching")),
        dict(bundle.training.get("training") or {}),
        bundle.spec,
    )


def _batching(said: Mapping[str, Any] | None) -> BatchingConfig | None:
    """As a bundle tells it; keys of a later version are left out."""
    known = {f.name for f in fields(BatchingConfig)}
    values = {key: value for key, value in (said or {}).items() if key in known}
    return BatchingConfig(**values) if values else None


def going_on(start: Start | None, given: Mapping[str, Any], adapter: AdapterConfig | None = None) -> TrainingConfig:
    """How training goes on: with the start's optimizer, at PACE of its peak rate where no rate is given.

    Another optimizer than the start's, small matrices beside the weights, and what has no such record (another
    library's model, new embeddings) have AdamW's usual rate.

    Args:
        given: fields of the TrainingConfig.
    """
    before = {} if start is None or (adapter is not None and adapter.kind != "full") else start.training
    own: dict[str, Any] = {"lr": LR}
    if {"optimizer", "lr"} <= set(before) and given.get("optimizer", before["optimizer"]) == before["optimizer"]:
        own = {"optimizer": before["optimizer"], "lr": PACE * float(before["lr"])}
    return TrainingConfig.from_config({**own, **given})

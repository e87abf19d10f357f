"""Fine-tuning on labels in a run folder: claimed, run once, left with a bundle, an evaluation and a card.

The command line and the Python face both come here. The same command on a finished folder returns at once; one that was
interrupted begins anew, with the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Many
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.bundle import MANIFEST
from core.errors import ConfigError
from core.finetuning.adapters import check_installed
from core.finetuning.artifacts import BUNDLE, EVALUATION, base_of, check_store, write_adapter, write_finetuned
from core.finetuning.baselines import Features
from core.finetuning.config import AdapterConfig, SupervisedConfig
from core.finetuning.label_reading import labels_of
from core.finetuning.pairs import PairTable
from core.finetuning.run import Base, Finetuned, finetune, settings
from core.finetuning.split import leakage_of, trusted_labels
from core.run_folder import claim
from core.sequence import Sequence
from core.store import TokenStore
from core.tokenizer import Tokenizer

FeaturesOf = Callable[[Many[Sequence], Tokenizer[Any]], Any]
"""`features(sequences, tokenizer) -> (name, (N, F))`: a domain's own."""


@dataclass(frozen=True)
class LabelJob:
    """What is learned, from what."""

    init_from: Path
    store: TokenStore
    task: str
    columns: tuple[str, ...]
    adapter: AdapterConfig
    config: SupervisedConfig
    pairs: PairTable | None = None
    """Of labels of pairs of the store's records."""

    def run(
        self,
        run: Path,
        features: FeaturesOf | None = None,
        *,
        tokenizer: Tokenizer[Any] | None = None,
        seed: int = 0,
        scratch: bool = False,
        adapter_out: Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        say: Callable[[str], None] = lambda text: None,
    ) -> Finetuned | None:
        """None where the folder holds the finished run already.

        Args:
            features: for the baseline of the domain's own, which reads by `tokenizer`.
            tokenizer: the store's.

        Raises as `core.finetuning.run.finetune` and `core.run_folder.claim`.
        """
        base = self.base()
        if adapter_out is not None and not self.adapter.is_peft:
            raise ConfigError(
                f"adapter_out: adapter={self.adapter.kind} leaves no adapter apart",
                hint="Choose adapter=lora, dora or ia3.",
            )
        if adapter_out is not None and base.grown_from:
            raise ConfigError(
                "adapter_out: the store has channels that its start lacks; no adapter brings those",
                hint="Leave it out, the bundle has all weights; or go on with task=continue first and start from that.",
            )
        labels = trusted_labels(self.store, self.columns, self.task, self.config, self.pairs)
        told = settings(self.adapter, self.config, self.task, self.columns)
        claim(run, {**self._identity(base), **told, "seed": seed, "scratch": scratch, "precision": precision})
        if (run / BUNDLE / MANIFEST).is_file():
            return None
        own: Features | None = None
        if features is not None and tokenizer is not None:
            reading, of = tokenizer, features

            def own(sequences: Many[Sequence]) -> Any:
                return of(sequences, reading)

        for line in [*labels.describe(), f"leakage     {leakage_of(labels, self.store).describe()}"]:
            say(line)
        found = finetune(
            base,
            self.store,
            labels,
            adapter=self.adapter,
            config=self.config,
            seed=seed,
            own=own,
            tokenizer=tokenizer,
            scratch=scratch,
            device=device,
            precision=precision,
            out=run / EVALUATION,
            say=say,
        )
        if adapter_out is not None:
            write_adapter(adapter_out, found, self.adapter, base)
        write_finetuned(run / BUNDLE, base, self.store, found, adapter=self.adapter, config=self.config, seed=seed)
        return found

    def base(self) -> Base:
        """The model that it starts from. Raises as `base_of` and `check_installed`."""
        check_installed(self.adapter)
        check_store(self.store)
        return base_of(self.init_from, self.store)

    def describe(self) -> list[str]:
        """What would be learned from what; raises where that cannot be."""
        base = self.base()
        labels = labels_of(self.store, self.columns, self.task, self.config, self.pairs)
        steps = -(-len(labels.part("train")) // self.config.batch_size)
        return [
            *labels.describe(),
            f"leakage     {leakage_of(labels, self.store).describe()}",
            f"model       {base.model.config.mixers}, {base.model.n_parameters:,} parameters",
            f"budget      adapter {self.adapter.kind}, at most {self.config.epochs} epochs of {steps:,} steps, "
            f"{self.config.seeds} seeds, {self.config.folds} folds",
        ]

    def _identity(self, base: Base) -> dict[str, Any]:
        return {
            **({} if self.pairs is None else {"pairs": self.pairs.fingerprint}),
            "domain": self.store.domain,
            "data": [{"store": str(Path(self.store.path).resolve()), "fingerprint": self.store.fingerprint}],
            "tokenizer": base.tokenizer["fingerprint"],
            "init_from": base.fingerprint,
        }

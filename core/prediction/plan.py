"""The plan of a prediction: all that its bytes are a function of, hashed; and where bundle, input and output lie.

Two runs with equal identity write equal bytes, so one may go on where the other was interrupted. Places are not part of
the identity: a bundle or store may be moved. Does no work itself.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr

from core.bundle import Bundle
from core.durable import json_bytes
from core.embedding import check_layer
from core.engine import resolve_device
from core.errors import ConfigError, IntegrityError, nearest
from core.finetuning.head import has_head, load_head
from core.kernels import MIXER_PARTS, Needs, chosen, native, preferred
from core.prediction.input import Input
from core.prediction.input.store import StoreInput
from core.prediction.options import WHAT, PredictOptions
from core.sequence import Field, Role
from core.store import TokenStore
from core.tokenizer import accepts
from core.version import __version__

__all__ = ["WHAT", "PredictOptions", "PredictionPlan", "difference", "make_plan"]

BLOCK_TOKENS = 2**18
"""Tokens of a block, about: some seconds of work, which is what an interruption can cost."""
MAX_BLOCK_ROWS = 2**16
ENGINE_VERSION = 2
"""Raised when the same plan would give other bytes."""


@dataclass(frozen=True)
class PredictionPlan:
    """What is to be done (`identity`) and where (the paths)."""

    identity: dict[str, Any]
    bundle: Path
    input: Path
    output: Path

    @property
    def hash(self) -> str:
        """sha256 of the identity."""
        return hashlib.sha256(json_bytes(self.identity)).hexdigest()

    @property
    def what(self) -> list[str]:
        return list(self.identity["what"])

    @property
    def options(self) -> PredictOptions:
        return PredictOptions.from_config(self.identity["options"])

    @property
    def rows(self) -> int:
        return int(self.identity["input"]["rows"])

    @property
    def rows_per_block(self) -> int:
        return int(self.identity["rows_per_block"])

    @property
    def bits_name(self) -> str | None:
        """What the scores per natural unit are called: bits_per_base; None where no unit is known."""
        unit = self.identity.get("unit")
        return f"bits_per_{unit.replace(' ', '_')}" if unit else None

    @property
    def n_blocks(self) -> int:
        return -(-self.rows // self.rows_per_block)

    def block(self, index: int) -> tuple[int, int]:
        """Rows [start, stop) of block `index`."""
        return index * self.rows_per_block, min((index + 1) * self.rows_per_block, self.rows)


def make_plan(
    bundle: Bundle,
    rows: Input | TokenStore,
    output: Path,
    *,
    what: Iterable[str],
    options: PredictOptions | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "fp32",
    kernel: str = "auto",
    threads: int | None = None,
    batch_tokens: int = 4096,
    exact: bool = False,
    rows_per_block: int | None = None,
    unit: str | None = None,
) -> PredictionPlan:
    """Settles everything that the output's bytes depend on.

    Args:
        what: some of WHAT; `compare` brings `score` with it.
        rows: what is predicted.
        rows_per_block: a power of two; None chooses blocks of about BLOCK_TOKENS tokens.
        unit: the natural unit of the bundle's tokenizer, where scores are to be told per unit as well.

    Raises:
        ConfigError: a value that is not allowed, an output that this token spec cannot have.
        IntegrityError: the store was made by another tokenizer than the bundle's.
    """
    options = options or PredictOptions()
    rows = StoreInput(rows) if isinstance(rows, TokenStore) else rows
    asked = set(what)
    if "predict" in asked and not has_head(bundle.path) and _forecasts(bundle):
        asked = asked - {"predict"} | {"forecast"}
    asked |= {"score"} if "compare" in asked else set()
    chosen = sorted(asked, key=lambda name: WHAT.index(name) if name in WHAT else -1)
    for name in chosen:
        if name not in WHAT:
            raise ConfigError(f"what: got '{name}'{nearest(name, WHAT)}", hint=f"Allowed: {', '.join(WHAT)}.")
    if not chosen:
        raise ConfigError(f"what: nothing is asked for; allowed: {', '.join(WHAT)}")
    if "sample" in chosen:
        _check_sampling(bundle, options)
    if "embedding" in chosen:
        check_layer(bundle.model.config, options.layer)
    if "forecast" in chosen:
        _check_forecasting(bundle, options)
    if "predict" in chosen:
        if bundle.tokenizer["kind"] == "tasks":
            raise ConfigError(
                f"what=predict: {bundle.path} answers tasks", hint="Ask them: ask=all output=answers.csv."
            )
        head = load_head(bundle.path, bundle.model.hidden_width)
        if head.config.pairs:
            raise ConfigError(
                f"what=predict: {bundle.path} says something of pairs of records",
                hint="Name them: pairs=PAIRS.csv output=said.csv, see docs/finetune.md.",
            )
    if "compare" in chosen and not len(rows.pairs):
        raise ConfigError(
            f"what=compare: {rows.path} has no pairs of rows to compare",
            hint="Prepare variants with what they are variants of, as data.path=calls.vcf data.reference=genome.fa.",
        )
    check_input(bundle, rows)
    per_row = max(1, rows.row_tokens)
    rows_per_block = rows_per_block or min(MAX_BLOCK_ROWS, 1 << (max(1, BLOCK_TOKENS // per_row).bit_length() - 1))
    if rows_per_block & (rows_per_block - 1):
        raise ConfigError(f"rows_per_block: got {rows_per_block}, allowed: a power of two")
    resolved = resolve_device(device)
    kernels = kernels_of(bundle, kernel, resolved, precision)
    window = asdict(options.window.resolve(bundle.model.config))
    settled = asdict(options) | {"window": window, "levels": list(options.levels)}
    identity = {
        "what": chosen,
        "options": settled,
        "bundle": bundle.fingerprint,
        "input": rows.identity,
        "rows_per_block": rows_per_block,
        "seed": seed,
        "precision": precision,
        "kernel": kernels,
        "batch_tokens": batch_tokens,
        "exact": exact,
        "threads": threads or torch.get_num_threads(),
        "device": resolved.type,
        "software": {
            "foretell": __version__,
            "engine": ENGINE_VERSION,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "zarr": zarr.__version__,
            **_kernel_software(kernels),
        },
        "machine": machine(resolved),
    }
    if unit is not None:
        identity["unit"] = unit
    return PredictionPlan(identity, bundle.path, rows.path, output)


def check_input(bundle: Bundle, store: Input) -> None:
    """Raises IntegrityError where the bundle's model may not read the store."""
    if not accepts(bundle.tokenizer, store.tokenizer) or not bundle.spec.extends(store.spec):
        mine, theirs = (f"{t['kind']} {t['fingerprint'][:12]}" for t in (bundle.tokenizer, store.tokenizer))
        raise IntegrityError(
            f"{store.path} was made by tokenizer {theirs}, the bundle {bundle.path} reads {mine}",
            hint="Prepare the store with the bundle's tokenizer, or choose a bundle that was trained on such stores.",
        )


def machine(device: torch.device) -> list[str]:
    """What of the machine decides which kernels run: architecture and vector instructions, or the GPU's name."""
    if device.type == "cuda":
        return [platform.machine(), torch.cuda.get_device_name(device)]
    flags = torch.cpu.get_capabilities()
    return [platform.machine(), *sorted(name for name, value in flags.items() if value is True)]


def kernels_of(bundle: Bundle, name: str, device: torch.device, precision: str) -> dict[str, str]:
    """What computes on this machine where the kernel `name` is asked for: the name itself under `asked`, a kernel for
    each kind that the model has, and cpp or torch for its other `parts`.

    Raises ConfigError for a name that is unknown or cannot run here.
    """
    mixers = bundle.model.config.mixers
    found = chosen(mixers, Needs(device=device.type, dtype="bfloat16" if precision == "bf16" else "float32"), name)
    libraries = {library for letter, library in MIXER_PARTS.items() if letter in mixers}
    with preferred(name):
        parts = "cpp" if device.type == "cpu" and all(map(native.wanted, libraries)) else "torch"
    return {"asked": name, **found, "parts": parts}


def _kernel_software(kernels: Mapping[str, str]) -> dict[str, str]:
    """Versions of what brings kernels with it."""
    return {"mamba_ssm": version("mamba_ssm")} if "mamba_ssm" in kernels.values() else {}


def difference(mine: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> list[str]:
    """`key: theirs -> mine` for every leaf in which two identities differ."""
    lines = []
    for key in sorted(set(mine) | set(theirs)):
        a, b = mine.get(key), theirs.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            lines += difference(a, b, f"{prefix}{key}.")
        elif a != b:
            lines.append(f"{prefix}{key}: {_text(b)} -> {_text(a)}")
    return lines


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _check_sampling(bundle: Bundle, options: PredictOptions) -> None:
    def refuse(field: Field) -> None:
        raise ConfigError(
            f"what=sample: field '{field.name}' is {field.role.value}, and a store says nothing of it beyond its rows",
            hint="Use Engine.sample with `ahead`.",
        )

    for f in bundle.spec.fields:
        if not f.is_target:
            refuse(f)
    if options.grammar:
        _ = bundle.spec.symbol_target


def _forecasts(bundle: Bundle) -> bool:
    """Whether one real field is predicted, of which a forecast is made."""
    return len(bundle.spec.targets) == 1 and not bundle.spec.targets[0].is_symbol


def _check_forecasting(bundle: Bundle, options: PredictOptions) -> None:
    targets = bundle.spec.targets
    if not _forecasts(bundle):
        raise ConfigError(
            f"what=forecast needs one real target field, the bundle has {[f.name for f in targets]}",
            hint="Models of symbols draw with what=sample.",
        )
    known = [f.name for f in bundle.spec.fields if f.role is Role.KNOWN_AHEAD]
    if known and options.origin == "end":
        raise ConfigError(
            f"what=forecast: the model reads {', '.join(known)} of the steps to come, which no row has beyond its end",
            hint=f"With origin=held_out the last {options.horizon} steps of each row are forecast. Of files, add "
            f"input.horizon={options.horizon}, which puts them behind each row; prepare a store with data.horizon=.",
        )

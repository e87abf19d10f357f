"""The bundle: a trained model as a flat folder that anyone can load, on a CPU, without Hydra or Lightning.

`model.safetensors config.json tokenizer.json metrics.json card.md MANIFEST.json`, the last with each one's sha256 and
size. No pickle, no class paths: names are looked up in our registries, and what a file claims is checked against the
others before memory is taken for it. Knows no tokenizer class: `tokenizer.json` is handed out as the dict that it is.
"""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from core.durable import check_manifest, fsync_path, json_bytes, manifest, new_folder, read_json
from core.errors import ConfigError, IntegrityError, nearest_path
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.objectives import OBJECTIVES
from core.sequence import TokenSpec
from core.version import __version__

FORMAT, FORMAT_VERSION = "foretell/bundle", 1
WEIGHTS, CONFIG, TOKENIZER, METRICS, CARD, MANIFEST = (
    "model.safetensors",
    "config.json",
    "tokenizer.json",
    "metrics.json",
    "card.md",
    "MANIFEST.json",
)
MAX_JSON_BYTES = 2**26
"""Vocabularies of a million symbols fit; a file that is larger is refused."""
_LARGEST = {"context": 2**31, "window": 2**31, "chunk": 2**16, "ngrams": 64}
"""Bounds for what no weight's shape bounds."""


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle."""

    model: SequenceModel
    """In eval mode, on the CPU, float32."""
    tokenizer: dict[str, Any]
    """As `core.tokenizer.describe` gave it; `core.tokenizer.restore` makes the tokenizer."""
    domain: str
    config: dict[str, Any]
    """config.json."""
    metrics: Any
    """metrics.json."""
    path: Path
    fingerprint: str
    """sha256 of MANIFEST.json: the identity of the model, wherever the folder lies."""

    @property
    def spec(self) -> TokenSpec:
        return self.model.spec

    @property
    def objective(self) -> str:
        return str(self.config["objective"])

    @property
    def training(self) -> dict[str, Any]:
        """Where the weights come from: store fingerprint, seed, steps, tokens, seconds."""
        return dict(self.config["training"])

    @property
    def card(self) -> str:
        return (self.path / CARD).read_text(encoding="utf-8")


def save_bundle(
    path: Path | str,
    model: SequenceModel,
    *,
    tokenizer: Mapping[str, Any],
    domain: str,
    metrics: Any,
    card: Mapping[str, Any] | str,
    training: Mapping[str, Any],
    objective: str = "next_token",
    overwrite: bool = False,
    further: Callable[[Path], None] | None = None,
) -> str:
    """Writes a bundle beside `path` and renames it.

    Args:
        path: the folder to make.
        tokenizer: `core.tokenizer.describe(tokenizer)`.
        domain: the domain's name.
        metrics: plain JSON; numbers that are not finite become null.
        card: the card's Markdown, or its parts: title, licence, source, citation, intended_use, limits.
        training: where the weights come from: store fingerprint, seed, steps, tokens, seconds.
        objective: name of what it was trained for.
        overwrite: whether a bundle that is there is replaced.
        further: writes more files into the folder that it is given: a head, an adapter.

    Returns: the bundle's fingerprint.

    Raises:
        ConfigError: an unknown objective, or something is at `path` already.
        ResourceError: no space, no permission.
    """
    path = Path(path)
    OBJECTIVES.get(objective)
    config = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "domain": domain,
        "spec": model.spec.to_config(),
        "model": model.config.to_config(),
        "readouts": dict(model.readout_kinds),
        "objective": objective,
        "context": model.config.context,
        "training": _plain(training),
        "software": {"foretell": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }
    text = card if isinstance(card, str) else card_text(card, model, domain, metrics, training)
    with new_folder(path, overwrite=overwrite) as folder:
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
        save_file(_own_memory(weights), folder / WEIGHTS, metadata={"format": "pt"})
        (folder / CONFIG).write_bytes(json_bytes(config))
        (folder / WEIGHTS).chmod((folder / CONFIG).stat().st_mode)  # save_file makes it private, a bundle is shared
        (folder / TOKENIZER).write_bytes(json_bytes(_plain(tokenizer)))
        (folder / METRICS).write_bytes(json_bytes(_plain(metrics)))
        (folder / CARD).write_text(text, encoding="utf-8")
        if further is not None:
            further(folder)
        listing = json_bytes({"format": FORMAT, "format_version": FORMAT_VERSION, "files": manifest(folder)})
        (folder / MANIFEST).write_bytes(listing)
    fsync_path(path.parent)
    return hashlib.sha256(listing).hexdigest()


def load_bundle(path: Path | str, *, verify: bool = True) -> Bundle:
    """Reads a bundle onto the CPU.

    Args:
        path: the folder.
        verify: compare every file's sha256, not only its size.

    Raises:
        ConfigError: no bundle is there, or it names something that this foretell does not have.
        IntegrityError: a file is damaged, or claims what the other files do not bear out; the file is named.
    """
    path = Path(path)
    if not (path / MANIFEST).is_file():
        wrong = f"{path} is not a bundle: it has no {MANIFEST}"
        missing = f"there is no bundle at {path}{nearest_path(path)}"
        raise ConfigError(wrong if path.exists() else missing, hint="Give the folder RUN/bundle of a run.")
    listing = read_json(path / MANIFEST, max_bytes=MAX_JSON_BYTES)
    files = _checked_listing(path / MANIFEST, listing)
    check_manifest(path, files, hashes=verify)
    config = read_json(path / CONFIG, max_bytes=MAX_JSON_BYTES)
    tokenizer = read_json(path / TOKENIZER, max_bytes=MAX_JSON_BYTES)
    _check_config(path / CONFIG, config)
    if not isinstance(tokenizer, dict) or {"kind", "version", "config", "fingerprint"} - set(tokenizer):
        raise IntegrityError(f"{path / TOKENIZER} does not describe a tokenizer (kind, version, config, fingerprint)")
    OBJECTIVES.get(config["objective"])
    return Bundle(
        _load_model(path, config),
        tokenizer,
        str(config["domain"]),
        config,
        read_json(path / METRICS, max_bytes=MAX_JSON_BYTES),
        path,
        hashlib.sha256((path / MANIFEST).read_bytes()).hexdigest(),
    )


def card_text(
    card: Mapping[str, Any], model: SequenceModel, domain: str, metrics: Any, training: Mapping[str, Any]
) -> str:
    """The card's Markdown from its parts; what is not known is said to be not stated."""
    unknown = "not stated"
    lines = [
        f"# {card.get('title') or f'A model of {domain}'}",
        "",
        f"- Data licence: {card.get('licence') or unknown}",
        f"- Data source: {card.get('source') or unknown}",
        f"- Citation: {card.get('citation') or unknown}",
        f"- Intended use: {card.get('intended_use') or unknown}",
        f"- Limits: {card.get('limits') or unknown}",
        f"- Model: pattern `{model.config.mixers}`, width {model.config.width}, {model.n_parameters:,} parameters, "
        f"trained on contexts of {model.config.context} tokens",
        "",
        "## Metrics",
        "",
        *_table(metrics),
        "",
        "## Training",
        "",
        *_table(training),
    ]
    return "\n".join(lines) + "\n"


def _table(values: Any) -> list[str]:
    rows = (
        values.items() if isinstance(values, Mapping) else enumerate(values if isinstance(values, list) else [values])
    )
    body = [f"| {key} | {str(value).replace('|', '/')} |" for key, value in rows]
    return ["| name | value |", "|---|---|", *body] if body else ["none given"]


def _plain(value: Any) -> Any:
    """JSON values of numpy scalars, paths and nested containers; a number that is not finite becomes None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)


def _own_memory(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """safetensors refuses tensors that share memory; tied weights are written once per name."""
    seen: set[int] = set()
    for name, tensor in weights.items():
        if tensor.data_ptr() in seen and tensor.numel():
            weights[name] = tensor.clone()
        seen.add(tensor.data_ptr())
    return weights


def _checked_listing(file: Path, listing: Any) -> dict[str, Any]:
    files = listing.get("files") if isinstance(listing, dict) else None
    if not isinstance(files, dict) or not all(
        isinstance(entry, dict) and isinstance(entry.get("sha256"), str) and isinstance(entry.get("size"), int)
        for entry in files.values()
    ):
        raise IntegrityError(f"{file} is damaged: it has no list of files with sha256 and size")
    for name in (WEIGHTS, CONFIG, TOKENIZER, METRICS, CARD):
        if name not in files:
            raise IntegrityError(f"{file} does not list {name}")
    return files


def _check_config(file: Path, config: Any) -> None:
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise IntegrityError(f"{file} is not the config of a bundle (format '{FORMAT}')")
    if not isinstance(config.get("format_version"), int) or not 1 <= config["format_version"] <= FORMAT_VERSION:
        raise IntegrityError(
            f"{file}: format_version {config.get('format_version')!r}; this foretell reads up to {FORMAT_VERSION}",
            hint="Install a newer foretell.",
        )
    checks: tuple[tuple[str, type | tuple[type, ...]], ...] = (
        ("domain", str),
        ("spec", (list, dict)),
        ("model", dict),
        ("readouts", dict),
        ("objective", str),
        ("training", dict),
    )
    for key, kind in checks:
        if not isinstance(config.get(key), kind):
            raise IntegrityError(f"{file}: '{key}' is missing or of the wrong type")


def _load_model(path: Path, config: Mapping[str, Any]) -> SequenceModel:
    try:
        with safe_open(path / WEIGHTS, framework="pt") as archive:
            names = list(archive.keys())
            shapes = {name: tuple(archive.get_slice(name).get_shape()) for name in names}
            model = _build(path / CONFIG, config, shapes)
            weights = {name: archive.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise IntegrityError(f"{path / WEIGHTS} is damaged: {error}") from error
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise IntegrityError(f"{path / WEIGHTS}: weight '{name}' holds values that are not finite")
    model.load_state_dict(weights, strict=True)
    return model.float().eval().requires_grad_(False)


def _build(file: Path, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> SequenceModel:
    """The untrained model, made only after a copy without memory has shown that its weights are those of `shapes`."""
    values = dict(config["model"])
    for field in fields(ModelConfig):
        value: Any = values.get(field.name, field.default)
        default: Any = field.default
        allowed = (int, float) if isinstance(default, float) else (list, tuple) if default == () else type(default)
        if not isinstance(value, allowed) or isinstance(value, bool) != isinstance(default, bool):
            raise IntegrityError(f"{file}: model.{field.name} is {value!r}, expected a {type(default).__name__}")
        largest = max([0, *value]) if isinstance(value, (list, tuple)) else value
        if field.name in _LARGEST and largest > _LARGEST[field.name]:
            raise IntegrityError(f"{file}: model.{field.name} is {value!r}, at most {_LARGEST[field.name]:,} is read")
    if values.get("layers", 0) > len(shapes):
        raise IntegrityError(f"{file}: {values['layers']:,} layers, but {WEIGHTS} has {len(shapes)} tensors")
    try:
        spec = TokenSpec.from_config(config["spec"])
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise IntegrityError(f"{file}: 'spec' does not describe a token: {error}") from error
    model_config = ModelConfig.from_config(values)
    try:
        with torch.device("meta"):
            expected = SequenceModel(spec, model_config, config["readouts"]).state_dict()
    except (RuntimeError, OverflowError, TypeError) as error:
        said = str(error).splitlines()[0]
        raise IntegrityError(f"{file}: no model can have this shape: {said}") from error
    for name in sorted(set(expected) | set(shapes)):
        want, have = expected.get(name), shapes.get(name)
        if want is None or have is None or tuple(want.shape) != have:
            raise IntegrityError(
                f"{file} and {WEIGHTS} disagree on weight '{name}': "
                f"{'not there' if want is None else tuple(want.shape)} and {'not there' if have is None else have}",
                hint="Copy the folder again, or load it with the foretell that wrote it.",
            )
    return SequenceModel(spec, model_config, config["readouts"])

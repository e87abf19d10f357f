"""A model written as a folder that another library loads, with logits equal to ours.

Ours reads BOS before the first token: feed theirs `[BOS, tokens ...]`, and the logits at position i are those of token
i. The folder is written beside its place and renamed; only a folder that such an export wrote is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from core.durable import fsync_path, json_bytes, new_folder, read_json
from core.errors import ConfigError, ForetellError, nearest
from core.interchange import FAMILIES, FORMATS
from core.interchange.family import Family
from core.interchange.folder import CONFIG, FORMAT, FORMAT_VERSION, TOKENIZER
from core.interchange.parts import reasons_against, take_apart, to_theirs
from core.interchange.transformers_config import generation
from core.interchange.weights import SAFETENSORS
from core.nn.model import SequenceModel
from core.version import __version__
from core.vocabulary import BOS, SPECIALS

GENERATION, CARD = "generation_config.json", "README.md"
OWN_FILES = frozenset({CONFIG, GENERATION, SAFETENSORS, TOKENIZER, CARD})


@dataclass(frozen=True)
class Origin:
    """What the folder says of where its model comes from."""

    tokenizer: Mapping[str, Any]
    """As `core.tokenizer.describe` gives it."""
    domain: str
    card: str
    """The bundle's card, Markdown."""
    fingerprint: str
    """The bundle's."""
    ends: bool
    """Whether the model knows the end of a record."""


def family_for(model: SequenceModel, format: str) -> Family:
    """The class that can be the model. Raises ConfigError for an unknown format, or with the reasons why none can."""
    if format not in FORMATS:
        raise ConfigError(f"format: got '{format}'{nearest(format, FORMATS)}", hint=f"Allowed: {', '.join(FORMATS)}.")
    reasons = reasons_against(model)
    letter = model.config.mixers[0]
    families = [f for f in map(FAMILIES.get, FORMATS[format]) if letter in f.mixers]
    if not families:
        reasons.append(f"its layers are attention (pattern {model.config.mixers}), which this format does not write")
    against = [(family.against(model.config), family) for family in families]
    if against and not reasons:
        fewest, family = min(against, key=lambda pair: len(pair[0]))
        if not fewest:
            return family
        reasons += fewest
    raise ConfigError(f"format {format} cannot express this model: {'; '.join(reasons)}")


def export_folder(path: Path, model: SequenceModel, origin: Origin, *, format: str = "transformers") -> str:
    """Writes config, weights, what the ids mean, and the card; nothing of the other library is needed for it.

    Args:
        path: the folder to make; one that an export wrote is replaced.
        format: a name of FORMATS.

    Returns: the class that loads it.

    Raises:
        ConfigError: what the model is cannot be expressed, with the reasons; or something else lies at `path`.
        ResourceError: no space, no permission.
    """
    path = Path(path)
    family = family_for(model, format)
    parts = take_apart(model)
    ids = len(parts.embedding)
    theirs = to_theirs(parts, family.layout(parts.config))
    symbol = model.spec.symbol_target
    assert symbol.vocabulary is not None
    words = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "foretell": __version__,
        "bundle": origin.fingerprint,
        "domain": origin.domain,
        "tokenizer": dict(origin.tokenizer),
        "field": symbol.name,
        "symbols": [*SPECIALS, *symbol.vocabulary.symbols],
        "first_id": BOS,
        "ends": origin.ends,
    }
    with new_folder(path, overwrite=replaceable(path)) as folder:
        save_file(theirs, folder / SAFETENSORS, metadata={"format": "pt"})
        (folder / CONFIG).write_bytes(json_bytes(family.write_config(parts.config, ids)))
        (folder / SAFETENSORS).chmod((folder / CONFIG).stat().st_mode)  # safetensors lets nobody else read its files
        if format == "transformers":
            (folder / GENERATION).write_bytes(json_bytes(generation(ends=origin.ends)))
        (folder / TOKENIZER).write_bytes(json_bytes(words))
        (folder / CARD).write_text(f"{origin.card.rstrip()}\n\n{_loading(family.architecture, format)}", "utf-8")
    fsync_path(path.parent)
    return family.architecture


def replaceable(path: Path) -> bool:
    """Whether a folder is there that an export wrote and nobody added to.

    Raises ConfigError where something else is there.
    """
    if not path.exists():
        return False
    try:
        said = read_json(path / TOKENIZER) if path.is_dir() else None
    except ForetellError:
        said = None
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise ConfigError(f"{path} exists and is no folder of an export", hint="Choose another place for out=.")
    if added := sorted(entry.name for entry in path.iterdir() if entry.name not in OWN_FILES):
        raise ConfigError(
            f"{path} has files that no export wrote: {', '.join(added[:4])}", hint="Choose another place."
        )
    return True


def _loading(architecture: str, format: str) -> str:
    """The card's last section."""
    if format == "transformers":
        code = [
            f"from transformers import {architecture}",
            f'model = {architecture}.from_pretrained("this folder")',
        ]
    else:
        code = [
            "import json",
            "from mamba_ssm.models.config_mamba import MambaConfig",
            f"from mamba_ssm.models.mixer_seq_simple import {architecture}",
            "from safetensors.torch import load_file",
            f'model = {architecture}(MambaConfig(**json.load(open("config.json"))))',
            f'model.load_state_dict(load_file("{SAFETENSORS}"))',
        ]
    return "\n".join(
        [
            "## Loading",
            "",
            f"Exported by foretell {__version__}. What the ids mean: `symbols` in `{TOKENIZER}`, in their order.",
            f"Every sequence begins with id {BOS}, `{SPECIALS[BOS]}`; the logits at position i are those of token i.",
            "",
            "```python",
            *code,
            "```",
            "",
        ]
    )

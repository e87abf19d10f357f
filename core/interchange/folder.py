"""A folder of another library, read: which class it is, whether ours can be it, its weights by our names.

What our own export leaves beside them, `foretell_tokenizer.json`, says what the ids mean; without it nobody knows.
Nothing in the folder is run or imported: class names are looked up among ours.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.durable import file_digest, json_bytes, read_json
from core.errors import ConfigError, InputError, IntegrityError
from core.interchange import FAMILIES, MODEL_TYPES
from core.interchange.family import Shape
from core.interchange.keys import Keys, plain
from core.interchange.parts import Parts, to_ours
from core.interchange.weights import MAX_JSON_BYTES, open_weights

CONFIG, TOKENIZER = "config.json", "foretell_tokenizer.json"
FORMAT, FORMAT_VERSION = "foretell/interchange", 1

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Foreign:
    """A model as a folder of another library has it."""

    parts: Parts
    architecture: str
    path: Path
    fingerprint: str
    """sha256 over the config and the weights: the identity of the model, wherever the folder lies."""
    tokenizer: dict[str, Any] | None
    """As `core.tokenizer.describe` gave it to the export that wrote the folder; None where nothing says it."""
    domain: str | None

    @property
    def ids(self) -> int:
        """V."""
        return len(self.parts.embedding)


def is_foreign(path: Path) -> bool:
    """Whether a folder looks like another library's: a config.json that is not a bundle's."""
    if not (path / CONFIG).is_file() or (path / "MANIFEST.json").is_file():
        return False
    values = read_json(path / CONFIG, max_bytes=MAX_JSON_BYTES, constants=True)
    return not (isinstance(values, dict) and str(values.get("format", "")).startswith("foretell/"))


def read_folder(path: Path) -> Foreign:
    """Reads a folder that transformers' or mamba-ssm's `save_pretrained`, or our own export, wrote.

    Raises:
        ConfigError: no such folder is there.
        InputError: ours cannot be this model, with all reasons; there are no weights, or pickled code among them.
        IntegrityError: a file is damaged, or the files contradict each other; the file is named.
    """
    path = Path(path)
    file = path / CONFIG
    if not file.is_file():
        raise ConfigError(f"{path} is no folder of a model: it has no {CONFIG}")
    try:
        values = plain(read_json(file, max_bytes=MAX_JSON_BYTES, constants=True))
    except RecursionError as error:
        raise IntegrityError(f"{file} is damaged: nested too deeply") from error
    if not isinstance(values, dict):
        raise IntegrityError(f"{file} is damaged: no JSON object")
    architecture = architecture_of(values, file)
    shape = read_shape(architecture, values, file)
    stored = open_weights(path)
    parts = to_ours(stored, shape, FAMILIES.get(architecture).layout(shape.config), file)
    if shape.tied:
        _log.info(f"{path}: embedding and readout are one matrix there and two equal ones here")
    if shape.absent:
        _log.info(f"{path}: its convolutions have no bias, ours begin with one of zeros")
    tokenizer, domain = _own_words(path)
    digests = {name.name: file_digest(name) for name in (file, *stored.files)}
    fingerprint = hashlib.sha256(json_bytes(digests)).hexdigest()
    return Foreign(parts, architecture, path, fingerprint, tokenizer, domain)


def read_shape(architecture: str, values: Mapping[str, Any], file: Path) -> Shape:
    """What a config.json says of the model. Raises InputError, with all reasons, where ours cannot be it."""
    keys = Keys(values, str(file))
    try:
        shape = FAMILIES.get(architecture).read_config(keys)
    except ConfigError as error:  # values that no ModelConfig can have
        keys.check()
        raise InputError(f"{file} describes a model that ours cannot be: {error.message}") from error
    keys.check()
    return shape


def architecture_of(values: Mapping[str, Any], file: Path) -> str:
    """The class that a config.json is of. Raises InputError where it is none that we know."""
    named = values.get("architectures")
    if isinstance(named, list) and len(named) == 1 and isinstance(named[0], str):
        found = named[0]
    elif isinstance(values.get("model_type"), str):
        found = MODEL_TYPES.get(values["model_type"], values["model_type"])
    elif {"d_model", "n_layer", "vocab_size"} <= set(values):
        found = "MambaLMHeadModel"
    else:
        raise InputError(f"{file} names no class of model (architectures, model_type) and is not mamba-ssm's")
    if found not in FAMILIES:
        raise InputError(
            f"{file} is of class {found}, which cannot be read", hint=f"Known: {', '.join(FAMILIES.names())}."
        )
    return found


def _own_words(path: Path) -> tuple[dict[str, Any] | None, str | None]:
    """Tokenizer and domain of a folder that our export wrote; None where it is not one."""
    file = path / TOKENIZER
    if not file.is_file():
        return None, None
    said = read_json(file, max_bytes=MAX_JSON_BYTES)
    tokenizer = said.get("tokenizer") if isinstance(said, dict) else None
    if (
        not isinstance(tokenizer, dict)
        or {"kind", "version", "config", "fingerprint"} - set(tokenizer)
        or said.get("format") != FORMAT
        or not isinstance(said.get("domain"), str)
    ):
        raise IntegrityError(f"{file} does not describe a tokenizer (format '{FORMAT}')")
    if not isinstance(said.get("format_version"), int) or said["format_version"] > FORMAT_VERSION:
        raise IntegrityError(f"{file}: format_version {said.get('format_version')!r}", hint="Install a newer foretell.")
    return tokenizer, said["domain"]

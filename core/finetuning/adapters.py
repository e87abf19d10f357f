"""Adapters beside a model's projections, made by peft; merged into plain weights, or kept apart in peft's own format.

Projections are adapted wherever they stand: `in_proj` and `out_proj` of every mixer, `x_proj` and `dt_proj` of Mamba-1,
`fc1` and `fc2` of MLPs. A fused kernel that reads a projection's weight steps aside for one that is adapted, see
`core.nn`. peft is imported when an adapter is asked for.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from core.config_keys import from_keys
from core.durable import json_bytes, read_json
from core.errors import ConfigError, IntegrityError
from core.finetuning.config import AdapterConfig

if TYPE_CHECKING:
    from torch import Tensor

    from core.nn.model import SequenceModel

PROJECTIONS = ("in_proj", "x_proj", "dt_proj", "out_proj", "fc1", "fc2")
USUAL = ("in_proj", "out_proj", "fc2")
"""Those that are adapted where none are named. The output of fc1 is the widest: with it a step of lora on an m model
takes 76 % of a full one, without it 71 % [benchmarks/adapters.py]. Mamba-1's x_proj and dt_proj are of low rank
themselves."""
_IA3_INPUTS = ("out_proj", "fc2")
"""Whose inputs ia3 scales; of the others it scales the outputs (arXiv 2205.05638, keys, values and hidden units)."""
ABOUT, WEIGHTS = "foretell.json", "adapter_model.safetensors"
FORMAT, FORMAT_VERSION = "foretell/adapter", 1
_NAME = "default"
_PREFIX = "base_model.model."
"""What peft puts before the names of an adapter's weights in its files."""


def attach(model: SequenceModel, config: AdapterConfig, *, vocabulary: bool = False) -> None:
    """Freezes what the adapter leaves alone and puts it beside the model's projections, in place.

    Args:
        vocabulary: whether embeddings and readouts change as well, because they have new rows or columns.

    Raises ConfigError where peft is missing or the model has none of the named projections.
    """
    if config.kind == "full":
        return
    model.requires_grad_(False)
    if config.is_peft:
        found = _targets(model, config)
        peft = _peft()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft remarks on models that are not of transformers
            peft.inject_adapter_in_model(_peft_config(config, found), model, _NAME)
    if vocabulary:
        model.embed.requires_grad_(True)
    if vocabulary or config.kind == "head":
        model.readouts.requires_grad_(True)


def trained(model: nn.Module) -> int:
    """Parameters that change."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def merged(model: SequenceModel) -> SequenceModel:
    """A copy of the model as it computes now, with plain projections."""
    plain = copy.deepcopy(model)
    for parent, name, layer in list(_adapted(plain)):
        layer.merge()
        setattr(parent, name, layer.get_base_layer())
    plain.__dict__.pop("peft_config", None)
    return plain.requires_grad_(False)


def is_adapted(model: nn.Module) -> bool:
    return any(True for _ in _adapted(model))


def save_adapter(folder: Path, model: SequenceModel, config: AdapterConfig, base: str) -> None:
    """`adapter_config.json` and `adapter_model.safetensors` as peft has them, and which bundle they belong to.

    Args:
        base: fingerprint of the bundle that the adapter is for.
    """
    from safetensors.torch import save_file

    peft = _peft()
    folder.mkdir(parents=True, exist_ok=True)
    weights: dict[str, Tensor] = peft.get_peft_model_state_dict(model, adapter_name=_NAME)
    named = {_PREFIX + name: weight.detach().cpu().contiguous() for name, weight in weights.items()}
    _peft_config(config, _targets(model, config)).save_pretrained(str(folder))
    save_file(named, folder / WEIGHTS, metadata={"format": "pt"})
    about = {"format": FORMAT, "format_version": FORMAT_VERSION, "base": base, "adapter": config.to_config()}
    (folder / ABOUT).write_bytes(json_bytes(about))
    (folder / WEIGHTS).chmod((folder / ABOUT).stat().st_mode)


def load_adapter(folder: Path, model: SequenceModel, base: str) -> SequenceModel:
    """A copy of the model with an adapter that `save_adapter` wrote merged into it.

    Raises ConfigError where no adapter is there, IntegrityError where it is damaged or belongs to another bundle.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not (folder / ABOUT).is_file():
        raise ConfigError(f"{folder} is no adapter of foretell: it has no {ABOUT}", hint="Give RUN/bundle/adapter.")
    about = read_json(folder / ABOUT)
    if not isinstance(about, dict) or about.get("format") != FORMAT or about.get("format_version") != FORMAT_VERSION:
        raise IntegrityError(f"{folder / ABOUT} does not describe an adapter of this version of foretell")
    if about.get("base") != base:
        raise IntegrityError(
            f"{folder} is an adapter for the bundle {str(about.get('base'))[:12]}, this one is {base[:12]}",
            hint="An adapter works with the very weights that it was trained on.",
        )
    config = from_keys(AdapterConfig, about.get("adapter", {}), "adapter")
    changed = copy.deepcopy(model)
    attach(changed, config)
    try:
        weights = {name.removeprefix(_PREFIX): w for name, w in load_file(folder / WEIGHTS).items()}
    except (SafetensorError, OSError) as error:
        raise IntegrityError(f"{folder / WEIGHTS} is damaged: {error}") from error
    wanted: dict[str, Tensor] = _peft().get_peft_model_state_dict(changed, adapter_name=_NAME)
    shapes = [{name: tuple(w.shape) for name, w in found.items()} for found in (wanted, weights)]
    if shapes[0] != shapes[1]:
        raise IntegrityError(f"{folder / WEIGHTS} does not hold the weights that {ABOUT} describes")
    _peft().set_peft_model_state_dict(changed, weights, adapter_name=_NAME)
    return merged(changed).eval()


def check_installed(config: AdapterConfig) -> None:
    """Raises ConfigError where peft is needed and missing."""
    if config.is_peft:
        _peft()


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise ConfigError(
            "adapter=lora, dora and ia3 need peft", hint="pip install 'foretell[finetune]', or adapter=full or head."
        ) from error
    return peft


def _targets(model: nn.Module, config: AdapterConfig) -> list[str]:
    """Names of projections of this model that are adapted."""
    wanted = config.targets or USUAL
    there = {name.rpartition(".")[2] for name, _ in model.named_modules() if name.startswith("backbone.")}
    unknown = [name for name in config.targets if name not in there or name not in PROJECTIONS]
    if unknown:
        known = [name for name in PROJECTIONS if name in there]
        raise ConfigError(f"targets: this model has no projection '{unknown[0]}'", hint=f"It has: {', '.join(known)}.")
    return [name for name in wanted if name in there]


def _peft_config(config: AdapterConfig, targets: list[str]) -> Any:
    peft = _peft()
    below = rf"backbone\..*\.({'|'.join(targets)})"  # a readout's projection may have the same name
    if config.kind == "ia3":
        inputs = "|".join(name for name in _IA3_INPUTS if name in targets) or "none"
        return peft.IA3Config(target_modules=below, feedforward_modules=rf"backbone\..*\.({inputs})")
    lora = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=below,
        use_dora=config.kind == "dora",
    )
    if config.kind == "lora":
        from core.finetuning.lora_linear import LoraLinear

        lora._register_custom_module({nn.Linear: LoraLinear})  # peft's way to bring a layer of one's own
    return lora


def _adapted(model: nn.Module) -> Iterator[tuple[nn.Module, str, Any]]:
    """(parent, name, adapted projection) of all of them."""
    for parent in model.modules():
        for name, child in parent.named_children():
            if hasattr(child, "get_base_layer") and hasattr(child, "merge"):
                yield parent, name, child

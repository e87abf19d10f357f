"""Small models on both sides of an exchange, and the logits of each for the same ids."""

from pathlib import Path

import torch

from core.batching.batch import Inputs
from core.interchange.export import Origin, export_folder
from core.interchange.parts import Parts
from core.nn.model import SequenceModel
from core.sequence import Symbols
from core.vocabulary import BOS, SPECIALS, Vocabulary
from tests.core.tiny import TOKENIZER

ORIGIN = Origin(TOKENIZER, "dna", "# A model of letters\n\n- Data licence: CC0\n", "f" * 64, ends=True)
TOLERANCE = 1e-5
"""Of logits of magnitude about 1 in float32: both sides do the same sums in another order."""


def exported(path: Path, model: SequenceModel, format: str = "transformers") -> Path:
    export_folder(path, model, ORIGIN, format=format)
    return path


def rebuilt(parts: Parts) -> SequenceModel:
    """Ours with the weights that were read."""
    symbols = tuple(f"s{i}" for i in range(len(parts.embedding) - len(SPECIALS)))
    model = SequenceModel(Symbols(Vocabulary(symbols)), parts.config)
    model.load_state_dict(parts.state_dict("tokens"))
    return model.eval()


def some_ids(vocabulary: int, rows: int = 2, length: int = 13, seed: int = 0) -> torch.Tensor:
    """(rows, length) ids, BOS first."""
    ids = torch.randint(len(SPECIALS), vocabulary, (rows, length), generator=torch.Generator().manual_seed(seed))
    ids[:, 0] = BOS
    return ids


def our_logits(model: SequenceModel, ids: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        hidden, _ = model(Inputs({"tokens": ids}))
        return model.readouts["tokens"].logits(hidden)


def their_logits(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(ids).logits


def randomised(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Every weight moved, norms and biases too, so that none can be forgotten unnoticed."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return model


def loaded(folder: Path) -> torch.nn.Module:
    """What transformers makes of a folder. Raises AssertionError where a weight was missing or left over."""
    from transformers import AutoModelForCausalLM

    model, said = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, local_files_only=True)
    assert not any(said.values()), said
    return model

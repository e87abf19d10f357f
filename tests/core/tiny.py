"""Tiny models, records, bundles and stores of two specs: letters, and one with every kind and role of field."""

import numpy as np
import torch

from core.bundle import save_bundle
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.sequence import Role, Sequence, Symbols, TokenSpec, real, symbol
from core.store import TokenStoreWriter
from core.tokenizer import fingerprint
from core.vocabulary import SPECIALS, Vocabulary

torch.set_num_threads(1)  # threads that wait for each other cost more than these models

LETTERS = Vocabulary(tuple("ACGT"))
DNA = Symbols(LETTERS)
MIXED = TokenSpec(
    (
        real("values", 2),
        symbol("action", LETTERS),
        real("goal", 1, Role.GIVEN),
        symbol("calendar", LETTERS, Role.KNOWN_AHEAD),
    )
)
_BODY = {"kind": "letters", "version": 1, "config": {"alphabet": "ACGT"}}
TOKENIZER = {**_BODY, "fingerprint": fingerprint(_BODY)}


def tiny_model(spec=DNA, pattern="A", context=16, seed=0, **changes):
    """A random model whose predictions depend on what it reads."""
    torch.manual_seed(seed)
    config = ModelConfig(pattern=pattern, layers=2, width=32, d_state=8, headdim=16, context=context, **changes)
    model = SequenceModel(spec, config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return model


def records(*lengths, spec=DNA, seed=0):
    rng = np.random.default_rng(seed)

    def values(field, n):
        if field.width:
            return rng.normal(size=(n, field.width)).astype(np.float32)
        return rng.integers(len(SPECIALS), len(field.vocabulary), n).astype(field.vocabulary.dtype)

    return [Sequence({f.name: values(f, n) for f in spec.fields}, id=f"r{i}") for i, n in enumerate(lengths)]


def write_store(path, sequences, spec=DNA, tokenizer=TOKENIZER, shard_tokens=256):
    with TokenStoreWriter(
        path, spec, tokenizer, domain="dna", source={"what": "made by a test"}, shard_tokens=shard_tokens
    ) as writer:
        for sequence in sequences:
            writer.append(sequence)
        spans = np.array([(i, 0, len(s)) for i, s in enumerate(sequences)], dtype=np.int64).reshape(-1, 3)
        return writer.finish(
            spans=spans,
            span_split=np.zeros(len(spans), np.uint8),
            counts={"in": len(sequences), "ok": len(sequences), "rejected": {}},
            split={"rule": "given"},
        )


def write_bundle(path, model, **changes):
    given = {
        "tokenizer": TOKENIZER,
        "domain": "dna",
        "metrics": {"validation_nats": 1.25},
        "card": {"licence": "CC0", "source": "made by a test", "intended_use": "tests"},
        "training": {"store": "0" * 64, "seed": 0, "steps": 1, "tokens": 16, "seconds": 0.5},
    }
    save_bundle(path, model, **(given | changes))
    return path

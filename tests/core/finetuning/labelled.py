"""Stores of random DNA whose labels depend on it, and the tiny model that learns them."""

import numpy as np

from core.finetuning.run import Base
from core.sequence import Sequence
from core.store import TokenStore, TokenStoreWriter
from tests.core.tiny import DNA, TOKENIZER, tiny_model

A, C, G, T = range(5, 9)


def dna(n, seed=0, length=(8, 14)):
    """Random sequences, no two of them equal."""
    rng = np.random.default_rng(seed)
    return [rng.integers(A, T + 1, rng.integers(*length)).astype(np.uint8) for _ in range(n)]


def share_of_c(tokens):
    return float((tokens == C).mean())


def labelled(path, tokens, labels, *, split=None, token_labels=None, groups=None, spans=None, leakage=None):
    """A store of the tokens with labels by name; two of ten rows are validated on, two tested on, where not told."""
    if split is None:
        split = [(0, 0, 0, 1, 2, 0, 0, 0, 1, 2)[i % 10] for i in range(len(tokens))]
    with TokenStoreWriter(path, DNA, TOKENIZER, domain="dna", source={"what": "made by a test"}) as writer:
        for i, row in enumerate(tokens):
            writer.append(
                Sequence(
                    {"tokens": row},
                    f"r{i}",
                    group=None if groups is None else groups[i],
                    labels={name: values[i] for name, values in labels.items()},
                    token_labels={} if token_labels is None else {"bound": token_labels[i]},
                )
            )
        writer.finish(
            spans=np.array(spans or [(i, 0, len(row)) for i, row in enumerate(tokens)], dtype=np.int64),
            span_split=np.array(split, dtype=np.uint8),
            counts={"in": len(tokens), "ok": len(tokens), "rejected": {}},
            split={"rule": "given", "leakage": leakage},
        )
    return TokenStore.open(path)


def base(pattern="A", **changes):
    return Base(tiny_model(pattern=pattern, **changes), TOKENIZER, "dna", "0" * 64)

"""A token store in memory, with tiny shards, that remembers what was read of it."""

import numpy as np

from core.sequence import Role, Sequence, TokenSpec, real, symbol
from core.vocabulary import MASK, Vocabulary

LETTERS = Vocabulary(tuple("ACGT"))


class MemoryStore:
    def __init__(self, records, spec, spans=None, shard=16):
        self.records, self.spec, self.reads = records, spec, []
        self.offsets = np.concatenate(([0], np.cumsum([len(r) for r in records]))).astype(np.int64)
        whole = [(i, 0, len(r), "train") for i, r in enumerate(records)]
        self._spans = spans if spans is not None else whole
        self.shard_bounds = np.append(np.arange(0, self.offsets[-1], shard), self.offsets[-1])

    def spans(self, split=None):
        chosen = [span[:3] for span in self._spans if split in (None, span[3])]
        return np.array(chosen, dtype=np.int64).reshape(-1, 3)

    def read(self, start, stop):
        self.reads.append((start, stop))
        parts = [
            r.slice(max(start - o, 0), stop - o)
            for r, o in zip(self.records, self.offsets[:-1].tolist(), strict=True)
            if o < stop and o + len(r) > start
        ]

        def joined(of):
            names = {name for part in parts for name in of(part)}
            return {name: np.concatenate([of(part)[name] for part in parts]) for name in names}

        return Sequence(joined(lambda p: p.arrays), "", joined(lambda p: p.observed), joined(lambda p: p.loss_mask))


def letters(*lengths, seed=0):
    """Records of random letters."""
    rng = np.random.default_rng(seed)
    return [Sequence({"tokens": rng.integers(5, 9, n).astype(np.uint8)}, f"r{i}") for i, n in enumerate(lengths)]


MIXED = TokenSpec(
    (
        real("position", 2),
        symbol("action", LETTERS),
        real("reward", 1, Role.GIVEN),
        symbol("joint", LETTERS, Role.GIVEN),
        real("calendar", 3, Role.KNOWN_AHEAD),
        symbol("holiday", LETTERS, Role.KNOWN_AHEAD),
    )
)
"""Both kinds of field in every role."""


def mixed(*lengths, seed=0, spec=MIXED, missing=True):
    """Records of every kind of field, a fifth of the values missing (NaN) and a fifth of the targets masked."""
    rng = np.random.default_rng(seed)
    records = []
    for number, n in enumerate(lengths):
        arrays, observed, loss_mask = {}, {}, {}
        for f in spec.fields:
            shape = (n, f.width) if f.width else (n,)
            values = rng.normal(size=shape) if f.width else rng.integers(5, 9, n)
            arrays[f.name] = values.astype(np.float32 if f.width else np.uint8)
            if missing:
                observed[f.name] = rng.random(shape) > 0.2
                arrays[f.name][~observed[f.name]] = np.nan if f.width else MASK
                if f.is_target:
                    loss_mask[f.name] = rng.random(n) > 0.2
        records.append(Sequence(arrays, f"m{number}", observed, loss_mask))
    return records

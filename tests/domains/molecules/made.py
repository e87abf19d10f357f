"""Molecules for tests, all written here by hand, and a strategy that draws them in random SMILES."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from domains.molecules.molecule import Molecule

PLAIN = (
    "C", "CC", "CCO", "c1ccccc1", "Cc1ccccc1Cl", "CC(=O)Oc1ccccc1C(=O)O", "Cn1c(=O)c2c(ncn2C)n(C)c1=O", "C#N",
    "O=C(Nc1ccc(Br)cc1)C1CC1", "c1ccc2[nH]ccc2c1", "FC(F)(F)c1ccncc1", "CS(=O)(=O)c1ccco1", "C1CC2CCC1C2", "CCCCN(C)C",
    "CC(C)Cc1ccc(C(C)C(=O)O)cc1", "O=c1cc(-c2ccccc2)oc2ccccc12", "CSc1nnc(C)s1", "NC(=O)c1cnccn1", "C=CCO", "ClCCl",
)  # fmt: skip
"""Neutral, drug-like."""
HARD = (
    "[Na+].[Cl-]", "C[C@H](N)C(=O)O", "C/C=C/C", "C/C=C\\C", "[2H]C([2H])([2H])O", "C[N+](C)(C)CC(=O)[O-]", "[Pt]",
    "N->[Pt](<-N)(Cl)Cl", "C[Si](C)(C)C", "O=[N+]([O-])c1ccccc1", "c1cc[se]c1", "[13CH4]", "[Fe+2]", "[CH3:7]O",
    "F[P-](F)(F)(F)(F)F", "B(O)(O)c1ccccc1", "[H][H]", "CC[O-].[K+]", "C[Hg]C", "N[C@@H](CS)C(=O)O", "*CC",
    "C1CC2CC3CC4CC5CC6CC7CC8CC9CC%10CC%11CCC%11C%10C9C8C7C6C5C4C3C2C1",
)  # fmt: skip
"""Charges, stereo marks, isotopes, metals, dative bonds, atom classes, two-digit ring labels."""


def molecules(texts: tuple[str, ...] = PLAIN + HARD) -> st.SearchStrategy[Molecule]:
    """Molecules of `texts` in one of their many SMILES, with ids and labels of their own."""

    def made(drawn: tuple[int, int]) -> Molecule:
        number, seed = drawn
        text = texts[number]
        return Molecule(shuffled(text, seed) if seed else text, f"molecule {number}")

    return st.tuples(st.integers(0, len(texts) - 1), st.integers(0, 1000)).map(made)


def shuffled(smiles: str, seed: int) -> str:
    from domains.molecules.tokenizer.shared import random_smiles

    return random_smiles(smiles, np.random.default_rng(seed))[0]


class Chooser:
    """An engine that samples molecules from a list, knows their nats by length, and embeds them by their tokens."""

    def __init__(self, tokenizer: Any, texts: list[str]) -> None:
        self.tokenizer, self.texts = tokenizer, texts

    def score(self, sequences: Any, *, mode: str) -> Any:
        from core.engine import Score

        for sequence in sequences:
            n = len(sequence) + 1
            yield Score(float(n), n, np.ones(n, np.float32), {"tokens": float(n)})

    def sample(self, prefixes: Any, *, max_length: int, seed: int, **drawing: float) -> list[Any]:
        from core.decoding.slots import Sample
        from core.sequence import Sequence

        given = [None] * prefixes if isinstance(prefixes, int) else list(prefixes)
        made = []
        for number, prefix in enumerate(given):
            cut = self.tokenizer.cut(self.texts[(number + seed) % len(self.texts)], "")
            before = np.zeros(0, np.int64) if prefix is None else prefix.arrays["tokens"]
            tokens = np.concatenate([before, cut]).astype(self.tokenizer.vocabulary.dtype)[:max_length]
            made.append(Sample(Sequence({"tokens": tokens}), 1.0, len(cut) + 1, True, 0.0))
        return made

    def embed(self, sequences: Any, *, pooling: str) -> Any:
        for sequence in sequences:
            tokens = sequence.arrays["tokens"]
            counts = np.bincount(tokens, minlength=len(self.tokenizer.vocabulary)).astype(np.float32)
            yield counts if pooling == "mean" else counts / max(1, len(tokens))

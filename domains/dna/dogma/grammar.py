"""The automaton of `<dna> codons <protein> residues`: whole codons, then exactly one residue for each, then the end.

Rows are numbers, so all rows move at once. Knows the ids it is given and nothing of records or of the genetic code.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from core.vocabulary import EOS

if TYPE_CHECKING:
    from torch import Tensor

BEFORE = -1


@dataclass
class DogmaState:
    bases: Tensor
    """(B,) int64: bases so far, BEFORE where the first mark is to come."""
    residues: Tensor
    """(B,) int64: residues so far, BEFORE where the second mark is to come."""

    def select(self, rows: Tensor) -> Self:
        return type(self)(self.bases[rows], self.residues[rows])

    def reset(self, rows: Tensor) -> Self:
        bases, residues = self.bases.clone(), self.residues.clone()
        bases[rows] = residues[rows] = BEFORE
        return type(self)(bases, residues)

    def clone(self) -> Self:
        return type(self)(self.bases.clone(), self.residues.clone())


class DogmaGrammar:
    """Args:
    bases, residues: the ids of both alphabets.
    dna, protein: the ids of the marks.
    size: V, how many ids there are.
    """

    def __init__(self, bases: Many[int], residues: Many[int], dna: int, protein: int, size: int) -> None:
        self.bases, self.residues, self.dna, self.protein, self.size = list(bases), list(residues), dna, protein, size

    def start(self, batch: int) -> DogmaState:
        import torch

        return DogmaState(torch.full((batch,), BEFORE), torch.full((batch,), BEFORE))

    def allowed(self, state: DogmaState) -> Tensor:
        import torch

        bases, residues = state.bases, state.residues
        allowed = torch.zeros((len(bases), self.size), dtype=torch.bool)
        reading = (bases >= 0) & (residues < 0)
        full = (residues >= 0) & (3 * residues >= bases)
        allowed[:, self.dna] = bases < 0
        allowed[:, self.bases] = reading[:, None]
        allowed[:, self.protein] = reading & (bases > 0) & (bases % 3 == 0)
        allowed[:, self.residues] = ((residues >= 0) & ~full)[:, None]
        allowed[:, EOS] = full
        return allowed

    def advance(self, state: DogmaState, tokens: Tensor) -> DogmaState:
        import torch

        protein, dna = tokens == self.protein, tokens == self.dna
        base = torch.isin(tokens, torch.tensor(self.bases)).long()
        residue = torch.isin(tokens, torch.tensor(self.residues)).long()
        bases = torch.where(dna, 0, state.bases + base)
        return DogmaState(bases, torch.where(protein, 0, state.residues + residue))

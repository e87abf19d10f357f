"""Grammars that end the process that samples under them. A module of its own, as a job names functions by module."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import torch

from core.vocabulary import EOS
from tests.core.tiny import LETTERS

A, T = (LETTERS.ids[letter] for letter in "AT")
ONCE = "FORETELL_TEST_DIE_ONCE"
"""The environment's name of a file: who first finds that it is missing makes it and dies."""


@dataclass
class Run:
    """How many T each row has had in a row."""

    length: torch.Tensor

    def select(self, rows):
        return Run(self.length[rows])

    def reset(self, rows):
        return Run(self.length.index_fill(0, rows, 0))

    def clone(self):
        return Run(self.length.clone())


class OnlyA:
    """Draws A until it ends; `look` sees how many T in a row the rows have read."""

    def __init__(self, look):
        self.look = look

    def start(self, batch):
        return Run(torch.zeros(batch, dtype=torch.int64))

    def allowed(self, state):
        allowed = torch.zeros(len(state.length), len(LETTERS), dtype=torch.bool)
        allowed[:, [A, EOS]] = True
        return allowed

    def advance(self, state, tokens):
        length = torch.where(tokens == T, state.length + 1, 0)
        self.look(length)
        return Run(length)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def eight_t_kill(bundle):
    return OnlyA(lambda length: die() if (length >= 8).any() else None)


def harmless(bundle):
    return OnlyA(lambda length: None)


def dies_once(bundle):
    def look(length):
        try:
            Path(os.environ[ONCE]).touch(exist_ok=False)
        except FileExistsError:
            return
        die()

    return OnlyA(look)

"""A model of chunks as a policy: it reads one observation, spells the actions of the next H steps, and carries them
out.

The likeliest piece is taken that does not spell more levels than a chunk has. Rows plan at their own times, each with a
state of its own.
"""

from __future__ import annotations

from collections.abc import Sequence as Many

import numpy as np
import torch
from torch import Tensor

from core.nn.model import SequenceModel
from core.vocabulary import BOS, SPECIALS, UNK
from domains.robots.evaluation.carried import Reader
from domains.robots.evaluation.closed_loop import Rows
from domains.robots.source.environments import Where
from domains.robots.source.spaces import Values
from domains.robots.tokenizer.chunks import TOKENS, ChunksTokenizer
from domains.robots.tokenizer.continuous import OBSERVATION
from domains.robots.tokenizer.shared import TASK


class ChunksPolicy:
    """Arguments as of `ModelPolicy`; pieces are not drawn, so temperature and seed do nothing."""

    def __init__(
        self,
        model: SequenceModel,
        tokenizer: ChunksTokenizer,
        *,
        target_return: dict[str, float] | None = None,
        temperature: float = 0.0,
        context: int = 0,
        seed: int = 0,
    ) -> None:
        self.model, self.tokenizer, self.context = model, tokenizer, context
        self.lengths = torch.tensor([len(piece) for piece in tokenizer.piece_list])
        self.constant = np.asarray(tokenizer.config.constant, bool)

    def begin(self, wheres: Many[Where], seeds: Many[int]) -> None:
        self.wheres = list(wheres)
        self.readers = [Reader(self.model, self.context, self._start()) for _ in wheres]
        for reader in self.readers:
            reader.begin(1)
        self.pending: list[int | None] = [None] * len(wheres)
        self.plans: list[list[Values]] = [[] for _ in wheres]

    def restart(self, row: int, seed: int) -> None:
        self.readers[row].restart(0)
        self.pending[row], self.plans[row] = None, []

    def keep(self, rows: Rows) -> None:
        kept = rows.tolist()
        self.wheres, self.readers = [self.wheres[i] for i in kept], [self.readers[i] for i in kept]
        self.pending, self.plans = [self.pending[i] for i in kept], [self.plans[i] for i in kept]

    def act(self, observations: Values, rewards: Values) -> Values:
        for row, plan in enumerate(self.plans):
            if not plan:
                plan.extend(self._plan(row, observations[row]))
        return np.stack([plan.pop(0) for plan in self.plans])

    def _plan(self, row: int, observation: Values) -> list[Values]:
        tokenizer = self.tokenizer
        levels: list[int] = []
        with torch.inference_mode():
            if self.pending[row] is not None:
                self._read(row, self.pending[row], None)
            hidden = self._read(row, len(SPECIALS), observation)
            while True:
                logits = self.readers[row].carried.readings()[TOKENS].logits(hidden)[0]
                logits = logits[len(SPECIALS) + 1 : len(SPECIALS) + 1 + len(self.lengths)].cpu()
                room = tokenizer.coefficients - len(levels)
                piece = int(logits.masked_fill(self.lengths > room, -torch.inf).argmax())
                levels += tokenizer.piece_list[piece]
                self.pending[row] = piece + len(SPECIALS) + 1
                if len(levels) == tokenizer.coefficients:
                    return list(tokenizer.action_space.clipped(tokenizer.actions_of(np.array(levels))))
                hidden = self._read(row, self.pending[row], None)

    def _read(self, row: int, token: int | None, observation: Values | None) -> Tensor:
        width = self.tokenizer.config.observations
        values = np.full(width, np.nan) if observation is None else observation
        there = ~np.isnan(values) & ~self.constant
        fields = {
            TOKENS: torch.tensor([token], dtype=torch.int64),
            OBSERVATION: torch.from_numpy(np.where(there, values, 0).astype(np.float32)[None]),
        }
        tasks = self.tokenizer.config.tasks
        if tasks:
            task = self.wheres[row].task
            fields[TASK] = torch.tensor([tasks.index(task) + len(SPECIALS) if task in tasks else UNK])
        reader = self.readers[row]
        moved = {name: value.to(reader.device) for name, value in fields.items()}
        return reader.read(moved, {OBSERVATION: torch.from_numpy(there[None]).to(reader.device)})

    def _start(self) -> dict[str, Tensor]:
        """What the position before the first token reads."""
        device = next(self.model.parameters()).device
        return {
            f.name: torch.full((1,), BOS, device=device) if f.is_symbol else torch.zeros(1, f.width, device=device)
            for f in self.model.spec.fields
        }

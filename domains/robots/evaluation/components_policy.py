"""A model of components as a policy: it reads an observation number by number, then says its action number by number.

Each number of an action is the mean over bins, each choice the likeliest one, or drawn at a temperature; the bin that
holds what was chosen is read on.
"""

from __future__ import annotations

from collections.abc import Sequence as Many

import numpy as np
import torch
from torch import Tensor

from core.nn.model import SequenceModel
from core.order import torch_generator
from core.vocabulary import BOS, MASK, SPECIALS, UNK
from domains.robots.evaluation.carried import Reader
from domains.robots.evaluation.closed_loop import Rows
from domains.robots.source.environments import Where
from domains.robots.source.spaces import Values
from domains.robots.tokenizer.components import COMPONENT, TOKENS, ComponentsTokenizer
from domains.robots.tokenizer.continuous import RETURN
from domains.robots.tokenizer.shared import TASK


class ComponentsPolicy:
    """Arguments as of `ModelPolicy`."""

    def __init__(
        self,
        model: SequenceModel,
        tokenizer: ComponentsTokenizer,
        *,
        target_return: dict[str, float] | None = None,
        temperature: float = 0.0,
        context: int = 0,
        seed: int = 0,
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.target, self.temperature = target_return or {}, temperature
        self.reader = Reader(model, context)
        self.device = self.reader.device
        self.generator = torch_generator("robots-policy", seed)

    def begin(self, wheres: Many[Where], seeds: Many[int]) -> None:
        self.wheres = list(wheres)
        self.reader.begin(len(wheres))
        self.last = np.full(len(wheres), BOS, np.int64)
        self.to_go = np.array([self.target.get(str(where), 0.0) for where in wheres])
        self.given = self.to_go.copy()
        self.fresh = np.ones(len(wheres), bool)

    def restart(self, row: int, seed: int) -> None:
        self.reader.restart(row)
        self.last[row], self.fresh[row] = BOS, True
        self.to_go[row] = self.given[row] = self.target.get(str(self.wheres[row]), 0.0)

    def keep(self, rows: Rows) -> None:
        self.reader.keep(rows)
        self.wheres = [self.wheres[row] for row in rows.tolist()]
        self.last, self.fresh = self.last[rows], self.fresh[rows]
        self.to_go, self.given = self.to_go[rows], self.given[rows]

    def act(self, observations: Values, rewards: Values) -> Values:
        tokenizer = self.tokenizer
        self.to_go = np.where(self.fresh, self.to_go, self.to_go - rewards)
        seen = tokenizer.observed_tokens
        bins = tokenizer.bins_of(observations[:, tokenizer.moving], slice(0, seen))
        ids = np.where(bins >= 0, bins + len(SPECIALS), MASK)
        actions = np.empty((len(observations), tokenizer.action_space.width))
        with torch.inference_mode():
            for number in range(seen):
                self._read(number)
                self.last = ids[:, number]
                self.given, self.fresh = self.to_go, np.zeros_like(self.fresh)
            for number in range(actions.shape[1]):
                actions[:, number] = self._choose(self._read(seen + number), number)
                column = slice(seen + number, seen + number + 1)
                self.last = tokenizer.bins_of(actions[:, number : number + 1], column)[:, 0] + len(SPECIALS)
        self.fresh[:] = False
        clipped: Values = tokenizer.action_space.clipped(actions)
        return clipped

    def _read(self, number: int) -> Tensor:
        """Reads the last token, to predict the component `number` of the step."""
        rows = len(self.last)
        fields = {
            TOKENS: torch.from_numpy(self.last),
            COMPONENT: torch.full((rows,), number + len(SPECIALS), dtype=torch.int64),
        }
        begins = self.last == BOS
        if self.tokenizer.config.return_to_go:
            ahead = np.where(begins, 0, self.given).astype(np.float32)
            fields[RETURN] = torch.from_numpy(ahead[:, None])
        if self.tokenizer.config.tasks:
            number_of = {task: i + len(SPECIALS) for i, task in enumerate(self.tokenizer.config.tasks)}
            ids = np.array([number_of.get(where.task, UNK) for where in self.wheres], np.int64)
            fields[TASK] = torch.from_numpy(np.where(begins, BOS, ids))
        return self.reader.read({name: values.to(self.device) for name, values in fields.items()})

    def _choose(self, hidden: Tensor, number: int) -> Values:
        tokenizer = self.tokenizer
        at = tokenizer.observed_tokens + number
        size = len(tokenizer.borders[at]) - 1
        logits = self.reader.carried.readings()[TOKENS].logits(hidden)[:, len(SPECIALS) : len(SPECIALS) + size]
        centres = tokenizer.centres[at, :size]
        weights = torch.softmax(logits.double().cpu() / (self.temperature or 1.0), -1)
        if self.temperature:
            drawn = torch.multinomial(weights, 1, generator=self.generator)[:, 0].numpy()
            return np.asarray(centres[drawn])
        if tokenizer.is_choice[number]:
            return np.asarray(centres[weights.argmax(-1).numpy()])
        mean: Values = weights.numpy() @ centres
        return mean

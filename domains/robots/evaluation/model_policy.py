"""A trained model as a policy: what it has read is carried from step to step, its next action is the likeliest one.

Of tokens of one vector a step (`robots_continuous`). A row starts from the state that knows nothing; attention
without a window is read anew on the last half of its context when that is full, as everywhere else. Numbers are the
mean of the predicted density, choices the likeliest, or drawn at a temperature.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Many
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.nn.model import SequenceModel
from core.order import torch_generator
from core.vocabulary import BOS, SPECIALS, UNK
from domains.robots.evaluation.carried import Reader
from domains.robots.evaluation.closed_loop import Rows
from domains.robots.source.environments import Where
from domains.robots.source.episode import Episode
from domains.robots.source.spaces import Values
from domains.robots.tokenizer.continuous import ACTION, OBSERVATION, PAST, RETURN, ContinuousTokenizer
from domains.robots.tokenizer.shared import TASK


class ModelPolicy:
    """See the file's head.

    Args:
        model: in eval mode, of a `robots_continuous` tokenizer.
        target_return: what is asked for as return to go, by environment or task; where the token has one.
        temperature: of choices; 0 takes the likeliest.
        context: tokens that are read at most before a row is read anew; 0: the model's context where attention has
            no window, else no limit.
        seed: of draws.
        prompts: demonstrations that a row reads before its episode, by environment; rows of one policy are then of one
            environment, and each has one episode.
    """

    def __init__(
        self,
        model: SequenceModel,
        tokenizer: ContinuousTokenizer,
        *,
        target_return: dict[str, float] | None = None,
        temperature: float = 0.0,
        context: int = 0,
        seed: int = 0,
        prompts: Mapping[str, Episode] | None = None,
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.prompts = prompts or {}
        self.target, self.temperature = target_return or {}, temperature
        self.device = next(model.parameters()).device
        self.constant = np.asarray(tokenizer.config.constant, bool)
        self.generator = torch_generator("robots-policy", seed)
        self.wheres: list[Where] = []
        self.reader = Reader(model, context, self._before_tokens())

    def begin(self, wheres: Many[Where], seeds: Many[int]) -> None:
        self.reader.begin(len(wheres))
        self.wheres = list(wheres)
        self.last = np.full((len(wheres), self.tokenizer.action_space.width), np.nan)
        self.before: list[Values] = []
        self.to_go = np.array([self._asked(where) for where in wheres])
        self.fresh = np.ones(len(wheres), bool)
        prompt = self.prompts.get(str(wheres[0]))
        if prompt is None:
            return
        for observation, action in zip(prompt.observations, prompt.actions, strict=False):
            self.read(np.tile(observation, (len(wheres), 1)), np.zeros(len(wheres)))
            self.advance(np.tile(action, (len(wheres), 1)))

    def restart(self, row: int, seed: int) -> None:
        self.reader.restart(row)
        self.last[row] = np.nan
        for values in self.before:
            values[row] = np.nan
        self.fresh[row] = True
        self.to_go[row] = self._asked(self.wheres[row])

    def keep(self, rows: Rows) -> None:
        self.reader.keep(rows)
        self.wheres = [self.wheres[row] for row in rows.tolist()]
        self.last, self.fresh, self.to_go = self.last[rows], self.fresh[rows], self.to_go[rows]
        self.before = [values[rows] for values in self.before]

    def act(self, observations: Values, rewards: Values) -> Values:
        hidden = self.read(observations, rewards)
        actions = self.choose(hidden)
        self.advance(actions)
        return actions

    def advance(self, actions: Values) -> None:
        """These actions were taken: they stand in the next token."""
        self.before.append(self.last.copy())
        del self.before[: -max(1, self.tokenizer.config.past)]
        self.last = actions

    def read(self, observations: Values, rewards: Values) -> Tensor:
        """Reads one token a row -> hidden (R, D)."""
        self.to_go = np.where(self.fresh, self.to_go, self.to_go - rewards)
        self.fresh[:] = False
        fields, observed = self.token(observations)
        with torch.inference_mode():
            return self.reader.read(fields, observed)

    def token(self, observations: Values) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The fields of (a_(t-1), o_t) for every row, and masks of those of which something is missing."""
        there = ~np.isnan(observations) & ~self.constant
        fields = {OBSERVATION: self._tensor(np.where(there, observations, 0))}
        observed = {} if there.all() else {OBSERVATION: torch.from_numpy(there).to(self.device)}
        tokenizer = self.tokenizer
        if tokenizer.config.read_actions:
            self._put_actions(fields, observed)
        if tokenizer.config.return_to_go:
            fields[RETURN] = self._tensor(self.to_go[:, None])
        if tokenizer.config.tasks:
            number = {task: i + len(SPECIALS) for i, task in enumerate(tokenizer.config.tasks)}
            ids = np.array([number.get(where.task, UNK) for where in self.wheres], np.int64)
            fields[TASK] = torch.from_numpy(ids).to(self.device)
        return fields, observed

    def _put_actions(self, fields: dict[str, Tensor], observed: dict[str, Tensor]) -> None:
        """What was done before, of every row."""
        tokenizer = self.tokenizer
        columns = [(ACTION, self.last)]
        if tokenizer.config.past:
            enough = len(self.before) >= tokenizer.config.past
            columns.append((PAST, self.before[-tokenizer.config.past] if enough else np.full_like(self.last, np.nan)))
        for name, source in columns if tokenizer.numbers else []:
            values = source[:, tokenizer.numbers]
            seen = ~np.isnan(values)
            fields[name] = self._tensor(np.where(seen, values, 0))
            if not seen.all():
                observed[name] = torch.from_numpy(seen).to(self.device)
        for name, column, vocabulary in tokenizer.choices:
            chosen = self.last[:, column]
            ids = np.nan_to_num(chosen) - int(vocabulary.symbols[0]) + len(SPECIALS)
            ids = np.where(np.isnan(chosen), UNK, ids).astype(np.int64)
            fields[name] = torch.from_numpy(ids).to(self.device)

    def choose(self, hidden: Tensor) -> Values:
        """Hidden (R, D) of what was read last -> actions (R, A) inside the space."""
        tokenizer, space = self.tokenizer, self.tokenizer.action_space
        actions = np.empty((len(hidden), space.width))
        with torch.inference_mode():
            readings = self.reader.carried.readings()
            if tokenizer.numbers:
                mean = readings[tokenizer.predicted].mean(hidden.unsqueeze(1))[:, 0]
                actions[:, tokenizer.numbers] = mean.double().cpu().numpy()
            for name, column, vocabulary in tokenizer.choices:
                said = readings[tokenizer.predicted_choice(name)].logits(hidden)
                logits = said[:, len(SPECIALS) :]
                actions[:, column] = self._chosen(logits) + int(vocabulary.symbols[0])
        clipped: Values = space.clipped(actions)
        return clipped

    def _chosen(self, logits: Tensor) -> Values:
        if self.temperature == 0:
            return logits.argmax(-1).double().cpu().numpy()
        weights = torch.softmax(logits.double().cpu() / self.temperature, -1)
        drawn = torch.multinomial(weights, 1, generator=self.generator)[:, 0]
        found: Values = drawn.double().numpy()
        return found

    def _before_tokens(self) -> dict[str, Tensor]:
        """What the position before the first token reads, of one row."""
        fields: dict[str, Tensor] = {}
        for f in self.model.spec.read_fields:
            if f.is_symbol:
                fields[f.name] = torch.full((1,), BOS, dtype=torch.int64, device=self.device)
            else:
                fields[f.name] = torch.zeros(1, f.width, device=self.device)
        return fields

    def _asked(self, where: Where) -> float:
        return float(self.target.get(str(where), 0.0))

    def _tensor(self, values: Any) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(self.device)

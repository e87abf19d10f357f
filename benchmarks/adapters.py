"""What an adapter saves: trained parameters, memory of training, time of a step, beside training all weights.

    python benchmarks/adapters.py --size m --steps 6

Memory is that of parameters, gradients and the optimizer's moments, counted from the tensors that are there. Time is
that of this thread's processor: forward, backward and AdamW on rows of random DNA, in fp32 or with --precision bf16
as fine-tuning multiplies on CPUs that have it; adapters take turns, so that a busy machine slows all of them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.batching.batch import Inputs
from core.finetuning.adapters import attach
from core.finetuning.config import ADAPTERS, AdapterConfig
from core.finetuning.head import Head, HeadConfig
from core.nn.config import size_config
from core.nn.model import SequenceModel
from core.sequence import Symbols
from core.training.precision import arithmetic
from core.vocabulary import SPECIALS, Vocabulary

PATTERNS = ("transformer", "mamba", "mamba2", "hybrid")


@dataclass
class Contender:
    """A model with an adapter and a head, ready for steps."""

    kind: str
    model: SequenceModel
    head: Head
    optimizer: torch.optim.Optimizer
    seconds: list[float]

    @classmethod
    def make(cls, kind: str, size: str, pattern: str) -> Contender:
        torch.manual_seed(0)
        model = SequenceModel(Symbols(Vocabulary(tuple("ACGT"))), size_config(size, pattern, context=256))
        attach(model, AdapterConfig(kind))
        if kind == "head":
            model.requires_grad_(False)
        model.readouts.requires_grad_(False)
        head = Head(HeadConfig("classify", ("label",), ("a", "b"), True, model.hidden_width, "mean"))
        changing = [p for part in (model, head) for p in part.parameters() if p.requires_grad]
        return cls(kind, model, head, torch.optim.AdamW(changing, lr=1e-4), [])

    def step(self, tokens: Tensor, classes: Tensor, precision: str) -> None:
        began = time.thread_time()
        with arithmetic(precision, tokens.device):
            found = self.model(Inputs({"tokens": tokens}))[0].mean(1)
        loss = self.head.loss(found.float(), classes)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.seconds.append(time.thread_time() - began)

    @property
    def changing(self) -> list[nn.Parameter]:
        return [p for part in (self.model, self.head) for p in part.parameters() if p.requires_grad]

    @property
    def trained(self) -> int:
        return sum(p.numel() for p in self.changing)

    @property
    def megabytes(self) -> float:
        """Parameters, a gradient for each that changes, and the optimizer's state."""
        kept = sum(p.nbytes for part in (self.model, self.head) for p in part.parameters())
        moments = sum(t.nbytes for s in self.optimizer.state.values() for t in s.values() if isinstance(t, Tensor))
        return (kept + sum(p.nbytes for p in self.changing) + moments) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="m")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--patterns", nargs="+", default=PATTERNS)
    parser.add_argument("--adapters", nargs="+", default=ADAPTERS, help="beside full, which is always there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(len(SPECIALS), len(SPECIALS) + 4, (options.rows, options.length), generator=generator)
    classes = torch.eye(2)[torch.arange(options.rows) % 2]
    print("| pattern | adapter | trained | share | memory, MB | of full | step, s | of full |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for pattern in options.patterns:
        contenders = [
            Contender.make(kind, options.size, pattern) for kind in dict.fromkeys(("full", *options.adapters))
        ]
        for _ in range(options.steps + 1):
            for contender in contenders:
                contender.step(tokens, classes, options.precision)
        full = contenders[0]
        whole, slow = sum(p.numel() for p in full.model.parameters()), statistics.median(full.seconds[1:])
        for c in contenders:
            took = statistics.median(c.seconds[1:])
            print(
                f"| {pattern} | {c.kind} | {c.trained:,} | {100 * c.trained / whole:.2g} % | {c.megabytes:.0f} "
                f"| {100 * c.megabytes / full.megabytes:.0f} % | {took:.2f} | {100 * took / slow:.0f} % |",
                flush=True,
            )


if __name__ == "__main__":
    main()

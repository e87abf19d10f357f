"""How many tokens a second does a model train on, beside nn.LSTM and this machine's own matrix product?

    python benchmarks/training_speed.py [--patterns A S M] [--precisions fp32 bf16] [--width 256] [--json]

Forward, backward and AdamW, batch 8 x 512, vocabulary 64, 4 layers, 2 threads unless said. The models take turns, one
step each, and the median and the best step are given: on a busy machine the best is the one to compare. The matrix
product is measured before and after, so that a busy machine can be told from a slow model.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from core.batching.batch import Batch, Inputs
from core.kernels.memory import keep_freed_memory
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.objectives.next_token import NextToken
from core.sequence import Symbols
from core.vocabulary import Vocabulary

Step = Callable[[], None]


def ours(args: argparse.Namespace, pattern: str, bf16: bool) -> tuple[Step, float]:
    """One training step, and its FLOPs per token."""
    spec = Symbols(Vocabulary(tuple(f"s{i}" for i in range(args.vocabulary - 5))))
    config = ModelConfig(pattern=pattern, layers=args.layers, width=args.width, context=args.length)
    model, objective = SequenceModel(spec, config), NextToken(spec)
    ids = torch.randint(5, args.vocabulary, (2, args.batch, args.length))
    mask = torch.ones(args.batch, args.length, dtype=torch.bool)
    rows = np.zeros((args.batch, 3), np.int64)
    batch = Batch(Inputs({"tokens": ids[0]}), {"tokens": ids[1]}, {"tokens": mask}, rows)

    def loss() -> torch.Tensor:
        hidden, _ = model(batch.inputs)
        return objective.loss(hidden, model.readouts, batch)["loss"]

    return optimised(model, loss, bf16), model.flops_per_token()


def lstm(args: argparse.Namespace, bf16: bool) -> tuple[Step, float]:
    embed, readout = nn.Embedding(args.vocabulary, args.width), nn.Linear(args.width, args.vocabulary)
    body = nn.LSTM(args.width, args.width, args.layers, batch_first=True)
    ids = torch.randint(5, args.vocabulary, (2, args.batch, args.length))

    def loss() -> torch.Tensor:
        return F.cross_entropy(readout(body(embed(ids[0]))[0]).flatten(0, 1).float(), ids[1].flatten())

    parameters = sum(p.numel() for part in (body, readout) for p in part.parameters())
    return optimised(nn.ModuleList([embed, body, readout]), loss, bf16), 6.0 * parameters


def optimised(model: nn.Module, loss: Callable[[], torch.Tensor], bf16: bool) -> Step:
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            value = loss()
        value.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def product_rate(dtype: torch.dtype) -> float:
    """FLOP/s of a plain (2048, 1024) x (1024, 1024) product, the best of eight."""
    a, b = torch.randn(2048, 1024, dtype=dtype), torch.randn(1024, 1024, dtype=dtype)
    seconds = []
    for _ in range(9):
        start = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - start)
    return 2 * 2048 * 1024 * 1024 / min(seconds[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patterns", nargs="+", default=["A", "S", "M"], help="letters of patterns, or lstm")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    for name, default in {"width": 256, "layers": 4, "vocabulary": 64, "batch": 8, "length": 512}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    keep_freed_memory()
    types = {"fp32": torch.float32, "bf16": torch.bfloat16}
    before = {name: product_rate(dtype) for name, dtype in types.items()}
    runs: dict[tuple[str, str], tuple[Step, float, list[float]]] = {}
    for pattern in args.patterns:
        for precision in args.precisions:
            make = lstm(args, precision == "bf16") if pattern == "lstm" else ours(args, pattern, precision == "bf16")
            runs[pattern, precision] = (*make, [])
            make[0]()
    for _ in range(args.repeats):
        for step, _, seconds in runs.values():
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
    rates = {name: max(before[name], product_rate(dtype)) for name, dtype in types.items()}
    tokens, results = args.batch * args.length, []
    for (pattern, precision), (_, flops, seconds) in runs.items():
        best = tokens / min(seconds)
        results.append(
            {
                "pattern": pattern,
                "precision": precision,
                "tokens_per_second": round(tokens / statistics.median(seconds)),
                "best": round(best),
                "share_of_product_rate": round(best * flops / rates[precision], 3),
            }
        )
    if args.json:
        print(json.dumps(results))
        return
    print("matrix product: " + ", ".join(f"{rate / 1e9:.0f} GFLOP/s {name}" for name, rate in rates.items()))
    print("pattern  precision  tokens/s  best     of product rate")
    for r in results:
        print("{pattern:8} {precision:10} {tokens_per_second:<9} {best:<8} {share_of_product_rate}".format(**r))


if __name__ == "__main__":
    main()

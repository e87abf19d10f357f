"""Tokens drawn per second, beside transformers' `generate` with its cache.

    python benchmarks/generate.py [--question mamba_batch1_vs_hf ...] [--repeats 5] [--threads 2] [--json OUT]

Both sides hold a model of equal shape with random weights in float32 and draw the same number of tokens from nothing,
at temperature 1 over the whole vocabulary, without an end: ours by `Engine.sample`, likelihoods included, as many rows
of the batch at once as it sees fit; the peer by `generate` with `use_cache`, its other settings as they come. They take
turns in one process; medians are compared, and the ratio of the fastest turns stands beside them. A busy machine stops
the peers at the barriers of their threads: measure on a quiet one.
The aim is at least 3 times the peer's rate at batch 1 and 32, for each backbone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.peers import Shape, hf_llama, hf_mamba, hf_mamba2, n_parameters, ours
from core.engine import Engine

PEERS: dict[str, tuple[str, Callable[[Shape], nn.Module]]] = {
    "mamba": ("MambaForCausalLM", lambda shape: hf_mamba(shape, mambapy=False)),
    "mamba2": ("Mamba2ForCausalLM", hf_mamba2),
    "transformer": ("LlamaForCausalLM", hf_llama),
}
QUESTIONS = {f"{backbone}_batch{batch}_vs_hf": (backbone, batch) for backbone in PEERS for batch in (1, 32)}


def our_draws(shape: Shape, backbone: str) -> tuple[Callable[[int], None], int]:
    """Draws `shape.batch` rows of `shape.length` tokens from a seed, and how many parameters do it."""
    engine = Engine(ours(shape, backbone))

    def draw(seed: int) -> None:
        drawn = engine.sample(shape.batch, max_length=shape.length, min_length=shape.length, seed=seed)
        assert [s.n_tokens for s in drawn] == [shape.length] * shape.batch

    return draw, n_parameters(engine.model)


def peer_draws(shape: Shape, backbone: str) -> tuple[Callable[[int], None], int]:
    """The same by the peer."""
    model = PEERS[backbone][1](shape).eval()
    begin = torch.full((shape.batch, 1), model.config.bos_token_id)

    def draw(seed: int) -> None:
        torch.manual_seed(seed)
        drawn = model.generate(
            begin,
            attention_mask=torch.ones_like(begin),
            do_sample=True,
            temperature=1.0,
            top_k=0,
            min_new_tokens=shape.length,
            max_new_tokens=shape.length,
            use_cache=True,
        )
        assert drawn.shape == (shape.batch, shape.length + 1)

    return draw, n_parameters(model)


def measure(question: str, shape: Shape, repeats: int) -> dict[str, Any]:
    """One question's object: tokens per second of both sides, which take turns."""
    backbone, batch = QUESTIONS[question]
    shape = replace(shape, batch=batch)
    sides = {"ours": our_draws(shape, backbone), PEERS[backbone][0]: peer_draws(shape, backbone)}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for i in range(repeats + 1):
        for name, (draw, _) in sides.items():
            begin = time.perf_counter()
            draw(i)
            if i:  # the first is a warm-up
                seconds[name].append(time.perf_counter() - begin)
    median = {name: shape.tokens / statistics.median(values) for name, values in seconds.items()}
    best = {name: shape.tokens / min(values) for name, values in seconds.items()}
    peer = PEERS[backbone][0]
    return {
        "ours": round(median["ours"], 1),
        "peers": {peer: round(median[peer], 1)},
        "ratio": round(median["ours"] / median[peer], 3),
        "ratio_of_best": round(best["ours"] / best[peer], 3),
        "unit": "tokens/s",
        "parameters": {name: parameters for name, (_, parameters) in sides.items()},
        "shape": asdict(shape),
        "repeats": repeats,
        "threads": torch.get_num_threads(),
        "command": f"python benchmarks/generate.py --question {question}",
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--question", nargs="*", choices=list(QUESTIONS), default=list(QUESTIONS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--reduced", action="store_true", help="tiny models and few tokens: only shows that it runs")
    parser.add_argument("--json", type=Path, metavar="OUT")
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    shape = Shape(width=32, layers=1, vocabulary=16, length=8) if args.reduced else Shape(length=256)
    results = {}
    for question in args.question:
        results[question] = measure(question, shape, args.repeats)
        found = results[question]
        ((peer, rate),) = found["peers"].items()
        print(f"{question:26} ours {found['ours']:8.0f}   {peer} {rate:8.0f}   ratio {found['ratio']:.2f}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""How many tokens a second do our backbones train on, beside their peers, and what share of the machine is that?

    python benchmarks/backbones.py --json backbones.json --figure backbones.png            (five minutes on 2 cores)
    python benchmarks/backbones.py --question transformer_fp32_vs_hf --width 512           (the share of the GEMM rate)
    python benchmarks/backbones.py --question --lengths 512 1024 2048 4096 8192 --memory   (the cost of length)

A question is answered by models that take turns, one step each: forward, backward and AdamW. Ours are in one process,
set up as training sets it up; the peers are in another, as their users run them (sides.py, peers.py), with torch's
fused AdamW and without the cache that Llama would fill. The median step counts. Speeds are tokens per second, real
tokens only where rows are padded; `ratio` is ours over the best peer, and the ratio of the fastest steps stands beside
it, which a busy machine disturbs less. The cost of length and peak memory are measured in a process each.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.figure import draw
from benchmarks.peers import Shape
from benchmarks.sides import Side
from benchmarks.steps import PEERS, Contender, contender, ragged
from core.kernels.memory import keep_freed_memory
from core.training.precision import multiplies_bf16

Answer = dict[str, Any]

QUESTIONS: dict[str, tuple[tuple[str, str], list[tuple[str, str]]]] = {
    "mamba_fp32_vs_hf_mambapy": (("mamba", "fp32"), [("hf_mamba_mambapy", "fp32")]),
    "mamba_auto_vs_hf_mambapy": (("mamba", "auto"), [("hf_mamba_mambapy", "fp32")]),
    "mamba_auto_vs_lstm": (("mamba", "auto"), [("nn.LSTM", "fp32"), ("nn.LSTM", "bf16")]),
    "mamba2_fp32_vs_hf_chunk64": (("mamba2", "fp32"), [("hf_mamba2_chunk64", "fp32")]),
    "mamba2_bf16_vs_hf_chunk64": (("mamba2", "bf16"), [("hf_mamba2_chunk64", "bf16")]),
    "mamba2_auto_vs_hf_default": (("mamba2", "auto"), [("hf_mamba2_default", "fp32")]),
    "transformer_fp32_vs_hf": (("transformer", "fp32"), [("hf_llama", "fp32")]),
    "transformer_bf16_vs_hf": (("transformer", "bf16"), [("hf_llama", "bf16")]),
    "transformer_auto_vs_hf_default": (("transformer", "auto"), [("hf_llama", "fp32")]),
    "transformer_ragged_vs_hf": (("transformer", "fp32"), [("hf_llama", "fp32")]),
}
"""Ours and the peers, each with its precision; a peer's default is fp32."""

LENGTH_TOKENS = 8192
"""Tokens of a batch when lengths are compared, so that only the length differs."""


def gemm_rates(size: int = 1024) -> dict[str, float]:
    """FLOP/s of a plain (4 size, size) x (size, size) product by precision, the best of six."""
    rates = {}
    for name, dtype in {"fp32": torch.float32, "bf16": torch.bfloat16}.items():
        a, b = torch.randn(4 * size, size).to(dtype), torch.randn(size, size).to(dtype)
        seconds = []
        for _ in range(7):
            began = time.perf_counter()
            torch.mm(a, b)
            seconds.append(time.perf_counter() - began)
        rates[name] = 8 * size**3 / min(seconds[1:])
    return rates


def contenders(question: str, shape: Shape, ours: bool) -> list[Contender]:
    """Of one side of a question, without an LSTM in bf16 where the CPU does not multiply it: oneDNN has none there."""
    mine, theirs = QUESTIONS[question]
    if not multiplies_bf16(torch.device("cpu")):
        theirs = [(name, precision) for name, precision in theirs if (name, precision) != ("nn.LSTM", "bf16")]
    if question == "transformer_ragged_vs_hf":
        return [ragged(shape, mine[1])[0 if ours else 1]]
    return [contender(name, shape, precision) for name, precision in ([mine] if ours else theirs)]


def take_turns(contenders: Sequence[Callable[[], int]], repeats: int, steps: int = 1) -> list[list[float]]:
    """Tokens per second of each round of `steps` steps, after one step or round that does not count."""
    speeds: list[list[float]] = [[] for _ in contenders]
    for number in range(repeats + 1):
        seconds, tokens = [0.0] * len(contenders), [0] * len(contenders)
        for _ in range(steps):
            for i, step in enumerate(contenders):
                began = time.perf_counter()
                tokens[i] += step()
                seconds[i] += time.perf_counter() - began
        for i in range(len(contenders) if number else 0):
            speeds[i].append(tokens[i] / seconds[i])
    return speeds


def answer(question: str, shape: Shape, repeats: int, ours: Side, peers: Side) -> Answer:
    """One question's object."""
    steps = [*ours.contenders(question, shape), *peers.contenders(question, shape)]
    own = steps[0].facts
    size = min(1024, 4 * shape.width)
    before = gemm_rates(size)
    speeds = take_turns(steps, repeats, own.steps)
    gemm = {name: max(rate, before[name]) for name, rate in gemm_rates(size).items()}
    names = [step.facts.label for step in steps]
    median = dict(zip(names, (round(statistics.median(s), 1) for s in speeds), strict=True))
    best = dict(zip(names, (round(max(s), 1) for s in speeds), strict=True))
    rest = names[1:]
    return {
        "ours": median[names[0]],
        "peers": {name: median[name] for name in rest},
        "ratio": round(median[names[0]] / max(median[name] for name in rest), 3),
        "ratio_of_best": round(best[names[0]] / max(best[name] for name in rest), 3),
        "unit": "tokens/s",
        "contender": names[0],
        "parameters": {step.facts.label: step.facts.parameters for step in steps},
        "share_of_gemm": round(best[names[0]] * own.flops_per_token / gemm[own.precision], 3),
        "gemm_gflops": {name: round(rate / 1e9, 1) for name, rate in gemm.items()},
        "shape": asdict(shape),
        "repeats": repeats,
        "threads": torch.get_num_threads(),
        "command": f"python benchmarks/backbones.py --question {question}{_shape_options(shape)}",
    }


def _shape_options(shape: Shape) -> str:
    changed = {k: v for k, v in asdict(shape).items() if v != getattr(Shape(), k)}
    return "".join(f" --{name} {value}" for name, value in changed.items())


# --- the cost of length, and peak memory ------------------------------------------------------------------------------


def probe(name: str, precision: str, shape: Shape, repeats: int) -> dict[str, float]:
    """In this process: microseconds a token of the median step, and the memory that steps added, in bytes a token."""
    contender(name, replace(shape, width=32, layers=1, batch=1, length=64), precision)()  # loads what is loaded once
    step = contender(name, shape, precision)
    before = _resident()
    speeds = take_turns([step], repeats)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "microseconds_a_token": 1e6 / statistics.median(speeds[0]),
        "bytes_a_token": max(0, peak - before) / shape.tokens,
        "megabytes": max(0, peak - before) / 1e6,
    }


def _resident() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


def in_a_process(name: str, precision: str, shape: Shape, repeats: int) -> dict[str, float]:
    """`probe` in a process of its own."""
    options = [f"--{key}={value}" for key, value in asdict(shape).items()]
    command = [sys.executable, __file__, "--probe", name, precision, *options, f"--repeats={repeats}"]
    command.append(f"--threads={torch.get_num_threads()}")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{result.stderr}")
    found: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return found


def cost_of_length(name: str, shape: Shape, lengths: list[int], repeats: int) -> Answer:
    """Time and memory a token by length, in batches of equal size; `ratio` is that of the longest to the shortest."""
    tokens = min(LENGTH_TOKENS, max(lengths)) if shape == Shape() else max(lengths)
    found = {
        length: in_a_process(name, "auto", replace(shape, length=length, batch=max(1, tokens // length)), repeats)
        for length in lengths
    }
    time_ratio, memory_ratio = (
        round(found[lengths[-1]][key] / max(found[lengths[0]][key], 1e-9), 3)
        for key in ("microseconds_a_token", "bytes_a_token")
    )
    return {
        "ours": {str(length): {k: round(v, 2) for k, v in f.items()} for length, f in found.items()},
        "ratio": time_ratio,
        "memory_ratio": memory_ratio,
        "shape": asdict(shape),
        "repeats": repeats,
        "command": f"python benchmarks/backbones.py --question --lengths {' '.join(map(str, lengths))}",
    }


def memory_of_mamba(shape: Shape, repeats: int) -> Answer:
    """Megabytes that training steps of 2,048 tokens a row add, ours and mambapy's; `ratio` is theirs over ours."""
    long = replace(shape, length=4 * shape.length, batch=max(1, shape.batch // 4))
    own = in_a_process("mamba", "fp32", long, repeats)["megabytes"]
    peer = in_a_process("hf_mamba_mambapy", "fp32", long, repeats)["megabytes"]
    return {
        "ours": round(own, 1),
        "peers": {"hf_mamba_mambapy fp32": round(peer, 1)},
        "ratio": round(peer / max(own, 1e-9), 3),
        "unit": "MB",
        "shape": asdict(long),
        "repeats": repeats,
        "command": "python benchmarks/backbones.py --question --memory",
    }


# --- command line -----------------------------------------------------------------------------------------------------


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--question", nargs="*", choices=list(QUESTIONS), metavar="NAME", help="all where not given")
    parser.add_argument("--json", type=Path, metavar="OUT", help="one object a question, keyed by its name")
    parser.add_argument("--figure", type=Path, metavar="OUT.png")
    parser.add_argument("--lengths", type=int, nargs="+", help="also the cost of length for each of our backbones")
    parser.add_argument("--memory", action="store_true", help="also peak memory of mamba beside mambapy")
    parser.add_argument("--reduced", action="store_true", help="tiny shapes, one repeat: shows only that it runs")
    for name, default in asdict(Shape()).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--probe", nargs=2, metavar=("CONTENDER", "PRECISION"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.shape = Shape(options.width, options.layers, options.vocabulary, options.batch, options.length)
    if options.reduced:
        options.shape, options.repeats = Shape(width=32, layers=1, vocabulary=16, batch=2, length=32), 1
        options.lengths = options.lengths and [32, 64]
    return options


def main(arguments: list[str] | None = None) -> dict[str, Answer]:
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    if options.probe:
        name, precision = options.probe
        if name not in PEERS:
            keep_freed_memory()
        print(json.dumps(probe(name, precision, options.shape, options.repeats)))
        return {}
    found: dict[str, Answer] = {}

    def keep(name: str, result: Answer) -> None:
        found[name] = result
        print(f"{name:32} {json.dumps({key: result[key] for key in ('ours', 'peers', 'ratio') if key in result})}")
        if options.json:
            options.json.write_text(json.dumps(found, indent=1) + "\n")

    asked = list(QUESTIONS) if options.question is None else options.question
    if asked:
        with (
            Side(contenders, ours=True, threads=options.threads) as ours,
            Side(contenders, ours=False, threads=options.threads) as peers,
        ):
            for question in asked:
                keep(question, answer(question, options.shape, options.repeats, ours, peers))
    for name in ("mamba", "mamba2", "transformer") if options.lengths else ():
        keep(f"{name}_cost_of_length", cost_of_length(name, options.shape, options.lengths, options.repeats))
    if options.memory:
        keep("mamba_memory_vs_hf_mambapy", memory_of_mamba(options.shape, options.repeats))
    if options.figure:
        draw(found, options.figure)
    return found


if __name__ == "__main__":
    main()

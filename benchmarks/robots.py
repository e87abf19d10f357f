"""Ways to read an episode, side by side: the same episodes and model, closed and open loop, by the verbs.

    python benchmarks/robots.py tokenizers [--env Pendulum-v1]   vectors, components, chunks
    python benchmarks/robots.py returns        the return to go given (Decision Transformer), or not
    python benchmarks/robots.py missing        half of the episodes without actions, beside the half with them alone
    python benchmarks/robots.py components     numbers as tokens with sensors dropped (PASTA), without, whole vectors
    python benchmarks/robots.py past           the action some steps before predicted as well, or not
    python benchmarks/robots.py copying [--env LunarLander-v3]   the last action read or not, done or intended learned
    python benchmarks/robots.py prompt         a demonstration before each episode (ICRT), or none
    ... [--steps 300] [--seed 0] [--json J] [--folder F] [key=value, for `train`]

`--folder` keeps stores and runs, and a second call goes on there. One thread. Nats are of raw values.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.ablations import foretell, made, shown
from domains.robots.source.experts import CLASSIC

METRICS = (
    *("success_last_step", "success_any_step", "return_mean", "return_without_", "action_latency_ms"),
    *("action_nats_per_step", "observation_nats_per_step"),
)
META = ("data=metaworld10", "data.episodes=40", "data.noise=[0,0.1,0.3]", "data.after_success=100")
NUMBERS = {
    "Pendulum-v1": 4,
    "CartPole-v1": 5,
    "MountainCarContinuous-v0": 3,
    "LunarLander-v3": 10,
    "HalfCheetah-v5": 23,
}
META_NUMBERS = 43
"""Of an observation and an action."""
VECTORS = ("tokenizer=robots_continuous", "tokenizer.bins=null", "batching.length=64", "model.window=32")
LEARNING = (
    *("training.minutes=0", "training.optimizer=muon", "training.lr=3e-3", "training.schedule=wsd"),
    *("training.ema=0.99", "precision=fp32", "threads=1", "progress=false"),
)


def variants(question: str, env: str) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """By name the keys of `prepare`, and those of `train`."""
    where = ("data=classic", f"data.env={env}") if env in CLASSIC else (*META, f"data.tasks=[{env}]")
    classic = ("domain=robots", *where)
    small = ("model=transformer", "size=xs", "batching.kind=windows", "batching.batch_size=32")
    if question == "tokenizers":
        # windows of 16 steps for all: a step is one token, one token a number, or a 16th of a chunk
        return {
            "continuous": ((*classic, "tokenizer=robots_continuous"), (*small, "batching.length=16")),
            "components": (
                (*classic, "tokenizer=robots_components", "tokenizer.bins=64"),
                (*small, f"batching.length={16 * NUMBERS.get(env, META_NUMBERS)}"),
            ),
            "chunks": ((*classic, "tokenizer=robots_chunks"), (*small,)),
        }
    if question == "copying":
        read, wanted = ("tokenizer.read_actions=false",), ("tokenizer.intended=true",)
        clone = (*classic, "tokenizer=robots_continuous", "tokenizer.predict_observations=false")
        ways = {"done, read": (), "done, not read": read, "intended, read": wanted, "intended, not read": read + wanted}
        return {name: ((*clone, *keys), (*small, "batching.length=32")) for name, keys in ways.items()}
    preset = {
        "returns": "experiment=robots_dt",
        "missing": "experiment=robots_humanoid_style",
        "components": "experiment=robots_pasta",
        "past": "experiment=robots_dt",
        "prompt": "experiment=robots_icrt",
    }[question]
    changed: dict[str, dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
        "returns": {"given": ((), ()), "not": (("tokenizer.return_to_go=false",), ())},
        "missing": {
            "half without actions": ((), ()),
            "the half with actions": (("data.name=classic", "data.episodes=60"), ()),
        },
        "components": {
            "sensors dropped": ((), ()),
            "none dropped": (("tokenizer.sensor_drop=0",), ()),
            "whole vectors": (VECTORS[:2], VECTORS[2:]),
        },
        "past": {  # of actions that are not read: those that are could be copied
            "k=4": (("tokenizer.read_actions=false", "tokenizer.past=4"), ()),
            "not": (("tokenizer.read_actions=false",), ()),
        },
        "prompt": {"one demonstration": ((), ()), "none": (("data.demonstrations=0",), ())},
    }
    return {name: ((preset, *data), (preset, *model)) for name, (data, model) in changed[question].items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    questions = ["tokenizers", "returns", "missing", "components", "past", "copying", "prompt"]
    parser.add_argument("question", choices=questions)
    of = "of the questions of tokenizers and copying; also a task of Meta-World, as reach-v3"
    parser.add_argument("--env", default="Pendulum-v1", help=of)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("keys", nargs="*", help="further keys of `train`")
    given = parser.parse_intermixed_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        for name, (data, model) in variants(given.question, given.env).items():
            folder = Path(given.folder or temporary) / name.replace(" ", "_")
            store, run, out = (folder / part for part in ("episodes.zarr", "run", "evaluation"))
            made(store, *data)
            budget = (f"training.steps={given.steps}", f"seed={given.seed}")
            foretell("train", *model, f"store={store}", f"run={run}", *LEARNING, *budget, *given.keys)
            preset = [key for key in model if key.startswith("experiment=")]
            foretell("evaluate", *preset, f"bundle={run}", f"store={store}", f"out={out}")
            rows += shown(out, name, METRICS)
    for row in rows:
        print("| " + " | ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()) + " |")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

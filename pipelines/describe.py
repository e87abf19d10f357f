"""`foretell describe PATH [--json]`: what a token store, a run (also a live one), a bundle or a prediction is.

Also a model that `foretell export`, transformers or mamba-ssm saved: whether it can be read, or why not.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.amounts import count, duration, size
from core.data_report import in_short
from core.durable import read_json
from core.errors import ConfigError, ForetellError, nearest_path
from core.label_distribution import label_lines
from core.places import place
from core.run_folder import CONFIG
from pipelines.label_report import label_facts, learned_labels
from pipelines.plain_help import PlainParser
from pipelines.run_record import RunRecord

if TYPE_CHECKING:
    from core.prediction.store import PredictionStore


def parser() -> ArgumentParser:
    made = PlainParser("describe")
    made.add_argument("path", type=place, help="the folder; of a store or prediction also a URL")
    made.add_argument("--json", action="store_true", help="one object instead of text; an error stays text, on stderr")
    made.add_argument("--verify", action="store_true", help="compare every file's sha256 first")
    return made


def main(arguments: Sequence[str]) -> int:
    wanted = parser().parse_args(list(arguments))
    found = described(wanted.path, verify=wanted.verify)
    if not wanted.json and (source := found.get("source")):
        found["source"] = {key: in_short(value) if key == "where" else value for key, value in source.items()}
    if not wanted.json and (labels := found.get("labels")):
        found["labels"] = "\n".join(label_lines(labels))
    if not wanted.json and (rows := (found.get("metrics") or {}).get("table")):
        found["metrics"] = {**found["metrics"], "table": "\n".join(_metric_lines(rows))}
    print(json.dumps(found, indent=1, ensure_ascii=False, default=str) if wanted.json else _text(found))
    return 0


def described(path: Path, *, verify: bool = False) -> dict[str, Any]:
    """What lies at `path`, its kind under `type`.

    Raises:
        ConfigError: nothing of ours is there.
        IntegrityError: it is damaged.
    """
    for is_there, describe in _KINDS:
        if is_there(path):
            return {**describe(path, verify), "bytes": _bytes(path), "path": str(path)}
    if not path.exists():
        raise ConfigError(f"there is nothing at {path}{nearest_path(path)}")
    raise ConfigError(
        f"{path} is neither a token store nor a run, a bundle, a prediction store or a model of another library"
    )


def _store(path: Path, verify: bool) -> dict[str, Any]:
    from core.store import TokenStore

    store = TokenStore.open(path, verify="manifest" if verify else "quick")
    spans = {split: store.spans(split) for split in ("train", "validation", "test")}
    return {
        "type": "token store",
        "domain": store.domain,
        "records": len(store),
        "tokens": store.n_tokens,
        "split": {split: int((s[:, 2] - s[:, 1]).sum()) for split, s in spans.items()},
        "rule": store.split.get("rule"),
        "tokenizer": store.tokenizer["kind"],
        "fields": {
            f.name: f"{'' if f.read else 'unread '}{f.role.value} {f.width or len(f.vocabulary or ())}"
            for f in store.spec.fields
        },
        "counts": store.counts,
        "labels": store.report.get("labels", {}),
        "source": {k: v for k, v in store.attrs.get("source", {}).items() if v and k != "sha256"},
        "shards": store.n_shards,
        "fingerprint": store.fingerprint,
    }


def _run(path: Path, verify: bool) -> dict[str, Any]:
    record = RunRecord(path)
    config, last = record.config, record.last_step
    if learned_labels(record):
        return label_facts(record)
    found = {
        "type": "run",
        "state": record.state,
        "step": last.get("step", 0),
        "steps": record.steps_planned,
        "tokens": last.get("tokens", 0),
        "seconds": record.seconds,
        "domain": config["domain"],
        "model": {k: config["model"][k] for k in ("pattern", "layers", "width")},
        "kernel": (record.bundle or {}).get("training", {}).get("kernel"),
        "data": [entry["store"] for entry in config["data"]],
        "best": record.best or None,
        "last_loss_nats": float.fromhex(last["loss"]) if last else None,
    }
    if verify and record.bundle is not None:
        found["bundle"] = _bundle(path / "bundle", verify)
    return found


def _bundle(path: Path, verify: bool) -> dict[str, Any]:
    from core.bundle import load_bundle

    bundle = load_bundle(path, verify=verify)
    config = bundle.model.config
    return {
        "type": "bundle",
        "domain": bundle.domain,
        "parameters": bundle.model.n_parameters,
        "model": {"pattern": config.mixers, "layers": config.layers, "width": config.width, "context": config.context},
        "tokenizer": bundle.tokenizer["kind"],
        "objective": bundle.objective,
        "kernel": bundle.training.get("kernel"),
        "metrics": bundle.metrics,
        "software": bundle.config.get("software"),
        "fingerprint": bundle.fingerprint,
    }


def _foreign(path: Path, verify: bool) -> dict[str, Any]:
    from core.interchange.folder import read_folder

    found = read_folder(path)
    config = found.parts.config
    return {
        "type": "model of another library",
        "class": found.architecture,
        "parameters": sum(weight.numel() for weight in found.parts.state_dict("tokens").values()),
        "model": {"pattern": config.mixers, "layers": config.layers, "width": config.width},
        "ids": found.ids,
        "domain": found.domain,
        "tokenizer": found.tokenizer["kind"] if found.tokenizer else "not said",
        "fingerprint": found.fingerprint,
    }


def _prediction(path: Path, verify: bool) -> dict[str, Any]:
    from core.prediction.store import PredictionStore

    store = PredictionStore.open(path, incomplete=True, verify="full" if verify else "quick")
    plan, so_far = store.plan, store.so_far
    made = {name: plan[name] for name in ("seed", "precision", "threads", "device", "software")}
    return {
        "type": "prediction store",
        "state": "complete" if store.complete and len(store.done) == store.n_blocks else "incomplete",
        "what": plan["what"],
        "rows": len(store),
        "blocks": store.n_blocks,
        "missing": _missing(store),
        "ok": so_far["ok"],
        "refused": so_far["refused"],
        "outputs": list(store.outputs),
        "made of": {name: store.attributes.get(name) for name in ("bundle", "input")},
        "input": {key: value for key, value in plan["input"].items() if key != "files"},
        "bundle": plan["bundle"],
        "kernel": plan["kernel"],
        "made with": made,
        "summary": store.summary if store.complete else None,
        "plan": store.plan_hash,
    }


def _missing(store: PredictionStore) -> dict[str, Any] | None:
    """How many blocks are not done, and the first of them with their rows."""
    lacking = [block for block in range(store.n_blocks) if block not in store.done]
    if not lacking:
        return None
    size = int(store.plan["rows_per_block"])
    shown = [f"{block} (rows {block * size:,} to {min((block + 1) * size, len(store)) - 1:,})" for block in lacking[:5]]
    return {"blocks": len(lacking), "first": shown}


def _has_format(path: Path, file: str, kind: str) -> bool:
    """Whether a JSON file of the folder says that it is of that format."""
    try:
        content = read_json(path / file) if (path / file).is_file() else {}
    except ForetellError:
        return False
    values = content.get("attributes", content) if isinstance(content, dict) else {}
    return bool(values.get("format") == kind)


def _is_foreign(path: Path) -> bool:
    if not (path / "config.json").is_file():  # before what follows loads torch
        return False
    from core.interchange.folder import is_foreign

    return is_foreign(path)


_KINDS: list[tuple[Callable[[Path], bool], Callable[[Path, bool], dict[str, Any]]]] = [
    (lambda path: (path / CONFIG).is_file(), _run),
    (lambda path: _has_format(path, "MANIFEST.json", "foretell/bundle"), _bundle),
    (lambda path: _has_format(path, "zarr.json", "foretell/prediction"), _prediction),
    (_is_foreign, _foreign),
    (lambda path: (path / "parts").is_dir() or (path / "manifest.json").is_file(), _store),
]


def _metric_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The metric table that a bundle keeps, a line a row; columns as wide as they need to be."""
    from core.evaluation import Metric, shown, shown_interval

    heads = ("metric", "model", "value", "95 % interval", "n", "split")
    found = [Metric(**row) for row in rows]
    cells = [(m.name, m.model, shown(m.value), shown_interval(m), f"{m.n:,}", m.split) for m in found]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    return ["  ".join(f"{c:{w}}" for c, w in zip(line, widths, strict=True)).rstrip() for line in (heads, *cells)]


def _text(values: Mapping[str, Any], indent: str = "") -> str:
    """`key  value` lines, what is nested indented, what is empty left out."""
    lines = []
    width = max((len(key) for key in values), default=0)
    for key, value in values.items():
        if value is None or value == {} or value == []:
            continue
        if isinstance(value, Mapping):
            lines += [f"{indent}{key}", _text(value, indent + "  ")]
        else:
            first, *more = _shown(key, value).split("\n")
            lines += [f"{indent}{key:{width}}  {first}", *(f"{indent}{'':{width}}  {line}" for line in more)]
    return "\n".join(lines)


def _shown(key: str, value: Any) -> str:
    """Times, sizes and large counts in human units beside the exact number."""
    if isinstance(value, bool):
        return str(value)
    if key in _UNITS and isinstance(value, int | float):
        return f"{value:,.0f} ({_UNITS[key](value)})"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


_UNITS: dict[str, Callable[[float], str]] = {
    "seconds": duration,
    "seconds_training": duration,
    "bytes": size,
    "tokens": count,
    "parameters": count,
}


def _bytes(path: Path) -> int | None:
    """Of all files below a folder; None where it is not on this machine's disks."""
    if not isinstance(path, Path):
        return None
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())

"""configs/ and the verbs' dataclasses fit together."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.errors import ConfigError
from core.run_folder import leaves
from domains import DOMAINS
from pipelines.compose import CONFIGS, compose
from pipelines.options import field_types
from pipelines.verbs import VERBS

EXPERIMENTS = sorted(path.stem for path in (CONFIGS / "experiment").glob("*.yaml"))
NEEDED = {
    "prepare": ["store=s.zarr"],
    "train": ["store=s.zarr", "run=r"],
    "finetune": ["store=s.zarr", "run=r", "init_from=b"],
    "evaluate": ["bundle=b", "store=s.zarr"],
    "sample": ["bundle=b"],
    "export": ["bundle=b"],
    "predict": ["bundle=b", "input=s.zarr", "output=p.zarr"],
}


def composed(verb: str, *overrides: str) -> Any:
    return compose(verb, VERBS[verb].options(), overrides)


def test_an_experiment_and_what_the_command_line_changes_of_it() -> None:
    options = composed("train", "experiment=dna_smoke", "store=s.zarr", "run=r", "model=mamba2", "training.lr=0.01")
    assert options.store == (Path("s.zarr"),)
    assert options.domain == "dna"
    assert options.model["pattern"] == "mamba2"
    assert options.training.lr == 0.01


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("verb", NEEDED)
def test_every_experiment_serves_every_verb(verb: str, experiment: str) -> None:
    """With what it says of the verb's keys, and as if it were not there where it says nothing of them."""
    with_it = plain(composed(verb, f"experiment={experiment}", *NEEDED[verb]))
    said = dict(leaves(yaml.safe_load((CONFIGS / "experiment" / f"{experiment}.yaml").read_text())))
    mine = {key: value for key, value in said.items() if key.partition(".")[0] in field_types(VERBS[verb].options())}
    assert {key: with_it[key] for key in mine} == mine
    if not mine:
        assert with_it == plain(composed(verb, *NEEDED[verb]))
    if verb in ("prepare", "train"):
        assert mine
        assert with_it["domain"] in DOMAINS.names()
        assert experiment.startswith(f"{with_it['domain']}_")


def plain(options: Any) -> dict[str, Any]:
    """Dotted key to value, without what is not set."""
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in leaves(asdict(options))}
    return {key: value for key, value in values.items() if value is not None}


def test_every_domain_has_its_presets() -> None:
    for name in DOMAINS.names():
        assert {f"{name}_smoke", f"{name}_small", f"{name}_paper"} <= set(EXPERIMENTS)
        assert (CONFIGS / "domain" / f"{name}.yaml").is_file()


def test_experiments_set_only_keys_that_some_verb_has() -> None:
    known = {name for verb in VERBS.values() if verb.composes for name in field_types(verb.options())}
    for path in (CONFIGS / "experiment").glob("*.yaml"):
        values = yaml.safe_load(path.read_text())
        assert set(values) - {"defaults"} <= known, path.name


def test_the_groups_choose_what_they_are_called_after() -> None:
    for pattern in (CONFIGS / "model").glob("*.yaml"):
        assert composed("train", "store=s", f"model={pattern.stem}").model == {"pattern": pattern.stem}
    for size in (CONFIGS / "size").glob("*.yaml"):
        assert composed("train", "store=s", f"size={size.stem}").model == {"size": size.stem}


def test_one_budget_replaces_another() -> None:
    training = composed("train", "experiment=dna_smoke", "store=s", "training.steps=5").training
    assert training.budget == ("steps", 5)
    with pytest.raises(ConfigError, match="exactly one"):
        composed("train", "store=s", "training.steps=5", "training.tokens=5")


def test_common_keys_reach_the_training() -> None:
    training = composed("train", "store=s", "seed=7", "precision=fp32", "device=cpu").training
    assert (training.seed, training.precision, training.device) == (7, "fp32", "cpu")


def test_keys_of_another_verb_are_unknown() -> None:
    with pytest.raises(ConfigError, match=re.escape("unknown key 'training.steps'")):
        composed("prepare", "experiment=dna_smoke", "store=s.zarr", "training.steps=3")


def test_configs_hold_values_only() -> None:
    for path in CONFIGS.rglob("*"):
        if path.is_file():
            assert path.suffix == ".yaml", path
            assert "_target_" not in path.read_text()

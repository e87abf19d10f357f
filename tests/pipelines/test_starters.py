"""Presets of starters: what they ask of the data is there. Training them takes an hour, this a few seconds."""

from __future__ import annotations

import pytest

from domains import DOMAINS
from pipelines import prepare
from pipelines.compose import compose


@pytest.mark.network
@pytest.mark.parametrize("domain", [name for name in DOMAINS.names() if name != "stacking"])
def test_the_data_of_a_starter_can_be_opened(domain: str, tmp_path, capsys) -> None:
    keys = [f"experiment={domain}_starter", f"store={tmp_path / 's.zarr'}", "dry_run=true"]
    prepare.run(compose("prepare", prepare.OPTIONS, keys))
    assert "bytes to read with tokenizer" in capsys.readouterr().out

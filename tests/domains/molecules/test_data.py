from __future__ import annotations

from pathlib import Path

from domains import DOMAINS
from domains.molecules.data import open_data, suggest_batching
from domains.molecules.source import DATASETS
from tests.domains.molecules.test_evaluation import made_store


def test_batches_hold_whole_molecules(tmp_path: Path) -> None:
    store, tokenizer = made_store(tmp_path)
    data = open_data(store, tokenizer)
    assert data.batching == suggest_batching()
    assert suggest_batching().kind == "buckets"


def test_the_domain_names_what_is_there() -> None:
    domain = DOMAINS.get("molecules")
    assert set(domain.datasets) == set(DATASETS)
    for part in ("source", "writer", "data_module", "evaluation", "figures"):
        assert domain.load(part) is not None
    for kind in domain.tokenizers:
        assert domain.make_tokenizer(kind).kind == kind

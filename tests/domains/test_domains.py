"""The registry of domains: parts found by name, a ninth domain from a package, a broken one left out with a warning."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

import domains
from core.errors import ConfigError
from domains import DOMAINS, Domain, tokenizer_classes


def test_a_domain_is_found_by_name_and_its_parts_by_place() -> None:
    dna = DOMAINS.get("dna")
    assert (dna.natural_unit, dna.default_tokenizer) == ("base", "dna_nucleotide")
    assert dna.load("source").__name__ == "open_source"
    assert dna.make_tokenizer().kind == "dna_nucleotide"
    assert dna.make_tokenizer("dna_kmer", {"k": 4}).config.k == 4


OPTIONAL = ("forecast", "tracks", "text_row", "values_row", "features", "fill")


def test_every_place_of_every_domain_leads_somewhere() -> None:
    for name in DOMAINS.names():
        domain = DOMAINS.get(name)
        assert domain.name == name
        for part in domains.PLACES:
            if getattr(domain, part):
                assert domain.load(part) is not None
            else:
                assert part in ("forecast", "tracks", "text_row", "values_row", "features", "fill"), (
                    f"{name} has no {part}"
                )
        for kind in domain.tokenizers:
            assert tokenizer_classes().get(kind).kind == kind


def test_a_domains_data_sets_are_those_of_its_source() -> None:
    from domains.dna.source import DATASETS

    assert list(DOMAINS.get("dna").datasets) == [*DATASETS, "traces", "dogma"]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: DOMAINS.get("dan"), "unknown domain 'dan'; did you mean 'dna'"),
        (lambda: DOMAINS.get("dna").load("forecast"), "domain 'dna' has no forecast"),
        (lambda: DOMAINS.get("dna").load("writr"), "no part 'writr'; did you mean 'writer'"),
        (lambda: DOMAINS.get("dna").make_tokenizer("dna_kmr"), "did you mean 'dna_kmer'"),
        (lambda: DOMAINS.get("dna").make_tokenizer("dna_kmer", {"kk": 1}), "no setting 'kk'"),
        (lambda: ninth(default_tokenizer="other"), "default_tokenizer 'other' is none"),
        (lambda: ninth(tokenizers={"ninth_plain": "nowhere"}), "is 'module:Class', got 'nowhere'"),
    ],
)
def test_wrong_names_are_explained(action, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        action()


def ninth(**changes) -> Domain:
    given = {
        "name": "ninth",
        "summary": "a domain of another package",
        "natural_unit": "thing",
        "tokenizers": {"ninth_plain": "domains.dna.tokenizer:NucleotideTokenizer"},
        "default_tokenizer": "ninth_plain",
        **dict.fromkeys(domains.PLACES, "domains.dna.source:open_source"),
        "suffix": ".txt",
        **changes,
    }
    return Domain(**given)


NINTH = ninth()
OURS = ("chaos", "dna", "graphs", "molecules", "music", "proteins", "robots", "time_series")


def with_entry_points(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str]) -> None:
    found = [EntryPoint(name, value, domains.ENTRY_POINTS) for name, value in points]
    monkeypatch.setattr(domains, "entry_points", lambda group: found)
    monkeypatch.setattr(domains, "DOMAINS", domains._registry())


def test_a_ninth_domain_comes_from_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    with_entry_points(monkeypatch, ("ninth", f"{__name__}:NINTH"))
    assert domains.DOMAINS.names() == sorted([*OURS, "ninth"])
    assert domains.DOMAINS.get("ninth") is NINTH
    assert "ninth_plain" in tokenizer_classes()


def test_a_broken_plug_in_is_left_out_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    with_entry_points(monkeypatch, ("broken", "no_such_package.domain:DOMAIN"))
    with pytest.warns(UserWarning, match="domain 'broken' cannot be imported and is left out"):
        assert "dna_bpe" in tokenizer_classes()


def test_two_domains_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="two domains are called 'dna'"):
        with_entry_points(monkeypatch, ("dna", "other:DOMAIN"))

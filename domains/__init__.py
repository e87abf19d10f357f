"""The domains by name, and what a domain tells about itself.

A `Domain` is names and places in code, nothing more: it can be listed without importing torch, Biopython or the
domain's own modules. A ninth domain registers its `Domain` under the entry point `foretell.domains`;
nothing here changes.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import ConfigError, ForetellError, nearest
from core.registry import Registry

if TYPE_CHECKING:
    from core.tokenizer import Tokenizer, TokenizerClasses

ENTRY_POINTS = "foretell.domains"
PLACES = (
    *("source", "writer", "data_module", "evaluation", "figures", "forecast", "tracks"),
    *("text_row", "values_row", "features", "fill"),
)


@dataclass(frozen=True)
class Domain:
    """What `foretell domains` prints of a domain and where its parts are found.

    Places are `"module:attribute"` texts (`"module"` alone for a module) and are imported by `load` at first use.
    Raises ConfigError where a place is malformed or the default tokenizer is not one of the tokenizers.
    """

    name: str
    summary: str
    """One line: which records, cut into what."""
    natural_unit: str
    """What likelihoods are given per, in the singular: "base", "residue", "note"."""
    tokenizers: Mapping[str, str]
    """Kind to the place of its class; kinds are unique over all domains ("dna_kmer")."""
    default_tokenizer: str
    source: str
    """`open_source(data=None, path=None, **options) -> core.ingest.RecordSource`."""
    writer: str
    """`write_samples(path, records, nats=None)`: the domain's own file type, with likelihoods; where the domain has a
    `forecast`, also `given=`, how many steps of each record were there before the draw."""
    suffix: str
    """The ending of that file type, with its dot."""
    data_module: str
    """`(stores, tokenizer, batching=None, **options) -> core.datamodule.SequenceDataModule`, views on."""
    evaluation: str
    """`evaluate(scorer, store, split, out, **options) -> core.evaluation.MetricTable`."""
    figures: str
    """The module that draws the domain's figures."""
    forecast: str = ""
    """`forecast(model, data, horizon, *, quantiles, draws, seed, **options)`: what follows, in the domain's own form;
    empty where the domain has none."""
    tracks: str = ""
    """`write_tracks(prediction, store, path) -> path`: token scores along the records, in a file that the field's
    viewers read; empty where there is none."""
    text_row: str = ""
    """`record(row, tokenizer, **options)`: a record of one text of an array (`core.prediction.input.ArrayRow`), for
    `predict` over Zarr groups; empty where no text is one."""
    values_row: str = ""
    """The same of one series of numbers (T, C)."""
    features: str = ""
    """`features(sequences, tokenizer) -> (name, (N, F))`: what the field regresses on, for a baseline beside fine-tuned
    models; empty where k-mers or moments are that."""
    fill: str = ""
    """`fill_part(engine, tokenizer, record, n, drawing, **options) -> [(record, nats)]`: a part of a record made anew
    beside the rest, for `sample prompt= fill.NAME=`; empty where the domain has none."""
    datasets: Mapping[str, str] = field(default_factory=dict)
    """Named data sets that `open_source(data=NAME)` fetches, each with a line on what it is."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """For --help and the reference, which keys there are below `data` and `evaluation`: a heading that begins with that
    word ("data: episodes") to the place of the dataclass that has them as fields. `tokenizer=KIND` stands here where
    the tokenizer's class names no `config_class`."""
    configs: str = ""
    """Folder of its config groups (`domain/NAME.yaml`, `experiment/NAME_smoke.yaml`), of a domain from elsewhere."""
    endings: tuple[str, ...] = ()
    """Further endings of files that `writer` writes, each by its own type."""
    example: str = ""
    """The shortest command that prepares a file of one's own."""
    heading: str = ""
    """The name as a page writes it, where that is not the name with a capital: "DNA"."""

    @property
    def title(self) -> str:
        return self.heading or self.name.replace("_", " ").capitalize()

    def __post_init__(self) -> None:
        if self.default_tokenizer not in self.tokenizers:
            raise ConfigError(
                f"domain '{self.name}': default_tokenizer '{self.default_tokenizer}' is none of its tokenizers",
                hint=f"Known: {', '.join(self.tokenizers)}.",
            )
        for kind, place in self.tokenizers.items():
            if ":" not in place:
                raise ConfigError(
                    f"domain '{self.name}': the place of tokenizer '{kind}' is 'module:Class', got '{place}'"
                )

    def load(self, part: str) -> Any:
        """The thing at one of this domain's places ("source", "writer", "data_module", "evaluation", "figures" ...).

        Raises ConfigError for a part that is unknown or that this domain lacks, ImportError where its code cannot
        be imported.
        """
        if part not in PLACES:
            raise ConfigError(
                f"a domain has no part '{part}'{nearest(part, PLACES)}", hint=f"Known: {', '.join(PLACES)}."
            )
        if not getattr(self, part):
            raise ConfigError(f"domain '{self.name}' has no {part}")
        module, _, attribute = str(getattr(self, part)).partition(":")
        found = importlib.import_module(module)
        return getattr(found, attribute) if attribute else found

    def check_ending(self, path: Path) -> None:
        """Raises ConfigError for a file of samples that ends as the writer writes none."""
        known = (self.suffix, *self.endings)
        if path.suffix.lower() not in known:
            listed = " or ".join(filter(None, (", ".join(known[:-1]), known[-1])))
            raise ConfigError(
                f"out: got {path.name}, expected a name that ends in {listed}",
                hint=f"Samples of {self.name} are written as such files.",
            )

    def make_tokenizer(self, kind: str | None = None, options: Mapping[str, Any] | None = None) -> Tokenizer[Any]:
        """A tokenizer of this domain from config values; `kind` None takes the default.

        Raises ConfigError for an unknown kind (nearest shown), an unknown option or a value that is not allowed.
        """
        kinds: Registry[Any] = Registry(f"tokenizer of domain {self.name}", self.tokenizers)
        made: Tokenizer[Any] = kinds.get(kind or self.default_tokenizer).from_config(dict(options or {}))
        return made


def _registry() -> Registry[Domain]:
    """The built-in domains and those of installed packages. Raises ConfigError where two have the same name."""
    ours = ("chaos", "dna", "graphs", "molecules", "music", "proteins", "robots", "time_series")
    registry: Registry[Domain] = Registry("domain", {name: f"domains.{name}.domain:DOMAIN" for name in ours})
    for point in entry_points(group=ENTRY_POINTS):
        registry.add(point.name, point.value)
    return registry


DOMAINS: Registry[Domain] = _registry()


def tokenizer_classes() -> TokenizerClasses:
    """Every domain's tokenizer classes by kind, and that of tasks behind any of them, each imported at first use.

    A domain of another package that cannot be imported is left out with a warning: it must not keep the others from
    loading. Raises ConfigError where two domains use one kind.
    """
    classes: TokenizerClasses = Registry("tokenizer", {"tasks": "core.tasks.tokenizer:TaskTokenizer"})
    for name in DOMAINS.names():
        try:
            domain = DOMAINS.get(name)
        except (ImportError, AttributeError, ForetellError) as error:
            warnings.warn(f"domain '{name}' cannot be imported and is left out: {error}", stacklevel=2)
            continue
        for kind, place in domain.tokenizers.items():
            classes.add(kind, place)
    return classes


def samples_folder(path: Path) -> Path:
    """Where samples lie a file each, beside the file of all: `samples/` of samples.mid, `remi_samples/` of remi.mid."""
    return path.with_name(path.stem if path.stem.endswith("samples") else f"{path.stem}_samples")


def title_of(name: str) -> str:
    """How a page writes the name of a domain, also of one that is not installed here."""
    return DOMAINS.get(name).title if name in DOMAINS else name.replace("_", " ").capitalize()

"""`foretell sample`: new records from a bundle, in the domain's own file type, with their likelihoods."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.decoding.options import SamplingConfig
from core.errors import ConfigError
from core.sequence import Sequence
from pipelines.settings import Settings, after, beside, finish

if TYPE_CHECKING:
    import foretell


@dataclass(frozen=True, kw_only=True)
class SampleOptions(Settings, SamplingConfig):
    bundle: Path
    """The trained model: RUN/bundle, or RUN."""
    n: int = 10
    """How many records."""
    out: Path | None = None
    """The file to write, RUN/samples with the domain's ending where not given."""
    prefix: str | None = None
    """What each record starts with, in the domain's letters."""
    store: Path | None = None
    """A token store: records go on from the ends of its test records, in turn, the last half context of each."""
    max_length: int | None = None
    """Tokens at most, prefix included; the model's context where not given."""
    min_length: int | None = None
    """Tokens at least; where not given 0, or max_length for a model of windows, which knows no end of a record."""
    grammar: bool = True
    """Draw only what decodes, where the tokenizer has a grammar; what was masked away is said. false: draw freely; what
    does not decode is an error then."""
    condition: dict[str, Any] = field(default_factory=dict)
    """What is asked of the records, of a model that was trained on it: condition.logp=3.5."""
    batch_tokens: int = 4096
    """Decides how many records are drawn at once; the records are the same for any value."""

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        SamplingConfig.__post_init__(self)
        for key, value in (("n", self.n), ("max_length", self.max_length)):
            if value is not None and value < 1:
                raise ConfigError(f"{key}: got {value}, allowed: a positive whole number")
        if self.store is not None and self.prefix is not None:
            raise ConfigError("expected either prefix= or store=, got both")
        if self.store is not None and self.condition:
            raise ConfigError("expected either condition.NAME= or store=, got both")


OPTIONS = SampleOptions


def run(options: SampleOptions) -> None:
    import foretell
    from pipelines.estimate import inference_estimate

    bundle = foretell.bundle_path(options.bundle)
    options.begin()
    model = foretell.load(
        bundle,
        device=options.device,
        precision=options.inference_precision,
        batch_tokens=options.batch_tokens,
        seed=options.seed,
    )
    start: Any = _asked(model, options) if options.condition else options.prefix
    length = options.max_length or model.bundle.model.config.context
    if options.dry_run:
        print(inference_estimate(model.bundle.model, options.n * length, options.batch_tokens))
        return
    masked = options.grammar and model.tokenizer.grammar() is not None
    drawn = model.sample(
        options.n,
        max_length=length,
        min_length=options.min_length,
        prefix=start if options.store is None else ends_of_records(model, options.store, options.n, length),
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        min_p=options.min_p,
        seed=options.seed,
        grammar=masked,
    )
    out = options.out or beside(bundle, f"samples{model.domain.suffix}")
    model.domain.load("writer")(out, [d.record for d in drawn], nats=[d.nats for d in drawn])
    ended = sum(d.finished for d in drawn)
    mean = sum(d.nats for d in drawn) / max(1, sum(d.n_tokens for d in drawn))
    print(f"{len(drawn):,} records, {ended:,} ended by themselves, {mean:.3f} nats a token")
    if masked:
        mass = sum(d.masked_mass for d in drawn) / len(drawn)
        print(f"the grammar took away {mass:.2%} of the probability, on average")
    finish(f"samples in {out}", after(bundle))


def _asked(model: foretell.Model, options: SampleOptions) -> Sequence:
    """What each record starts with: the conditions, then the prefix, as the tokenizer writes them.

    Raises ConfigError where the tokenizer takes no conditions, or not these.
    """
    prompt = getattr(model.tokenizer, "prompt", None)
    if prompt is None:
        raise ConfigError(
            f"condition.{next(iter(options.condition))}: the tokenizer {model.tokenizer.kind} takes no conditions",
            hint="Molecules do: prepare them with tokenizer.conditions=[logp,qed].",
        )
    for name, value in options.condition.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"condition.{name}: got {value!r}, expected a number")
    asked: Sequence = prompt(options.prefix or "", options.condition)
    return asked


def ends_of_records(model: foretell.Model, path: Path, n: int, length: int) -> list[Sequence]:
    """The last `length` // 2 tokens of the store's test records, of whole patches, `n` of them at most.

    Raises IntegrityError for a store of another domain or tokenizer, ConfigError for one without a test part.
    """
    from core.recipe import of_domain, readable
    from core.store import TokenStore

    store = TokenStore.open(path)
    of_domain(store, model.domain.name)
    readable(store, model.bundle.tokenizer, "the bundle")
    rows = list(dict.fromkeys(store.spans("test")[:, 0].tolist()))[:n]
    if not rows:
        raise ConfigError(f"{path} has no test part to go on from")
    patch = model.tokenizer.spec.patch
    kept = max(patch, length // 2 // patch * patch)
    part = getattr(model.tokenizer, "part", Sequence.slice)
    return [part(record, max(0, len(record) - kept), len(record)) for record in (store[row] for row in rows)]

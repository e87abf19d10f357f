"""`foretell sample`: new records from a bundle, in the domain's own file type, with their likelihoods."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.decoding.options import SamplingConfig
from core.errors import ConfigError, InputError
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
    """The file to write, RUN/samples with the domain's ending where not given. FASTA, SMILES, CSV, JSON lines, MIDI;
    .graphml of graphs and .wav of music are written too."""
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
    redraws: int = 20
    """With the grammar: a record that is refused all the same (a molecule whose rings cannot be aromatic: grammars do
    not see that far) is drawn anew, so often at most. How many were is said."""
    limits: dict[str, Any] = field(default_factory=dict)
    """What else the grammar holds samples to, by the names that the tokenizer's grammar has: limits.key=G."""
    prompt: Path | None = None
    """A file of the domain: samples go on from its records, in turn; with `fill`, they are made to fit its first."""
    fill: dict[str, Any] = field(default_factory=dict)
    """What of the prompt's record is made anew while the rest stands, where the domain can: fill.voice=2."""
    condition: dict[str, Any] = field(default_factory=dict)
    """What is asked of the records, of a model that was trained on it: condition.logp=3.5."""
    batch_tokens: int = 4096
    """Decides how many records are drawn at once; the records are the same for any value."""

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        SamplingConfig.__post_init__(self)
        if self.redraws < 0:
            raise ConfigError(f"redraws: got {self.redraws}, allowed: 0 or a positive whole number")
        for key, value in (("n", self.n), ("max_length", self.max_length)):
            if value is not None and value < 1:
                raise ConfigError(f"{key}: got {value}, allowed: a positive whole number")
        given = [key for key in ("prefix", "store", "prompt") if getattr(self, key) is not None]
        if len(given) > 1:
            raise ConfigError(f"expected one of prefix=, store= and prompt=, got {' and '.join(given)}")
        if self.fill and self.prompt is None:
            raise ConfigError(f"fill.{next(iter(self.fill))}: prompt=FILE says which record is filled")
        if self.prompt is not None and self.condition:
            raise ConfigError("expected either condition.NAME= or prompt=, got both")
        if self.limits and (not self.grammar or self.fill):
            raise ConfigError("limits are the grammar's: expected neither grammar=false nor fill beside them")
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
    if getattr(model.tokenizer, "tasks", None) and not getattr(model.tokenizer, "prompt", False):
        raise ConfigError(
            f"{bundle} was taught answers, not sequences: what it draws means nothing",
            hint="Ask it: foretell predict ask=all output=answers.csv. Draw from the model that it began with.",
        )
    out = options.out or beside(bundle, f"samples{model.domain.suffix}")
    model.domain.check_ending(out)
    start: Any = _asked(model, options) if options.condition else options.prefix
    length = options.max_length or model.bundle.model.config.context
    if options.dry_run:
        print(inference_estimate(model.bundle.model, options.n * length, options.batch_tokens))
        return
    masked = bool(options.limits) or (options.grammar and model.tokenizer.grammar() is not None)
    drawing = {key: getattr(options, key) for key in ("temperature", "top_k", "top_p", "min_p", "seed")}
    if options.store is not None:
        start = ends_of_records(model, options.store, options.n, length)
    elif options.prompt is not None:
        start = records_of(model, options.prompt)
    if options.fill:
        made = _filled(model, start[0], options, drawing)
        model.domain.load("writer")(out, [record for record, _ in made], nats=[nats for _, nats in made])
        print(f"{len(made):,} of {options.n:,} draws fit what stands, the best first; nats are of what stands after it")
        finish(f"samples in {out}", after(bundle, samples=out))
        return
    drawn = model.sample(
        options.n,
        max_length=length,
        min_length=options.min_length,
        prefix=start,
        grammar=masked,
        limits=options.limits,
        redraws=options.redraws if masked else 0,
        **drawing,
    )
    marks = _steps_given(model, start, len(drawn))
    model.domain.load("writer")(
        out, [getattr(d.record, "record", d.record) for d in drawn], nats=[d.nats for d in drawn], **marks
    )
    ended = sum(d.finished for d in drawn)
    mean = sum(d.nats for d in drawn) / max(1, sum(d.n_tokens for d in drawn))
    print(f"{len(drawn):,} records, {ended:,} ended by themselves, {mean:.3f} nats a token")
    if model.domain.forecast and start is None:
        print("they begin from nothing: no dates, no series' own scale; with store=STORE they go on from its series")
    if masked:
        mass = sum(d.masked_mass for d in drawn) / len(drawn)
        print(f"the grammar took away {mass:.2%} of the probability, on average")
        if refused := sum(d.redrawn for d in drawn):
            print(f"{refused:,} draws that the tokenizer refuses were made anew")
    finish(f"samples in {out}", after(bundle, samples=out))


def _steps_given(model: foretell.Model, start: Any, n: int) -> dict[str, list[int]]:
    """`given=` of the writer, how many steps each of `n` samples goes on from; nothing where a domain does not forecast
    or samples begin from nothing."""
    if not model.domain.forecast or not isinstance(start, list):
        return {}
    steps = [len(model.tokenizer.decode(s) if isinstance(s, Sequence) else s) for s in start]
    return {"given": [steps[i % len(steps)] for i in range(n)]}


def _asked(model: foretell.Model, options: SampleOptions) -> list[Sequence]:
    """What each record starts with: the conditions, those not asked for drawn, then the prefix, as the tokenizer writes
    them.

    Raises ConfigError where the tokenizer takes no conditions, or not these.
    """
    prompts = getattr(model.tokenizer, "prompts", None)
    if prompts is None:
        raise ConfigError(
            f"condition.{next(iter(options.condition))}: the tokenizer {model.tokenizer.kind} takes no conditions",
            hint="Molecules do: prepare them with tokenizer.conditions=[logp,qed].",
        )
    for name, value in options.condition.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"condition.{name}: got {value!r}, expected a number")
    asked: list[Sequence] = prompts(options.n, options.prefix or "", options.condition, seed=options.seed)
    return asked


def _filled(
    model: foretell.Model, record: Any, options: SampleOptions, drawing: dict[str, Any]
) -> list[tuple[Any, float]]:
    """Raises ConfigError where the domain cannot make a part of a record anew."""
    if not model.domain.fill:
        raise ConfigError(
            f"fill.{next(iter(options.fill))}: {model.domain.name} cannot make a part of a record anew",
            hint="Without fill, samples go on from the prompt.",
        )
    fill = model.domain.load("fill")
    made: list[tuple[Any, float]] = fill(model.engine, model.tokenizer, record, options.n, drawing, **options.fill)
    return made


def records_of(model: foretell.Model, path: Path) -> list[Any]:
    """The records of a file, as the domain reads them. Raises InputError for one that is refused, or where none is."""
    from core.rejects import Reject

    found: list[Any] = []
    for item in model.domain.load("source")(path=path):
        if isinstance(item, Reject):
            raise InputError(f"{item.file}, record {item.index + 1}: {item.message}")
        found.append(item)
    if not found:
        raise InputError(f"{path} holds no record to go on from")
    return found


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

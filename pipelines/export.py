"""`foretell export`: a bundle as a folder that transformers or mamba-ssm loads, with equal logits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.errors import ConfigError, nearest
from core.interchange import FORMATS
from pipelines.settings import Settings, beside, finish


@dataclass(frozen=True, kw_only=True)
class ExportOptions(Settings):
    bundle: Path
    """The trained model: RUN/bundle, or RUN."""
    out: Path | None = None
    """The folder to make, RUN/FORMAT where not given. One that an export wrote is replaced, any other is refused."""
    format: str = "transformers"
    """transformers (LlamaForCausalLM, MistralForCausalLM, Qwen3ForCausalLM, MambaForCausalLM or Mamba2ForCausalLM, as
    the model's pattern has it) or mamba_ssm (MambaLMHeadModel)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.format not in FORMATS:
            raise ConfigError(
                f"format: got {self.format!r}{nearest(self.format, FORMATS)}", hint=f"Allowed: {', '.join(FORMATS)}."
            )


OPTIONS = ExportOptions


def run(options: ExportOptions) -> None:
    import foretell
    from core.interchange.export import family_for, replaceable

    bundle = foretell.bundle_path(options.bundle)
    out = options.out or beside(bundle, options.format)
    options.begin()
    model = foretell.load(bundle, device="cpu")
    network = model.bundle.model
    architecture = family_for(network, options.format).architecture
    size = f"{network.n_parameters:,} parameters, {len(network.spec.symbol_target.vocabulary or ()):,} ids"
    if options.dry_run:
        replaceable(out)
        print(f"{architecture} of {size} in {out}")
        return
    model.export(out, format=options.format)
    print(f"{architecture} of {size}, float32; every sequence begins with the id of <bos>")
    finish(f"model in {out}", f"load it as {out / 'README.md'} shows")

"""Stacking sequences of close-packed crystals as foretell's ninth domain: names and places only."""

from pathlib import Path

from domains import Domain

DOMAIN = Domain(
    name="stacking",
    summary="close-packed crystals, a token a layer: the stacking goes on or turns back",
    natural_unit="layer",
    tokenizers={"stacking_steps": "foretell_stacking.tokenizer:StepTokenizer"},
    default_tokenizer="stacking_steps",
    source="foretell_stacking.source:open_source",
    writer="foretell_stacking.source:write_samples",
    suffix=".stack",
    data_module="foretell_stacking.evaluation:open_data",
    evaluation="foretell_stacking.evaluation:evaluate",
    figures="foretell_stacking.evaluation",
    datasets={"faulted_14h": "2,000 crystals of 200 layers: 14H with faults; their entropy rate is known"},
    configs=str(Path(__file__).parent / "configs"),
    example="foretell prepare domain=stacking data.path=crystals.stack store=crystals.zarr",
)

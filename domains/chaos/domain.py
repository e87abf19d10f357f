"""What chaos says of itself to the registry: names and places only, nothing is imported here."""

from __future__ import annotations

from domains import Domain

DOMAIN = Domain(
    name="chaos",
    summary="trajectories of chaotic systems (equations by name or of one's own, CSV, .npy), a state vector a step",
    natural_unit="step",
    tokenizers={
        "chaos_state": "domains.chaos.tokenizer:StateTokenizer",
        "chaos_delay": "domains.chaos.tokenizer:DelayTokenizer",
        "chaos_bins": "domains.chaos.tokenizer:BinsTokenizer",
        "chaos_symbols": "domains.chaos.tokenizer:SymbolsTokenizer",
    },
    default_tokenizer="chaos_state",
    source="domains.chaos.source:open_source",
    writer="domains.chaos.source:write_samples",
    suffix=".csv",
    data_module="domains.chaos.data:open_data",
    evaluation="domains.chaos.evaluation:evaluate",
    figures="domains.chaos.figures",
    forecast="domains.chaos.forecast:forecast",
    values_row="domains.chaos.source.rows:trajectory_row",
    keys={
        "data": "domains.chaos.source.config:SourceConfig",
        "evaluation": "domains.chaos.evaluation:EvaluationConfig",
    },
    datasets={
        "lorenz63": "Lorenz 1963, three channels, 30 points a Lyapunov time",
        "rossler": "Rossler 1976, three channels",
        "lorenz96": "Lorenz 1996, ten channels in a ring",
        "henon": "Henon's map, two channels",
        "logistic": "the logistic map at r = 3.99",
        "ikeda": "Ikeda's map, two channels",
        "dysts": "many systems of the package dysts at once (or give the name of one of them)",
        "own_system": "equations of your own: data.system=my_system.py",
        "laser": "Santa Fe laser, 10,093 integers 0..255, measured",
        "ecg": "electrocardiogram, 108,000 samples, measured",
    },
    example="foretell prepare domain=chaos data.path=trajectory.csv store=trajectory.zarr",
)

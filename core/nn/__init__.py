"""Causal sequence models: fields are embedded, run through blocks of mixers, and read out as likelihoods.

Nothing here knows a domain, a file format, a loss schedule or an optimiser. Imports nothing by itself: `SequenceModel`
is in `core.nn.model`, `ModelConfig` in `core.nn.config`.
"""

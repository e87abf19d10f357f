"""What robots say of themselves to the registry: names and places only, nothing is imported here."""

from __future__ import annotations

from domains import Domain

DOMAIN = Domain(
    name="robots",
    summary="episodes of observations and actions (made by experts, HDF5, LeRobot, Zarr, CSV), judged by roll-outs",
    natural_unit="step",
    tokenizers={
        "robots_continuous": "domains.robots.tokenizer:ContinuousTokenizer",
        "robots_components": "domains.robots.tokenizer:ComponentsTokenizer",
        "robots_chunks": "domains.robots.tokenizer:ChunksTokenizer",
    },
    default_tokenizer="robots_continuous",
    source="domains.robots.source:open_source",
    writer="domains.robots.source:write_samples",
    suffix=".jsonl",
    data_module="domains.robots.data:open_data",
    evaluation="domains.robots.evaluation:evaluate",
    figures="domains.robots.figures",
    keys={
        "data": "domains.robots.source.config:SourceConfig",
        "evaluation": "domains.robots.evaluation:EvaluationConfig",
    },
    datasets={
        "classic": "CartPole (data.env= Pendulum-v1, MountainCarContinuous-v0, LunarLander-v3), experts of our own",
        "mocap_like": "the same with half of the episodes without their actions, as motion capture has them",
        "metaworld10": "Meta-World's ten tasks of MT10, its scripted policies, 20 demonstrations each",
        "metaworld50": "all fifty tasks of Meta-World",
        "halfcheetah_cem": "HalfCheetah running by a gait of the cross-entropy method, searched once for a minute",
    },
    example="foretell prepare domain=robots data.path=episodes.hdf5 data.env=CartPole-v1 store=episodes.zarr",
)

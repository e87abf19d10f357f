"""What graphs say of themselves to the registry: names and places only, nothing is imported here."""

from __future__ import annotations

from domains import Domain

DOMAIN = Domain(
    name="graphs",
    summary="graphs (edge list, GraphML, GML, JSON, npz, graph6, TU, Matrix Market), a walk over nodes and edges each",
    natural_unit="edge",
    tokenizers={
        "graph_sent": "domains.graphs.tokenizer:SentTokenizer",
        "graph_edges": "domains.graphs.tokenizer:EdgesTokenizer",
        "graph_euler": "domains.graphs.tokenizer:EulerTokenizer",
    },
    default_tokenizer="graph_sent",
    source="domains.graphs.source:open_source",
    text_row="domains.graphs.source.rows:graph_row",
    writer="domains.graphs.source:write_samples",
    suffix=".jsonl",
    endings=(".ndjson", ".graphml"),
    data_module="domains.graphs.data:open_data",
    evaluation="domains.graphs.evaluation:evaluate",
    figures="domains.graphs.figures",
    keys={
        "data: all": "domains.graphs.source.records:Policies",
        "data: files": "domains.graphs.source.files:ReadingConfig",
        "data: made by code (data=tree ...)": "domains.graphs.source.made:MadeConfig",
        "data: molecules (data=esol_graphs, data.format=molecules)": "domains.molecules.source.records:SourceConfig",
        "evaluation": "domains.graphs.evaluation:EvaluationConfig",
    },
    datasets={
        "planar": "triangulations of 64 random points, made by code; 128 train, 32 validate, 40 test",
        "tree": "random trees of 64 nodes, made by code; 128, 32, 40",
        "lobster": "lobster trees of 10 to 100 nodes, made by code; 128, 32, 40",
        "sbm": "stochastic block models of 2 to 5 blocks of 20 to 40 nodes, made by code; 128, 32, 40",
        "community_small": "two communities of 12 to 20 nodes in all, made by code; 64, 16, 20",
        "grid": "grids of 10 to 20 by 10 to 20 nodes, made by code; 64, 16, 20",
        "moses_graphs": "the molecules of MOSES: atoms and bonds as labels (so of any set: esol_graphs)",
        "atlas": "all 1,253 graphs of up to seven nodes (networkx)",
    },
    example="foretell prepare domain=graphs data.path=graphs.jsonl store=graphs.zarr",
)

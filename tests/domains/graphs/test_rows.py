"""A text of graph6 in an array is the graph that a file of it holds; what is none is refused with its reason."""

import networkx as nx
import numpy as np
import pytest

from core.errors import ConfigError, RecordError
from core.prediction.input import ArrayRow
from domains.graphs.source.rows import graph_row
from domains.graphs.tokenizer import SentTokenizer


@pytest.mark.parametrize("n", [1, 5, 70])
def test_a_row_is_its_graph(n):
    made = nx.path_graph(n) if n < 70 else nx.gnp_random_graph(n, 0.2, seed=1)
    text = nx.to_graph6_bytes(made).decode()
    graph = graph_row(ArrayRow("g", text), None)
    assert (graph.id, graph.n) == ("g", n)
    assert {tuple(edge) for edge in graph.edges.tolist()} == {tuple(sorted(edge)) for edge in made.edges}


def test_what_is_no_graph_is_refused():
    for text in ("", "D?", "a graph"):
        with pytest.raises(RecordError) as error:
            graph_row(ArrayRow("g", text), None)
        assert error.value.reason == "no_graph6"
    with pytest.raises(ConfigError, match="unknown key"):
        graph_row(ArrayRow("g", "D?{"), None, horizon=3)


def test_the_tokenizer_reads_it():
    tokenizer = SentTokenizer.from_config({})
    graph = graph_row(ArrayRow("g", nx.to_graph6_bytes(nx.cycle_graph(5), header=False).decode().strip()), tokenizer)
    assert np.array_equal(np.sort(tokenizer.decode(tokenizer.encode(graph)).edges, axis=None), np.repeat(range(5), 2))

"""Files of clusters: the published forms, what is left out and counted, and what stops the reading."""

from __future__ import annotations

import gzip

import pytest

from core.errors import InputError
from core.rejects import Reject
from domains.dna.traces.channel import ChannelConfig, draw_clusters
from domains.dna.traces.cluster import Cluster
from domains.dna.traces.files import SEPARATOR, ClusterFile, write_clusters


def read(tmp_path, text, truths=None, **options):
    (tmp_path / "reads.txt").write_text(text)
    if truths is not None:
        (tmp_path / "truths.txt").write_text(truths)
    file = ClusterFile(tmp_path / "reads.txt", None if truths is None else tmp_path / "truths.txt", **options)
    return file, [item for item, _ in file]


def test_what_is_written_comes_back(tmp_path) -> None:
    clusters = list(draw_clusters(ChannelConfig(15, (1, 4)), 30, 0))
    assert write_clusters(clusters, tmp_path / "reads.txt", tmp_path / "truths.txt") == 30
    back = [item for item, _ in ClusterFile(tmp_path / "reads.txt", tmp_path / "truths.txt")]
    assert [(c.reads, c.truth) for c in back] == [(c.reads, c.truth) for c in clusters]


@pytest.mark.parametrize(
    "text",
    [
        f"ACG\nAC\n{SEPARATOR}\nTTT\n",
        f"{SEPARATOR}\nACG\nAC\n{SEPARATOR}\nTTT\n",
        f"ACG\nAC\n{SEPARATOR}\nTTT\n{SEPARATOR}\n",
        "===\r\nACG\r\nAC\r\n=====\r\nTTT",
    ],
)
@pytest.mark.parametrize("truths", [None, "ACG\nTTT\n"])
def test_separators_may_stand_before_between_or_behind(tmp_path, text, truths) -> None:
    _, found = read(tmp_path, text, truths)
    assert [c.reads for c in found] == [("ACG", "AC"), ("TTT",)]
    assert [c.truth for c in found] == (["ACG", "TTT"] if truths else [None, None])
    assert [c.id for c in found] == ["reads_1", "reads_2"]


def test_a_first_cluster_without_reads_is_told_by_the_number_of_strands(tmp_path) -> None:
    _, found = read(tmp_path, f"{SEPARATOR}\nACG\n{SEPARATOR}\nTT\n", "A\nACG\nTT\n")
    assert isinstance(found[0], Reject)
    assert found[0].reason == "no_reads"
    assert [c.truth for c in found[1:]] == ["ACG", "TT"], "strands went to other clusters"


def test_an_empty_cluster_is_rejected_with_its_line_and_the_others_keep_their_strands(tmp_path) -> None:
    file, found = read(tmp_path, f"ACG\n{SEPARATOR}\n{SEPARATOR}\nTT\n", "ACG\nGGG\nTT\n")
    assert [type(item) for item in found] == [Cluster, Reject, Cluster]
    assert (found[1].reason, found[1].index, found[1].line) == ("no_reads", 1, 3)
    assert found[2].truth == "TT"
    assert [line for _, line in file] == [1, 3, 4]


def test_bad_reads_are_left_out_and_counted(tmp_path) -> None:
    text = f"ACG\nANG\n\nac\nA-G\n{SEPARATOR}\nNNN\n"
    file, found = read(tmp_path, text)
    assert found[0].reads == ("ACG", "ac")
    assert found[1].reason == "no_reads"
    assert file.notes == {
        "reads with N left out": 2,
        "empty reads left out": 1,
        "unreadable reads left out": 1,
        "reads with lower case, read as upper case": 1,
    }


def test_or_their_cluster_is_refused(tmp_path) -> None:
    _, found = read(tmp_path, f"ACG\nANG\n{SEPARATOR}\nACG\n\n{SEPARATOR}\nAC\n", drop=False)
    assert [getattr(item, "reason", "kept") for item in found] == ["ambiguous", "empty_read", "kept"]
    assert "read 2, base 2" in found[0].message


def test_reads_beyond_the_most_are_counted(tmp_path) -> None:
    file, found = read(tmp_path, "A\nC\nG\nT\n", most=3)
    assert found[0].reads == ("A", "C", "G")
    assert file.notes == {"reads beyond the first 3 of their cluster, left out": 1}


def test_other_numbers_of_clusters_and_strands_stop(tmp_path) -> None:
    with pytest.raises(InputError, match=r"2 clusters .* 3 strands"):
        read(tmp_path, f"ACG\n{SEPARATOR}\nTT\n", "ACG\nTT\nAA\n")


def test_a_cut_file_stops(tmp_path) -> None:
    packed = gzip.compress(b"ACG\n" * 5000)
    (tmp_path / "reads.txt.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match="cut short"):
        list(ClusterFile(tmp_path / "reads.txt.gz"))


def test_strands_that_are_not_known_are_not_written(tmp_path) -> None:
    with pytest.raises(InputError, match="'c' has no truth"):
        write_clusters([Cluster("c", ("A",))], tmp_path / "r", tmp_path / "t")

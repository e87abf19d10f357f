"""The files that the commands of pages read, made by code: small, alike each time, of every domain's own kind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.conftest import write_genome

BASES, RESIDUES = np.array(list("ACGT")), np.array(list("ACDEFGHIKLMNPQRSTVWY"))


def make_files(folder: Path) -> None:
    """All of them: a page of one domain may name another's."""
    write_genome(folder / "made_by_code.fa", 24_000)
    write_variants(folder)
    write_regions(folder)
    write_series(folder / "series.csv")
    write_promotions(folder / "promotions.csv")
    write_channels(folder)
    write_states(folder / "trajectory.npy")
    write_proteins(folder)
    write_molecules(folder)
    write_graphs(folder)
    write_episodes(folder / "episodes.csv")
    write_music(folder)
    write_genes(folder / "genes.gb")
    write_reads(folder / "reads.txt")
    write_crystals(folder / "crystals.stack")


def write_series(path: Path, hours: int = 720) -> None:
    """A long table of two hourly series with a daily rhythm."""
    stamps = np.datetime64("2024-01-01T00") + np.arange(hours)
    rows = ["unique_id,ds,y"]
    for name, level in (("a", 5.0), ("b", 50.0)):
        noise = np.random.default_rng(0).normal(size=hours)
        values = level * (2 + np.sin(2 * np.pi * np.arange(hours) / 24)) + noise
        rows += [f"{name},{stamp},{value:.4f}" for stamp, value in zip(stamps, values, strict=True)]
    path.write_text("\n".join(rows) + "\n")


def write_promotions(path: Path, hours: int = 720) -> None:
    """Two hourly series that stand higher on some days, and a column that says on which."""
    stamps = np.datetime64("2024-01-01T00") + np.arange(hours)
    rows = ["unique_id,ds,y,promo"]
    for seed, name in enumerate("ab"):
        promo = np.repeat(np.random.default_rng(seed).integers(0, 2, hours // 24), 24)
        values = 5 + np.sin(2 * np.pi * np.arange(hours) / 24) + 3 * promo
        rows += [f"{name},{stamp},{value:.4f},{p}" for stamp, value, p in zip(stamps, values, promo, strict=True)]
    path.write_text("\n".join(rows) + "\n")


def write_channels(folder: Path) -> None:
    """Wide tables: three weather channels by the hour, and two shops by the day."""
    for name, columns, step, n in (("weather", "temperature,dew_point,pressure", "h", 720), ("daily", "a,b", "D", 400)):
        stamps = np.datetime64("2024-01-01", step) + np.arange(n)
        period = 24 if step == "h" else 7
        phase = np.arange(n)[:, None] + np.arange(columns.count(",") + 1)
        values = 5 + np.sin(2 * np.pi * phase / period) + np.random.default_rng(0).normal(0, 0.1, phase.shape)
        rows = [f"ds,{columns}"]
        for stamp, row in zip(stamps, values, strict=True):
            rows.append(",".join([str(stamp), *(f"{value:.4f}" for value in row)]))
        (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")


def write_regions(folder: Path) -> None:
    """Regions of eight chromosomes with a number that their letters decide, and regions without."""
    rng = np.random.default_rng(1)
    regions = ["".join(rng.choice(BASES, 60)) for _ in range(64)]
    rows = [f"{r},{r.count('A') / 6:.2f},chr{i % 8}" for i, r in enumerate(regions)]
    (folder / "regions.csv").write_text("sequence,activity,chromosome\n" + "\n".join(rows) + "\n")
    (folder / "new.fa").write_text("".join(f">r{i}\n{r}\n" for i, r in enumerate(regions[:5])))


def write_graphs(folder: Path) -> None:
    """Trees of 4 to 11 nodes, of which those with many leaves are stable; and some without the label."""
    rng = np.random.default_rng(0)
    lines: list[str] = []
    for i in range(80):
        n = int(rng.integers(4, 12))
        edges = [[int(rng.integers(0, node)), node] for node in range(1, n)]
        leaves = int((np.bincount(np.ravel(edges), minlength=n) == 1).sum())
        lines.append(json.dumps({"id": f"g{i}", "n": n, "edges": edges, "labels": {"stable": "ny"[leaves > n // 2]}}))
    (folder / "graphs.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "new.jsonl").write_text("".join(json.dumps({"id": "new", "n": 3, "edges": [[0, 1], [1, 2]]}) + "\n"))


def write_episodes(path: Path) -> None:
    """CartPole as it falls: twelve episodes of steps in one direction or the other."""
    rng = np.random.default_rng(0)
    rows = ["episode,obs_position,obs_speed,obs_angle,obs_turn,action,reward"]
    for episode in range(12):
        states = 0.05 * rng.normal(size=(24, 4)).cumsum(axis=0) / 5
        for values in states:
            rows.append(",".join([f"e{episode}", *(f"{v:.5f}" for v in values), str(rng.integers(2)), "1"]))
    path.write_text("\n".join(rows) + "\n")


def write_music(folder: Path) -> None:
    """A folder of pieces in four voices, and a book of tunes."""
    from domains.formats.midi_writing import midi_bytes
    from tests.domains.music.scores import TUNE, chorale

    (folder / "pieces").mkdir(exist_ok=True)
    for seed in range(20):
        (folder / "pieces" / f"piece_{seed}.mid").write_bytes(midi_bytes([chorale(seed, 8)]))
    rng = np.random.default_rng(0)
    tunes = [TUNE.replace("X:1", f"X:{n}") + "".join(rng.choice(list("ABcde|"), 30)) + "\n" for n in range(30)]
    (folder / "tunes.abc").write_text("\n".join(tunes))


def write_proteins(folder: Path) -> None:
    """Proteins, a wild type and a scan of it."""
    rng = np.random.default_rng(0)
    proteins = ["M" + "".join(rng.choice(RESIDUES, rng.integers(30, 60))) for _ in range(60)]
    (folder / "new_proteins.fa").write_text("".join(f">n{i}\n{p}\n" for i, p in enumerate(proteins[:5])))
    (folder / "proteins.fa").write_text("".join(f">p{i}\n{p}\n" for i, p in enumerate(proteins)))
    wild = proteins[0]
    (folder / "wild_type.fa").write_text(f">wild\n{wild}\n")
    rows = [f"{wild[i]}{i + 1}{b},{rng.normal():.3f}" for i in range(1, 30) for b in "ACDEFGHIKL" if b != wild[i]]
    (folder / "scan.csv").write_text("mutant,DMS_score\n" + "\n".join(rows) + "\n")
    lines = ["sequence,soluble,activity,sites,state,family"]
    for i, p in enumerate(proteins):
        at = p.find("C") + 1
        labels = ("no", "yes")[p.count("K") > 2], f"{p.count('W') / len(p):.3f}", f"{at};" if at else "none"
        state = "".join("H" if residue in "AEKLMQR" else "C" for residue in p)
        lines.append(f"{p},{','.join(labels)},{state},PF{i // 3}")
    (folder / "assays.csv").write_text("\n".join(lines) + "\n")
    rows = [f"{p[::-1]},{p.count('A') - p.count('G') / 2}" for p in proteins]
    (folder / "stability.csv").write_text("\n".join(["sequence,stability", *rows]) + "\n")
    both = [rng.choice(60, 2, replace=False) for _ in range(150)]
    binds = [("no", "yes")[(proteins[a].count("K") > 2) == (proteins[b].count("K") > 2)] for a, b in both]
    rows = [f"p{a},p{b},{said}" for (a, b), said in zip(both, binds, strict=True)]
    (folder / "pairs.csv").write_text("\n".join(["first,second,binds", *rows]) + "\n")


def write_reads(path: Path) -> None:
    """Clusters of two reads of 20 bases, one of them with a base less."""
    strands = ["".join(np.random.default_rng(i).choice(BASES, 20)) for i in range(6)]
    path.write_text("====\n".join(f"{strand}\n{strand[:i]}{strand[i + 1 :]}\n" for i, strand in enumerate(strands)))


def write_molecules(folder: Path) -> None:
    """Chains with ends as a list of SMILES, and a table of them with a number that their size decides."""
    ends = ("O", "N", "Cl", "c1ccccc1", "C(=O)O", "C1CC1", "C#N", "c1ccncc1")
    chains = ["C" * n + "O" * o + end for n in range(1, 9) for o in (0, 1) for end in ends]
    (folder / "molecules.smi").write_text("".join(f"{smiles} m{i}\n" for i, smiles in enumerate(chains)))
    rows = "".join(f"{smiles},{len(smiles) + 0.5}\n" for smiles in chains)
    (folder / "assay.csv").write_text("smiles,pic50\n" + rows)
    for name, number in (("library.smi", 100), ("new.smi", 5)):
        (folder / name).write_text("".join(f"{smiles}\n" for smiles in chains[:number]))


def write_variants(folder: Path) -> None:
    """A genome, and a VCF file of a change, an insertion and a deletion in it."""
    letters = "".join(write_genome(folder / "genome.fa", 24_000).read_text().splitlines()[1:])
    rows = ["##fileformat=VCFv4.3", "#CHROM\tPOS\tID\tREF\tALT"]
    for at in (100, 5_000, 20_000):
        ref, other = letters[at : at + 2], "A" if letters[at] != "A" else "C"
        rows.append(f"chr1\t{at + 1}\t.\t{ref}\t{other}{ref[1]},{ref}T,{ref[0]}")
    (folder / "calls.vcf").write_text("\n".join(rows) + "\n")


def write_crystals(path: Path) -> None:
    """Stacks of layers, none on its own kind."""
    steps = np.random.default_rng(0).integers(1, 3, (40, 60)).cumsum(axis=1) % 3
    path.write_text("".join(f"c{i} {''.join('ABC'[s] for s in row)}\n" for i, row in enumerate(steps)))


def write_genes(path: Path) -> None:
    """Coding regions of made genes in a GenBank file."""
    from Bio.Seq import Seq
    from Bio.SeqFeature import SeqFeature, SimpleLocation
    from Bio.SeqRecord import SeqRecord

    draw, codons = np.random.default_rng(0), np.array(["ATG", "GCT", "AAA", "TGG", "GAA", "CCC"])
    with path.open("w") as file:
        for i in range(120):
            letters = "".join(codons[draw.integers(6, size=4)])
            region = SeqFeature(SimpleLocation(0, 12, 1), type="CDS", qualifiers={"gene": [f"g{i}"]})
            name, kind = f"G{i}", {"molecule_type": "DNA"}
            record = SeqRecord(Seq(letters), id=name, name=name, annotations=kind, features=[region])
            file.write(record.format("genbank"))


def write_states(path: Path, steps: int = 1500) -> None:
    """A trajectory of three channels, .npy and .csv."""
    t = np.arange(steps)[:, None] * np.array([0.1, 0.17, 0.23])
    states = np.sin(t) + 0.2 * np.sin(3 * t)
    np.save(path, states)
    rows = [f"{0.04 * i:.2f}," + ",".join(f"{v:.5f}" for v in values) for i, values in enumerate(states)]
    path.with_suffix(".csv").write_text("time,x,y,z\n" + "\n".join(rows) + "\n")

"""Are our metrics of MOSES those of the published package? Both on the same list of molecules, side by side.

    pip download --no-deps --dest W molsets==0.3.1 && python -m zipfile -e W/molsets-*.whl W/molsets
    python benchmarks/moses_package.py W/molsets [--molecules 1000] [--json J]

The list has test molecules, training molecules, approved drugs (charges, salts, metals: filters refuse them), repeats
and texts that are no molecule. Of the package its file of metrics alone is run, unpacked beside: importing the whole
asks for libraries that are no longer made. ChemNet's distance needs `pip install 'foretell[chem]'`.
"""

from __future__ import annotations

import argparse
import json
import sys
import types
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from core.order import permutation
from core.rejects import Reject
from domains import DOMAINS
from domains.molecules.evaluation import chemnet, moses
from domains.molecules.evaluation.filters import passes


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("package", type=Path, help="folder with the unpacked wheel")
    parser.add_argument("--molecules", type=int, default=1000, help="of the list, and of the reference")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    listed, reference, train = lists(given.molecules)
    mine, theirs = ours(listed, reference, train), package(given.package, listed, reference, train)
    print("| metric | package | ours | difference |\n|---|---:|---:|---:|")
    for name, value in theirs.items():
        print(f"| {name} | {value:.6f} | {mine[name]:.6f} | {mine[name] - value:.1e} |")
    if given.json:
        given.json.write_text(json.dumps({"package": theirs, "ours": mine}, indent=1) + "\n")


def lists(n: int) -> tuple[list[str], list[str], list[str]]:
    """What is judged, the reference, and what was trained on."""
    source = DOMAINS.get("molecules").load("source")("moses", limit=40 * n, canonical="trusted")
    sides: dict[str, list[str]] = {"train": [], "test": []}
    for molecule in source:
        sides[source.split(molecule)].append(molecule.smiles)
    train, test = sides["train"], sides["test"]
    odd = [text[: len(text) // 2] + "(" for text in test[n : n + n // 10]]  # a branch that is not closed
    drugs = [d.smiles for d in DOMAINS.get("molecules").load("source")("drugs") if not isinstance(d, Reject)]
    judged = [*test[n : 2 * n - n // 2], *train[: n // 5], *test[n : n + n // 20], *odd, *drugs[: n // 5]]
    order = permutation(len(judged), "moses_package")
    return [judged[i] for i in order.tolist()][:n], test[:n], train


def ours(listed: list[str], reference: list[str], train: list[str]) -> dict[str, float]:
    valid, known = moses.read_valid(listed), moses.read_valid(reference)
    fcd = chemnet.is_there()
    found, beside = (moses.statistics(v.smiles, v.mols, fcd=fcd) for v in (valid, known))
    different = set(valid.smiles)
    return {
        "valid": len(valid.smiles) / len(listed),
        "unique@100": len(set(valid.smiles[:100])) / 100,
        "unique": len(different) / len(valid.smiles),
        "novelty": len(different - set(train)) / len(different),
        "intdiv": moses.internal_diversity(found),
        "snn_test": float(moses.nearest_similarity(found, beside).mean()),
        "filters": sum(map(passes, valid.mols)) / len(valid.mols),
        **moses.compared(found, beside),
    }


def package(folder: Path, listed: list[str], reference: list[str], train: list[str]) -> dict[str, float]:
    theirs = loaded(folder)
    valid = theirs.remove_invalid(listed)
    mols = [theirs.get_mol(text) for text in valid]
    known = [theirs.get_mol(text) for text in reference]
    found = {
        "valid": theirs.fraction_valid(listed),
        "unique@100": theirs.fraction_unique(valid, 100),
        "unique": theirs.fraction_unique(valid),
        "novelty": theirs.novelty(mols, train),
        "intdiv": float(theirs.internal_diversity(mols)),
        "snn_test": float(theirs.SNNMetric()(gen=mols, ref=known)),
        "filters": float(theirs.fraction_passes_filters(mols)),
        "frag_test": float(theirs.FragMetric()(gen=mols, ref=known)),
        "scaf_test": float(theirs.ScafMetric()(gen=mols, ref=known)),
    }
    if chemnet.is_there():
        found["fcd_test"] = float(theirs.FCDMetric()(gen=valid, ref=reference))
    for name, function in (("logp", "logP"), ("sa", "SA"), ("qed", "QED"), ("weight", "weight")):
        found[f"wasserstein_{name}"] = float(theirs.WassersteinMetric(getattr(theirs, function))(gen=mols, ref=known))
    return found


def loaded(folder: Path) -> Any:
    """The package's module of metrics, without the package: its `__init__` imports models and their libraries."""
    import pandas as pd

    if not hasattr(pd.DataFrame, "append"):  # the package is of pandas 1
        pd.DataFrame.append = lambda self, other, **more: pd.concat([self, other], **more)  # type: ignore[attr-defined]
    for name in ("moses", "moses.metrics"):
        module = types.ModuleType(name)
        module.__path__ = [str(folder.joinpath(*name.split(".")))]
        sys.modules[name] = module
    six = types.ModuleType("rdkit.six")
    six.iteritems = dict.items  # type: ignore[attr-defined]
    sys.modules["rdkit.six"] = six
    empty = types.ModuleType("moses.dataset")
    empty.get_dataset = empty.get_statistics = None  # type: ignore[attr-defined]
    sys.modules["moses.dataset"] = empty
    if not chemnet.is_there():
        sys.modules["fcd_torch"] = types.SimpleNamespace(FCD=None)  # type: ignore[assignment]
    from moses.metrics import metrics

    return metrics


if __name__ == "__main__":
    main()

"""What molecules say of themselves to the registry: names and places only, nothing is imported here."""

from __future__ import annotations

from domains import Domain

DOMAIN = Domain(
    name="molecules",
    summary="molecules (SMILES, CSV, Parquet, SDF, MOL2), a token an atom, bond or ring mark, a piece, or a SELFIES",
    natural_unit="atom",
    tokenizers={
        "smiles_atoms": "domains.molecules.tokenizer:SmilesAtomsTokenizer",
        "smiles_bpe": "domains.molecules.tokenizer:SmilesBpeTokenizer",
        "selfies": "domains.molecules.tokenizer:SelfiesTokenizer",
    },
    default_tokenizer="smiles_atoms",
    source="domains.molecules.source:open_source",
    writer="domains.molecules.source:write_samples",
    suffix=".smi",
    endings=(".smiles", ".ism", ".can"),
    data_module="domains.molecules.data:open_data",
    evaluation="domains.molecules.evaluation:evaluate",
    figures="domains.molecules.figures",
    text_row="domains.molecules.source.rows:molecule_row",
    features="domains.molecules.classic:morgan_features",
    keys={
        "data": "domains.molecules.source.records:SourceConfig",
        "evaluation": "domains.molecules.evaluation:EvaluationConfig",
    },
    datasets={
        "moses": "1.9 M drug-like molecules, the MOSES benchmark with its own split",
        "moses_scaffolds": "the same, tested on scaffolds that training has not",
        "esol": "1,128 molecules and their solubility in water; split by scaffold",
        "freesolv": "642 molecules and their free energy of hydration; split by scaffold",
        "lipophilicity": "4,200 molecules and their logD; split by scaffold",
        "nci5k": "4,999 molecules of NCI: metals, charges, salts, 8 that are none",
        "drugs": "1,935 approved drugs: stereo, charges, isotopes, salts",
        "chembl_pact": "1,017 molecules of one publication and their activity; split by scaffold",
    },
    example="foretell prepare domain=molecules data.path=molecules.smi store=molecules.zarr",
)

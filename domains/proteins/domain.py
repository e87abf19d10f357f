"""What proteins say of themselves to the registry: names and places only, nothing is imported here."""

from __future__ import annotations

from domains import Domain

DOMAIN = Domain(
    name="proteins",
    summary="proteins and variants (FASTA, GenBank, Swiss-Prot, PDB, mmCIF, a3m, CSV), a token a residue or BPE piece",
    natural_unit="residue",
    tokenizers={
        "protein_residue": "domains.proteins.tokenizer:ResidueTokenizer",
        "protein_bpe": "domains.proteins.tokenizer:ProteinBpeTokenizer",
    },
    default_tokenizer="protein_residue",
    source="domains.proteins.source:open_source",
    writer="domains.proteins.source:write_samples",
    suffix=".fasta",
    endings=(".fa", ".faa", ".fas"),
    data_module="domains.proteins.data:open_data",
    evaluation="domains.proteins.evaluation:evaluate",
    figures="domains.proteins.figures",
    text_row="domains.formats.seq_record:letters_row",
    keys={
        "data: sequences": "domains.proteins.source.records:SourceConfig",
        "data: peptides (data=peptides)": "domains.proteins.source.peptides:PeptideConfig",
        "evaluation": "domains.proteins.evaluation:EvaluationConfig",
    },
    datasets={
        "uniprot20k": "20,000 UniProt entries, 9.06 M residues; families stay together",
        "gb1": "530,737 double mutants of GB1 with their binding; test positions never seen in training",
        "tdp43": "57,996 variants of TDP-43's tail and their toxicity; train singles, test doubles",
        "amyloid": "16,066 variants of amyloid beta and their nucleation; train singles, test doubles",
        "nisthal": "813 single mutants of GB1 with their stability; split by position",
        "gb1_4site": "149,361 variants of four sites of GB1; up to two changes train, three and four test",
        "soluble": "17,408 proteins, soluble or not when made in E. coli",
        "capsid": "7,935 viral proteins, capsid or not",
        "accessibility": "233 proteins, each residue exposed or buried",
        "mmp2_sites": "573 proteins with cleavage sites of MMP-2",
        "furin_sites": "71 proteins with cleavage sites of furin",
        "caspase3_sites": "233 proteins with cleavage sites of caspase-3",
        "peptides": "random peptides, made by code: for the self-check of tasks",
    },
    example="foretell prepare domain=proteins data.path=proteins.fa store=proteins.zarr",
)

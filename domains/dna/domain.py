"""What DNA says of itself to the registry: names and places only, nothing is imported here."""

from __future__ import annotations

from domains import Domain

DOMAIN = Domain(
    name="dna",
    heading="DNA",
    summary="genomes, reads and regions (FASTA, FASTQ, GenBank, BED, CSV), a token a base, a k-mer or a BPE piece",
    natural_unit="base",
    tokenizers={
        "dna_nucleotide": "domains.dna.tokenizer:NucleotideTokenizer",
        "dna_kmer": "domains.dna.tokenizer:KmerTokenizer",
        "dna_bpe": "domains.dna.tokenizer:BpeTokenizer",
        "dna_traces": "domains.dna.traces.tokenizer:TraceTokenizer",
        "dna_dogma": "domains.dna.dogma.tokenizer:DogmaTokenizer",
    },
    default_tokenizer="dna_nucleotide",
    source="domains.dna.source:open_source",
    writer="domains.dna.source:write_samples",
    suffix=".fasta",
    endings=(".fa", ".fna", ".fas"),
    data_module="domains.dna.data:open_data",
    evaluation="domains.dna.evaluation:evaluate",
    figures="domains.dna.figures",
    tracks="domains.dna.tracks:write_tracks",
    text_row="domains.dna.source.rows:dna_row",
    keys={
        "data: sequences": "domains.dna.source.records:SourceConfig",
        "data: variants (data.path=calls.vcf)": "domains.dna.source.variants:VariantConfig",
        "data: clusters of reads (data=traces)": "domains.dna.traces.source:TraceConfig",
        "data: genes with their proteins (data=dogma)": "domains.dna.dogma.source:DogmaConfig",
        "tokenizer=dna_traces": "domains.dna.traces.tokenizer:TraceTokenizerConfig",
        "tokenizer=dna_dogma": "domains.dna.dogma.tokenizer:DogmaTokenizerConfig",
        "evaluation": "domains.dna.evaluation:EvaluationConfig",
        "evaluation of clusters of reads": "domains.dna.traces.evaluation:TraceEvaluationConfig",
        "evaluation of genes with their proteins": "domains.dna.dogma.evaluation:DogmaEvaluationConfig",
    },
    datasets={
        "ecoli": "Escherichia coli 536, one chromosome, 4.9 Mb",
        "bacteria": "16 genomes of four species, 48 Mb; split by species",
        "worm_x": "Caenorhabditis elegans, chromosome X, 17.7 Mb",
        "fly_promoters": "Drosophila melanogaster, 26,454 upstream regions of 2 kb; similar ones stay together",
        "chloroplast": "Arabidopsis thaliana chloroplast, 128 kb, with codon positions as token labels",
        "splice": "donor, acceptor or neither: 3,001 windows of 60 bases, in five folds (data.fold=0..4)",
        "mpsa": "30,483 splice sites of 9 bases with their percent spliced in",
        "sortseq": "50,518 lac promoters of 75 bases with the brightness that they give",
        "gene_structures": "586 genes of Drosophila, exons and introns as token labels",
        "traces": "clusters of noisy reads of a random strand, made by a channel, for tokenizer=dna_traces",
        "dogma": "coding DNA with its protein (real, and random reading frames to train on), for tokenizer=dna_dogma",
    },
    example="foretell prepare domain=dna data.path=genome.fa store=genome.zarr",
)

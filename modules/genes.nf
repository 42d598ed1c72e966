// The genome indexed once, and its table of genes with folds.
process GENES {
    tag "${meta.genome}"
    label 'medium'
    errorStrategy { Failures.strategy(task) }

    input:
    tuple val(meta), path(fasta, arity: '0..*'), path(gtf, arity: '0..*'), path(promoters, arity: '0..*')
    val options

    output:
    tuple val(meta), path('genes', arity: '1'), emit: folder
    tuple val(meta), path('genes/genes.parquet', arity: '1'), path('genes/genes.json', arity: '1'), emit: table
    path 'versions.yml', arity: '1', emit: versions

    script:
    def source = promoters ? "--promoters ${promoters}" : "--fasta ${fasta} --gtf ${gtf}"
    """
    geneq genes ${source} ${Shell.options(meta + options)} --threads ${task.cpus} --out genes
    geneq doctor --versions ${task.process} > versions.yml
    """

    stub:
    """
    mkdir genes
    touch genes/genome.fa genes/genome.fa.fai genes/genes.parquet genes/gene_features.parquet versions.yml
    echo '{"n_genes": 12000}' > genes/genes.json
    """
}

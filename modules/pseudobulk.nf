// Expression of a data set's cell types on the genome's genes.
process PSEUDOBULK {
    tag "${meta.dataset}"
    label 'medium'
    errorStrategy { Failures.strategy(task) }

    input:
    tuple val(meta), val(columns), path(h5ad, arity: '1'), path(genes, arity: '1')
    val options

    output:
    tuple val(meta), path('pseudobulk', arity: '1'), emit: expression
    path 'versions.yml', arity: '1', emit: versions

    script:
    """
    geneq pseudobulk --h5ad ${h5ad} ${Shell.options(columns + options)} --genes ${genes} \\
        --threads ${task.cpus} --out pseudobulk
    geneq doctor --versions ${task.process} > versions.yml
    """

    stub:
    """
    mkdir pseudobulk
    touch pseudobulk/expression.parquet versions.yml
    echo '{"cell_types": [{}, {}, {}, {}, {}]}' > pseudobulk/expression.json
    """
}

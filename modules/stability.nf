// How far the equations of a data set can be trusted, from all their replicates: those of the shards,
// or, without shards, from replicates that are searched here.
process STABILITY {
    tag "${meta.dataset}"
    label 'medium'
    errorStrategy { Failures.strategy(task) }

    input:
    tuple val(meta), path(search, arity: '1'), path(distill, arity: '1'), path(features, arity: '1'), path(genes, arity: '1'), path(shards, arity: '0..*')
    val options

    output:
    tuple val(meta), path('stability', arity: '1'), emit: stability
    path 'versions.yml', arity: '1', emit: versions

    script:
    def join = shards ? "--join ${shards}" : ''
    """
    geneq stability --search ${search} --distill ${distill} --features ${features} --genes ${genes} \\
        ${Shell.options(options)} ${join} --threads ${task.cpus} --out stability
    geneq doctor --versions ${task.process} > versions.yml
    """

    stub:
    """
    mkdir -p stability/equations
    echo '{}' > stability/equations/0.json
    touch stability/replicates.parquet stability/stability.parquet versions.yml
    """
}

// Equations searched again on resampled genes: one shard of the replicates.
process REPLICATE {
    tag "${meta.dataset} ${meta.shard}/${meta.shards}"
    label 'medium'
    errorStrategy { Failures.strategy(task) }

    input:
    tuple val(meta), path(search, arity: '1'), path(distill, arity: '1'), path(features, arity: '1'), path(genes, arity: '1')
    val options

    output:
    tuple val(meta), path("replicates.${meta.shard}", arity: '1'), emit: shard
    path 'versions.yml', arity: '1', emit: versions

    script:
    """
    geneq stability --search ${search} --distill ${distill} --features ${features} --genes ${genes} \\
        ${Shell.options(options)} --shard ${meta.shard}/${meta.shards} --threads ${task.cpus} \\
        --out replicates.${meta.shard}
    geneq doctor --versions ${task.process} > versions.yml
    """

    stub:
    """
    mkdir replicates.${meta.shard}
    touch replicates.${meta.shard}/replicates.parquet versions.yml
    """
}

// The features of one shard of a genome's genes: sequence classes as oracles score them, and gene features.
process FEATURIZE {
    tag "${meta.genome} ${meta.shard}/${meta.shards}"
    label 'medium'
    label 'gpu'
    label 'oracle'
    ext environment: { Named.environment(options.oracle) }
    errorStrategy { Failures.strategy(task) }

    input:
    tuple val(meta), path(genome, arity: '1')
    path oracles, arity: '0..*' // the files and folders that options.oracle names
    path classes, stageAs: 'classes/*', arity: '0..*' // classes of outputs, one table or none
    path table, stageAs: 'table/*', arity: '0..*' // gene features, one file or none
    val options

    output:
    tuple val(meta), path("features.${meta.shard}.zarr", arity: '1'), emit: shard
    path 'versions.yml', arity: '1', emit: versions

    script:
    def tables = (classes ? "--classes ${classes} " : '') + (table ? "--gene_features ${table}" : '')
    """
    geneq featurize --genome_dir ${genome} ${tables} ${Shell.options(options)} \\
        --shard ${meta.shard}/${meta.shards} --threads ${task.cpus} --out features.${meta.shard}.zarr
    geneq doctor --versions ${task.process} > versions.yml
    """

    stub:
    """
    mkdir features.${meta.shard}.zarr
    touch features.${meta.shard}.zarr/zarr.json versions.yml
    """
}

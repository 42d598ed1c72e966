// The sequence classes of one shard of a genome's genes, as the oracle scores them.
process FEATURIZE {
    tag "${meta.genome} ${meta.shard}/${meta.shards}"
    label 'medium'
    label 'gpu'
    errorStrategy { Failures.strategy(task) }

    input:
    tuple val(meta), path(genome, arity: '1')
    path motifs, arity: '0..*' // the file that options.oracle names
    val options

    output:
    tuple val(meta), path("features.${meta.shard}.zarr", arity: '1'), emit: shard
    path 'versions.yml', arity: '1', emit: versions

    script:
    """
    geneq featurize --genome_dir ${genome} ${Shell.options(options)} \\
        --shard ${meta.shard}/${meta.shards} --threads ${task.cpus} --out features.${meta.shard}.zarr
    geneq doctor --versions ${task.process} > versions.yml
    """

    stub:
    """
    mkdir features.${meta.shard}.zarr
    touch features.${meta.shard}.zarr/zarr.json versions.yml
    """
}

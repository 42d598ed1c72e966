// Join the shards of a genome's features.
process JOIN {
    tag "${meta.genome}"
    label 'small'
    errorStrategy { Failures.strategy(task) }

    input:
    tuple val(meta), path(shards, arity: '1..*')
    val options

    output:
    tuple val(meta), path('features.zarr', arity: '1'), emit: features
    path 'versions.yml', arity: '1', emit: versions

    script:
    """
    geneq featurize ${Shell.options(options)} --threads ${task.cpus} --out features.zarr --join ${shards}
    geneq doctor --versions ${task.process} > versions.yml
    """

    stub:
    """
    mkdir features.zarr
    touch features.zarr/zarr.json versions.yml
    """
}

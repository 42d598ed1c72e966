// Check that features which exist are those of a genome and its genes.
process FEATURES {
    tag "${meta.genome}"
    label 'small'
    errorStrategy { Failures.strategy(task) }

    input:
    tuple val(meta), path(genome, arity: '1'), path(features, arity: '1')
    val checked
    val options

    output:
    val meta, emit: passed
    path 'versions.yml', arity: '1', emit: versions

    script:
    """
    geneq features ${Shell.options(options)} --threads ${task.cpus} check ${features} --genome_dir ${genome} \\
        ${Shell.options(checked)}
    geneq doctor --versions ${task.process} > versions.yml
    """

    stub:
    """
    touch versions.yml
    """
}

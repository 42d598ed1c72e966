// Effects of random substitutions on the expression of one data set's cell types.
process BACKGROUND {
    tag "${meta.dataset}"
    label 'medium'
    label 'gpu'
    label 'oracle'
    ext environment: { Named.environment(options.equation_oracles) }
    errorStrategy { Failures.strategy(task) }

    input:
    tuple val(meta), path(distill, arity: '1'), path(search, arity: '1'), path(features, arity: '1'), path(genome, arity: '1')
    path oracles, arity: '0..*' // the files and folders that options.equation_oracles names
    path classes, stageAs: 'classes/*', arity: '0..*' // classes of their outputs, one table or none
    val n // random substitutions
    val options

    output:
    tuple val(meta), path('background', arity: '1'), emit: background
    path 'versions.yml', arity: '1', emit: versions

    script:
    """
    geneq background --n ${n} --genome ${genome} --equations ${distill} --features ${features} --search ${search} \\
        ${classes ? "--equation_classes ${classes}" : ''} ${Shell.options(options)} --threads ${task.cpus} --out background
    geneq doctor --versions ${task.process} > versions.yml
    """

    stub:
    """
    mkdir background
    touch background/background.parquet background/background.json versions.yml
    """
}

// The network from sequence classes to expression; with a fold, that fold is its test.
process SEARCH {
    tag "${meta.run}"
    label 'medium'
    label 'gpu'
    errorStrategy { Failures.strategy(task) }

    input:
    tuple val(meta), path(features, arity: '1'), path(expression, arity: '1'), path(genes, arity: '1')
    val options

    output:
    tuple val(meta), path('search', arity: '1'), emit: teacher
    path 'versions.yml', arity: '1', emit: versions

    script:
    """
    geneq search --features ${features} --expression ${expression} --genes ${genes} \\
        ${Shell.options([test_fold: meta.fold] + options)} --threads ${task.cpus} --out search
    geneq doctor --versions ${task.process} > versions.yml
    """

    stub:
    """
    mkdir search
    touch search/teacher.safetensors search/teacher.json search/trials.parquet search/predictions.parquet versions.yml
    """
}

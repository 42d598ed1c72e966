// Equations distilled from a network.
process DISTILL {
    tag "${meta.run}"
    label 'medium'
    errorStrategy { Failures.strategy(task) }

    input:
    tuple val(meta), path(search, arity: '1'), path(features, arity: '1')
    val options

    output:
    tuple val(meta), path('distill', arity: '1'), emit: equations
    path 'versions.yml', arity: '1', emit: versions

    script:
    """
    geneq distill --search ${search} --features ${features} ${Shell.options(options)} \\
        --threads ${task.cpus} --out distill
    geneq doctor --versions ${task.process} > versions.yml
    """

    stub:
    """
    mkdir -p distill/equations distill/faithful
    echo '{}' | tee distill/equations/0.json > distill/faithful/0.json
    echo '{}' > distill/settings.json
    touch distill/equations.parquet distill/predictions.parquet distill/metrics.parquet versions.yml
    """
}

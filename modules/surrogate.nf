// Surrogates of a shard of loci, or of an experiment.
process SURROGATE {
    tag "${meta.name}"
    label 'medium'
    errorStrategy { Failures.strategy(task) }

    input:
    tuple val(meta), path(scores, stageAs: 'score/*', arity: '1..*')
    val options

    output:
    tuple val(meta), path('surrogate/*', arity: '1..*'), emit: surrogates
    tuple val(meta), path('surrogate/failed.tsv'), optional: true, emit: failed
    path 'versions.yml', arity: '1', emit: versions

    script:
    """
    geneq surrogate --scores score ${Shell.options(options)} --threads ${task.cpus} --out surrogate
    geneq doctor --versions ${task.process} > versions.yml
    """

    stub:
    """
    for locus in ${meta.loci.join(' ')}; do
        mkdir -p surrogate/\$locus
        touch surrogate/\$locus/surrogate.npz surrogate/\$locus/surrogate.json surrogate/\$locus/effects.parquet
    done
    touch versions.yml
    """
}

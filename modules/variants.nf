// Effects of the variants in the loci of a shard.
process VARIANTS {
    tag "${meta.name}"
    label 'medium'
    label 'gpu'
    label 'oracle'
    ext environment: { Named.environment(meta.named.equation_oracles ?: meta.oracle) }
    errorStrategy { Failures.strategy(task) }

    input:
    tuple val(meta), path(surrogates, stageAs: 'surrogate/*', arity: '1..*'), path(genome, arity: '1'), path(oracle, arity: '0..*'), path(classes, stageAs: 'classes/*', arity: '0..*')
    path vcf, arity: '1'
    path truth, stageAs: 'truth/*', arity: '0..*'
    val options

    output:
    tuple val(meta), path('variants', arity: '1'), emit: variants
    tuple val(meta), path('variants/failed.tsv'), optional: true, emit: failed
    path 'versions.yml', arity: '1', emit: versions

    script:
    """
    geneq variants --vcf ${vcf} --genome ${genome} --surrogates surrogate ${truth ? "--truth ${truth}" : ''} \\
        ${classes ? "--equation_classes ${classes}" : ''} ${Shell.options(options + meta.named)} --threads ${task.cpus} --out variants
    geneq doctor --versions ${task.process} > versions.yml
    """

    stub:
    """
    mkdir variants
    touch variants/variants.parquet versions.yml
    """
}

// Effects of variants on the expression of one data set's cell types.
process EFFECTS {
    tag "${meta.dataset}"
    label 'medium'
    label 'gpu'
    label 'oracle'
    ext environment: { Named.environment(options.equation_oracles) }
    errorStrategy { Failures.strategy(task) }

    input:
    tuple val(meta), path(distill, arity: '1'), path(search, arity: '1'), path(features, arity: '1'), path(genome, arity: '1'), path(background, arity: '1')
    path oracles, arity: '0..*' // the files and folders that options.equation_oracles names
    path classes, stageAs: 'classes/*', arity: '0..*' // classes of their outputs, one table or none
    path vcf, arity: '1'
    path truth, stageAs: 'truth/*', arity: '0..*'
    val options

    output:
    tuple val(meta), path('variants', arity: '1'), emit: variants
    path 'versions.yml', arity: '1', emit: versions

    script:
    """
    geneq variants --vcf ${vcf} --genome ${genome} --equations ${distill} --features ${features} --search ${search} \\
        --background ${background} ${truth ? "--truth ${truth}" : ''} ${classes ? "--equation_classes ${classes}" : ''} \\
        ${Shell.options(options)} --threads ${task.cpus} --out variants
    geneq doctor --versions ${task.process} > versions.yml
    """

    stub:
    """
    mkdir variants
    touch variants/expression_effects.parquet variants/largest_effects.parquet variants/annotated.vcf.gz \\
        variants/variants.json versions.yml
    """
}

// All loci of the run on one page.
process LOCI_REPORT {
    tag "${surrogates.size()} loci"
    label 'small'
    errorStrategy { Failures.strategy(task) }

    input:
    tuple path(surrogates, stageAs: 'surrogate/*', arity: '0..*'), path(variants, stageAs: 'variants/?/*', arity: '0..*'), path(failed, stageAs: 'failed/?/*', arity: '0..*')
    val options

    output:
    path 'loci/*', arity: '1..*', emit: page
    path 'versions.yml', arity: '1', emit: versions

    script:
    """
    geneq loci_report ${surrogates ? '--surrogates surrogate' : ''} ${variants ? "--variants ${variants}" : ''} \\
        ${failed ? "--failed ${failed}" : ''} ${Shell.options(options)} --threads ${task.cpus} --out loci
    geneq doctor --versions ${task.process} > versions.yml
    """

    stub:
    """
    mkdir loci
    touch loci/loci.html versions.yml
    """
}

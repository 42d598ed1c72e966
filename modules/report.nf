// One data set's report.
process REPORT {
    tag "${meta.dataset}"
    label 'small'
    errorStrategy { Failures.strategy(task) }

    input:
    tuple val(meta), path('genes/*', arity: '2'), path(expression, arity: '1'), path(search, arity: '1'), path(distill, arity: '1'), path(cv, stageAs: 'cv?/*', arity: '0..*'), path(stability, arity: '0..*'), path(variants, arity: '0..*')
    path truth, arity: '0..*'
    val options

    output:
    tuple val(meta), path('report', arity: '1'), emit: report
    path 'versions.yml', arity: '1', emit: versions

    script:
    """
    geneq report --genes_dir genes --expression ${expression} --search ${search} --distill ${distill} \\
        ${cv ? "--cv_distill ${cv}" : ''} ${stability ? "--stability ${stability}" : ''} ${truth ? "--truth ${truth}" : ''} \\
        ${variants ? "--variants ${variants}" : ''} \\
        ${Shell.options([dataset: meta.dataset] + options)} --threads ${task.cpus} --out report
    geneq doctor --versions ${task.process} > versions.yml
    """

    stub:
    """
    mkdir report
    touch report/report.html report/metrics.parquet report/equations.json versions.yml
    """
}

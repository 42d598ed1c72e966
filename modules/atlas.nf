// The atlas: comparison of all data sets of the run.
process ATLAS {
    tag "${reports.size()} data sets"
    label 'small'
    errorStrategy { Failures.strategy(task) }

    input:
    path reports, stageAs: 'reports/?/*', arity: '1..*'
    val options

    output:
    path 'atlas/atlas.html', arity: '1', emit: html
    path 'atlas/cell_types.tsv', arity: '1', emit: table
    path 'atlas/recovery.json', optional: true, emit: recovery
    path 'versions.yml', arity: '1', emit: versions

    script:
    """
    geneq atlas --reports ${reports} ${Shell.options(options)} --threads ${task.cpus} --out atlas
    geneq doctor --versions ${task.process} > versions.yml
    """

    stub:
    """
    mkdir atlas
    touch atlas/atlas.html atlas/cell_types.tsv versions.yml
    """
}

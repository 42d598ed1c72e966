// Fail the run at its end if any locus failed. It runs inside Nextflow on every executor, so no
// scheduler can refuse it.
process FAILED {
    tag "${tables.size()} tasks"
    executor 'local'
    errorStrategy 'ignore'

    input:
    path tables, stageAs: 'failed/?/*', arity: '1..*'

    exec:
    throw new RuntimeException("some loci failed")
}

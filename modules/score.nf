// The libraries of a shard of loci, or of an experiment, scored by the oracle.
process SCORE {
    tag "${meta.name}"
    label 'medium'
    label 'gpu'
    label 'oracle'
    ext environment: { Named.environment(meta.named.equation_oracles ?: meta.oracle) }
    errorStrategy { Failures.strategy(task) }

    input:
    tuple val(meta), path(genome, arity: '0..*'), path(recipe, stageAs: 'recipe/*', arity: '0..*'), path(oracle, arity: '0..*'), path(classes, stageAs: 'classes/*', arity: '0..*')
    val options

    output:
    tuple val(meta), path('score/*', arity: '1..*'), emit: scores
    tuple val(meta), path('score/failed.tsv'), optional: true, emit: failed
    path 'versions.yml', arity: '1', emit: versions

    script:
    def sheet = meta.genome ? "--loci sheet.csv --genome ${genome}" : '--experiments sheet.csv'
    """
    echo ${Shell.quoted(meta.sheet)} > sheet.csv
    geneq score ${sheet} ${classes ? "--equation_classes ${classes}" : ''} ${Shell.options(options + meta.named)} --threads ${task.cpus} --out score
    geneq doctor --versions ${task.process} > versions.yml
    """

    stub:
    """
    for locus in ${meta.loci.join(' ')}; do
        mkdir -p score/\$locus
        touch score/\$locus/mave.parquet
    done
    touch versions.yml
    """
}

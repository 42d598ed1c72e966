// From loci and experiments to their surrogates, the effects of variants, and one page of all.

include { SCORE } from '../modules/score'
include { SURROGATE } from '../modules/surrogate'
include { VARIANTS } from '../modules/variants'
include { LOCI_REPORT } from '../modules/loci_report'
include { FAILED } from '../modules/failed'

// The folders of loci among what a stage made: a table of those that failed may be there, too.
def loci(paths) {
    return paths.findAll { path -> path.name != 'failed.tsv' }
}

// What tasks made, in the order of their names, as one list.
def inOrder(outputs) {
    return outputs
        .toSortedList { a, b -> a[0].name <=> b[0].name ?: a[1].toString() <=> b[1].toString() }
        .map { rows -> rows.collectMany { _meta, made -> made instanceof List ? made : [made] } }
}

workflow SURROGATES {
    take:
    jobs // a shard of loci each, or an experiment, as Shards makes them
    folders // [genome, folder of its genes]
    equations // [dataset, folder of its equations]
    oracles // files and folders of the oracles of features, which equations need
    classes // table of classes of outputs, or none
    vcf // file of variants, or none
    truth // table of their measured effects, or none
    options // parameters, and the digest of the code

    main:
    // A job with an equation of this run waits for that.
    asked = jobs.branch { job ->
        equation: job.oracle.dataset
        other: true
    }
    found = asked.equation
        .map { job -> [job.oracle.dataset, job] }
        .combine(equations, by: 0)
        .map { _dataset, job, distill -> [job, job.oracle.from(distill)] }
    // [genome, meta, recipe, other files, classes]; an equation opens the oracles of its features.
    tasks = asked.other
        .map { job -> [job, job.oracle] }
        .mix(found)
        .map { job, oracle ->
            def files = Shards.files(job, oracle) + (oracle.equation ? oracles : [])
            def named = oracle.equation ? options.subMap(['equation_oracles', 'max_windows']) : [:]
            [job.genome, Shards.meta(job, oracle) + [named: named], job.rows*.recipe.findAll(), files.unique(), oracle.equation ? classes : []]
        }
        .branch { genome, _meta, _recipe, _files, _classes ->
            locus: genome
            experiment: true
        }
    SCORE(
        tasks.locus
            .combine(folders, by: 0)
            .map { _genome, meta, recipe, files, tables, folder -> [meta, [folder], recipe, files, tables] }
            .mix(tasks.experiment.map { _genome, meta, recipe, files, tables -> [meta, [], recipe, files, tables] }),
        options.subMap(['code_digest'])
    )
    SURROGATE(
        SCORE.out.scores.map { meta, made -> [meta, loci(made)] }.filter { _meta, made -> made },
        options.subMap(['seed', 'code_digest'])
    )
    // [meta, folders of loci]
    surrogates = SURROGATE.out.surrogates.map { meta, made -> [meta, loci(made)] }.filter { _meta, made -> made }
    VARIANTS(
        surrogates
            .filter { meta, _fitted -> vcf && meta.genome }
            .map { meta, fitted -> [meta.genome, meta, fitted] }
            .combine(folders, by: 0)
            .map { _genome, meta, fitted, folder -> [meta.name, meta, fitted, folder] }
            .join(tasks.locus.map { _genome, meta, _recipe, files, tables -> [meta.name, files, tables] })
            .map { _name, meta, fitted, folder, files, tables -> [meta, fitted, folder, files, tables] },
        vcf,
        truth,
        options.subMap(['code_digest'])
    )

    // Without results there is no page.
    tables = inOrder(SCORE.out.failed.mix(SURROGATE.out.failed, VARIANTS.out.failed))
    LOCI_REPORT(
        inOrder(surrogates).map { fits -> [fits] }
            .combine(inOrder(VARIANTS.out.variants).map { effects -> [effects] })
            .combine(tables.map { files -> [files] })
            .filter { fits, _effects, files -> fits || files },
        options.subMap(['code_digest'])
    )
    lost = tables.filter { files -> files }
    lost.subscribe { files -> files.each { file -> Failures.note(file) } }
    FAILED(lost)

    emit:
    versions = SCORE.out.versions.mix( // versions.yml
        SURROGATE.out.versions, VARIANTS.out.versions, LOCI_REPORT.out.versions
    )
}

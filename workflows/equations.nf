// From data sets to equations of their cell types: networks, equations, reports and the atlas.

include { PSEUDOBULK } from '../modules/pseudobulk'
include { SEARCH } from '../modules/search'
include { DISTILL } from '../modules/distill'
include { REPLICATE } from '../modules/replicate'
include { STABILITY } from '../modules/stability'
include { REPORT } from '../modules/report'
include { ATLAS } from '../modules/atlas'

// A data set is searched once, and with cross-validation once more for each fold as its test.
def runs(meta, cv) {
    return (cv ? [null] + (0..4) : [null]).collect { fold ->
        meta + [fold: fold, run: fold == null ? meta.dataset : "${meta.dataset}/cv/fold${fold}".toString()]
    }
}

// Shards of at most so many replicates, as [meta with shard and shards, folders].
def sharded(meta, folders, options) {
    def shards = Math.ceil(options.replicates / options.shard_replicates).toInteger()
    return (1..shards).collect { shard -> [meta + [shard: shard, shards: shards]] + folders }
}

workflow EQUATIONS {
    take:
    samples // rows of the samplesheet
    genes // [genome, genes.parquet, genes.json]
    features // [genome, features.zarr]
    truth // file of the truth of simulated data, or none
    options // parameters, and the digest of the code

    main:
    PSEUDOBULK(
        samples
            .map { row -> [row.genome, row] }
            .combine(genes, by: 0)
            .map { genome, row, table, _about ->
                def columns = row.subMap(['dataset', 'cell_type_key', 'layer', 'scale', 'donor_key'])
                [[dataset: row.dataset, genome: genome], columns, row.h5ad, table]
            },
        options.subMap(['min_cells', 'seed', 'code_digest'])
    )
    SEARCH(
        PSEUDOBULK.out.expression
            .map { meta, expression -> [meta.genome, meta, expression] }
            .combine(features, by: 0)
            .combine(genes, by: 0)
            .flatMap { _genome, meta, expression, joined, table, _about ->
                runs(meta, options.cv).collect { run -> [run, joined, expression, table] }
            },
        options.subMap(['trials', 'strategy', 'teacher', 'seed', 'code_digest'])
    )
    DISTILL(
        SEARCH.out.teacher
            .map { meta, search -> [meta.genome, meta, search] }
            .combine(features, by: 0)
            .map { _genome, meta, search, joined -> [meta, search, joined] },
        options.subMap([
            'sr_engine', 'sr_generations', 'max_variables', 'programmes', 'programme_classes', 'max_complexity',
            'accuracy', 'seed', 'code_digest',
        ])
    )

    // [dataset, folder] of the main runs, and [dataset, folders of the folds in their order]
    searches = SEARCH.out.teacher
        .filter { meta, _search -> meta.fold == null }
        .map { meta, search -> [meta.dataset, search] }
    distilled = DISTILL.out.equations.branch { meta, _distill ->
        main: meta.fold == null
        cv: true
    }
    equations = distilled.main.map { meta, distill -> [meta.dataset, distill] }
    outOfFold = distilled.cv
        .map { meta, distill -> [meta.dataset, [meta.fold, distill]] }
        .groupTuple(size: 5, sort: { a, b -> a[0] <=> b[0] })
        .map { dataset, distills -> [dataset, distills.collect { numbered -> numbered[1] }] }

    repeated = SEARCH.out.teacher
        .filter { meta, _search -> meta.fold == null && options.replicates > 0 }
        .map { meta, search -> [meta.dataset, meta, search] }
        .join(equations)
        .map { _dataset, meta, search, distill -> [meta.genome, meta, search, distill] }
        .combine(features, by: 0)
        .combine(genes, by: 0)
        .map { _genome, meta, search, distill, joined, table, _about -> [meta, [search, distill, joined, table]] }
    REPLICATE(
        repeated.flatMap { meta, folders -> sharded(meta, folders, options) },
        options.subMap(['replicates', 'code_digest'])
    )
    STABILITY(
        repeated
            .map { meta, folders -> [meta.dataset, meta, folders] }
            .join(
                REPLICATE.out.shard
                    .map { meta, shard -> [groupKey(meta.dataset, meta.shards), [meta.shard, shard]] }
                    .groupTuple(sort: { a, b -> a[0] <=> b[0] })
                    .map { key, shards -> [key.target, shards.collect { numbered -> numbered[1] }] }
            )
            .map { _dataset, meta, folders, shards -> [meta] + folders + [shards] },
        options.subMap(['replicates', 'code_digest'])
    )

    // A report is written without the stability of its equations if that fails or is not wanted.
    REPORT(
        PSEUDOBULK.out.expression
            .map { meta, expression -> [meta.dataset, meta, expression] }
            .join(searches)
            .join(equations)
            .join(options.cv ? outOfFold : equations.map { dataset, _distill -> [dataset, []] })
            .join(STABILITY.out.stability.map { meta, stability -> [meta.dataset, stability] }, remainder: true)
            .filter { row -> row[1] } // a data set with stability, but without all its folds
            .map { _dataset, meta, expression, search, distill, cv, stability ->
                [meta.genome, meta, expression, search, distill, cv, stability ?: []]
            }
            .combine(genes, by: 0)
            .map { _genome, meta, expression, search, distill, cv, stability, table, about ->
                [meta, [table, about], expression, search, distill, cv, stability]
            },
        truth,
        options.subMap(['code_digest'])
    )
    ATLAS(
        REPORT.out.report
            .toSortedList { a, b -> a[0].dataset <=> b[0].dataset }
            .filter { reports -> !reports.isEmpty() }
            .map { reports -> reports.collect { report -> report[1] } },
        options.subMap(['datasets', 'code_digest'])
    )

    emit:
    equations // [dataset, folder of its equations]
    searches = SEARCH.out.teacher // [dataset, genome, folder of its search]
        .filter { meta, _search -> meta.fold == null }
        .map { meta, search -> [meta.dataset, meta.genome, search] }
    versions = PSEUDOBULK.out.versions.mix( // versions.yml
        SEARCH.out.versions, DISTILL.out.versions, REPLICATE.out.versions, STABILITY.out.versions,
        REPORT.out.versions, ATLAS.out.versions
    )
}

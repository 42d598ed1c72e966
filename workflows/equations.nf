// From data sets to equations of their cell types: networks, equations, effects of variants,
// reports and the atlas.

include { PSEUDOBULK } from '../modules/pseudobulk'
include { SEARCH } from '../modules/search'
include { DISTILL } from '../modules/distill'
include { REPLICATE } from '../modules/replicate'
include { STABILITY } from '../modules/stability'
include { EXPRESSION } from './effects'
include { REPORT } from '../modules/report'
include { ATLAS } from '../modules/atlas'

// A data set is searched once, and with cross-validation once more for each fold as its test.
def runs(meta, cv) {
    return (cv ? [null] + (0..4) : [null]).collect { fold ->
        meta + [fold: fold, run: fold == null ? meta.dataset : "${meta.dataset}/cv/fold${fold}".toString()]
    }
}

def document(file) {
    return new groovy.json.JsonSlurper().parseText(file.text)
}

// Number of tasks for the replicates of a data set with this folder of expression and this genes.json.
def shardsOf(expression, about, options) {
    def cellTypes = document(expression.resolve('expression.json')).cell_types.size()
    return Shards.ofReplicates(options.replicates, options.shard_replicates, document(about).n_genes, cellTypes)
}

// [dataset, what `some` has of it], an empty list for a data set that it lacks; that comes last, when
// no other data set can have anything.
def orNone(none, some) {
    return none.join(some, remainder: true).map { dataset, empty, found -> [dataset, found ?: empty] }
}

workflow EQUATIONS {
    take:
    samples // rows of the samplesheet
    genes // [genome, genes.parquet, genes.json]
    features // [genome, features.zarr]
    folders // [genome, folder]
    oracles // files and folders of the oracles of the features
    classes // table of classes of outputs, or none
    truth // file of the truth of simulated data, or none
    vcf // file of variants whose effects on expression are asked for, or none
    measured // file of measured effects of them, or none
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
        options.subMap(['trials', 'strategy', 'teacher', 'target', 'seed', 'code_digest'])
    )
    DISTILL(
        SEARCH.out.teacher
            .map { meta, search -> [meta.genome, meta, search] }
            .combine(features, by: 0)
            .map { _genome, meta, search, joined -> [meta, search, joined] },
        options.subMap([
            'sr_engine', 'sr_generations', 'max_variables', 'programmes', 'programme_classes', 'max_complexity',
            'accuracy', 'shared', 'baselines', 'fit_seconds', 'seed', 'code_digest',
        ])
    )

    // [dataset, folder] of the main runs, and [dataset, folders of the folds in their order]
    searched = SEARCH.out.teacher.filter { meta, _search -> meta.fold == null }
    searches = searched.map { meta, search -> [meta.dataset, search] }
    distilled = DISTILL.out.equations.branch { meta, _distill ->
        main: meta.fold == null
        cv: true
    }
    equations = distilled.main.map { meta, distill -> [meta.dataset, distill] }
    outOfFold = distilled.cv
        .map { meta, distill -> [meta.dataset, [meta.fold, distill]] }
        .groupTuple(size: 5, sort: { a, b -> a[0] <=> b[0] })
        .map { dataset, distills -> [dataset, distills.collect { numbered -> numbered[1] }] }

    repeated = searched
        .filter { _meta, _search -> options.replicates > 0 }
        .map { meta, search -> [meta.dataset, meta, search] }
        .join(equations)
        .join(PSEUDOBULK.out.expression.map { meta, expression -> [meta.dataset, expression] })
        .map { _dataset, meta, search, distill, expression -> [meta.genome, meta, search, distill, expression] }
        .combine(features, by: 0)
        .combine(genes, by: 0)
        .map { _genome, meta, search, distill, expression, joined, table, about ->
            [meta + [shards: shardsOf(expression, about, options)], [search, distill, joined, table]]
        }
    // Where all replicates are one task, that is STABILITY's.
    divided = repeated.filter { meta, _inputs -> meta.shards > 1 }
    REPLICATE(
        divided.flatMap { meta, inputs -> (1..meta.shards).collect { shard -> [meta + [shard: shard]] + inputs } },
        options.subMap(['replicates', 'code_digest'])
    )
    STABILITY(
        divided
            .map { meta, inputs -> [meta.dataset, meta, inputs] }
            .join(
                REPLICATE.out.shard
                    .map { meta, shard -> [groupKey(meta.dataset, meta.shards), [meta.shard, shard]] }
                    .groupTuple(sort: { a, b -> a[0] <=> b[0] })
                    .map { key, shards -> [key.target, shards.collect { numbered -> numbered[1] }] }
            )
            .map { _dataset, meta, inputs, shards -> [meta] + inputs + [shards] }
            .mix(repeated.filter { meta, _inputs -> meta.shards == 1 }.map { meta, inputs -> [meta] + inputs + [[]] }),
        options.subMap(['replicates', 'code_digest'])
    )

    EXPRESSION(
        equations,
        searched.map { meta, search -> [meta.dataset, meta.genome, search] },
        features,
        folders,
        oracles,
        classes,
        vcf,
        measured,
        options
    )

    // A report is written without the stability of equations and the effects of variants if these
    // fail or are not wanted.
    none = equations.map { dataset, _distill -> [dataset, []] }
    found = STABILITY.out.stability.map { meta, folder -> [meta.dataset, folder] }
    stability = options.replicates > 0 ? orNone(none, found) : none
    effects = vcf ? orNone(none, EXPRESSION.out.effects) : none

    REPORT(
        PSEUDOBULK.out.expression
            .map { meta, expression -> [meta.dataset, meta, expression] }
            .join(searches)
            .join(equations)
            .join(options.cv ? outOfFold : none)
            .join(stability)
            .join(effects)
            .map { _dataset, meta, expression, search, distill, cv, repeats, variants ->
                [meta.genome, meta, expression, search, distill, cv, repeats, variants]
            }
            .combine(genes, by: 0)
            .map { _genome, meta, expression, search, distill, cv, repeats, variants, table, about ->
                [meta, [table, about], expression, search, distill, cv, repeats, variants]
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
    versions = PSEUDOBULK.out.versions.mix( // versions.yml
        SEARCH.out.versions, DISTILL.out.versions, REPLICATE.out.versions, STABILITY.out.versions,
        EXPRESSION.out.versions, REPORT.out.versions, ATLAS.out.versions
    )
}

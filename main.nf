#!/usr/bin/env nextflow
// Parameters to channels to workflow, and nothing else. What the parameters are stands in
// nextflow_schema.json, what the sheets hold in python/geneq/data/.

include { GENES } from './modules/genes'
include { FEATURIZE } from './modules/featurize'
include { JOIN } from './modules/join'
include { PSEUDOBULK } from './modules/pseudobulk'
include { SEARCH } from './modules/search'
include { DISTILL } from './modules/distill'
include { REPORT } from './modules/report'
include { ATLAS } from './modules/atlas'

def existing(name) {
    return file(name, checkIfExists: true, glob: false)
}

// What a process takes for an optional file: one or none.
def optional(name) {
    return name ? [existing(name)] : []
}

workflow {
    def parameters = new Parameters(projectDir.resolve('nextflow_schema.json'))
    if (params.help) {
        println(parameters.help())
        return
    }
    parameters.check(params)

    def rules = projectDir.resolve('python/geneq/data')
    def sheet = params.genomes ? Sheet.genomes(existing(params.genomes), rules.resolve('genomes.json')) : []
    def samples = Sheet.samples(existing(params.input), rules.resolve('samplesheet.json'), sheet*.genome)
    def used = samples*.genome
    def single = [genome: used.first(), fasta: params.fasta, gtf: params.gtf, promoters: params.promoters]
    def genomes = sheet ? sheet.findAll { row -> row.genome in used } : [single]
    def motifs = params.oracle == 'motifs:core' ? [] : optional(params.oracle - 'motifs:')
    def truth = optional(params.truth)
    def digest = [code_digest: Checkout.digest(projectDir)]
    def folds = params.cv ? [null, 0, 1, 2, 3, 4] : [null]

    workflow.onComplete {
        def failed = Failures.summary(samples)
        if (failed) {
            log.error(failed)
        }
    }

    GENES(
        channel.fromList(genomes)
            .map { row -> [[genome: row.genome], optional(row.fasta), optional(row.gtf), optional(row.promoters)] },
        params.subMap(['promoter_choice', 'bin_edges', 'valid_chroms', 'test_chroms', 'seed']) + digest
    )
    // [genome, genes.parquet, genes.json]
    tables = GENES.out.table.map { meta, genes, about -> [meta.genome, genes, about] }

    FEATURIZE(
        GENES.out.folder.flatMap { meta, folder ->
            def n = new groovy.json.JsonSlurper().parseText(folder.resolve('genes.json').text).n_genes
            def shards = Math.max(1, Math.ceil(n / params.shard_genes).toInteger())
            (1..shards).collect { shard -> [meta + [shard: shard, shards: shards], folder] }
        },
        motifs,
        params.subMap(['bin_edges', 'max_classes']) + digest
    )
    // A group is whole when all its shards are there; they are joined in the order of the genes.
    JOIN(
        FEATURIZE.out.shard
            .map { meta, shard -> [groupKey([genome: meta.genome], meta.shards), [meta.shard, shard]] }
            .groupTuple(sort: { a, b -> a[0] <=> b[0] })
            .map { key, shards -> [key.target, shards.collect { numbered -> numbered[1] }] },
        digest
    )
    // [genome, features]
    features = JOIN.out.features.map { meta, joined -> [meta.genome, joined] }

    PSEUDOBULK(
        channel.fromList(samples)
            .map { row -> [row.genome, row] }
            .combine(tables, by: 0)
            .map { genome, row, genes, _about ->
                def columns = row.subMap(['dataset', 'cell_type_key', 'layer', 'scale', 'donor_key'])
                [[dataset: row.dataset, genome: genome], columns, row.h5ad, genes]
            },
        params.subMap(['min_cells', 'seed']) + digest
    )

    // One run a data set, and with --cv one more for each fold as test.
    SEARCH(
        PSEUDOBULK.out.expression
            .map { meta, expression -> [meta.genome, meta, expression] }
            .combine(features, by: 0)
            .combine(tables, by: 0)
            .flatMap { _genome, meta, expression, joined, genes, _about ->
                folds.collect { fold ->
                    def run = fold == null ? meta.dataset : "${meta.dataset}/cv/fold${fold}".toString()
                    [meta + [fold: fold, run: run], joined, expression, genes]
                }
            },
        params.subMap(['trials', 'seed']) + digest
    )
    DISTILL(
        SEARCH.out.teacher
            .map { meta, search -> [meta.genome, meta, search] }
            .combine(features, by: 0)
            .map { _genome, meta, search, joined -> [meta, search, joined] },
        params.subMap(['sr_engine', 'sr_generations', 'max_variables', 'seed']) + digest
    )

    // [dataset, folder] of the main runs, and [dataset, folders of the folds in their order]
    searches = SEARCH.out.teacher
        .filter { meta, _search -> meta.fold == null }
        .map { meta, search -> [meta.dataset, search] }
    runs = DISTILL.out.equations.branch { meta, _distill ->
        main: meta.fold == null
        cv: true
    }
    equations = runs.main.map { meta, distill -> [meta.dataset, distill] }
    outOfFold = runs.cv
        .map { meta, distill -> [meta.dataset, [meta.fold, distill]] }
        .groupTuple(size: 5, sort: { a, b -> a[0] <=> b[0] })
        .map { dataset, distills -> [dataset, distills.collect { numbered -> numbered[1] }] }

    REPORT(
        PSEUDOBULK.out.expression
            .map { meta, expression -> [meta.dataset, meta, expression] }
            .join(searches)
            .join(equations)
            .join(params.cv ? outOfFold : equations.map { dataset, _distill -> [dataset, []] })
            .map { _dataset, meta, expression, search, distill, cv -> [meta.genome, meta, expression, search, distill, cv] }
            .combine(tables, by: 0)
            .map { _genome, meta, expression, search, distill, cv, genes, about ->
                [meta, [genes, about], expression, search, distill, cv]
            },
        truth,
        digest
    )
    ATLAS(
        REPORT.out.report
            .toSortedList { a, b -> a[0].dataset <=> b[0].dataset }
            .filter { reports -> !reports.isEmpty() }
            .map { reports -> reports.collect { report -> report[1] } },
        digest
    )

    def about = "pipeline:\n  nextflow: \"${nextflow.version}\"\n  code_digest: \"${digest.code_digest}\"\n".toString()
    GENES.out.versions
        .mix(
            FEATURIZE.out.versions, JOIN.out.versions, PSEUDOBULK.out.versions, SEARCH.out.versions,
            DISTILL.out.versions, REPORT.out.versions, ATLAS.out.versions
        )
        .map { versions -> versions.text }
        .mix(channel.of(about))
        .unique()
        .collectFile(name: 'versions.yml', storeDir: "${params.outdir}/pipeline_info", sort: true)
}

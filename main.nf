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
include { SCORE } from './modules/score'
include { SURROGATE } from './modules/surrogate'
include { VARIANTS } from './modules/variants'
include { LOCI } from './modules/loci'
include { FAILED } from './modules/failed'

def existing(name) {
    return file(name, checkIfExists: true, glob: false)
}

// What a process takes for an optional file: one or none.
def optional(name) {
    return name ? [existing(name)] : []
}

// The folders of loci among what a stage made: a table of those that failed may be there, too.
def loci(paths) {
    return paths.findAll { path -> path.name != 'failed.tsv' }
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
    def samples = params.input ? Sheet.samples(existing(params.input), rules.resolve('samplesheet.json'), sheet*.genome) : []
    def located = sheet ? sheet.findAll { row -> row.fasta }*.genome : samples*.genome.take(1)
    def places = params.loci ? Sheet.loci(existing(params.loci), rules.resolve('loci.json'), located, samples*.dataset) : []
    def experiments = params.experiments
        ? Sheet.experiments(existing(params.experiments), rules.resolve('experiments.json'), samples*.dataset, places*.locus)
        : []
    def jobs = Shards.ofLoci(places, rules.resolve('loci.json'), params.shard_letters) + Shards.ofExperiments(experiments)
    if (params.vcf) {
        Shards.checkOneGenome(places)
    }
    def used = (samples + places)*.genome.unique()
    def single = [genome: used[0], fasta: params.fasta, gtf: params.gtf, promoters: params.promoters]
    def genomes = used ? (sheet ? sheet.findAll { row -> row.genome in used } : [single]) : []
    def motifs = params.oracle == 'motifs:core' ? [] : optional(params.oracle - 'motifs:')
    def truth = optional(params.truth)
    def digest = [code_digest: Checkout.digest(projectDir)]
    def folds = params.cv ? [null, 0, 1, 2, 3, 4] : [null]

    workflow.onComplete {
        def failed = Failures.summary(samples, jobs)
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
    geneTables = GENES.out.table.map { meta, genes, about -> [meta.genome, genes, about] }

    FEATURIZE(
        GENES.out.folder.filter { meta, _folder -> meta.genome in samples*.genome }.flatMap { meta, folder ->
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
            .combine(geneTables, by: 0)
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
            .combine(geneTables, by: 0)
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
            .combine(geneTables, by: 0)
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

    // A job is a shard of loci, or an experiment; with an equation of this run it waits for that.
    named = channel.fromList(jobs.findAll { job -> !job.oracle.dataset })
        .map { job -> [job, job.oracle] }
    found = channel.fromList(jobs.findAll { job -> job.oracle.dataset })
        .map { job -> [job.oracle.dataset, job] }
        .combine(equations, by: 0)
        .map { _dataset, job, distill -> [job, job.oracle.from(distill)] }
    // [meta, genome, recipe, files of the oracle]; an equation of motifs reads their file, too.
    tasks = named.mix(found)
        .map { job, oracle ->
            def files = (oracle.file ? [oracle.file] : []) + (oracle.kind == 'equation' ? motifs : [])
            [job.genome, Shards.meta(job, oracle), job.rows*.recipe.findAll(), files]
        }
        .branch { genome, _meta, _recipe, _files ->
            locus: genome
            experiment: true
        }
    folders = GENES.out.folder.map { meta, folder -> [meta.genome, folder] }
    SCORE(
        tasks.locus
            .combine(folders, by: 0)
            .map { _genome, meta, recipe, files, folder -> [meta, [folder], recipe, files] }
            .mix(tasks.experiment.map { _genome, meta, recipe, files -> [meta, [], recipe, files] }),
        digest
    )
    SURROGATE(
        SCORE.out.scores.map { meta, made -> [meta, loci(made)] }.filter { _meta, made -> made },
        params.subMap(['seed']) + digest
    )
    // [meta, folders of loci]
    surrogates = SURROGATE.out.surrogates.map { meta, made -> [meta, loci(made)] }.filter { _meta, made -> made }
    VARIANTS(
        surrogates
            .filter { meta, _fitted -> params.vcf && meta.genome }
            .map { meta, fitted -> [meta.genome, meta, fitted] }
            .combine(folders, by: 0)
            .map { _genome, meta, fitted, folder -> [meta.name, meta, fitted, folder] }
            .join(tasks.locus.map { _genome, meta, _recipe, files -> [meta.name, files] })
            .map { _name, meta, fitted, folder, files -> [meta, fitted, folder, files] },
        optional(params.vcf),
        digest
    )

    // All of a kind, in the order of their shards; where there is nothing there is no page.
    tables = SCORE.out.failed.mix(SURROGATE.out.failed, VARIANTS.out.failed)
        .toSortedList { a, b -> a[0].name <=> b[0].name ?: a[1] <=> b[1] }
        .map { rows -> rows.collect { row -> row[1] } }
    fits = surrogates.toSortedList { a, b -> a[0].name <=> b[0].name }
        .map { rows -> rows.collectMany { row -> row[1] } }
    effects = VARIANTS.out.variants.toSortedList { a, b -> a[0].name <=> b[0].name }
        .map { rows -> rows.collect { row -> row[1] } }
    LOCI(
        fits.map { folders -> [folders] }
            .combine(effects.map { folders -> [folders] })
            .combine(tables.map { files -> [files] })
            .filter { folders, _effects, files -> folders || files },
        digest
    )
    lost = tables.filter { files -> files }
    lost.subscribe { files -> files.each { file -> Failures.note(file) } }
    FAILED(lost)

    def about = "pipeline:\n  nextflow: \"${nextflow.version}\"\n  code_digest: \"${digest.code_digest}\"\n".toString()
    GENES.out.versions
        .mix(
            FEATURIZE.out.versions, JOIN.out.versions, PSEUDOBULK.out.versions, SEARCH.out.versions,
            DISTILL.out.versions, REPORT.out.versions, ATLAS.out.versions,
            SCORE.out.versions, SURROGATE.out.versions, VARIANTS.out.versions, LOCI.out.versions
        )
        .map { versions -> versions.text }
        .mix(channel.of(about))
        .unique()
        .collectFile(name: 'versions.yml', storeDir: "${params.outdir}/pipeline_info", sort: true)
}

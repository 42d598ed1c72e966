#!/usr/bin/env nextflow
// Parameters to channels to workflows, and nothing else. What the parameters are stands in
// nextflow_schema.json, what the sheets hold in python/geneq/data/.

include { GENOMES } from './workflows/genomes'
include { EQUATIONS } from './workflows/equations'
include { SURROGATES } from './workflows/surrogates'

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
    def options = parameters.checked(params) + [code_digest: Checkout.digest(projectDir)]

    def rules = projectDir.resolve('python/geneq/data')
    def sheet = params.genomes ? Sheet.genomes(existing(params.genomes), rules.resolve('genomes.json')) : []
    def samples = params.input ? Sheet.samples(existing(params.input), rules.resolve('samplesheet.json'), sheet*.genome) : []
    def located = sheet ? sheet.findAll { row -> row.fasta }*.genome : samples*.genome.take(1)
    def places = params.loci ? Sheet.loci(existing(params.loci), rules.resolve('loci.json'), located, samples*.dataset) : []
    def experiments = params.experiments
        ? Sheet.experiments(existing(params.experiments), rules.resolve('experiments.json'), samples*.dataset, places*.locus)
        : []
    def jobs = Shards.ofLoci(places, rules.resolve('loci.json'), params.shard_bases) + Shards.ofExperiments(experiments)
    if (params.vcf) {
        Shards.checkOneGenome(places)
    }
    def used = (samples + places)*.genome.unique()
    def single = [genome: used[0], fasta: params.fasta, gtf: params.gtf, promoters: params.promoters]
    def genomes = used ? (sheet ? sheet.findAll { row -> row.genome in used } : [single]) : []
    def motifs = params.oracle == 'motifs:core' ? [] : optional(params.oracle - 'motifs:')

    workflow.onComplete {
        def failed = Failures.summary(samples, jobs)
        if (failed) {
            log.error(failed)
        }
    }

    GENOMES(
        channel.fromList(genomes)
            .map { row -> [[genome: row.genome], optional(row.fasta), optional(row.gtf), optional(row.promoters)] },
        samples*.genome,
        motifs,
        options
    )
    EQUATIONS(
        channel.fromList(samples),
        GENOMES.out.genes,
        GENOMES.out.features,
        optional(params.truth),
        options
    )
    SURROGATES(
        channel.fromList(jobs),
        GENOMES.out.folders,
        EQUATIONS.out.equations,
        motifs,
        optional(params.vcf),
        optional(params.variants_truth),
        options
    )

    def about = "pipeline:\n  nextflow: \"${nextflow.version}\"\n  code_digest: \"${options.code_digest}\"\n".toString()
    GENOMES.out.versions
        .mix(EQUATIONS.out.versions, SURROGATES.out.versions)
        // Below the name of the stage, without its workflow's.
        .map { versions -> versions.text.replaceFirst('^[A-Z]+:(?=[A-Z])', '') }
        .mix(channel.of(about))
        .unique()
        .collectFile(name: 'versions.yml', storeDir: "${params.outdir}/pipeline_info", sort: true)
}

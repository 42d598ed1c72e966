#!/usr/bin/env nextflow
// Turns parameters into channels for the workflows. The parameters are described in
// nextflow_schema.json, the sheets in python/geneq/data/.

include { GENOMES } from './workflows/genomes'
include { EQUATIONS } from './workflows/equations'
include { SURROGATES } from './workflows/surrogates'

def existing(name) {
    return Text.checked(file(name, checkIfExists: true, glob: false))
}

// What a process takes for an optional file: one or none.
def optional(name) {
    return name ? [existing(name)] : []
}

workflow {
    def parameters = new Parameters(projectDir.resolve('nextflow_schema.json'))
    if (params.help.toString().toBoolean()) {
        println(parameters.help())
        return
    }
    // Everything below reads these: in `params` numbers and booleans may be text.
    def machines = Machines.ofRun(workflow.profile, workflow.workDir)
    def given = parameters.checked(params, machines)
    def digest = [code_digest: Checkout.digest(projectDir)]

    def rules = projectDir.resolve('python/geneq/data')
    def sheet = given.genomes ? Sheet.genomes(existing(given.genomes), rules.resolve('genomes.json')) : []
    def samples = given.input ? Sheet.samples(existing(given.input), rules.resolve('samplesheet.json'), sheet*.genome) : []
    def located = sheet ? sheet.findAll { row -> row.fasta }*.genome : samples*.genome.take(1)
    def places = given.loci ? Sheet.loci(existing(given.loci), rules.resolve('loci.json'), located, samples*.dataset) : []
    def experiments = given.experiments
        ? Sheet.experiments(existing(given.experiments), rules.resolve('experiments.json'), samples*.dataset, places*.locus)
        : []
    def jobs = Shards.ofLoci(places, rules.resolve('loci.json'), given.shard_bases) + Shards.ofExperiments(experiments)
    if (given.vcf) {
        Shards.checkOneGenome(places ?: samples)
    }
    def used = (samples + places)*.genome.unique()
    def single = given.subMap(['fasta', 'gtf', 'promoters', 'features']) + [genome: used[0]]
    def genomes = used ? (sheet ? sheet.findAll { row -> row.genome in used } : [single]) : []
    def oracles = Named.sideBySide(given.oracle, Sheet.rule(rules.resolve('loci.json'), 'oracle'))
    def options = given + digest + [equation_oracles: oracles*.staged.join('+')]
    // Equations that score DNA open the oracles of their features again.
    def readDna = given.vcf && !places || jobs.any { job -> job.oracle.equation }
    // Genomes whose features exist are not scored.
    def featurized = genomes.findAll { row -> row.genome in samples*.genome }
    def (ready, scored) = featurized.split { row -> row.features }
    if (ready && !scored) {
        parameters.checkUnused(given, readDna)
    }

    def outdir = file(given.outdir, glob: false)
    Outdir.lock(outdir, { text -> log.warn(text) })
    Outdir.begin(outdir, { text -> log.warn(text) })
    Requests.add(given)
    workflow.onComplete = {
        def failed = Failures.summary(samples, jobs)
        if (failed) {
            log.error(failed)
        }
        Failures.write(outdir, { text -> log.warn(text) })
        Outdir.complete(outdir)
    }

    GENOMES(
        channel.fromList(genomes)
            .map { row -> [[genome: row.genome], optional(row.fasta), optional(row.gtf), optional(row.promoters)] },
        scored*.genome,
        channel.fromList(ready).map { row -> [row.genome, existing(row.features)] },
        oracles,
        optional(given.classes),
        optional(given.gene_features),
        parameters.isDefault(given, 'oracle') ? [:] : [oracle: oracles*.staged.join('+')],
        options
    )
    EQUATIONS(
        channel.fromList(samples),
        GENOMES.out.genes,
        GENOMES.out.features,
        GENOMES.out.folders,
        Named.files(oracles),
        optional(given.classes),
        optional(given.truth),
        places ? [] : optional(given.vcf),
        places ? [] : optional(given.variants_truth),
        options + [datasets: samples*.dataset.join(',')]
    )
    SURROGATES(
        channel.fromList(jobs),
        GENOMES.out.folders,
        EQUATIONS.out.equations,
        Named.files(oracles),
        optional(given.classes),
        optional(given.vcf),
        optional(given.variants_truth),
        options
    )

    def about = "pipeline:\n  nextflow: \"${nextflow.version}\"\n  code_digest: \"${options.code_digest}\"\n".toString()
    GENOMES.out.versions
        .mix(EQUATIONS.out.versions, SURROGATES.out.versions)
        // Below the name of the stage, without those of its workflows.
        .map { versions -> versions.text.replaceFirst('^([A-Z]+:)+(?=[A-Z])', '') }
        .mix(channel.of(about))
        .unique()
        .collectFile(name: 'versions.yml', storeDir: "${given.outdir}/pipeline_info", sort: true)
}

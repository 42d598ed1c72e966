// From equations and variants to effects of the variants on expression.

include { BACKGROUND } from '../modules/background'
include { EFFECTS } from '../modules/effects'

workflow EXPRESSION {
    take:
    equations // [dataset, folder of its equations]
    searches // [dataset, genome, folder of its search]
    features // [genome, features.zarr]
    folders // [genome, folder]
    oracles // files and folders of the oracles of the features
    classes // table of classes of outputs, or none
    vcf // file of variants, or none: then nothing is computed
    truth // file of measured effects of them, or none
    options // parameters, and the digest of the code

    main:
    models = equations
        .filter { vcf }
        .join(searches)
        .map { dataset, distill, genome, search -> [genome, [dataset: dataset], distill, search] }
        .combine(features, by: 0)
        .combine(folders, by: 0)
        .map { _genome, meta, distill, search, joined, folder -> [meta, distill, search, joined, folder] }
    reading = options.subMap(['equation_oracles', 'max_windows', 'code_digest'])
    BACKGROUND(models, oracles, classes, options.background, reading + options.subMap(['seed']))
    EFFECTS(models.join(BACKGROUND.out.background), oracles, classes, vcf, truth, reading)

    emit:
    effects = EFFECTS.out.variants.map { meta, variants -> [meta.dataset, variants] } // [dataset, folder]
    versions = BACKGROUND.out.versions.mix(EFFECTS.out.versions) // versions.yml
}

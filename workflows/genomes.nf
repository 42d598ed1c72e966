// From genomes to what all data sets and loci of them read: genes with folds, and their features.

include { GENES } from '../modules/genes'
include { FEATURIZE } from '../modules/featurize'
include { JOIN } from '../modules/join'
include { FEATURES } from '../modules/features'

// Shards of at most so many genes, as [meta with shard and shards, folder].
def sharded(meta, folder, most) {
    def n = new groovy.json.JsonSlurper().parseText(folder.resolve('genes.json').text).n_genes
    def shards = Math.max(1, Math.ceil(n / most).toInteger())
    return (1..shards).collect { shard -> [meta + [shard: shard, shards: shards], folder] }
}

workflow GENOMES {
    take:
    genomes // [meta, fasta, gtf, promoters], each of the three a file or none
    scored // names of those whose features are to be made
    ready // [genome, features.zarr] of those whose features exist
    oracles // those of the features, each with its file or folder, where it has one
    classes // table of classes of outputs, or none
    tables // file of gene features, or none
    checked // what existing features are checked for: the names of their oracles, if given
    options // parameters, and the digest of the code

    main:
    GENES(
        genomes,
        options.subMap(['promoter_choice', 'bin_edges', 'valid_chroms', 'test_chroms', 'seed', 'code_digest'])
    )
    FEATURIZE(
        GENES.out.folder
            .filter { meta, _folder -> meta.genome in scored }
            .flatMap { meta, folder -> sharded(meta, folder, options.shard_genes) },
        Named.files(oracles),
        classes,
        tables,
        [oracle: oracles*.staged.join('+')] +
            options.subMap([
                'strands', 'bin_edges', 'max_classes', 'tile', 'annotation_features', 'precision', 'keep_outputs',
                'code_digest',
            ])
    )
    // A group is complete with the last of its shards; they are joined in the order of the genes.
    JOIN(
        FEATURIZE.out.shard
            .map { meta, shard -> [groupKey([genome: meta.genome], meta.shards), [meta.shard, shard]] }
            .groupTuple(sort: { a, b -> a[0] <=> b[0] })
            .map { key, shards -> [key.target, shards.collect { numbered -> numbered[1] }] },
        options.subMap(['code_digest'])
    )
    FEATURES(
        GENES.out.folder
            .map { meta, folder -> [meta.genome, meta, folder] }
            .join(ready)
            .map { _genome, meta, folder, features -> [meta, folder, features] },
        checked,
        options.subMap(['code_digest'])
    )
    existing = FEATURES.out.passed.map { meta -> [meta.genome, meta] }.join(ready).map { genome, _meta, features -> [genome, features] }

    emit:
    folders = GENES.out.folder.map { meta, folder -> [meta.genome, folder] } // [genome, folder]
    genes = GENES.out.table.map { meta, table, about -> [meta.genome, table, about] } // [genome, genes.parquet, genes.json]
    features = JOIN.out.features.map { meta, joined -> [meta.genome, joined] }.mix(existing) // [genome, features.zarr]
    versions = GENES.out.versions.mix(FEATURIZE.out.versions, JOIN.out.versions, FEATURES.out.versions) // versions.yml
}

import groovy.json.JsonSlurper
import java.nio.file.Path
import nextflow.exception.AbortOperationException

/** Loci, experiments and replicates of equations divided into tasks. */
class Shards {

    /** Genes of all cell types and replicates that a task searches equations on; 12 to 40 minutes. */
    static final long REPLICATED_GENES = 1_000_000

    /**
     * Shards [name, genome, oracle, rows]: loci of one genome, one oracle and one reduction, in the
     * order of the sheet, until they reach `most` bases (rows x length), or a single locus with more.
     * Empty cells take the default of the schema.
     */
    static List<Map> ofLoci(List<Map> rows, Path schema, long most) {
        def rules = new JsonSlurper().parse(schema.toFile()).properties
        return rows.groupBy { row -> [row.genome, row.oracle.name, row.reduce?.name] }.values().collectMany { group ->
            def shards = [[]]
            def bases = 0
            group.each { row ->
                def more = work(row, rules)
                if (shards.last() && bases + more > most) {
                    shards << []
                    bases = 0
                }
                shards.last() << row
                bases += more
            }
            shards.collect { part -> [name: named(part), genome: part[0].genome, oracle: part[0].oracle, rows: part] }
        }
    }

    /** A shard for each experiment. */
    static List<Map> ofExperiments(List<Map> rows) {
        return rows.collect { row -> [name: row.experiment, genome: null, oracle: row.oracle, rows: [row]] }
    }

    /**
     * Number of shards of the replicates of a data set: of at most `most` replicates each; where that is
     * null, of as many as stay below REPLICATED_GENES, but at least one.
     */
    static int ofReplicates(int replicates, Integer most, int genes, int cellTypes) {
        def each = most ?: Math.max(1, REPLICATED_GENES.intdiv(Math.max(1, (long) genes * cellTypes)))
        return Math.ceil(replicates / each).toInteger()
    }

    /** Stop if the loci or data sets, whose variants are in one file, are of several genomes. */
    static void checkOneGenome(List<Map> rows) {
        def genomes = rows*.genome.unique()
        if (genomes.size() > 1) {
            throw new AbortOperationException("--vcf needs loci or data sets of a single genome, but these are of ${genomes.join(', ')}. Run the pipeline once for each genome, with its variants")
        }
    }

    /** Bases that are scored for a locus. */
    private static long work(Map row, Map rules) {
        def given = { name -> row[name] == null ? rules[name].default : row[name] }
        def length = row.end - row.start
        def mutated = row.window_start == null ? length : row.window_end - row.window_start
        return length * (given('library') == 'random' ? given('n') : 1 + 3 * mutated)
    }

    private static String named(List<Map> rows) {
        return rows[0].locus + (rows.size() > 1 ? " and ${rows.size() - 1} more" : '')
    }

    /**
     * What a task needs of a shard: name; loci: their names; genome, null for an experiment; sheet: its
     * rows, with the names that their files have in the task's folder.
     */
    static Map meta(Map shard, Named oracle) {
        return [
            name: shard.name.toString(),
            loci: shard.rows.collect { each -> each.locus ?: each.experiment },
            genome: shard.genome,
            oracle: oracle.staged,
            sheet: sheet(shard.rows.collect { row -> row + [oracle: oracle] }),
        ]
    }

    /** The files of a shard's oracle and of its reduction, which may be the same. */
    static List<Path> files(Map shard, Named oracle) {
        return Named.files([oracle, shard.rows[0].reduce].findAll())
    }

    private static String sheet(List<Map> rows) {
        def names = rows.collectMany { row -> row.keySet() - 'line' }.unique()
        def lines = rows.collect { row -> names.collect { name -> field(staged(row[name])) } }
        return ([names] + lines).collect { fields -> fields.join(',') }.join('\n')
    }

    private static String staged(value) {
        if (value instanceof Named) {
            return value.staged
        }
        return value instanceof Path ? "recipe/${value.name}" : value instanceof BigDecimal ? value.toPlainString() : value
    }

    private static String field(String text) {
        return '"' + (text ?: '').replace('"', '""') + '"'
    }
}

import groovy.json.JsonSlurper
import java.nio.file.Path
import nextflow.exception.AbortOperationException

/** Loci and experiments divided into tasks. */
class Shards {

    /**
     * Shards [name, genome, oracle, rows]: loci of one genome and one oracle, in the order of the
     * sheet, of `most` letters (rows x length) together, or a single locus with more. What a row
     * does not say is the default of its sheet's schema.
     */
    static List<Map> ofLoci(List<Map> rows, Path schema, long most) {
        def rules = new JsonSlurper().parse(schema.toFile()).properties
        return rows.groupBy { row -> [row.genome, row.oracle.name] }.values().collectMany { group ->
            def shards = [[]]
            def letters = 0
            group.each { row ->
                def more = work(row, rules)
                if (shards.last() && letters + more > most) {
                    shards << []
                    letters = 0
                }
                shards.last() << row
                letters += more
            }
            shards.collect { part -> [name: named(part), genome: part[0].genome, oracle: part[0].oracle, rows: part] }
        }
    }

    /** A shard for each experiment. */
    static List<Map> ofExperiments(List<Map> rows) {
        return rows.collect { row -> [name: row.experiment, genome: null, oracle: row.oracle, rows: [row]] }
    }

    /** Stop where variants of one genome would be looked for in several. */
    static void checkOneGenome(List<Map> loci) {
        def genomes = loci*.genome.unique()
        if (genomes.size() > 1) {
            throw new AbortOperationException("--vcf goes with loci of one genome, and these are of ${genomes.join(', ')}")
        }
    }

    /** Letters that are scored for a locus. */
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
     * What a task needs to know of a shard: name; loci: names; genome; oracle: as the task names
     * it; sheet: of its loci; experiment: the options of one, or null.
     */
    static Map meta(Map shard, Oracle oracle) {
        def row = shard.rows[0]
        def experiment = shard.genome ? null : [oracle: oracle.staged, target: row.target]
        return [
            name: shard.name.toString(),
            loci: shard.rows.collect { each -> each.locus ?: each.experiment },
            genome: shard.genome,
            oracle: oracle.staged,
            sheet: shard.genome ? sheet(shard.rows, oracle.staged) : null,
            experiment: experiment,
            map: shard.genome ? null : row.map,
        ]
    }

    private static String sheet(List<Map> rows, String oracle) {
        def names = rows.collectMany { row -> row.keySet() - ['line', 'oracle'] }.unique()
        def lines = rows.collect { row -> (names.collect { name -> row[name] } + [oracle]).collect { value -> field(value) } }
        return ([names + ['oracle']] + lines).collect { fields -> fields.join(',') }.join('\n')
    }

    private static String field(value) {
        def text = value instanceof BigDecimal ? value.toPlainString() : "${value == null ? '' : value}"
        return '"' + text.replace('"', '""') + '"'
    }
}

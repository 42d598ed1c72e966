import groovy.json.JsonSlurper
import java.nio.file.Path
import nextflow.exception.AbortOperationException

/** The parameters as nextflow_schema.json describes them: their help and their checks. */
class Parameters {

    private static final int WIDTH = 100
    private static final Map LOCATED = [
        loci: 'loci need coordinates, and promoters given as sequences have none',
        vcf: 'variants need coordinates, and promoters given as sequences have none',
    ]

    final List<Map> groups

    Parameters(Path schema) {
        groups = new JsonSlurper().parse(schema.toFile()).'$defs'.values().toList()
    }

    private Map<String, Map> described() {
        return groups.collectEntries { group -> group.properties }
    }

    /** The help: every parameter with its default, by group. */
    String help() {
        def names = described().keySet()*.length().max()
        def text = groups.collect { group ->
            def lines = group.properties.collect { name, rule -> entry(name, rule, names, name in group.required) }
            "${group.title}\n${lines.join('\n')}"
        }
        return "\nnextflow run main.nf --input samplesheet.csv --fasta genome.fa --gtf genes.gtf [--name=value …]\n\n${text.join('\n\n')}\n"
    }

    private static String entry(String name, Map rule, int width, boolean required) {
        def notes = [
            rule.enum ? "one of ${rule.enum.join(', ')}" : null,
            required ? 'required' : null,
            rule.default != null ? "default ${rule.default}" : null,
        ].findAll()
        def text = rule.description + (notes ? " [${notes.join('; ')}]" : '')
        def margin = ' ' * (width + 6)
        return "  --${name.padRight(width)}  ${wrapped(text, WIDTH - width - 6).join("\n${margin}")}"
    }

    private static List<String> wrapped(String text, int width) {
        return text.tokenize(' ').inject(['']) { lines, word ->
            def longer = "${lines.last()} ${word}".trim()
            longer.length() <= width ? lines[0..<-1] + [longer] : lines + [word]
        }
    }

    /** The parameters; stops on those that are unknown, missing, of the wrong type or out of range, and names them all. */
    Map checked(Map given) {
        def rules = described()
        def required = groups.collectMany { group -> group.required ?: [] }
        def faults = given.keySet().findAll { name -> !(name in rules) }.collect { name -> unknown(name, given) }
        faults += required.findAll { name -> given[name] == null }.collect { name -> "--${name} is required" }
        faults += rules.findAll { name, rule -> given[name] != null }
            .collect { name, rule -> fault(given[name], rule)?.with { reason -> "--${name} ${reason}, not '${given[name]}'" } }
            .findAll()
        faults += source(given)
        if (faults) {
            throw new AbortOperationException("${faults.join('\n')}\nAll parameters: nextflow run main.nf --help")
        }
        return new LinkedHashMap(given)
    }

    private String unknown(String name, Map given) {
        def bare = { text -> text.toLowerCase().replaceAll(/[-_]/, '') }
        def known = described().keySet().groupBy(bare)
        def near = known.keySet().toList().closest(bare(name)).collectMany { key -> known[key] }
        return "--${name} is no parameter" + (near ? "; is --${near.first()} meant?" : '')
    }

    private static String fault(value, Map rule) {
        // Nextflow makes numbers of what looks like one: `--valid_chroms 20` is still a name.
        def right = [
            integer: value instanceof Integer || value instanceof Long,
            boolean: value instanceof Boolean,
            string: !(value instanceof Boolean),
        ]
        if (!right[rule.type]) {
            return "must be ${[integer: 'a whole number', boolean: 'true or false', string: 'given a value'][rule.type]}"
        }
        if (rule.enum && !(value.toString() in rule.enum)) {
            return "must be one of ${rule.enum.join(', ')}"
        }
        if (rule.pattern && !(value.toString() =~ rule.pattern)) {
            return "must be ${rule.errorMessage}"
        }
        if (rule.minimum != null && value < rule.minimum) {
            return "must be at least ${rule.minimum}"
        }
        return rule.maximum != null && value > rule.maximum ? "must be at most ${rule.maximum}" : null
    }

    private static List<String> source(Map given) {
        def wanted = ['input', 'loci', 'experiments']
        if (!wanted.any { name -> given[name] != null }) {
            return ['Give --input, --loci or --experiments: a sheet of data sets, loci or experiments']
        }
        def faults = given.promoters ? LOCATED.findAll { name, reason -> given[name] != null }
            .collect { name, reason -> "--${name} cannot be used with --promoters: ${reason}".toString() } : []
        if (given.vcf != null && given.loci == null) {
            faults << '--vcf goes with --loci: variants are looked for in loci'
        }
        if (given.variants_truth != null && given.vcf == null) {
            faults << '--variants_truth goes with --vcf: it has measured effects of its variants'
        }
        return faults + genome(given)
    }

    private static List<String> genome(Map given) {
        def named = ['genomes', 'fasta', 'gtf', 'promoters'].findAll { name -> given[name] != null }
        def needed = given.input != null || given.loci != null
        if (named in [['genomes'], ['fasta', 'gtf'], ['promoters']] || !(named || needed)) {
            return []
        }
        def found = named ? "given: ${named.collect { name -> "--${name}" }.join(', ')}" : 'none is given'
        return ["Give the genome as --fasta with --gtf, as --promoters, or as a sheet of --genomes (${found})".toString()]
    }
}

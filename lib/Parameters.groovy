import groovy.json.JsonSlurper
import java.nio.file.Path
import nextflow.exception.AbortOperationException
import nextflow.util.Duration
import nextflow.util.MemoryUnit

/** The parameters that nextflow_schema.json describes: help text, types and checks. */
class Parameters {

    private static final int WIDTH = 100
    private static final Map LOCATED = [
        loci: 'loci need genome coordinates, which promoter sequences do not have',
        vcf: 'variants need genome coordinates, which promoter sequences do not have',
    ]

    // Options of featurize, without the oracle: that of existing features may have files that equations need.
    private static final List<String> FEATURIZE = ['strands', 'max_classes', 'tile', 'classes', 'gene_features', 'annotation_features']

    final List<Map> groups

    Parameters(Path schema) {
        groups = new JsonSlurper().parse(schema.toFile()).'$defs'.values().toList()
    }

    /** The rule of every parameter, by its name. */
    Map<String, Map> described() {
        return groups.collectEntries { group -> group.properties }
    }

    /** The help text: every parameter with its default, by group. */
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

    /**
     * The parameters, each in the type that the schema names: newer Nextflow passes those of the command
     * line as text. Stops on those that are unknown, missing, of the wrong type or out of range, and
     * names them all; with `machines`, also on those that do not fit the profiles.
     */
    Map checked(Map given, Machines machines = null) {
        def rules = described()
        def values = given.collectEntries { name, value -> [name, name in rules ? cast(value, rules[name].type) : value] }
        def required = groups.collectMany { group -> group.required ?: [] }
        def errors = given.keySet().findAll { name -> !(name in rules) }.collect { name -> unknown(name) }
        errors += required.findAll { name -> given[name] == null }.collect { name -> "--${name} is required" }
        errors += rules.findAll { name, rule -> values[name] != null }
            .collect { name, rule -> error(values[name], rule)?.with { reason -> "--${name} ${reason}, not '${Text.visible(given[name].toString())}'" } }
            .findAll()
        errors += source(values)
        errors += machines ? machines.errors(values, rules) : []
        if (errors) {
            throw new AbortOperationException("${errors.join('\n')}\nAll parameters: nextflow run main.nf --help")
        }
        return values
    }

    private String unknown(String name) {
        def bare = { text -> text.toLowerCase().replaceAll(/[-_]/, '') }
        def known = described().keySet().groupBy(bare)
        def near = known.keySet().toList().closest(bare(name)).collectMany { key -> known[key] }
        return "--${name} is not a parameter" + (near ? "; did you mean --${near.first()}?" : '')
    }

    /** The value in the type named, or as it is where it cannot be that. */
    private static Object cast(value, String type) {
        // A configuration file may have a memory or a time as such: 120.GB, 2.h.
        def plain = [CharSequence, Number, MemoryUnit, Duration].any { kind -> kind.isInstance(value) }
        def text = plain ? value.toString() : null
        if (type == 'integer' && text ==~ /[+-]?[0-9]{1,18}/) {
            // One class for one number: it is part of a task's hash.
            return text.isInteger() ? text.toInteger() : text.toLong()
        }
        if (type == 'boolean' && text ==~ /(?i)true|false/) {
            return text.toBoolean()
        }
        return type == 'string' && text != null ? text : value
    }

    private static String error(value, Map rule) {
        def right = [
            integer: value instanceof Integer || value instanceof Long,
            boolean: value instanceof Boolean,
            // A parameter without a value is `true`, as text or not.
            string: value instanceof String && value.trim() && !(value ==~ /(?i)true|false/),
        ]
        if (!right[rule.type]) {
            return [integer: 'must be a whole number', boolean: 'must be true or false', string: 'needs a value'][rule.type]
        }
        if (rule.enum && !(value in rule.enum)) {
            return "must be one of ${rule.enum.join(', ')}"
        }
        if (value instanceof String && Text.hasControl(value)) {
            return Text.CONTROL
        }
        if (rule.pattern && !(value ==~ rule.pattern)) {
            return "must be ${rule.errorMessage}"
        }
        return rule.minimum != null && value < rule.minimum ? "must be at least ${rule.minimum}" : null
    }

    /** Whether a parameter has its default. */
    boolean isDefault(Map given, String name) {
        return given[name] == described()[name].default
    }

    /**
     * Stop if options of featurize are given; for runs in which the features of all genomes exist.
     * Equations that read DNA use the table of classes.
     */
    void checkUnused(Map given, boolean readDna) {
        def unused = FEATURIZE.findAll { name -> !isDefault(given, name) && !(readDna && name == 'classes') }
        if (unused) {
            throw new AbortOperationException("${unused.collect { name -> "--${name}" }.join(', ')}: these are options for making features, and the features of all genomes exist. Omit them, or --features (in a sheet of genomes: the column features)")
        }
    }

    private static List<String> source(Map given) {
        def wanted = ['input', 'loci', 'experiments']
        if (!wanted.any { name -> given[name] != null }) {
            return ['Give at least one of --input, --loci and --experiments']
        }
        def errors = given.promoters ? LOCATED.findAll { name, reason -> given[name] != null }
            .collect { name, reason -> "--${name} cannot be used with --promoters: ${reason}".toString() } : []
        if (given.vcf != null && given.loci == null && given.input == null) {
            errors << '--vcf needs --loci or --input: variants are scored in loci, or in the windows of genes'
        }
        if (given.variants_truth != null && given.vcf == null) {
            errors << '--variants_truth needs --vcf: it lists measured effects of those variants'
        }
        if (given.features != null && given.genomes != null) {
            errors << '--features is for a single genome: use the column features of --genomes'
        }
        if (given.features != null && given.input == null) {
            errors << '--features needs --input: only data sets use features'
        }
        return errors + genome(given)
    }

    private static List<String> genome(Map given) {
        def named = ['genomes', 'fasta', 'gtf', 'promoters'].findAll { name -> given[name] != null }
        def needed = given.input != null || given.loci != null
        if (named in [['genomes'], ['fasta', 'gtf'], ['promoters']] || !(named || needed)) {
            return []
        }
        def found = named ? "given: ${named.collect { name -> "--${name}" }.join(', ')}" : 'none was given'
        return ["Give the genome as --fasta with --gtf, as --promoters, or as --genomes, a sheet (${found})".toString()]
    }
}

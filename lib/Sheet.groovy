import groovy.json.JsonSlurper
import java.nio.file.Path
import nextflow.Nextflow
import nextflow.exception.AbortOperationException

/**
 * A sheet of comma-separated values, read and checked by the rules of its schema, which
 * `geneq validate` reads too; all its faults are named at once, each with line and column.
 * A row maps columns to the values of the cells that are not empty, paths to files; `line` is
 * the row's line (from 1).
 */
class Sheet {

    private static final String FIELD = /"(?:[^"]|"")*+"|[^",][^,]*|/

    // A function in a file of one's own.
    private static final String OWN = /^python:(.+\.py)(:.+)$/

    final Path path
    final Map columns
    final List<String> required
    final List<Map> rows = []
    private final List<List> faults = []

    /** The rows of a samplesheet, each with a genome: one of `genomes`, or, with none, any single one. */
    static List<Map> samples(Path path, Path schema, List<String> genomes) {
        def sheet = new Sheet(path, schema)
        sheet.nameGenomes(genomes, 'the genomes given')
        sheet.stopOnFaults()
        return sheet.rows
    }

    /** The rows of a sheet of genomes. */
    static List<Map> genomes(Path path, Path schema) {
        def sheet = new Sheet(path, schema)
        sheet.rows.each { row ->
            if (!(row.keySet().intersect(['fasta', 'gtf', 'promoters']).sort() in [['fasta', 'gtf'], ['promoters']])) {
                sheet.fault(row.line, null, 'a genome has fasta and gtf, or promoters alone')
            }
        }
        sheet.stopOnFaults()
        return sheet.rows
    }

    /** The rows of a sheet of loci; `genomes` are those with coordinates, `datasets` those of the samplesheet. */
    static List<Map> loci(Path path, Path schema, List<String> genomes, List<String> datasets) {
        def sheet = new Sheet(path, schema)
        sheet.nameGenomes(genomes, 'the genomes with coordinates')
        sheet.checkDatasets(datasets)
        def faulty = sheet.faults.collect { fault -> fault[0] }
        sheet.rows.findAll { row -> !(row.line in faulty) }.each { row -> sheet.checkCoordinates(row) }
        sheet.stopOnFaults()
        return sheet.rows
    }

    /** The rows of a sheet of experiments; `loci` are names that are taken. */
    static List<Map> experiments(Path path, Path schema, List<String> datasets, List<String> loci) {
        def sheet = new Sheet(path, schema)
        sheet.checkDatasets(datasets)
        sheet.rows.findAll { row -> row.experiment in loci }.each { row ->
            sheet.fault(row.line, 'experiment', 'a locus has this name', row.experiment)
        }
        sheet.stopOnFaults()
        return sheet.rows
    }

    private void nameGenomes(List<String> genomes, String what) {
        def allowed = genomes ?: rows*.genome.findAll().take(1)
        rows.each { row ->
            if (!row.genome && allowed.size() > 1) {
                fault(row.line, 'genome', "must be one of ${allowed.join(', ')}")
            }
            if (row.genome && !(row.genome in allowed)) {
                fault(row.line, 'genome', "must be one of ${what} (${allowed.join(', ')})", row.genome)
            }
            row.genome = row.genome ?: (allowed ? allowed.first() : 'genome')
        }
    }

    private void checkDatasets(List<String> datasets) {
        rows.findAll { row -> row.oracle instanceof Named && row.oracle.dataset }.each { row ->
            if (!(row.oracle.dataset in datasets)) {
                fault(row.line, 'oracle', 'the samplesheet has no such data set', row.oracle.dataset)
            }
        }
    }

    private void checkCoordinates(Map row) {
        if (row.end <= row.start) {
            fault(row.line, 'end', "must be above start, which is ${row.start}", row.end.toString())
        }
        if ((row.window_start == null) != (row.window_end == null)) {
            fault(row.line, null, 'window_start and window_end go together')
        }
        else if (row.window_start != null && !(row.start <= row.window_start && row.window_start < row.window_end && row.window_end <= row.end)) {
            fault(row.line, null, "the window must lie in ${row.start}-${row.end}", "${row.window_start}-${row.window_end}")
        }
    }

    Sheet(Path path, Path schema) {
        this.path = path
        def rules = new JsonSlurper().parse(schema.toFile())
        columns = rules.properties
        required = rules.required
        def lines = path.getText('UTF-8').replaceFirst('^\uFEFF', '').split(/\r\n|\r|\n/, -1).toList()
        def header = fields(lines.head(), 1)
        checkHeader(header)
        stopOnFaults()
        lines.eachWithIndex { text, index ->
            if (index > 0 && text.trim()) {
                addRow(header, fields(text, index + 1), index + 1)
            }
        }
        if (!rows && !faults) {
            fault(2, null, 'there must be at least one row below the header')
        }
        checkUnique()
    }

    private void fault(int line, String column, String text, String value = null) {
        def place = "line ${line}" + (column ? ", column ${column}" : '')
        faults << [line, "${place}: ${text}${value == null ? '' : ": '${value}'"}"]
    }

    private void stopOnFaults() {
        if (faults) {
            def texts = faults.sort(false) { fault -> fault[0] }.collect { fault -> fault[1] }.join('\n  ')
            throw new AbortOperationException("${path.name} breaks the rules of its sheet\n  ${texts}")
        }
    }

    private List<String> fields(String text, int line) {
        if (!(text ==~ "(?:${FIELD})(?:,(?:${FIELD}))*")) {
            fault(line, null, 'quotes must enclose a whole field and be closed on its line')
            return []
        }
        return (",${text}" =~ ",(${FIELD})").collect { match -> bare(match[1]).trim() }
    }

    private static String bare(String field) {
        return field.startsWith('"') ? field.substring(1, field.length() - 1).replace('""', '"') : field
    }

    private void checkHeader(List<String> header) {
        header.unique(false).each { name ->
            if (!(name in columns)) {
                fault(1, name, "there is no such column; the columns are ${columns.keySet().join(', ')}")
            }
            else if (header.count(name) > 1) {
                fault(1, name, 'the column stands there twice')
            }
        }
        required.findAll { name -> !(name in header) }.each { name -> fault(1, name, 'the column is missing') }
    }

    private void addRow(List<String> header, List<String> fields, int line) {
        if (fields.size() != header.size()) {
            if (fields) {
                fault(line, null, "has ${fields.size()} fields where the header has ${header.size()}")
            }
            return
        }
        def row = [header, fields].transpose().collectEntries().findAll { name, value -> value }
        required.findAll { name -> !(name in row) }.each { name -> fault(line, name, 'a value is missing') }
        rows << row.collectEntries { name, value -> [name, checked(line, name, value)] } + [line: line]
    }

    private Object checked(int line, String name, String value) {
        def rule = columns[name]
        def before = faults.size()
        if (rule.pattern && !(value ==~ rule.pattern)) {
            fault(line, name, rule.errorMessage, value)
        }
        if (rule.enum && !(value in rule.enum)) {
            fault(line, name, "must be one of ${rule.enum.join(', ')}", value)
        }
        if (rule.format == 'file-path') {
            return found(line, name, value)
        }
        if (faults.size() > before) {
            return value
        }
        return rule.format in ['oracle', 'function'] ? named(line, name, value) : typed(rule.type, value)
    }

    private static Object typed(String type, String value) {
        def types = [integer: { value as Long }, number: { value as BigDecimal }, boolean: { value == 'true' }]
        return types.getOrDefault(type, { value }).call()
    }

    private Named named(int line, String name, String value) {
        def own = value =~ OWN
        def ofFiles = columns[name].files ?: []
        def what = own ? own[0][1] : value.substring(value.indexOf(':') + 1)
        def isFile = own || value.tokenize(':')[0] in ofFiles && !(value in columns[name].names)
        def file = isFile ? found(line, name, what) : ofFiles ? resolved(what) : null
        return new Named(value, isFile || file?.isFile() ? file : null, own ? own[0][2] : '')
    }

    private Path found(int line, String name, String value) {
        def file = resolved(value)
        if (!file.isFile()) {
            def hint = isUrl(value) ? '' : " (relative paths start at the sheet's folder)"
            fault(line, name, "there is no such file${hint}", value)
        }
        return file
    }

    private Path resolved(String value) {
        return isUrl(value) ? Nextflow.file(value, glob: false) : path.resolveSibling(value)
    }

    private static boolean isUrl(String value) {
        return value ==~ '[a-z][a-z0-9+.-]*://.*'
    }

    private void checkUnique() {
        columns.findAll { name, rule -> rule.unique }.keySet().each { name ->
            rows.findAll { row -> row[name] }.groupBy { row -> row[name] }.each { value, same ->
                same.drop(1).each { row -> fault(row.line, name, "must be unlike that of line ${same[0].line}", value) }
            }
        }
    }
}

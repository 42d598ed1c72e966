import groovy.json.JsonSlurper
import java.nio.charset.CharacterCodingException
import java.nio.file.Files
import java.nio.file.Path
import nextflow.Nextflow
import nextflow.exception.AbortOperationException

/**
 * A sheet, read and checked by the rules of its schema, which `geneq validate` reads too; both give
 * the same messages (python/geneq/sheets.py), with all errors of a sheet at once. Fields are
 * separated by commas, or by semicolons or tabs where the header is. Empty rows, and empty fields
 * after the last column of the header, are ignored. A row maps columns to the values of the cells
 * that are not empty, paths to files; `line` is the row's line (from 1).
 */
class Sheet {

    private static final List<String> SEPARATORS = [',', ';', '\t']

    // What is at a path of these formats.
    private static final Map<String, String> PATHS = ['file-path': 'file', 'directory-path': 'folder']

    final Path path
    final String title
    final Map columns
    final List<String> required
    final String separator
    final List<Map> rows = []
    private final List<List> errors = []

    /** The rows of a samplesheet, each with a genome: one of `genomes`, or, with none, any single one. */
    static List<Map> samples(Path path, Path schema, List<String> genomes) {
        def sheet = new Sheet(path, schema)
        sheet.nameGenomes(genomes, 'the genomes given')
        sheet.stopOnErrors()
        return sheet.rows
    }

    /** The rows of a sheet of genomes. */
    static List<Map> genomes(Path path, Path schema) {
        def sheet = new Sheet(path, schema)
        sheet.rows.each { row ->
            if (!(row.keySet().intersect(['fasta', 'gtf', 'promoters']).sort() in [['fasta', 'gtf'], ['promoters']])) {
                sheet.error(row.line, null, 'give either fasta and gtf, or promoters alone')
            }
        }
        sheet.stopOnErrors()
        return sheet.rows
    }

    /** The rows of a sheet of loci; `genomes` are those with coordinates, `datasets` those of the samplesheet. */
    static List<Map> loci(Path path, Path schema, List<String> genomes, List<String> datasets) {
        def sheet = new Sheet(path, schema)
        sheet.nameGenomes(genomes, 'the genomes with coordinates')
        sheet.checkDatasets(datasets)
        def wrong = sheet.errors.collect { error -> error[0] }
        sheet.rows.findAll { row -> !(row.line in wrong) }.each { row -> sheet.checkCoordinates(row) }
        sheet.stopOnErrors()
        return sheet.rows
    }

    /** The rows of a sheet of experiments; `loci` are names that no experiment may have. */
    static List<Map> experiments(Path path, Path schema, List<String> datasets, List<String> loci) {
        def sheet = new Sheet(path, schema)
        sheet.checkDatasets(datasets)
        sheet.rows.findAll { row -> row.experiment in loci }.each { row ->
            sheet.error(row.line, 'experiment', 'a locus has the same name', row.experiment)
        }
        sheet.stopOnErrors()
        return sheet.rows
    }

    /** The rule of a column. */
    static Map rule(Path schema, String column) {
        return new JsonSlurper().parse(schema.toFile()).properties[column]
    }

    private void nameGenomes(List<String> genomes, String what) {
        def allowed = genomes ?: rows*.genome.findAll().take(1)
        rows.each { row ->
            if (!row.genome && allowed.size() > 1) {
                error(row.line, 'genome', "must be one of ${allowed.join(', ')}")
            }
            if (row.genome && !(row.genome in allowed)) {
                error(row.line, 'genome', "must be one of ${what} (${allowed.join(', ')})", row.genome)
            }
            row.genome = row.genome ?: (allowed ? allowed.first() : 'genome')
        }
    }

    private void checkDatasets(List<String> datasets) {
        rows.findAll { row -> row.oracle instanceof Named && row.oracle.dataset }.each { row ->
            if (!(row.oracle.dataset in datasets)) {
                error(row.line, 'oracle', 'the samplesheet has no such data set', row.oracle.dataset)
            }
        }
    }

    private void checkCoordinates(Map row) {
        if (row.end <= row.start) {
            error(row.line, 'end', "must be greater than start (${row.start})", row.end.toString())
        }
        if ((row.window_start == null) != (row.window_end == null)) {
            error(row.line, null, 'give both window_start and window_end, or neither')
        }
        else if (row.window_start != null && !(row.start <= row.window_start && row.window_start < row.window_end && row.window_end <= row.end)) {
            error(row.line, null, "the window must be inside ${row.start}-${row.end}", "${row.window_start}-${row.window_end}")
        }
    }

    Sheet(Path path, Path schema) {
        this.path = path
        def rules = new JsonSlurper().parse(schema.toFile())
        title = rules.title
        columns = rules.properties
        required = rules.required
        def lines = text().split(/\r\n|\r|\n/, -1).toList()
        def first = Math.max(0, lines.findIndexOf { line -> line =~ /(?U)[^\s,;\x1c-\x1f]/ })
        separator = SEPARATORS.max { mark -> lines[first].count(mark) }
        def header = withoutEmptyEnd(fields(lines[first], first + 1), 0)
        checkHeader(header, first + 1)
        stopOnErrors()
        lines.drop(first + 1).eachWithIndex { line, index -> addRow(header, fields(line, first + index + 2), first + index + 2) }
        if (!rows && !errors) {
            error(first + 2, null, 'there must be at least one row below the header')
        }
        checkUnique()
    }

    private String text() {
        try {
            return Files.readString(path).replaceFirst('^\uFEFF', '')
        }
        catch (CharacterCodingException e) {
            throw new AbortOperationException("A sheet must be UTF-8 text (in ${path}). Save it as CSV (UTF-8).")
        }
        catch (IOException e) {
            throw new AbortOperationException("File not found (in ${path}).")
        }
    }

    private void error(int line, String column, String text, String value = null) {
        def place = "line ${line}" + (column ? ", column ${column}" : '')
        errors << [line, Text.visible("${place}: ${text}${value == null ? '' : ": '${value}'"}")]
    }

    private void stopOnErrors() {
        if (errors) {
            def texts = errors.sort(false) { error -> error[0] }.collect { error -> error[1] }.join('\n  ')
            throw new AbortOperationException("${path.name} is not a valid ${title}\n  ${texts}")
        }
    }

    private List<String> fields(String text, int line) {
        def field = /"(?:[^"]|"")*+"|[^"${separator}][^${separator}]*|/
        if (!(text ==~ "(?:${field})(?:${separator}(?:${field}))*")) {
            error(line, null, 'quotes must enclose a complete field and be closed on its line')
            return []
        }
        return ("${separator}${text}" =~ "${separator}(${field})").collect { match -> stripped(bare(match[1])) }
    }

    private static String stripped(String text) {
        return text.replaceAll(/(?U)^[\s\x1c-\x1f]+|[\s\x1c-\x1f]+$/, '')
    }

    // Without the empty fields after the last that is not, but at least `n` where there are so many.
    private static List<String> withoutEmptyEnd(List<String> fields, int n) {
        return fields.take(Math.max(fields.findLastIndexOf { field -> field } + 1, n))
    }

    private static String bare(String field) {
        return field.startsWith('"') ? field.substring(1, field.length() - 1).replace('""', '"') : field
    }

    private void checkHeader(List<String> header, int line) {
        header.eachWithIndex { name, index ->
            if (!name) {
                error(line, null, "column ${index + 1} has no name")
            }
        }
        header.unique(false).findAll().each { name ->
            if (!(name in columns)) {
                error(line, name, "unknown column; the columns are ${columns.keySet().join(', ')}")
            }
            else if (header.count(name) > 1) {
                error(line, name, 'duplicate column')
            }
        }
        required.findAll { name -> !(name in header) }.each { name -> error(line, name, 'the column is missing') }
    }

    private void addRow(List<String> header, List<String> cells, int line) {
        if (!cells.any()) {
            return
        }
        def fields = withoutEmptyEnd(cells, header.size())
        if (fields.size() != header.size()) {
            error(line, null, "has ${fields.size()} fields, but the header has ${header.size()}")
            return
        }
        def row = [header, fields].transpose().collectEntries().findAll { name, value -> value }
        required.findAll { name -> !(name in row) }.each { name -> error(line, name, 'a value is missing') }
        rows << row.collectEntries { name, value -> [name, checked(line, name, value)] } + [line: line]
    }

    private Object checked(int line, String name, String value) {
        def rule = columns[name]
        def before = errors.size()
        if (Text.hasControl(value)) {
            error(line, name, Text.CONTROL, value)
        }
        if (rule.pattern && !(value ==~ rule.pattern)) {
            error(line, name, rule.errorMessage, value)
        }
        if (rule.enum && !(value in rule.enum)) {
            error(line, name, "must be one of ${rule.enum.join(', ')}", value)
        }
        if (rule.format in PATHS) {
            return found(line, name, value, PATHS[rule.format])
        }
        if (errors.size() > before) {
            return value
        }
        return rule.format in ['oracle', 'function'] ? named(line, name, value) : typed(rule.type, value)
    }

    private static Object typed(String type, String value) {
        def types = [integer: { value as Long }, number: { value as BigDecimal }, boolean: { value == 'true' }]
        return types.getOrDefault(type, { value }).call()
    }

    private Named named(int line, String name, String value) {
        def (what, rest, needed) = Named.located(value, columns[name])
        if (needed in ['file', 'folder']) {
            return new Named(value, found(line, name, what, needed), rest)
        }
        def path = needed ? resolved(what) : null
        if (!path || !Named.exists(path, needed)) {
            return new Named(value, null)
        }
        return new Named(value, found(line, name, what, needed))
    }

    private Path found(int line, String name, String value, String needed) {
        def path = resolved(value)
        if (!Named.exists(path, needed)) {
            def hint = isUrl(value) ? '' : ' (relative paths start at the folder of the sheet)'
            error(line, name, "${needed} not found${hint}", value)
        }
        else if (Text.isMore(path)) {
            error(line, name, Text.FIRST, value)
        }
        return path
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
                same.drop(1).each { row -> error(row.line, name, "already used in line ${same[0].line}", value) }
            }
        }
    }
}

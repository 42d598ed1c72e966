// What the strict parser, the default from Nextflow 26.04, reports about *.nf and *.config files:
// one line for each error or warning, and exit status 1 where there is any.
import nextflow.config.control.ConfigParser
import nextflow.script.control.ParanoidWarning
import nextflow.script.control.ScriptParser

// Names that Nextflow knows when it runs, but this version of its parser, used alone, does not:
// classes in lib/, and `task` in the closures of publishDir.
def known = new File('lib').list().collect { name -> name - '.groovy' } + 'task'

def messages(source) {
    def collector = source.errorCollector
    def errors = collector.errors.collect { error -> [error.cause.startLine, error.cause.originalMessage] }
    def warnings = collector.warnings.findAll { warning -> !(warning instanceof ParanoidWarning) }
        .collect { warning -> [warning.context.startLine, "${warning.message}: ${warning.context.text}"] }
    return (errors + warnings).collect { line, text -> "${source.name}:${line}: ${text}" }
}

def scripts = new ScriptParser()
def configs = new ConfigParser()
args.collect { name -> new File(name).canonicalFile }.each { file ->
    (file.name.endsWith('.nf') ? scripts : configs).parse(file)
}
scripts.analyze()
configs.analyze()

def found = [scripts, configs].collectMany { parser -> parser.compiler().sources.values().toList() }
    .collectMany { source -> messages(source) }
    .findAll { text -> !known.any { name -> text.endsWith(": `${name}` is not defined") } }
found.each { text -> println(text) }
System.exit(found ? 1 : 0)

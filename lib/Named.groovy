import groovy.json.JsonSlurper
import java.nio.file.Files
import java.nio.file.Path
import nextflow.Nextflow
import nextflow.exception.AbortOperationException

/**
 * An oracle, or a function that reduces profiles, as a sheet or --oracle names it, TYPE:WHAT; `file` is
 * its file or folder, where it has one, and `rest` what follows that in its name. The oracle
 * distill:DATASET:CELL TYPE is the equation that this run finds for a cell type.
 *
 * Which types have files or folders is in the rule of the column oracle (python/geneq/data/loci.json).
 */
class Named {

    private static final String RUN = 'distill'

    // A function in a user's file.
    private static final String IN_FILE = /^python:(.+\.py)(:.+)$/

    // A folder, and what is read of it: deepbind:FOLDER:VALUES, sei:FOLDER:profiles,
    // enformer:FOLDER:TRACKS.
    private static final String OF_FOLDER = /^[^:]+:((?:[a-z][a-z0-9+.-]*:\/\/)?[^:]+)((?::.*)?)$/

    // Types that read the configuration of a network from a JSON file next to theirs.
    private static final List<String> KERAS = ['keras', 'deepstarr', 'xpresso']

    // Types whose packages cannot be in the usual environment; each has an image of its own.
    private static final List<String> ENVIRONMENTS = ['enformer', 'borzoi']

    // Types without per-bin outputs.
    private static final Map<String, String> NO_BINS = [
        xpresso: 'has one score for a gene',
        equation: 'predicts expression itself',
        distill: 'predicts expression itself',
    ]

    final String name
    final Path file
    final String rest

    Named(String name, Path file, String rest = '') {
        this.name = name
        this.file = file
        this.rest = rest
    }

    /**
     * What the name refers to, [path, what follows it, what must be there]: 'file', 'folder', 'any' if
     * there may be either or nothing (oracles of packages), or null if it is no path.
     */
    static List<String> located(String name, Map rule) {
        def kind = name.tokenize(':')[0]
        def what = name.substring(name.indexOf(':') + 1)
        def inFile = name =~ IN_FILE
        if (inFile) {
            return [inFile[0][1], inFile[0][2], 'file']
        }
        if (kind in (rule.folders ?: [])) {
            def ofFolder = name =~ OF_FOLDER
            return ofFolder ? [ofFolder[0][1], ofFolder[0][2], 'folder'] : [what, '', 'folder']
        }
        if (kind in (rule.files ?: [])) {
            return [what, '', name in rule.names ? null : 'file']
        }
        return [what, '', kind in (rule.plain ?: [kind]) ? null : 'any']
    }

    /** Whether there is what must be at a path. */
    static boolean exists(Path path, String needed) {
        return needed != 'folder' && Files.isRegularFile(path) || needed != 'file' && Files.isDirectory(path)
    }

    /** The oracles of features, joined by +; stops if one cannot be used, or two have the same name. */
    static List<Named> sideBySide(String names, Map rule) {
        def types = (rule.files + rule.folders + rule.plain).join('|')
        def found = names.split(/\+(?=(?:${types}):)/).collect { name -> ofFeatures(name, rule) }
        def twice = found*.staged.countBy { name -> name }.find { _name, times -> times > 1 }
        if (twice) {
            throw new AbortOperationException("--oracle names ${twice.key} ${twice.value} times. Name each oracle once, and rename files of the same name")
        }
        def same = files(found)*.name.countBy { name -> name }.find { _name, times -> times > 1 }
        if (same) {
            throw new AbortOperationException("--oracle names ${same.value} files or folders that are called ${same.key}. Rename them: a task has all of them in one folder")
        }
        return found
    }

    private static Named ofFeatures(String name, Map rule) {
        def (what, rest, needed) = located(name, rule)
        def kind = name.tokenize(':')[0]
        if (kind in NO_BINS) {
            throw new AbortOperationException("--oracle cannot be ${name}, which ${NO_BINS[kind]}: features need scores of bins. Use it as the oracle of a locus or an experiment")
        }
        if (!what || kind == 'kmers' && !(what ==~ /[1-6]/)) {
            throw new AbortOperationException("--oracle names ${Text.visible(name)}. Give it as TYPE:WHAT; kmers:K needs K from 1 to 6")
        }
        def path = needed ? Nextflow.file(what, glob: false) as Path : null
        if (path && exists(path, needed)) {
            return new Named(name, Text.checked(path), rest)
        }
        if (needed in ['file', 'folder']) {
            throw new AbortOperationException("--oracle names ${Text.visible(name)}, and there is no ${needed} ${Text.visible(what)}. Relative paths start at the folder in which the pipeline was started; of several oracles, name one of another package first")
        }
        return new Named(name, null)
    }

    /** The environment that oracles joined by + need; null for the usual one. */
    static String environment(String names) {
        return ENVIRONMENTS.find { kind -> names =~ /(^|\+)${kind}:/ }
    }

    /** The files and folders of oracles, each once. */
    static List<Path> files(List<Named> oracles) {
        return oracles*.files.flatten().unique()
    }

    /** Its file or folder, and the JSON file next to a Keras network that has one. */
    List<Path> getFiles() {
        if (!file || !(kind in KERAS)) {
            return file ? [file] : []
        }
        def stems = [file.name - ~/\.[^.]*$/, file.name - ~/\.weights\.h5$/].unique()
        return [file] + stems.collect { stem -> file.resolveSibling("${stem}.json".toString()) }.findAll { path -> exists(path, 'file') }
    }

    String getKind() {
        return name.tokenize(':')[0]
    }

    /** Whether it is an equation, which opens the oracles of its features again. */
    boolean isEquation() {
        return kind in ['equation', RUN]
    }

    /** The data set whose equation it is; null for all other oracles. */
    String getDataset() {
        return kind == RUN ? name.tokenize(':')[1] : null
    }

    /** The equation in the folder of the stage distill. */
    Named from(Path distill) {
        def cellType = name.substring("${RUN}:${dataset}:".length())
        def file = Files.newDirectoryStream(distill.resolve('equations')).withCloseable { entries ->
            entries.find { entry -> new JsonSlurper().parseText(entry.getText('UTF-8')).cell_type == cellType }
        }
        return new Named("equation:${file ? file.name : "of ${cellType}, which ${dataset} does not have"}".toString(), file)
    }

    /** How a task names it, whose folder holds its file or folder. */
    String getStaged() {
        return file ? "${kind}:${file.name}${rest}".toString() : name
    }

    @Override
    String toString() {
        return name
    }
}

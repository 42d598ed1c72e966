import groovy.json.JsonSlurper
import java.nio.file.Files
import java.nio.file.Path
import nextflow.Nextflow
import nextflow.exception.AbortOperationException

/**
 * An oracle, or a function that reduces profiles, as a sheet names it, TYPE:WHAT; `file` is its file
 * or folder, where it has one, and `rest` what follows that in its name. The oracle distill:DATASET:CELL TYPE is
 * the equation that this run finds for a cell type.
 */
class Named {

    private static final String RUN = 'distill'

    // Between oracles that stand side by side: other pluses are part of a file's name.
    private static final String BESIDE = /\+(?=(?:motifs|kmers|deepbind|sei):)/

    // A folder, and what is read of it: deepbind:FOLDER:VALUES, sei:FOLDER:profiles.
    private static final String OF_FOLDER = /^(?:deepbind|sei):((?:[a-z][a-z0-9+.-]*:\/\/)?[^:]+)((?::.*)?)$/

    final String name
    final Path file
    final String rest

    Named(String name, Path file, String rest = '') {
        this.name = name
        this.file = file
        this.rest = rest
    }

    /** The oracles of features, joined by +, each with its file or folder; stops if two have the same name. */
    static List<Named> sideBySide(String names) {
        def found = names.split(BESIDE).collect { name -> ofFeatures(name) }
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

    private static Named ofFeatures(String name) {
        def ofFolder = name =~ OF_FOLDER
        if (ofFolder) {
            return new Named(name, existing(ofFolder[0][1]), ofFolder[0][2])
        }
        def isFile = name.startsWith('motifs:') && name != 'motifs:core'
        return new Named(name, isFile ? existing(name - 'motifs:') : null)
    }

    private static Path existing(String name) {
        return Nextflow.file(name, checkIfExists: true, glob: false) as Path
    }

    /** The files and folders of oracles, each once. */
    static List<Path> files(List<Named> oracles) {
        return oracles*.file.findAll().unique()
    }

    /** The motif files among them: an equation opens no other. */
    static List<Path> motifFiles(List<Named> oracles) {
        return files(oracles.findAll { oracle -> oracle.kind == 'motifs' })
    }

    String getKind() {
        return name.tokenize(':')[0]
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

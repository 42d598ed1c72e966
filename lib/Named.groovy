import groovy.json.JsonSlurper
import java.nio.file.Files
import java.nio.file.Path
import nextflow.Nextflow
import nextflow.exception.AbortOperationException

/**
 * An oracle, or a function that reduces profiles, as a sheet names it, TYPE:WHAT; `file` is its file,
 * where it has one, and `rest` what follows that in its name. The oracle distill:DATASET:CELL TYPE is
 * the equation that this run finds for a cell type.
 */
class Named {

    private static final String RUN = 'distill'

    // Between oracles that stand side by side: other pluses are part of a file's name.
    private static final String BESIDE = /\+(?=(?:motifs|kmers):)/

    final String name
    final Path file
    final String rest

    Named(String name, Path file, String rest = '') {
        this.name = name
        this.file = file
        this.rest = rest
    }

    /** The oracles of features, joined by +, each with its file; stops if two have the same name. */
    static List<Named> sideBySide(String names) {
        def found = names.split(BESIDE).collect { name ->
            def isFile = name.startsWith('motifs:') && name != 'motifs:core'
            new Named(name, isFile ? Nextflow.file(name - 'motifs:', checkIfExists: true, glob: false) as Path : null)
        }
        def twice = found*.staged.countBy { name -> name }.find { _name, times -> times > 1 }
        if (twice) {
            throw new AbortOperationException("--oracle names ${twice.key} ${twice.value} times. Name each oracle once, and rename files of the same name")
        }
        return found
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

    /** How a task names it, whose folder holds its file. */
    String getStaged() {
        return file ? "${kind}:${file.name}${rest}".toString() : name
    }

    @Override
    String toString() {
        return name
    }
}

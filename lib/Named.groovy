import groovy.json.JsonSlurper
import java.nio.file.Files
import java.nio.file.Path

/**
 * An oracle, or a function that reduces profiles, as a sheet names it, TYPE:WHAT; `file` is its file,
 * where it has one, and `rest` what follows that in its name. The oracle distill:DATASET:CELL TYPE is
 * the equation that this run finds for a cell type.
 */
class Named {

    private static final String RUN = 'distill'

    final String name
    final Path file
    final String rest

    Named(String name, Path file, String rest = '') {
        this.name = name
        this.file = file
        this.rest = rest
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

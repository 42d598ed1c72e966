import java.nio.file.Path
import nextflow.exception.AbortOperationException

/** What a name or a path of a user must not be; python/geneq/sheets.py has the same rules and messages. */
class Text {

    static final String CONTROL = 'must not contain control characters'
    static final String FIRST = "the name of a file or folder must not begin with '-', '#' or '~'"

    // Characters that move the cursor, end the line or turn the text around where a message is shown.
    private static final String CONTROLS = /[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/

    static boolean hasControl(String text) {
        return text =~ CONTROLS
    }

    /** The text for a message: control characters as escapes, such as \\x1b, and URLs without passwords. */
    static String visible(String text) {
        def shown = text.replaceAll(CONTROLS) { String found -> escaped(found.codePointAt(0)) }
        return shown.replaceAll(/:\/\/[^\/\s'@]+@/, '://…@')
    }

    private static String escaped(int code) {
        def names = [9: '\\t', 10: '\\n', 13: '\\r']
        return names[code] ?: String.format(code < 256 ? '\\x%02x' : '\\u%04x', code)
    }

    /** Whether the name would begin an option, a comment or a home folder in the command of a task. */
    static boolean isMore(Path path) {
        return path.name ==~ /(?s)[-#~].*/
    }

    /** The path, unless a task could not have its file under that name. */
    static Path checked(Path path) {
        if (isMore(path) || hasControl(path.name)) {
            throw new AbortOperationException("${visible(path.toString())}: ${isMore(path) ? FIRST : CONTROL}. Rename it")
        }
        return path
    }
}

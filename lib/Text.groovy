import java.nio.file.Path
import nextflow.exception.AbortOperationException

/** What a name or a path of a user must not be; python/geneq/sheets.py has the same rules and messages. */
class Text {

    static final String CONTROL = 'must not contain control characters'
    static final String OPTION = "the name of a file or folder must not begin with '-'"

    // Characters that move the cursor, end the line or turn the text around where a message is shown.
    private static final String CONTROLS = /[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/

    static boolean hasControl(String text) {
        return text =~ CONTROLS
    }

    /** The text with control characters written as escapes, such as \\x1b. */
    static String visible(String text) {
        return text.replaceAll(CONTROLS) { String found -> escaped(found.codePointAt(0)) }
    }

    private static String escaped(int code) {
        def names = [9: '\\t', 10: '\\n', 13: '\\r']
        return names[code] ?: String.format(code < 256 ? '\\x%02x' : '\\u%04x', code)
    }

    /** Whether programs would take the name for an option: tasks have their files under these names. */
    static boolean isOption(Path path) {
        return path.name.startsWith('-')
    }

    /** The path, unless a task could not have its file under that name. */
    static Path checked(Path path) {
        if (isOption(path) || hasControl(path.name)) {
            throw new AbortOperationException("${visible(path.toString())}: ${isOption(path) ? OPTION : CONTROL}. Rename it")
        }
        return path
    }
}

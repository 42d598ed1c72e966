/** Options for a command line, quoted. */
class Shell {

    /** `--name=value` for every value that is not null, quoted where the shell needs it. */
    static String options(Map values) {
        return values.findAll { name, value -> value != null }
            .collect { name, value -> "--${name}=${quoted(value.toString())}" }
            .join(' ')
    }

    static String quoted(String text) {
        return text ==~ /[A-Za-z0-9_.,:\/+-]+/ ? text : "'" + text.replace("'", "'\\''") + "'"
    }
}

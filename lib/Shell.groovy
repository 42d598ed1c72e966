/** Options for a command line, quoted. */
class Shell {

    /** `--name=value` for every value, quoted where the shell needs it; `--name` for true, nothing for false and null. */
    static String options(Map values) {
        return values.findAll { name, value -> value != null && value != false }
            .collect { name, value -> value == true ? "--${name}" : "--${name}=${quoted(value.toString())}" }
            .join(' ')
    }

    static String quoted(String text) {
        return text ==~ /[A-Za-z0-9_.,:\/+-]+/ ? text : "'" + text.replace("'", "'\\''") + "'"
    }
}

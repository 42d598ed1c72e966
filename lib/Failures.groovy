/** Tasks that failed for good: the run goes on without them and says at its end which they were. */
class Failures {

    private static final Map<String, Map> seen = Collections.synchronizedMap(new LinkedHashMap())

    /** The error strategy of every process: again after a preempted or out-of-memory task, else on without it. */
    static String strategy(task) {
        if (passing(task.exitStatus) && task.attempt <= task.maxRetries) {
            return 'retry'
        }
        seen[task.name] = [process: task.process, tag: task.tag, exit: task.exitStatus, folder: task.workDir]
        return 'ignore'
    }

    /** Whether an exit status speaks of the machine and not of the input. */
    static boolean passing(Integer exit) {
        return exit in [null, Integer.MAX_VALUE, 104, 175, 50001] || exit in 130..145
    }

    /** Which data sets failed, at which stage, with the last line of their errors; null when none did. */
    static String summary(List<Map> samples) {
        if (!seen) {
            return null
        }
        def lost = samples.findAll { sample -> seen.values().any { failure -> concerns(failure, sample) } }
        def lines = seen.values().collect { failure -> "  ${describe(failure)}" }
        def head = lost ? "Without a report: ${lost*.dataset.join(', ')}" : 'Not every task ended well'
        return "${head}\n${lines.join('\n')}"
    }

    private static boolean concerns(Map failure, Map sample) {
        def subject = failure.tag.toString().tokenize(' /')[0]
        def stages = ['GENES', 'FEATURIZE', 'JOIN']
        return subject == (failure.process in stages ? sample.genome : sample.dataset)
    }

    private static String describe(Map failure) {
        return "${failure.tag} failed in ${failure.process} (exit status ${failure.exit}): ${lastError(failure.folder)}\n    work folder: ${failure.folder}"
    }

    private static String lastError(folder) {
        def lines = ['.command.err', '.command.log'].collect { name -> folder.resolve(name) }
            .findAll { file -> file.exists() }
            .collect { file -> file.readLines().findAll { line -> line.trim() } }
            .find { texts -> texts }
        return lines ? lines.last() : 'no message'
    }
}

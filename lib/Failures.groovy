import java.nio.file.Path

/** What failed for good: the run goes on without it and says at its end what that was. */
class Failures {

    private static final Map<String, Map> seen = Collections.synchronizedMap(new LinkedHashMap())
    private static final List<Map> lost = Collections.synchronizedList([])

    /** The error strategy of every process: again after a preempted or out-of-memory task, else on without it. */
    static String strategy(task) {
        if (passing(task.exitStatus) && task.attempt <= task.maxRetries) {
            return 'retry'
        }
        // Without the workflow that it is in.
        def process = task.process.tokenize(':').last()
        seen[task.name] = [process: process, tag: task.tag, exit: task.exitStatus, folder: task.workDir]
        return 'ignore'
    }

    /** Whether an exit status speaks of the machine and not of the input. */
    static boolean passing(Integer exit) {
        return exit in [null, Integer.MAX_VALUE, 104, 175, 50001] || exit in 130..145
    }

    /** Note the loci of a `failed.tsv`: locus, stage and message. */
    static void note(Path table) {
        table.readLines('UTF-8').drop(1).each { line ->
            def (locus, stage, message) = line.split('\t', 3)
            lost << [locus: locus, stage: stage, message: message]
        }
    }

    /** Which data sets and loci failed, at which stage, with the last line of their errors; null when none did. */
    static String summary(List<Map> samples, List<Map> shards) {
        if (!seen && !lost) {
            return null
        }
        def datasets = samples.findAll { sample -> seen.values().any { failure -> concerns(failure, sample) } }*.dataset
        def loci = lost.findAll { failure -> failure.stage != 'variants' }*.locus + shards.findAll { shard -> seen.values().any { failure -> stops(failure, shard, datasets) } }
            .collectMany { shard -> shard.rows.collect { row -> row.locus ?: row.experiment } }
        def heads = [
            datasets ? "Without a report: ${datasets.join(', ')}" : null,
            loci ? "Without a surrogate: ${loci.unique().join(', ')}" : null,
        ].findAll() ?: ['Not every task ended well']
        def lines = seen.values().collect { failure -> describe(failure) }
        lines += lost.collect { locus -> "${locus.locus} failed in ${locus.stage}: ${locus.message}" }
        return (heads + lines.collect { line -> "  ${line}" }).join('\n')
    }

    private static boolean concerns(Map failure, Map sample) {
        def subject = failure.tag.toString().tokenize(' /')[0]
        def own = ['PSEUDOBULK', 'SEARCH', 'DISTILL', 'REPORT']
        def before = ['GENES', 'FEATURIZE', 'JOIN']
        return failure.process in own && subject == sample.dataset || failure.process in before && subject == sample.genome
    }

    private static boolean stops(Map failure, Map shard, List<String> datasets) {
        def own = failure.process in ['SCORE', 'SURROGATE'] && failure.tag.toString() == shard.name.toString()
        return own || failure.process == 'GENES' && failure.tag.toString() == shard.genome || shard.oracle.dataset in datasets
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

import java.nio.file.FileSystems
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.StandardCopyOption
import nextflow.exception.ProcessNonZeroExitStatusException

/** What happens after a task fails: it is retried or given up, or the run stops; and the summary at the end. */
class Failures {

    // Signals, lost connections, lost nodes, and Google Batch's preemption (50001).
    private static final List<Integer> TRANSIENT = [104, *130..145, *175..177, 50001]

    private static final Map<Integer, String> SIGNALS = [
        130: 'SIGINT, interrupted',
        137: 'SIGKILL, often out of memory',
        140: 'SIGUSR2, which Slurm sends shortly before the time limit',
        143: 'SIGTERM, cancelled or preempted',
    ]

    // What Slurm, PBS and LSF write into a task's log when they kill it.
    private static final String KILLED = /slurmstepd.*: error: .*(?:CANCELLED AT|oom.kill|[Ee]xceeded)|PBS: job killed|TERM_[A-Z]+LIMIT/

    private static final String CONTROL = /\u001B\[[0-9;?]*[ -\/]*[@-~]|\u001B\][^\u0007\u001B]*(?:\u0007|\u001B\\)|[\u0000-\u0008\u000B-\u001F\u007F]/

    private static final List<String> COLUMNS = ['name', 'stage', 'message', 'log', 'folder']

    private static final Map<String, Map> tasks = Collections.synchronizedMap(new LinkedHashMap())
    private static final List<Map> loci = Collections.synchronizedList([])

    /**
     * The error strategy of every process. A task that could not be submitted is never ignored:
     * Nextflow would wait for it forever.
     *
     * `task.maxRetries` asks for the error strategy, which is this one; `task.get` does not.
     */
    static String strategy(task) {
        def refused = !task.previousTrace?.store?.submit
        if (refused && task.attempt > 1 && task.reduced in [null, task.attempt]) {
            return lastTry(task)
        }
        if (!refused && isTransient(task.exitStatus, task.workDir) && task.retryCount <= task.get('maxRetries')) {
            return 'retry'
        }
        tasks[task.name] = [
            process: task.process.tokenize(':').last(), // without the workflow
            tag: task.tag,
            refused: refused,
            exit: task.exitStatus,
            attempts: task.attempt,
            reason: reason(task.exitStatus, task.previousException) ?: fullDisk(task.workDir),
            folder: task.workDir,
        ]
        return refused ? 'finish' : 'ignore'
    }

    // The scheduler may have refused what the task's memory or time had grown to: one more attempt,
    // with what it accepted the first time (conf/base.config reads `reduced`).
    private static String lastTry(task) {
        task.put('reduced', task.attempt)
        task.put('maxRetries', task.retryCount)
        return 'retry'
    }

    /** Whether a task failed because of its machine or scheduler, so that another attempt may succeed. */
    private static boolean isTransient(Integer exit, Path folder) {
        return exit == null || exit == Integer.MAX_VALUE || exit in TRANSIENT || exit == 1 && !started(folder) || exit == 0 && !launched(folder)
    }

    // AWS Batch reports exit status 1 for a spot instance that was reclaimed before the task began.
    private static boolean started(Path folder) {
        return ['.command.begin', '.exitcode'].any { name -> Files.exists(folder.resolve(name)) }
    }

    // A job that is cancelled while its inputs are staged ends with exit status 0, and no command has run.
    private static boolean launched(Path folder) {
        return Files.exists(folder.resolve('.command.out'))
    }

    // What the scheduler or Nextflow reports about a failure, beyond the exit status.
    private static String reason(Integer exit, Throwable error) {
        def cause = error?.cause
        if (cause instanceof ProcessNonZeroExitStatusException) {
            return plain(cause.reason).join('; ')
        }
        return plain(cause?.message ?: (exit == 0 ? error?.message : null)).join('; ')
    }

    // On a full disk a command cannot even write its error message.
    private static String fullDisk(Path folder) {
        def full = folder?.fileSystem == FileSystems.default && Files.getFileStore(folder).usableSpace == 0
        return full ? "No space left on device in ${folder}" : null
    }

    /** Note the loci of a `failed.tsv` in the folder of a task: locus, stage and message. */
    static void note(Path table) {
        table.readLines('UTF-8').drop(1).each { line ->
            def (locus, stage, message) = line.split('\t', 3)
            loci << [locus: locus, stage: stage, message: plain(message).join(' '), folder: table.parent.parent]
        }
    }

    /** Which data sets and loci failed, at which stage, why and in which folder; null when none did. */
    static String summary(List<Map> samples, List<Map> shards) {
        if (!tasks && !loci) {
            return null
        }
        def lines = tasks.values().collect { failure -> describe(failure) }
        lines += loci.collect { locus -> "${locus.locus} failed in ${locus.stage}: ${locus.message}" }
        return (heads(samples, shards) + lines.collect { line -> "  ${line}" }).join('\n')
    }

    /** Write `failed.tsv` into the folder of the results; if nothing failed, remove that of an earlier run. */
    static void write(Path folder, Closure warn) {
        def file = folder.resolve('failed.tsv')
        def rows = tasks.values().collect { failure -> row(failure) } + loci.collect { locus -> row(locus) }
        try {
            if (rows) {
                def temporary = folder.resolve('.failed.tsv.part')
                Files.writeString(temporary, ([COLUMNS] + rows).collect { fields -> "${fields.join('\t')}\n" }.join())
                Files.move(temporary, file, StandardCopyOption.REPLACE_EXISTING)
            }
            else {
                Files.deleteIfExists(file)
            }
        }
        catch (IOException e) {
            warn("Cannot write ${file}: ${e.message}")
        }
    }

    private static List<String> row(Map failure) {
        def name = failure.locus ?: failure.tag
        def stage = failure.stage ?: failure.process.toString().toLowerCase()
        def text = failure.locus ? failure.message : "${message(failure)} (${status(failure)})"
        return [name, stage, text, failure.folder.resolve('.command.log'), failure.folder]*.toString()*.replace('\t', ' ')
    }

    private static List<String> heads(List<Map> samples, List<Map> shards) {
        def refused = tasks.values().findAll { failure -> failure.refused }
        if (refused) {
            return ['The run stopped early, because a task could not be submitted. Fix the cause and run again with -resume']
        }
        def datasets = samples.findAll { sample -> tasks.values().any { failure -> concerns(failure, sample) } }*.dataset
        def lost = loci.findAll { locus -> locus.stage != 'variants' }*.locus
        lost += shards.findAll { shard -> tasks.values().any { failure -> stops(failure, shard, datasets) } }
            .collectMany { shard -> shard.rows.collect { row -> row.locus ?: row.experiment } }
        return [
            datasets ? "Without a report: ${datasets.join(', ')}" : null,
            lost ? "Without a surrogate: ${lost.unique().join(', ')}" : null,
        ].findAll() ?: ['Some tasks failed']
    }

    private static boolean concerns(Map failure, Map sample) {
        def subject = failure.tag.toString().tokenize(' /')[0]
        def ofDataset = ['PSEUDOBULK', 'SEARCH', 'DISTILL', 'REPORT'] // a report does without stability
        def ofGenome = ['GENES', 'FEATURIZE', 'JOIN', 'FEATURES']
        return failure.process in ofDataset && subject == sample.dataset || failure.process in ofGenome && subject == sample.genome
    }

    private static boolean stops(Map failure, Map shard, List<String> datasets) {
        def ofShard = failure.process in ['SCORE', 'SURROGATE'] && failure.tag.toString() == shard.name.toString()
        return ofShard || failure.process == 'GENES' && failure.tag.toString() == shard.genome || shard.oracle.dataset in datasets
    }

    private static String describe(Map failure) {
        def how = failure.refused ? 'could not be submitted in' : 'failed in'
        return "${failure.tag} ${how} ${failure.process} (${status(failure)}): ${message(failure)}\n    work folder: ${failure.folder}"
    }

    private static String status(Map failure) {
        def status = failure.exit in [null, Integer.MAX_VALUE] ? 'no exit status' : "exit status ${failure.exit}"
        def signal = failure.refused ? null : SIGNALS[failure.exit]
        return status + (signal ? ": ${signal}" : '') + (failure.attempts > 1 ? "; ${failure.attempts} attempts" : '')
    }

    /** The most informative line: the scheduler's, else geneq's error, else the last one. */
    private static String message(Map failure) {
        if (failure.refused || failure.exit == 0) {
            return failure.reason ?: 'no message'
        }
        def logs = ['.command.log', '.command.err'].collectMany { name -> lines(failure.folder.resolve(name)) }
        def ended = isTransient(failure.exit, failure.folder) ? failure.reason : null
        return logs.find { line -> line =~ KILLED }
            ?: ended
            ?: logs.reverse().find { line -> line =~ /^geneq \w+: error: / }
            ?: (logs ? logs.last() : failure.reason ?: 'no message')
    }

    private static List<String> lines(Path file) {
        return Files.exists(file) ? plain(new String(Files.readAllBytes(file), 'UTF-8')) : []
    }

    // Lines with text, without colours and other control characters.
    private static List<String> plain(String text) {
        return (text ?: '').readLines().collect { line -> line.replaceAll(CONTROL, '').trim() }.findAll()
    }
}

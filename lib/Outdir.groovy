import groovy.json.JsonException
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import java.nio.file.AccessDeniedException
import java.nio.file.FileAlreadyExistsException
import java.nio.file.FileSystemException
import java.nio.file.FileSystems
import java.nio.file.Files
import java.nio.file.NoSuchFileException
import java.nio.file.Path
import java.nio.file.StandardCopyOption
import java.nio.file.StandardOpenOption
import nextflow.Global
import nextflow.exception.AbortOperationException

/** The folder of the results: one run at a time writes to it, and it must be writable. */
class Outdir {

    private static final String LOCK = '.geneq.lock'
    // It is there while results are being copied, and stays where a run was stopped.
    private static final String INCOMPLETE = '.geneq.incomplete'
    // Writes at least a block, so that a full disk shows.
    private static final int BLOCK = 4096

    /**
     * Create the lock file, which names host, process and start; the run removes it when it ends.
     * Stops where the folder cannot be written, or where another run has locked it. The lock of a
     * run of this host that was killed is taken over, and `warn` reports it. Folders
     * in object stores are not locked.
     */
    static void lock(Path folder, Closure warn) {
        if (folder.fileSystem != FileSystems.default) {
            return
        }
        def file = folder.toAbsolutePath().normalize().resolve(LOCK)
        def self = [host: host(), pid: ProcessHandle.current().pid(), started: started(ProcessHandle.current())]
        if (created(file, JsonOutput.toJson(self).padRight(BLOCK))) {
            atExit {
                removeIncomplete(file.parent)
                Files.deleteIfExists(file)
            }
        }
        else {
            takeOver(file, warn)
            lock(folder, warn)
        }
    }

    /**
     * Note that results may lack files until `complete` is called. Where an earlier run did not get that
     * far, results of cached tasks, which Nextflow leaves as it finds them, are copied again; `warn`
     * reports it.
     */
    static void begin(Path folder, Closure warn) {
        def mark = folder.resolve(INCOMPLETE)
        if (!Files.exists(mark)) {
            Files.createFile(mark)
            return
        }
        warn("The last run into ${folder} was stopped: all results are copied again")
        Global.session.config.process.values()
            .collect { settings -> settings instanceof Map ? settings.publishDir : null }
            .findAll { publishing -> publishing instanceof Map }
            .each { publishing -> publishing.overwrite = true }
    }

    /** Note that all results have been copied, unless the run was stopped, for instance by a full disk. */
    static void complete(Path folder) {
        if (!Global.session.aborted) {
            Files.deleteIfExists(folder.resolve(INCOMPLETE))
        }
    }

    private static boolean created(Path file, String text) {
        try {
            Files.createDirectories(file.parent)
            Files.writeString(file, text, StandardOpenOption.CREATE_NEW)
            return true
        }
        catch (FileAlreadyExistsException e) {
            return false
        }
        catch (IOException e) {
            file.toFile().delete()
            atExit { removeIncomplete(file.parent) }
            throw new AbortOperationException("Cannot write to --outdir ${file.parent}: ${reason(e)}")
        }
    }

    private static void atExit(Closure work) {
        Runtime.runtime.addShutdownHook(new Thread(work))
    }

    // On a full disk, Nextflow leaves empty and half-written reports of the run.
    private static void removeIncomplete(Path folder) {
        def reports = folder.resolve('pipeline_info').toFile().listFiles()?.toList() ?: []
        reports.findAll { file -> file.length() == 0 || file.name.endsWith('.html') && !isComplete(file) }
            .each { file -> file.delete() }
    }

    private static boolean isComplete(File page) {
        return page.withInputStream { stream ->
            stream.skipNBytes(Math.max(0, page.length() - 32))
            new String(stream.readAllBytes(), 'UTF-8').contains('</html>')
        }
    }

    private static String reason(IOException e) {
        if (e instanceof AccessDeniedException) {
            return 'Permission denied'
        }
        return e instanceof FileSystemException ? e.reason ?: 'No such file or directory' : e.message
    }

    private static void takeOver(Path file, Closure warn) {
        def aside = file.resolveSibling("${LOCK}.${ProcessHandle.current().pid()}")
        try {
            def text = Files.readString(file)
            def owner = parsed(text)
            if (!isDead(owner)) {
                throw new AbortOperationException("Another run is writing to --outdir ${file.parent} (host ${owner.host}, process ${owner.pid}, started ${owner.started}). Wait for it, or choose another --outdir. If that run no longer exists, remove ${file}")
            }
            Files.move(file, aside, StandardCopyOption.ATOMIC_MOVE)
            if (Files.readString(aside) != text) {
                // Another run took it over in between, and this is that run's lock.
                Files.move(aside, file)
                return
            }
            Files.delete(aside)
            warn("The last run into ${file.parent} was killed (process ${owner.pid}, started ${owner.started}): its lock file has been removed")
        }
        catch (NoSuchFileException e) {
            // The other run has just ended, or another took over.
        }
    }

    private static Map parsed(String text) {
        try {
            return new JsonSlurper().parseText(text) as Map
        }
        catch (JsonException | IllegalArgumentException e) {
            return [host: 'unknown', pid: 'unknown', started: 'unknown']
        }
    }

    private static boolean isDead(Map owner) {
        if (owner.host != host()) {
            return false
        }
        def process = ProcessHandle.of(owner.pid as long).orElse(null)
        // A number may belong to another process by now.
        return process == null || started(process) != owner.started
    }

    private static String started(ProcessHandle process) {
        return process.info().startInstant().map { instant -> instant.toString() }.orElse('unknown')
    }

    private static String host() {
        try {
            return InetAddress.localHost.hostName
        }
        catch (UnknownHostException e) {
            return System.getenv('HOSTNAME') ?: 'unknown'
        }
    }
}

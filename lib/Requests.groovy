import java.lang.management.ManagementFactory
import nextflow.Global
import nextflow.util.Duration
import nextflow.util.MemoryUnit

/**
 * What tasks request beside the settings of a site: accounts, GPUs and limits. A selector's
 * clusterOptions or containerOptions replace those of a wider scope, so the profiles set neither: they put
 * what all jobs need into ext.jobOptions, what those with a GPU need into ext.gpuJobOptions and
 * ext.gpuContainerOptions, and it is added here. ext.oracleContainer is the image of an oracle that
 * cannot share the usual environment.
 */
class Requests {

    // Their service attaches the accelerator, whatever the engine.
    private static final List<String> CLOUDS = ['awsbatch', 'google-batch', 'azurebatch', 'k8s']

    /** Add the requests to the options of every scope of `process` in the configuration. */
    static void add(Map given) {
        def process = Global.session.config.process as Map
        def selectors = process.findAll { name, settings -> name ==~ /with(Label|Name):.*/ && settings instanceof Map }
        def ext = process.ext ?: [:]
        ['clusterOptions', 'containerOptions'].each { option ->
            append(process, option, ext)
            selectors.values().findAll { settings -> settings.containsKey(option) }
                .each { settings -> append(settings, option, ext) }
        }
        image(process, given, ext)
        if (!process.resourceLimits) {
            process.resourceLimits = { -> limits(given, delegate.task.executor) }
        }
    }

    // Tasks that open oracles: the image that was given, else that of an oracle's own environment.
    private static void image(Map process, Map given, Map ext) {
        def settings = process.computeIfAbsent('withLabel:oracle') { [:] }
        def usual = settings.container ?: process.container
        settings.container = { ->
            given.oracle_container ?: resolved(delegate.task.ext.environment && ext.oracleContainer ? ext.oracleContainer : usual, delegate)
        }
    }

    private static void append(Map settings, String option, Map ext) {
        def site = settings.get(option)
        // Nextflow calls it for each task, whose settings it delegates to.
        settings[option] = { -> joined(resolved(site, delegate), requests(delegate, option, ext)) }
    }

    private static Object resolved(value, task) {
        if (value instanceof Closure) {
            def copy = value.rehydrate(task, value.owner, value.thisObject)
            copy.resolveStrategy = Closure.DELEGATE_FIRST
            return copy()
        }
        return value
    }

    private static String requests(scope, String option, Map ext) {
        def cloud = scope.task.executor in CLOUDS
        def names = option == 'containerOptions' ? [cloud ? null : 'gpuContainerOptions'] : ['jobOptions', 'gpuJobOptions']
        def wanted = names.findAll { name -> name && (scope.task.accelerator || !name.startsWith('gpu')) }
        return wanted.collect { name -> resolved(ext[name], scope) }.findAll().join(' ')
    }

    private static Object joined(site, String requests) {
        if (!requests) {
            return site
        }
        // Last, the site's options win where both set one.
        return site instanceof List ? [requests] + site : site ? "${requests} ${site}".toString() : requests
    }

    /** The limits given and, for tasks that run here, what this machine has: the lower of both. */
    static Map limits(Map given, String executor) {
        def local = (executor ?: System.getenv('NXF_EXECUTOR') ?: 'local') == 'local'
        def memory = ManagementFactory.operatingSystemMXBean.totalMemorySize
        return [
            cpus: [given.max_cpus, local ? Runtime.runtime.availableProcessors() : null],
            memory: [given.max_memory as MemoryUnit, local ? new MemoryUnit(memory) : null],
            time: [given.max_time as Duration],
        ].collectEntries { name, limits -> [name, limits.findAll().min()] }.findAll { _name, limit -> limit }
    }
}

import nextflow.Global

/**
 * GPU requests, added to the options that a site has set. A selector's clusterOptions or
 * containerOptions replace those of a wider scope, so the profiles set neither: they put what a GPU
 * needs into ext.clusterOptions and ext.containerOptions, and it is appended here.
 */
class Gpu {

    /** Append the requests to the options of every scope of `process` in the configuration. */
    static void addRequests() {
        def process = Global.session.config.process as Map
        def selectors = process.findAll { name, settings -> name ==~ /with(Label|Name):.*/ && settings instanceof Map }
        ['clusterOptions', 'containerOptions'].each { option ->
            append(process, option)
            selectors.values().findAll { settings -> settings.containsKey(option) }
                .each { settings -> append(settings, option) }
        }
    }

    private static void append(Map settings, String option) {
        def site = settings.get(option)
        // Nextflow calls it for each task, whose settings it delegates to.
        settings[option] = { -> joined(resolved(site, delegate), request(delegate.task, option)) }
    }

    private static Object resolved(site, task) {
        if (site instanceof Closure) {
            def copy = site.rehydrate(task, site.owner, site.thisObject)
            copy.resolveStrategy = Closure.DELEGATE_FIRST
            return copy()
        }
        return site
    }

    private static String request(task, String option) {
        // A cloud's own service attaches the accelerator, whatever the engine.
        return option == 'containerOptions' && task.accelerator ? null : task.ext?.get(option)
    }

    private static Object joined(site, String request) {
        if (!request) {
            return site
        }
        // Last, the site's options win where both ask for GPUs.
        return site instanceof List ? [request] + site : site ? "${request} ${site}".toString() : request
    }
}

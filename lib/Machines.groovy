import java.nio.file.Path
import nextflow.Global

/** Whether the profiles of a run have what they need, and the parameters of machines a profile that uses them. */
class Machines {

    private static final List<String> CLUSTERS = ['slurm', 'lsf', 'sge', 'pbspro']
    private static final Map<String, String> BUCKETS = [awsbatch: 's3', googlebatch: 'gs', azurebatch: 'az']
    private static final List<String> CLOUDS = BUCKETS.keySet() + 'k8s' as List<String>

    // By profile: the settings that a run needs, each with the parameter that gives it.
    private static final Map<String, Map<String, String>> NEEDED = [
        awsbatch: ['process.queue': 'queue', 'process.container': 'container', 'aws.region': 'region'],
        googlebatch: ['process.container': 'container', 'google.project': 'project', 'google.location': 'region'],
        azurebatch: ['process.container': 'container', 'azure.batch.accountName': 'account', 'azure.batch.location': 'region'],
        k8s: ['process.container': 'container', 'k8s.storageClaimName': 'volume_claim'],
    ]

    final List<String> profiles
    final Map config
    final Path workDir

    /** Those of this run. */
    static Machines ofRun(String profiles, Path workDir) {
        return new Machines(profiles, Global.session.config as Map, workDir)
    }

    /** The names of `-profile`, the resolved configuration, and the work directory. */
    Machines(String profiles, Map config, Path workDir) {
        this.profiles = profiles.tokenize(',')
        this.config = config
        this.workDir = workDir
    }

    /** What is wrong, one line each. `given`: values by parameter; `rules`: those of the schema. */
    List<String> errors(Map given, Map<String, Map> rules) {
        def executors = profiles.intersect(CLUSTERS + CLOUDS)
        if (executors.size() > 1) {
            return ["-profile names several executors: ${executors.join(', ')}. Choose one".toString()]
        }
        def idle = rules.findAll { name, rule -> rule.profiles && given[name] && !rule.profiles.any { profile -> profile in profiles } }
        def errors = idle.collect { name, rule -> "--${name} is used only with -profile ${rule.profiles.join(', ')}" }
        errors += combined(given) + late(given.findAll { name, _value -> !(name in idle) })
        return (errors + executors.collectMany { profile -> missing(profile) })*.toString()
    }

    private List combined(Map given) {
        def needs = [gpu_type: 'gpu', gpu_count: 'gpu', gpu_queue: 'gpu', spot_queue: 'queue', ondemand_template: 'spot']
        def errors = needs.findAll { name, other -> given[name] && !given[other] }
            .collect { name, other -> "--${name} needs --${other}" }
        if (given.gpu && 'azurebatch' in profiles && !given.gpu_queue) {
            errors << '--gpu needs --gpu_queue with -profile azurebatch: a pool of machines with a GPU'
        }
        if (given.spot && given.queue && 'azurebatch' in profiles) {
            errors << '--spot cannot be used with --queue and -profile azurebatch: it is a property of the pool'
        }
        if (given.scratch && profiles.any { profile -> profile in CLOUDS }) {
            errors << "--scratch cannot be used with -profile ${profiles.intersect(CLOUDS)[0]}: its tasks always work on a disk of their machine"
        }
        def clouds = profiles.intersect(CLOUDS)
        if (clouds && given.oracle && Named.environment(given.oracle) && !given.oracle_container) {
            errors << "--oracle ${given.oracle} needs --oracle_container with -profile ${clouds[0]}: an image in a registry, built with bin/geneq-image ${Named.environment(given.oracle)}"
        }
        if (given.cleanup && given.publish_mode == 'symlink') {
            errors << '--cleanup cannot be used with --publish_mode symlink: it removes the files that the links lead to'
        }
        return errors
    }

    // The profiles read parameters before a file of -c can set them.
    private List late(Map given) {
        def settings = [queue: 'process.queue', container: 'process.container', array: 'process.array', scratch: 'process.scratch']
        return settings.findAll { name, setting -> given[name] && !value(setting) }
            .collect { name, setting -> "params.${name} is set in a configuration file, which is read after the profiles: set ${setting} there, not params.${name}" }
    }

    private List missing(String profile) {
        def errors = NEEDED.getOrDefault(profile, [:]).findAll { setting, _name -> !value(setting) }
            .collect { setting, name -> "--${name} is required with -profile ${profile} (or ${setting} in a configuration file)" }
        def image = value('process.container')
        if (profile in CLOUDS && image instanceof CharSequence && !(image ==~ /(?!localhost\/)[^\/].*\/.*(?<!\.sif)/)) {
            errors << "--container must be an image in a registry with -profile ${profile}, not '${image}'"
        }
        return errors + place(profile)
    }

    // Where the machines of a cloud can read and write the files of tasks.
    private List place(String profile) {
        def scheme = BUCKETS[profile]
        if (scheme && workDir.fileSystem.provider().scheme != scheme) {
            return ["-work-dir must be in a bucket (${scheme}://…) with -profile ${profile}, not ${workDir}"]
        }
        def volume = profile == 'k8s' ? value('k8s.storageMountPath') : null
        if (volume && !workDir.startsWith(Path.of(volume.toString()))) {
            return ["-work-dir must be in the volume of --volume_claim, which is mounted at ${volume} (--volume_path), not ${workDir}"]
        }
        return []
    }

    private Object value(String setting) {
        return setting.tokenize('.').inject(config as Object) { scope, name -> scope instanceof Map ? scope.get(name) : null }
    }
}

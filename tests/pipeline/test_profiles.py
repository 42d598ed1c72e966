"""Profiles: every executor with every container engine, what each needs and refuses, and the
options of a site beside them."""

import json
import os
import re

import pytest

from .conftest import ROOT, nextflow, pipeline, with_lib

ENGINES = {
    "docker": ("geneq:cpu", "--gpus all"),
    "podman": ("localhost/geneq:cpu", "--device nvidia.com/gpu=all"),
    "singularity": (f"{ROOT}/containers/geneq-cpu.sif", "--nv"),
    "apptainer": (f"{ROOT}/containers/geneq-cpu.sif", "--nv"),
}
ALL = {
    "executor.queueSize": 200,
    "executor.submitRateLimit": "10/1sec",
    "process.array": None,
    "process.ext.jobOptions": "",
}
CLOUD = {"process.container": None, "cleanup": False, "process.scratch": False}
# Of each executor: settings without parameters, and with those of GIVEN that it uses.
EXECUTORS = {
    "slurm": (
        ALL | {"process.queue": None, "process.ext.gpuJobOptions": "--gres=gpu:1"},
        {
            "process.queue": "long",
            "process.array": 50,
            "process.ext.jobOptions": "--account=lab --qos=short --comment=team=a,grant=r01",
            "process.ext.gpuJobOptions": "--gres=gpu:a100:2",
        },
    ),
    "lsf": (
        ALL | {"process.ext.gpuJobOptions": "-gpu num=1"},
        {
            "process.queue": "long",
            "process.array": 50,
            "process.ext.jobOptions": "-G lab -P grant -Jd team=a,grant=r01",
            "process.ext.gpuJobOptions": "-gpu num=2:gmodel=a100",
        },
    ),
    "sge": (
        ALL | {"executor.submitRateLimit": "5/1sec", "process.ext.gpuJobOptions": "-l gpu=1"},
        {
            "process.queue": "long",
            "process.array": 50,
            "process.ext.jobOptions": "-A lab -P grant -ac team=a,grant=r01",
            "process.ext.gpuJobOptions": "-l gpu=2",
        },
    ),
    "pbspro": (
        ALL | {"executor.submitRateLimit": "5/1sec"},
        {
            "process.queue": "long",
            "process.array": 50,
            "process.ext.jobOptions": "-A lab -P grant",
            "process.ext.gpuJobOptions": "-l select=1:ncpus=1:mem=2048mb:ngpus=2",
        },
    ),
    "awsbatch": (
        CLOUD | {"aws.region": None, "executor.queueSize": 1000, "process.array": None},
        {
            "process.queue": "long",
            "process.array": 50,
            "aws.region": "somewhere",
            "process.container": "registry/geneq:1",
            "process.resourceLabels": {
                "pipeline": "geneq", "stage": "search", "team": "a", "grant": "r01"
            },
        },
    ),
    "googlebatch": (
        CLOUD | {"google.project": None, "google.location": None, "google.batch.spot": False},
        {
            "google.project": "grant",
            "google.location": "somewhere",
            "google.batch.spot": True,
            "process.array": 50,
            "process.machineType": None,
            "process.container": "registry/geneq:1",
        },
    ),
    "azurebatch": (
        CLOUD | {"azure.batch.autoPoolMode": True, "azure.batch.deletePoolsOnCompletion": True},
        {
            "azure.batch.accountName": "lab",
            "azure.batch.location": "somewhere",
            "azure.batch.autoPoolMode": False,
            "azure.batch.allowPoolCreation": False,
            "azure.batch.pools.auto.lowPriority": True,
            "process.queue": "long",
        },
    ),
    "k8s": (
        CLOUD | {"k8s.namespace": None, "k8s.storageMountPath": "/workspace"},
        {
            "k8s.namespace": "ours",
            "k8s.storageClaimName": "disk",
            "k8s.storageMountPath": "/data",
            "process.container": "registry/geneq:1",
        },
    ),
}  # fmt: skip
# As text, as newer Nextflow passes them.
GIVEN = {
    "queue": "long", "account": "lab", "qos": "short", "project": "grant", "region": "somewhere",
    "labels": "team=a,grant=r01", "gpu_type": "a100", "gpu_count": "2", "spot": "true",
    "container": "registry/geneq:1", "array": "50", "namespace": "ours", "volume_claim": "disk",
    "volume_path": "/data", "cleanup": "true", "scratch": "$TMPDIR",
}  # fmt: skip

# Builds configurations as `nextflow config -profile` does.
BUILDER = """
def built = { profile, given ->
    def run = new nextflow.cli.CmdRun(profile: profile, params: given)
    run.launcher = new nextflow.cli.Launcher()
    new nextflow.config.ConfigBuilder().setOptions(new nextflow.cli.CliOptions())
        .setBaseDir(ROOT).setCmdRun(run).buildConfigObject()
}
def called = { closure, config, task ->
    closure.cloneWith([task: task, params: config.params]).call()
}
def TASK = [attempt: 1, cpus: 1, memory: 2.GB, process: 'EQUATIONS:SEARCH', tag: 'blood']
def plain
plain = { value, config ->
    if (value instanceof Closure) {
        try { called(value, config, TASK) } catch (Exception e) { 'of other arguments' }
    }
    else if (value instanceof Map) {
        value.collectEntries { name, part -> [name, plain(part, config)] }
    }
    else { value instanceof Number || value instanceof Boolean ? value : value?.toString() }
}
def json = { name, value -> println("CASE ${name} ${groovy.json.JsonOutput.toJson(value)}") }
def config
""".replace("ROOT", f"java.nio.file.Path.of('{ROOT}')")


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What lib/ and the configuration answer to all cases below, by test: one start of Nextflow."""
    lines = [*matrix(), *queues(), *needs(), *limits()]
    run = with_lib(tmp_path_factory.mktemp("answers"), BUILDER + "\n".join(lines))
    assert run.status == 0, run.text
    found = {}
    for name, value in re.findall(r"^CASE (\w+) (.*)$", run.text, re.MULTILINE):
        found.setdefault(name, []).append(json.loads(value))
    return found


def setting(config, name):
    for part in name.split("."):
        config = config.get(part)
    return config


def leaves(value):
    values = value.values() if isinstance(value, dict) else [value]
    return [
        leaf for part in values for leaf in (leaves(part) if isinstance(part, dict) else [part])
    ]


PAIRS = [(executor, engine) for executor in EXECUTORS for engine in ENGINES]


def matrix():
    """Every executor with every engine; with apptainer all parameters are given."""
    given = ", ".join(f"{name}: '{value}'" for name, value in GIVEN.items())
    return [
        f"config = built('{engine},{executor}', [{given if engine == 'apptainer' else ':'}])\n"
        "json('matrix', plain(config, config))"
        for executor, engine in PAIRS
    ]


def test_every_executor_with_every_engine(answers):
    for (executor, engine), config in zip(PAIRS, answers["matrix"], strict=True):
        image, gpu = ENGINES[engine]
        wanted = {f"{engine}.enabled": True, "process.ext.gpuContainerOptions": gpu}
        wanted["process.executor"] = {"googlebatch": "google-batch"}.get(executor, executor)
        if engine == "apptainer":
            wanted |= EXECUTORS[executor][1] | {"cleanup": True, "process.scratch": "$TMPDIR"}
        else:
            wanted |= {"process.container": image} | EXECUTORS[executor][0]
        found = {name: setting(config, name) for name in wanted}
        assert {name: str(value) for name, value in found.items()} == {
            name: str(value) for name, value in wanted.items()
        }
        texts = [leaf for leaf in leaves(config) if isinstance(leaf, str)]
        assert [text for text in texts if "null" in text] == []
        # A selector that sets one of these would replace what a site sets for all processes.
        scopes = [scope for scope in config["process"].values() if isinstance(scope, dict)]
        assert not any({"clusterOptions", "containerOptions"} & {*scope} for scope in scopes)


QUEUES = {
    # attempt, whether it needs a GPU: where the task goes
    "queue: 'a', spot_queue: 's', gpu_queue: 'g'": {
        (1, False): "s", (2, False): "a", (1, True): "g", (3, True): "g"
    },
    "queue: 'a', spot_queue: 's'": {(1, False): "s", (2, True): "a"},
    "queue: 'a', gpu_queue: 'g'": {(1, False): "a", (1, True): "g"},
    "gpu_queue: 'g'": {(1, False): None, (1, True): "g"},
}  # fmt: skip


ASKED = [(given, *task) for given, tasks in QUEUES.items() for task in tasks]


def queues():
    """Queues of AWS Batch, then machines of Google Batch at two attempts."""
    lines = [
        f"config = built('awsbatch', [{given}])\njson('queues', called(config.process.queue, "
        f"config, [attempt: {attempt}, accelerator: {'[request: 1]' if gpu else 'null'}]))"
        for given, attempt, gpu in ASKED
    ]
    lines.append("config = built('googlebatch', [spot: true, ondemand_template: 't'])")
    template = "json('machines', called(config.process.machineType, config, [attempt: {}]))"
    return [*lines, template.format(1), template.format(2)]


def test_retries_leave_machines_that_can_be_preempted(answers):
    assert answers["machines"] == [None, "template://t"]
    assert dict(zip(ASKED, answers["queues"], strict=True)) == {
        (given, *task): queue for given, tasks in QUEUES.items() for task, queue in tasks.items()
    }


BUCKET = "-work-dir must be in a bucket ({0}://…) with -profile {1}, not /scratch/work"
NEEDS = "--{0} is required with -profile {1} (or {2} in a configuration file)"
IMAGE = "process.container"
# Profiles and parameters: the errors.
REFUSED = [
    ("docker", {}, []),
    ("standard", {"queue": "a", "qos": "b"}, [
        "--queue is used only with -profile slurm, lsf, sge, pbspro, awsbatch, azurebatch",
        "--qos is used only with -profile slurm",
    ]),
    ("lsf,docker", {"qos": "b"}, ["--qos is used only with -profile slurm"]),
    ("slurm", {"container": "x"}, [
        "--container is used only with -profile docker, podman, singularity, apptainer, awsbatch, "
        "googlebatch, azurebatch, k8s",
    ]),
    ("standard", {"array": 5, "gpu_count": 2}, [
        "--gpu_count is used only with -profile slurm, lsf, sge, pbspro, awsbatch, googlebatch, "
        "k8s",
        "--array is used only with -profile slurm, lsf, sge, pbspro, awsbatch, googlebatch",
        "--gpu_count needs --gpu",
    ]),
    ("slurm,k8s", {}, ["-profile names several executors: slurm, k8s. Choose one"]),
    ("slurm", {"spot_queue": "s"}, ["--spot_queue needs --queue"]),
    ("slurm", {"gpu_queue": "s", "gpu_type": "x"}, [
        "--gpu_type needs --gpu", "--gpu_queue needs --gpu",
    ]),
    ("standard", {"cleanup": True, "publish_mode": "symlink"}, [
        "--cleanup cannot be used with --publish_mode symlink: it removes the files that the links "
        "lead to",
    ]),
    ("awsbatch", {}, [
        NEEDS.format("queue", "awsbatch", "process.queue"),
        NEEDS.format("container", "awsbatch", IMAGE),
        NEEDS.format("region", "awsbatch", "aws.region"),
        BUCKET.format("s3", "awsbatch"),
    ]),
    ("apptainer,awsbatch", {"queue": "q", "region": "r", "container": "/a.sif", "scratch": "/x"}, [
        "--scratch cannot be used with -profile awsbatch: its tasks always work on a disk of their "
        "machine",
        "--container must be an image in a registry with -profile awsbatch, not '/a.sif'",
        BUCKET.format("s3", "awsbatch"),
    ]),
    ("googlebatch", {"ondemand_template": "t"}, [
        "--ondemand_template needs --spot",
        NEEDS.format("container", "googlebatch", IMAGE),
        NEEDS.format("project", "googlebatch", "google.project"),
        NEEDS.format("region", "googlebatch", "google.location"),
        BUCKET.format("gs", "googlebatch"),
    ]),
    ("azurebatch", {"container": "geneq:cpu", "gpu": True, "spot": True, "queue": "q"}, [
        "--gpu needs --gpu_queue with -profile azurebatch: a pool of machines with a GPU",
        "--spot cannot be used with --queue and -profile azurebatch: it is a property of the pool",
        NEEDS.format("account", "azurebatch", "azure.batch.accountName"),
        NEEDS.format("region", "azurebatch", "azure.batch.location"),
        "--container must be an image in a registry with -profile azurebatch, not 'geneq:cpu'",
        BUCKET.format("az", "azurebatch"),
    ]),
    ("k8s", {"container": "registry/x", "volume_claim": "c", "volume_path": "/scratch",
             "oracle": "kmers:3+borzoi:x"}, [
        "--oracle kmers:3+borzoi:x needs --oracle_container with -profile k8s: an image in a "
        "registry, built with bin/geneq-image borzoi",
    ]),
    ("k8s", {"container": "registry/x"}, [
        NEEDS.format("volume_claim", "k8s", "k8s.storageClaimName"),
        "-work-dir must be in the volume of --volume_claim, which is mounted at /workspace "
        "(--volume_path), not /scratch/work",
    ]),
    ("k8s", {"container": "registry/x", "volume_claim": "c", "volume_path": "/scratch"}, []),
]  # fmt: skip


def needs():
    """The errors of each profile."""
    lines = [
        f"def schema = java.nio.file.Path.of('{ROOT}/nextflow_schema.json')",
        "def rules = new Parameters(schema).described()",
        "def work = java.nio.file.Path.of('/scratch/work')",
    ]
    for profile, given, _ in REFUSED:
        values = ", ".join(f"{name}: {value!r}" for name, value in given.items()) or ":"
        values = values.replace("True", "true")
        lines.append(
            f"json('needs', new Machines('{profile}', built('{profile}', [{values}]), work)"
            f".errors([{values}], rules))"
        )
    return lines


def test_what_a_profile_needs_is_named(answers):
    assert answers["needs"] == [errors for *_, errors in REFUSED]


def test_a_cloud_without_what_it_needs_is_refused_before_anything_runs(tmp_path):
    # A file of -c is read after the profiles, where `params.container` has no effect any more.
    (tmp_path / "site.config").write_text(
        "params { container = 'registry/x'; max_memory = 3.GB }\n"
    )
    run = pipeline(
        *(tmp_path, "-c", "site.config", "-profile", "k8s"),
        *("--experiments", "x.csv", "--max_time", "soon"),
    )
    assert run.status != 0 and run.submitted == []
    assert "--container is required with -profile k8s" in run.text
    assert "--volume_claim is required with -profile k8s" in run.text
    assert "set process.container there, not params.container" in run.text
    assert "--max_memory" not in run.text
    assert "--max_time must be a time such as 30.min, 12.h or 2.d, not 'soon'" in run.text


LIMITS = [
    # limits given, executor: cpus, memory and time of a task
    ("[:]", "'slurm'", {}),
    ("[max_memory: '3.GB', max_time: '30.min', max_cpus: 64]", "'slurm'",
     {"cpus": 64, "memory": "3 GB", "time": "30m"}),
    ("[max_memory: '9.TB', max_cpus: 1]", "'local'", {"cpus": 1, "memory": "machine"}),
    ("[max_memory: '1.MB', max_cpus: 9999]", "null", {"cpus": "machine", "memory": "1 MB"}),
]  # fmt: skip


def limits():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    lines = [
        f"json('limits', plain(Requests.limits({given}, {executor}), null))"
        for given, executor, _ in LIMITS
    ]
    return [*lines, f"json('memory', new MemoryUnit({memory}).toString())"]


def test_limits_of_this_machine_are_those_of_tasks_that_run_here(answers):
    machine = {"cpus": os.cpu_count(), "memory": answers["memory"][0]}
    assert answers["limits"] == [
        {name: machine[name] if value == "machine" else value for name, value in wanted.items()}
        for *_, wanted in LIMITS
    ]


def test_profiles_of_inputs_and_budgets(tmp_path):
    run = nextflow(tmp_path, "config", "-profile", "demo,test", ROOT)
    assert run.status == 0, run.text
    assert "trials = '4'" in run.text


# --- the options of a site ------------------------------------------------------------------------

# Runs what a job would run, without its container.
SUBMIT = """#!/bin/bash
if [ "$0" != "${0%bsub}" ]; then cat >/dev/null; fi
touch .command.begin
bash .command.sh > .command.out 2> .command.err
echo $? > .exitcode
"""
ANSWERS = {
    "sbatch": "echo Submitted batch job 1",
    "bsub": "echo 'Job <1> is submitted to queue <long>.'",
    "qsub": "echo 1.server",
}


@pytest.fixture
def cluster(tmp_path):
    """A folder with an experiment, and the environment with a scheduler."""
    tools = tmp_path / "tools"
    tools.mkdir()
    states = dict.fromkeys(("squeue", "bjobs", "qstat"), "#!/bin/bash\n")
    for name, text in ({name: SUBMIT + text for name, text in ANSWERS.items()} | states).items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    (tmp_path / "r.json").touch()
    (tmp_path / "sheet.csv").write_text("experiment,recipe,oracle\nx,r.json,motifs:core\n")
    return tmp_path, {"PATH": f"{tools}:{os.environ['PATH']}"}


def jobs(folder, token="#SBATCH"):
    """Of each task: the options of its header, and the command line of its container."""
    found = {}
    for script in folder.glob("work/*/*/.command.run"):
        text = script.read_text()
        (name,) = re.findall(r"^### name: '(?:\w+:)*(\w+) ", text, re.MULTILINE)
        (container,) = re.findall(r"(?:docker run|apptainer exec) .*", text)
        options = re.findall(rf"^{re.escape(token)} (--?[a-zA-Z].*)$", text, re.MULTILINE)
        found[name] = (options, container)
    return found


def requests(folder):
    """Of each task: account, GPU and quality of service on Slurm; its container."""
    wanted = ("-A", "-g", "--account", "--gres", "--qos")
    return {
        name: ([option for option in options if option.startswith(wanted)], container)
        for name, (options, container) in jobs(folder).items()
    }


SITE = """
process {
    clusterOptions = '--account=lab'
    containerOptions = '--env SITE=1'
}
"""
# Text is what newer Nextflow makes of every parameter of the command line.
TEXT = {"NXF_DISABLE_PARAMS_TYPE_DETECTION": "true"}


@pytest.mark.parametrize("gpu", ["true", "false"])
def test_options_of_a_site_are_kept(cluster, gpu):
    folder, env = cluster
    (folder / "site.config").write_text(SITE + "executor.pollInterval = '1s'\n")
    run = pipeline(
        folder,
        *("-c", "site.config", "-profile", "slurm,docker", "-stub"),
        *("--experiments", "sheet.csv", "--gpu", gpu),
        env=env | TEXT,
    )
    assert run.status == 0, run.text
    found = requests(folder)
    assert {*found} == {"SCORE", "SURROGATE", "LOCI_REPORT"}
    for name, (header, container) in found.items():
        asked = gpu == "true" and name == "SCORE"
        assert header == ["--gres=gpu:1 --account=lab" if asked else "--account=lab"]
        assert "--env SITE=1" in container
        assert ("--gpus all" in container) == asked
        assert f" geneq:{'gpu' if gpu == 'true' else 'cpu'} " in container


@pytest.mark.parametrize("given", [(), ("--oracle_container", "geneq:mine")])
def test_oracles_with_an_environment_of_their_own_run_in_its_image(cluster, given):
    """An experiment and features of each kind; stages that open no oracle have the usual image."""
    folder, env = cluster
    for name in ("a", "b"):
        (folder / name).mkdir()
    rows = ["experiment,recipe,oracle", "x,r.json,borzoi:a:CAGE", "y,r.json,motifs:core"]
    (folder / "sheet.csv").write_text("\n".join(rows))
    (folder / "data.csv").write_text("dataset,h5ad,cell_type_key\na,a.h5ad,k\n")
    for name in ("a.h5ad", "p.fa"):
        (folder / name).touch()
    (folder / "site.config").write_text(
        "executor.pollInterval = '1s'\nprocess.container = 'geneq:site'\n"
    )
    run = pipeline(
        *(folder, "-c", "site.config", "-profile", "slurm,docker", "-stub", "--replicates", 0),
        *("--experiments", "sheet.csv", "--input", "data.csv", "--promoters", "p.fa"),
        *("--oracle", "motifs:core+enformer:b", *given),
        env=env,
    )
    assert run.status == 0, run.text
    images = {}
    for script in folder.glob("work/*/*/.command.run"):
        text = script.read_text()
        ((stage, tag),) = re.findall(r"^### name: '(?:\w+:)*(\w+) \((.*)\)'", text, re.MULTILINE)
        (images[stage, tag],) = re.findall(r"docker run .* (geneq:\w+) ", text)
    mine = given[-1] if given else None
    assert images.pop(("SCORE", "x")) == (mine or "geneq:borzoi")
    featurized = {images.pop(key) for key in [*images] if key[0] == "FEATURIZE"}
    assert featurized == {mine or "geneq:enformer"}
    assert images.pop(("SCORE", "y")) == (mine or "geneq:site")
    assert len(images) > 5 and {*images.values()} == {"geneq:site"}


SELECTORS = """
process {
    clusterOptions = '--account=lab'
    withLabel: 'gpu' { clusterOptions = ['--account=gpus', '--qos=short'] }
    withName: 'SCORE' { containerOptions = { "--env TASK=${task.process.tokenize(':').last()}" } }
    withName: 'SURROGATE' { clusterOptions = { "--account=${task.cpus}" } }
}
"""


def test_options_of_a_site_for_some_tasks_are_kept(cluster):
    folder, env = cluster
    (folder / "site.config").write_text(SELECTORS + "executor.pollInterval = '1s'\n")
    run = pipeline(
        folder,
        *("-c", "site.config", "-profile", "slurm,docker", "-stub"),
        *("--experiments", "sheet.csv", "--gpu"),
        env=env,
    )
    assert run.status == 0, run.text
    found = requests(folder)
    assert found["SCORE"][0] == ["--gres=gpu:1", "--account=gpus", "--qos=short"]
    assert "--gpus all --env TASK=SCORE" in found["SCORE"][1]
    assert found["SURROGATE"][0] == ["--account=1"]
    assert found["LOCI_REPORT"][0] == ["--account=lab"]
    assert "--gpus" not in found["SURROGATE"][1]


HEADERS = {
    # profile, start of its header: parameters, and what the jobs of SCORE and SURROGATE ask for
    ("lsf", "#BSUB"): (
        ("--queue", "long", "--project", "grant", "--max_memory", "1.GB", "--max_time", "30.min"),
        {"-P grant", "-gpu num=1", "-q long", "-W 00:30"},
        {"-P grant", "-q long", "-W 00:30"},
    ),
    ("pbspro", "#PBS"): (
        ("--account", "lab", "--spot_queue", "cheap", "--queue", "long", "--gpu_queue", "gpus"),
        {"-A lab -l select=1:ncpus=1:mem=6144mb:ngpus=1", "-q gpus", "-l walltime=12:00:00"},
        {"-A lab", "-q cheap", "-l select=1:ncpus=1:mem=6144mb", "-l walltime=12:00:00"},
    ),
}


@pytest.mark.parametrize(("profile", "token"), HEADERS)
def test_what_jobs_of_other_clusters_ask_for(cluster, profile, token):
    folder, env = cluster
    (folder / "site.config").write_text("executor.pollInterval = '1s'\n")
    given, score, surrogate = HEADERS[profile, token]
    run = pipeline(
        *(folder, "-c", "site.config", "-profile", f"{profile},docker", "-stub"),
        *("--experiments", "sheet.csv", "--gpu", *given),
        env=env,
    )
    assert run.status == 0, run.text
    found = jobs(folder, token)
    assert score <= {*found["SCORE"][0]}
    assert surrogate <= {*found["SURROGATE"][0]}
    assert not any("gpu" in option for option in found["SURROGATE"][0])


def test_the_example_of_a_site_works(cluster):
    folder, env = cluster
    (example,) = re.findall(r"```groovy\n(.*?)```", (ROOT / "docs/clusters.md").read_text(), re.S)
    (folder / "site.config").write_text(example + "executor.pollInterval = '1s'\n")
    run = pipeline(
        *(folder, "-c", "site.config", "-profile", "slurm,apptainer", "-stub"),
        *("--experiments", "sheet.csv", "--gpu", "--qos", "short"),
        env=env,
    )
    assert run.status == 0, run.text
    found = jobs(folder)
    options, container = found["SCORE"]
    assert {"-p gpu", "--qos=short --gres=gpu:1 --account=lab", "--mem 6144M"} <= {*options}
    assert "-t 08:00:00" in options
    assert " --nv " in container and "--bind /scratch" in container
    assert {"-p normal", "--qos=short --account=lab"} <= {*found["SURROGATE"][0]}


def test_what_a_cloud_attaches_is_not_asked_of_the_container(tmp_path):
    (tmp_path / "nextflow.config").write_text(
        "process { containerOptions = '--site'; withName: 'A' { containerOptions = null }\n"
        "ext.gpuContainerOptions = '--gpus all'; ext.gpuJobOptions = '--gres=gpu:1' }"
    )
    run = with_lib(
        tmp_path,
        """
        Requests.add([:])
        def scopes = nextflow.Global.session.config.process
        def tasks = [[accelerator: 1, executor: 'slurm'], [accelerator: 1, executor: 'k8s'], [:]]
        tasks.each { task ->
            [scopes, scopes['withName:A']].each { scope ->
                println("CASE ${scope.containerOptions.cloneWith([task: task]).call()}")
            }
            println("CASE ${scopes.clusterOptions.cloneWith([task: task]).call()}")
        }
        """,
    )
    assert re.findall("CASE (.*)", run.text) == [
        *("--gpus all --site", "--gpus all", "--gres=gpu:1"),
        *("--site", "null", "--gres=gpu:1"),
        *("--site", "null", "null"),
    ], run.text

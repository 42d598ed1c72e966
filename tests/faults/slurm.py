"""A Slurm cluster of one node on this machine, with a GPU that is only declared."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

TOOLS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")

CONFIG = """
ClusterName=geneq
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
PropagateResourceLimits=NONE
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ReturnToService=2
MinJobAge=7200
SlurmdTimeout=10
SchedulerParameters=sched_interval=1,bf_interval=2,batch_sched_delay=1
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
KillWait=3
MessageTimeout=10
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000 Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=30:00 State=UP
"""


class Slurm:
    """The daemons run in `folder`; `env` lets the commands of Slurm reach them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.host = socket.gethostname().split(".")[0]
        self.env = {"SLURM_CONF": str(folder / "slurm.conf")}

    @staticmethod
    def missing() -> list[str]:
        """Tools that are not installed."""
        path = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
        return [tool for tool in TOOLS if not shutil.which(tool, path=path)]

    def start(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        (self.folder / "slurm.conf").write_text(
            CONFIG.format(
                folder=self.folder, host=self.host, user=getpass.getuser(), ports=_free_ports()
            )
        )
        (self.folder / "gres.conf").write_text(f"NodeName={self.host} Name=gpu File=/dev/null\n")
        names = ("socket", "pid-file", "log-file", "seed-file")
        files = [f"--{name}={self.folder}/munge.{name.split('-')[0]}" for name in names]
        self._run("munged", "--force", f"--key-file={key}", *files)
        self.start_controller()
        self.start_node()
        self.wait("idle")

    def stop(self) -> None:
        subprocess.run(["scancel", "--user", getpass.getuser()], env=self._env(), check=False)
        for name in ("slurmd.pid", "slurmctld.pid", "munge.pid"):
            self._kill(name, signal.SIGTERM)

    def start_controller(self) -> None:
        self._run("slurmctld")

    def stop_controller(self) -> None:
        self._kill("slurmctld.pid", signal.SIGTERM)

    def start_node(self) -> None:
        self._run("slurmd")

    def lose_node(self) -> None:
        """The node's daemon and everything that its jobs run are gone at once."""
        self._kill("slurmd.pid", signal.SIGKILL)
        for process in self._job_processes():
            os.kill(process, signal.SIGKILL)

    def scontrol(self, *words: str) -> str:
        return self._run("scontrol", *words)

    def shell(self, command: str, folder: Path) -> str:
        """What a command line prints in `folder`, as a user of the cluster."""
        return subprocess.run(
            ["bash", "-c", command], cwd=folder, env=self._env(), capture_output=True, text=True
        ).stdout

    def wait(self, state: str, timeout: float = 300) -> None:
        """Until the node is in this state."""
        end = time.monotonic() + timeout
        while state not in self._run("sinfo", "--noheader", "--format=%T"):
            assert time.monotonic() < end, f"the node is not {state}"
            time.sleep(0.5)

    def _job_processes(self) -> list[int]:
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes()
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            # slurmstepd has no variable of its own that tells clusters apart, so by its spool.
            of_job = b"SLURM_CONF=" + self.env["SLURM_CONF"].encode() in environment
            if of_job and (b"SLURM_JOB_ID=" in environment or words.startswith(b"slurmstepd")):
                found.append(int(entry.name))
        return found

    def _kill(self, pid_file: str, how: signal.Signals) -> None:
        """Stop a daemon and wait until it no longer exists."""
        try:
            process = int((self.folder / pid_file).read_text())
            os.kill(process, how)
            while Path(f"/proc/{process}/exe").exists():
                time.sleep(0.1)
        except (OSError, ValueError):
            return

    def _env(self) -> dict:
        return {**os.environ, **self.env, "PATH": f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"}

    def _run(self, *words: str) -> str:
        done = subprocess.run(words, env=self._env(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        for free in (first, second):
            free.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]

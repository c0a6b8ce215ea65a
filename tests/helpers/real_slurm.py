"""A real SLURM of one node on this machine, without accounting, for slow tests: munged, slurmctld, slurmd."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={place}/munge.socket
CredType=cred/munge
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=10
MinJobAge=10
MessageTimeout=5
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Why there can be no real SLURM here; None where there can."""
    absent = [name for name in PROGRAMS if find(name) is None]
    if absent:
        return f"needs a real SLURM (Debian: slurm-wlm, munge); not installed: {', '.join(absent)}"
    return None if os.getuid() == 0 else "needs root, which slurmd and munged are started as"


def find(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class RealSlurm:
    """One node with four slots; its client commands find it by $SLURM_CONF."""

    def __init__(self, place: Path) -> None:
        self._place, self._running = place, dict[str, subprocess.Popen[bytes]]()
        for name in ("state", "spool"):
            (place / name).mkdir(parents=True)
        place.chmod(0o755)
        key = place / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        self.configuration = place / "slurm.conf"
        self.configuration.write_text(
            CONFIGURATION.format(
                host=socket.gethostname().partition(".")[0],
                user=pwd.getpwuid(os.getuid()).pw_name,
                place=place,
                ports=free_ports(2),
            )
        )

    def start(self) -> None:
        kinds = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        options = [f"--{option}={self._place}/munge.{name}" for option, name in kinds.items()]
        self._launch("munged", "--foreground", "--force", *options)
        deadline = time.monotonic() + 20
        while not (self._place / "munge.socket").exists():
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.1)
        self.start_controller()
        self._launch("slurmd", "-D", "-f", str(self.configuration))
        deadline = time.monotonic() + 60
        while "idle" not in self.ask("sinfo", "--noheader", "--format=%T"):
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.3)

    def start_controller(self) -> None:
        self._launch("slurmctld", "-D", "-f", str(self.configuration))

    def stop_controller(self) -> None:
        self._end("slurmctld")

    def stop(self) -> None:
        for name in ("slurmd", "slurmctld", "munged"):
            if name in self._running:
                self._end(name)

    def ask(self, *command: str) -> str:
        """What a command prints; whether it fails is the caller's to see."""
        environment = os.environ | {"SLURM_CONF": str(self.configuration)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout

    def running(self) -> list[tuple[str, str]]:
        """Number and name of the running jobs."""
        answer = self.ask("squeue", "--noheader", "--states=RUNNING", "--format=%i %j")
        return [(line.split()[0], line.split()[1]) for line in answer.splitlines()]

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in self._place.glob("*.log"))

    def _launch(self, name: str, *words: str) -> None:
        program = find(name)
        assert program is not None
        with (self._place / f"{name}.out.log").open("ab") as log:
            self._running[name] = subprocess.Popen([program, *words], stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def _end(self, name: str) -> None:
        process = self._running.pop(name)
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

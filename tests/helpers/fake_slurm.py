"""SLURM's commands for tests, on one machine: `python fake_slurm.py sbatch|squeue|scancel ...`.

Jobs are processes; $FAKE_SLURM is the folder with one file a job: its process id and name. `install` writes the
commands. A file `down` beside that folder makes the controller silent; a file `lost` makes one sbatch submit its job
and then fail as if the controller had not answered.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path


def install(folder: Path) -> Path:
    """Write executables of SLURM's names; returns their folder, for PATH."""
    place = folder / "bin"
    place.mkdir()
    for name in ("sbatch", "squeue", "scancel"):
        command = place / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" {name} "$@"\n')
        command.chmod(0o755)
    return place


def jobs() -> dict[str, int]:
    return {path.name: int(path.read_text().split()[0]) for path in Path(os.environ["FAKE_SLURM"]).iterdir()}


def is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone, perhaps while it is looked at
        return False


def sbatch(words: list[str]) -> None:
    script = words[-1]
    name = next(word.partition("=")[2] for word in words if word.startswith("--job-name="))
    number = str(1000 + len(jobs()))
    log = next(word.partition("=")[2] for word in words if word.startswith("--output="))
    with open(log, "ab") as file:  # noqa: PTH123
        job = subprocess.Popen(
            ["bash", script],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            env=os.environ | {"SLURM_JOB_ID": number},
        )
    (Path(os.environ["FAKE_SLURM"]) / number).write_text(f"{job.pid} {name}")
    lost = Path(os.environ["FAKE_SLURM"]).parent / "lost"
    if lost.exists():
        lost.unlink()
        sys.exit("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation")
    print(f"{number};cluster")


def squeue() -> None:
    for path in Path(os.environ["FAKE_SLURM"]).iterdir():
        pid, name = path.read_text().split()
        override = path.parent.parent / f"state-{path.name}"
        if override.exists():
            print(path.name, override.read_text(), name)
        elif is_alive(int(pid)):
            print(path.name, "RUNNING", name)


def scancel(words: list[str]) -> None:
    if "--state=PENDING" in words:
        return
    number = signal.SIGTERM if "--signal=TERM" in words else signal.SIGKILL
    known = jobs()
    for word in words:
        if word in known:
            with suppress(ProcessLookupError):
                (os.kill if number == signal.SIGTERM else os.killpg)(known[word], number)


def main(command: str, *words: str) -> None:
    if "--version" in words:
        print("slurm 24.05 (fake)")
    elif (Path(os.environ["FAKE_SLURM"]).parent / "down").exists():
        sys.exit(f"{command}: error: Unable to contact slurm controller (connect failure)")
    elif command == "sbatch":
        sbatch(list(words))
    elif command == "squeue":
        squeue()
    else:
        scancel(list(words))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""SLURM's commands for tests, on one machine: `python fake_slurm.py sbatch|squeue|scancel ...`.

Jobs are processes; $FAKE_SLURM is the folder with one file a job: its process id. `install` writes the commands.
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
    return {path.name: int(path.read_text()) for path in Path(os.environ["FAKE_SLURM"]).iterdir()}


def is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def sbatch(words: list[str]) -> None:
    script = words[-1]
    log = next(word.partition("=")[2] for word in words if word.startswith("--output="))
    with open(log, "ab") as file:  # noqa: PTH123
        job = subprocess.Popen(
            ["bash", script],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    number = str(1000 + len(jobs()))
    (Path(os.environ["FAKE_SLURM"]) / number).write_text(str(job.pid))
    print(f"{number};cluster")


def squeue() -> None:
    print("\n".join(number for number, pid in jobs().items() if is_alive(pid)))


def scancel(words: list[str]) -> None:
    number = signal.SIGTERM if "--signal=TERM" in words else signal.SIGKILL
    known = jobs()
    for word in words:
        if word in known:
            with suppress(ProcessLookupError):
                (os.kill if number == signal.SIGTERM else os.killpg)(known[word], number)


def main(command: str, *words: str) -> None:
    if "--version" in words:
        print("slurm 24.05 (fake)")
    elif command == "sbatch":
        sbatch(list(words))
    elif command == "squeue":
        squeue()
    else:
        scancel(list(words))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""SLURM's commands: what they answer, and how a controller that is absent is told from a refusal."""

import re
import shlex
import subprocess

from sparseplan.errors import SweepError

_COMMAND_SECONDS = 120.0
_ABSENT = re.compile(
    r"unable to contact slurm controller|connect(ion)? (failure|refused)|socket timed out|zero bytes were transmitted|"
    r"transport endpoint|not responding|temporarily unable|communication connection failure|timed out",
    re.IGNORECASE,
)
FULL = re.compile(r"submit ?limit|MaxSubmit|MaxJobCount|violates accounting/QOS policy", re.IGNORECASE)
"""What sbatch says where it takes no more jobs for now."""
ENDED = {
    "BOOT_FAIL": "lost its node at the start",
    "CANCELLED": "was cancelled",
    "COMPLETED": "",
    "DEADLINE": "reached its deadline",
    "FAILED": "",
    "NODE_FAIL": "lost its node",
    "OUT_OF_MEMORY": "",
    "PREEMPTED": "was preempted",
    "REVOKED": "was revoked",
    "TIMEOUT": "reached its time limit",
}
"""States of jobs that won't run again, and what is said of them where the exit status doesn't say it."""


class AbsentError(SweepError):
    """The controller doesn't answer."""


def queue() -> dict[str, tuple[str, str]]:
    """State and name of this user's jobs by number, those included that ended a short while ago.

    Raises:
        SweepError: if the controller doesn't answer.
    """
    # squeue fails for numbers that it has forgotten, so all of this user's jobs are asked for
    answer = ask(["squeue", "--noheader", "--me", "--states=all", "--format=%i %T %j"])
    rows = [line.split(maxsplit=2) for line in answer.splitlines() if line.strip()]
    return {row[0]: (row[1], row[2] if len(row) > 2 else "") for row in rows if len(row) > 1}


def ask(command: list[str]) -> str:
    """Run one of SLURM's commands; returns what it prints.

    Raises:
        AbsentError: if the controller doesn't answer it.
        SweepError: if it is not there or fails.
    """
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_COMMAND_SECONDS)
    except subprocess.TimeoutExpired:
        raise AbsentError(f"{command[0]} got no answer in {_COMMAND_SECONDS:.0f} seconds.") from None
    except FileNotFoundError:
        raise SweepError(
            f"expected SLURM's {command[0]} on PATH, found none; run this on a login node, or choose `executor` local."
        ) from None
    if answer.returncode:
        message = answer.stderr.strip() or f"exit status {answer.returncode}"
        kind = AbsentError if _ABSENT.search(message) else SweepError
        raise kind(f"{shlex.join(command)} failed: {message}")
    return answer.stdout

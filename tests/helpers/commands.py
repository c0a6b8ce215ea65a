"""The command line as a person meets it: a process of its own, and one on a terminal."""

import os
import pty
import re
import subprocess
import sys


def sparseplan(*arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [sys.executable, "-m", "sparseplan", *arguments],
        capture_output=True,
        text=True,
        check=False,
        **options,  # type: ignore[call-overload]
    )
    return done


def on_a_terminal(width: int, *arguments: str, encoding: str = "utf-8") -> str:
    """What a command prints on a terminal of some width."""
    lead, follow = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(width), "PYTHONIOENCODING": encoding}
    process = subprocess.Popen([sys.executable, "-m", "sparseplan", *arguments], stdout=follow, env=environment)
    os.close(follow)
    chunks: list[bytes] = []
    while True:
        try:
            chunk = os.read(lead, 65536)
        except OSError:  # Linux says so when the other side has closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(lead)
    assert process.wait() == 0
    return b"".join(chunks).decode()


def plain(printed: str) -> list[str]:
    """Terminal output without colours, frames and line ends."""
    lines = (re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in printed.splitlines())
    return [line for line in lines if line and set(line) != {"─"}]

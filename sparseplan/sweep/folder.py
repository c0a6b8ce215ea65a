"""Where a sweep's files are, and the lock against two drivers.

NAME/
  recipe.yaml manifest.json   what was asked
  runs/ID.json                one record per run or trunk: the truth
  runs.csv law.yaml README.md figures     derived
  laws/STRATEGY.yaml strategies.json      likewise, where there are several strategies
  verify/                     the same of the runs that the law is put to the test by; verify.json verify.png
  work/                       data, jobs, checkpoints, progress, logs: not to commit, needed only to resume
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock

from sparseplan.common.files import clear_partials, write_text
from sparseplan.errors import SweepError


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of one calibration."""

    root: Path

    @property
    def recipe(self) -> Path:
        """The recipe, word for word."""
        return self.root / "recipe.yaml"

    @property
    def manifest(self) -> Path:
        """What the folder is a sweep of."""
        return self.root / "manifest.json"

    @property
    def runs_table(self) -> Path:
        """The runs table, derived from the records."""
        return self.root / "runs.csv"

    @property
    def law(self) -> Path:
        """The law fitted to the runs table."""
        return self.root / "law.yaml"

    def law_of(self, strategy: str) -> Path:
        """The law of one strategy, where there are several."""
        return self.root / "laws" / f"{strategy}.yaml"

    @property
    def comparison(self) -> Path:
        """The comparison of several strategies, for programs."""
        return self.root / "strategies.json"

    @property
    def readme(self) -> Path:
        """What the calibration found, for people."""
        return self.root / "README.md"

    @property
    def figure(self) -> Path:
        """The fit, drawn."""
        return self.root / "fit.png"

    @property
    def verifying(self) -> "Folder":
        """The folder of the runs that put the law to the test."""
        return Folder(self.root / "verify")

    @property
    def verification(self) -> Path:
        """How the law did in the test."""
        return self.root / "verify.json"

    @property
    def verification_figure(self) -> Path:
        """The same, drawn."""
        return self.root / "verify.png"

    @property
    def records(self) -> Path:
        """Records of runs and trunks."""
        return self.root / "runs"

    @property
    def work(self) -> Path:
        """What only an unfinished sweep needs."""
        return self.root / "work"

    @property
    def corpus(self) -> Path:
        """The prepared data."""
        return self.work / "corpus"

    @property
    def checkpoints(self) -> Path:
        """Kept and rolling checkpoints."""
        return self.work / "checkpoints"

    def record(self, segment_id: str) -> Path:
        """The record of a run or a trunk."""
        return self.records / f"{segment_id}.json"

    def job(self, segment_id: str) -> Path:
        """The job that a segment's worker reads."""
        return self.work / "jobs" / f"{segment_id}.json"

    def progress(self, segment_id: str) -> Path:
        """Lines of progress of a segment, all attempts."""
        return self.work / "progress" / f"{segment_id}.jsonl"

    def log(self, task: str) -> Path:
        """What a worker wrote to its standard output and error."""
        return self.work / "logs" / f"{task}.log"

    def prepare(self) -> None:
        """Make the folders, and clear half-written files that killed workers left.

        Raises:
            SweepError: if a folder can't be made.
        """
        try:
            for path in (
                self.records,
                self.checkpoints,
                self.corpus,
                *(self.work / n for n in ("jobs", "progress", "logs")),
            ):
                path.mkdir(parents=True, exist_ok=True)
            for path in (self.records, self.checkpoints, self.work / "jobs"):
                clear_partials(path, ".*.partial*")
        except OSError as problem:
            raise SweepError(f"{self.root}: can't prepare this folder: {problem.strerror or problem}.") from None
        ignore = self.root / ".gitignore"
        if not ignore.exists():
            write_text(ignore, "work/\n")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder against other drivers; the lock goes with the process, however it ends.

        Raises:
            SweepError: if another driver holds it.
        """
        try:
            self.work.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise SweepError(f"{self.work}: can't make this folder: {problem.strerror or problem}.") from None
        lock = filelock.FileLock(self.work / "lock")
        owner = self.work / "driver"
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            holder = (
                owner.read_text(encoding="utf-8", errors="replace").strip() if owner.exists() else "another process"
            )
            raise SweepError(
                f"{self.root}: expected to be the only driver of this sweep, found {holder} at work; "
                "wait for it, stop it, or choose another `out`."
            ) from None
        except OSError as problem:
            raise SweepError(f"{self.work / 'lock'}: can't lock this file: {problem.strerror or problem}.") from None
        try:
            write_text(owner, f"process {os.getpid()} on {socket.gethostname()}\n")
            yield
        finally:
            lock.release()

"""What an interrupted measurement leaves: a line of JSON a case, beside the profile to come."""

from pathlib import Path

import msgspec
from msgspec import Struct

from sparseplan.common.files import read_regular
from sparseplan.common.json_struct import decode
from sparseplan.errors import HardwareError
from sparseplan.hardware.bench.protocol import Case, Facts, Outcome


class Header(Struct, frozen=True, kw_only=True):
    """The first line: what the outcomes below it have in common."""

    facts: Facts
    seconds_per_case: float


def partial_path(profile: Path) -> Path:
    """Where the outcomes are kept until the profile is whole."""
    return profile.with_suffix(".partial.jsonl")


class Partial:
    """Outcomes on disk; each is there, whole, before the next case begins."""

    def __init__(self, path: Path, header: Header) -> None:
        """Open the file, or begin one.

        Raises:
            HardwareError: if it holds outcomes of another device or another setting, or can't be written.
        """
        self.path = path
        self.outcomes: dict[Case, Outcome] = {}
        try:
            if path.exists():
                self._read(header)
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = [msgspec.json.encode(header), *map(msgspec.json.encode, self.outcomes.values())]
            path.write_bytes(b"".join(line + b"\n" for line in lines))  # without what an interruption cut short
        except OSError as problem:
            raise HardwareError(f"{path}: can't keep outcomes here: {problem.strerror or problem}.") from None

    def _read(self, header: Header) -> None:
        whole = [line for line in read_regular(self.path).splitlines(keepends=True) if line.endswith(b"\n")]
        try:
            found: Header = decode(whole[0], Header) if whole else header
            outcomes: list[Outcome] = [decode(line, Outcome) for line in whole[1:]]
        except msgspec.DecodeError as problem:
            raise HardwareError(
                f"{self.path}: expected what an interrupted bench left, found something else ({problem}); remove it."
            ) from None
        if found != header:
            theirs, ours = found.facts.hardware.device, header.facts.hardware.device
            what = f"of {theirs}, this is {ours}" if theirs != ours else "made with other versions or settings"
            raise HardwareError(
                f"{self.path}: the outcomes kept here are {what}. "
                "Remove the file to start again, or choose another `out`."
            )
        self.outcomes = {outcome.case: outcome for outcome in outcomes}

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome."""
        self.outcomes[outcome.case] = outcome
        try:
            with self.path.open("ab") as file:
                file.write(msgspec.json.encode(outcome) + b"\n")
        except OSError as problem:
            raise HardwareError(f"{self.path}: can't keep outcomes here: {problem.strerror or problem}.") from None

    def remove(self) -> None:
        """Forget the file, once the profile is written."""
        self.path.unlink(missing_ok=True)

"""What `laws check` finds, as people read it and as plain data."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec

from sparseplan.common.console import open_console, say, say_wrapped
from sparseplan.laws.finding import Finding
from sparseplan.laws.identity import law_hash
from sparseplan.laws.law import Law

if TYPE_CHECKING:  # fits take long to import, and most checks hold no law against runs
    from sparseplan.fit.against_runs import AgainstRuns


def check_facts(law: Law, findings: list[Finding], runs: "AgainstRuns | None" = None) -> dict[str, Any]:
    """The findings of a law as plain data, and how it stands against a runs table where one was given."""
    facts: dict[str, Any] = {"law": law.name, "hash": law_hash(law), "findings": [asdict(one) for one in findings]}
    if runs is None:
        return facts
    return facts | {"runs": msgspec.json.decode(msgspec.json.encode(runs))}  # an infinite error is null in JSON


def print_check(law: Law, findings: list[Finding], runs: "AgainstRuns | None" = None) -> None:
    """Print the findings of a law: doubts begin with `!`, notes with `-`; then how it stands against a runs table."""
    console = open_console()
    say(console, f"{law.name}: a valid law" + (", with something to look at:" if findings else "."))
    for one in findings:
        stop = "" if one.message.endswith("?") else "."
        say_wrapped(console, f"{'!' if one.doubtful else '-'} {one.key}: {one.message}{stop}", indent="  ")
    if runs is not None:
        said = f"{runs.table}: {runs.outcome}: {runs.message}"
        say_wrapped(console, f"! {said}" if runs.differs else said, indent="  " if runs.differs else "")
        for line in runs.read:
            say_wrapped(console, line, indent="  ")

"""What `laws check` finds, as people read it and as plain data."""

from dataclasses import asdict
from typing import Any

from sparseplan.common.console import open_console, say, say_wrapped
from sparseplan.laws.finding import Finding
from sparseplan.laws.law import Law


def check_facts(law: Law, findings: list[Finding]) -> dict[str, Any]:
    """The findings of a law as plain data."""
    return {"law": law.name, "findings": [asdict(one) for one in findings]}


def print_check(law: Law, findings: list[Finding]) -> None:
    """Print the findings of a law: doubts begin with `!`, notes with `-`."""
    console = open_console()
    say(console, f"{law.name}: a valid law" + (", with something to look at:" if findings else "."))
    for one in findings:
        say_wrapped(console, f"{'!' if one.doubtful else '-'} {one.key}: {one.message}.", indent="  ")

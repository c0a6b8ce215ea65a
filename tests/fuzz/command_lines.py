"""Random command lines: every option of every command, whether it belongs there or not, with good and bad values."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

import typer

from sparseplan.cli import app
from tests.fuzz import mutate
from tests.fuzz.watch import check

COMMANDS: tuple[list[str], ...] = tuple(
    line.split()
    for line in (
        "optimal --flops 1e22",
        "optimal --flops 1e20 --params 100M --explain",
        "optimal --loss 2.5",
        "optimal --device-hours 1k --cost h100",
        "optimal --flops 1e20,1e21 --law frantar2023-t5-c4,wu2026-llama-c4",
        "predict --params 1B --data 1B --sparsity 0.5",
        "contour --points 3",
        "laws list",
        "laws show frantar2023-t5-c4",
        "laws check frantar2023-vit-jft",
        "laws schema",
        "laws diff frantar2023-t5-c4 frantar2023-vit-jft",
        "optimal --flops 1e22 --model llama-3-8b --devices 8 --max-memory 80GB",
        "models list",
        "models show gpt2 --context 512",
        "hardware list",
        "hardware show h100",
        "fit missing.csv",
        "next --flops 1e20",
        "laws",
        "hardware",
        "nonsense",
        "",
    )
)
VALUES = tuple(
    word
    for line in (
        "1e20 1e23 7B 1M 0.5 50% 8 3 2.5 1k 989T 1M..1B 1e20..1e22 1e21,1e22",
        "2:4 n:4 best sparse dense h100 a100 mean point coupled auto token image -- -h",
        "frantar2023-t5-c4 frantar2023-vit-jft wu2026-llama-c4 besiroglu2024-chinchilla",
        "llama-3-8b gpt2 vit-b-16 80GB 8192",
    )
    for word in line.split()
)
WRITE_OR_INSTALL = {"--out", "--csv", "--report", "--figure", "--install-completion", "--show-completion"}
"""Not fuzzed: files that a command is asked for are no left-overs, and what installs itself changes the machine."""


@cache
def options() -> list[str]:
    """Every option of every command."""

    def found(command: object) -> Iterator[str]:
        for part in getattr(command, "commands", {}).values():
            yield from found(part)
        for parameter in getattr(command, "params", []):
            yield from (word for word in parameter.opts if word.startswith("--"))

    return sorted(set(found(typer.main.get_command(app))) - WRITE_OR_INSTALL)


def command_line(random: Random, folder: Path) -> int:
    """A command with words taken out, put in and changed."""
    words = list(random.choice(COMMANDS))
    for _ in range(random.choice((1, 2, 3, 6))):
        at = random.randrange(len(words) + 1)
        kind = random.random()
        if kind < 0.2 and words:
            del words[min(at, len(words) - 1)]
        elif kind < 0.5:
            words[at:at] = [random.choice(options()), random.choice(VALUES)]
        elif kind < 0.7:
            words.insert(at, random.choice((*options(), *VALUES)))
        elif words:
            new = random.choice((*mutate.WORDS, *map(str, mutate.NUMBERS)))
            words[min(at, len(words) - 1)] = new
    return check(words, folder)

"""The answer of `optimal` for people: the verdict, the table, what is to be said of them, two warnings."""

from rich.console import Console

from sparseplan.common.console import print_table, say, say_wrapped
from sparseplan.plan.answer import Answer
from sparseplan.plan.law_name import LawName
from sparseplan.report.caveats import print_caveats
from sparseplan.report.contenders import print_contenders
from sparseplan.report.plan_sentences import (
    across_laws,
    against_dense,
    how_sure,
    in_the_mean,
    memory_limit,
    repeats,
    sensitivity,
    serving,
)
from sparseplan.report.plan_table import plan_table
from sparseplan.report.plan_verdict import verdict

SHOWN_CAVEATS = 2


def print_answer(console: Console, answer: Answer, *, explain: bool = False) -> None:
    """Print an answer; with `explain` every warning, else the two that matter most.

    A law whose own fit did not end as `converged` gives numbers, and no sentence that rests on them.
    """
    poor = next((caveat for caveat in answer.warnings if caveat.code == "poor-fit"), None)
    if poor is None:
        say_wrapped(console, verdict(answer), style="bold")
    else:
        say_wrapped(console, f"Nothing to plan with: {poor.message}.")
    say(console)
    print_table(console, plan_table(console, answer))
    say(console)
    if answer.contenders is not None and poor is None:
        print_contenders(console, answer.contenders, loss_given=answer.given.loss is not None)
    for line in (
        ()
        if poor
        else (
            *against_dense(answer),
            *memory_limit(answer),
            *serving(answer),
            *(sensitivity(answer) if explain else ()),
            *repeats(answer),
            *how_sure(answer),
            *in_the_mean(answer),
            *across_laws(answer, explain=explain),
        )
    ):
        say_wrapped(console, line, indent="  " if line.startswith("- ") else "")
    if answer.device is not None or answer.verdict is not None:
        from sparseplan.report import hardware as hardware_report  # noqa: PLC0415  only where a device is named

        if answer.device is not None:
            hardware_report.print_device(
                console,
                answer.device,
                sparse=answer.plan.sparsity > 0 and not poor,
                what="Budget" if answer.serving is None else "Training",
            )
        if answer.verdict is not None and poor is None:
            say(console)
            hardware_report.print_verdict(console, answer.cost, answer.verdict, plan_loss=answer.plan.loss)
    if answer.model is not None:
        from sparseplan.report.models import model_lines  # noqa: PLC0415  only where a model is named

        for line in model_lines(answer, answer.model):
            say_wrapped(console, line)
    print_caveats(console, [one for one in answer.warnings if one is not poor], most=None if explain else SHOWN_CAVEATS)
    print_law_facts(console, answer.law)


def print_law_facts(console: Console, law: LawName) -> None:
    """What the law's loss is, what its N counts if more than prunable weights, and its name, hash and date."""
    if law.loss:
        say_wrapped(console, f"Loss: {law.loss}.")
    if law.counts_embeddings:
        say_wrapped(console, "Parameters are counted with embeddings.")
    say_wrapped(console, f"Law: {law.name} {law.hash}{'' if law.date is None else f', {law.date}'}.")

"""A fit judged in a sentence: whether this is a law to plan with."""

from sparseplan.fit.answer import FitAnswer

_GOOD = 0.01
"""A typical error that is called good: published laws miss half of their runs by 0.3 to 0.6 %."""
_HARMLESS = (
    *("left-out", "group-unused", "schedule-assumed", "one-sparsity"),
    *("base-draws", "few-groups", "shared-errors", "wide"),  # of the intervals
)
"""Warnings that say nothing against the fit itself."""


def verdict(answer: FitAnswer) -> str:
    """Whether the law can be used; `Good fit` only where no warning says anything against it."""
    if answer.status != "converged":
        return f"No law to plan with ({answer.status}): {answer.explanation}"
    good = answer.typical_error <= _GOOD and not said_against(answer)
    found = f"typical error {format_error(answer.typical_error)}, {answer.n_runs} runs"
    return f"{'Good fit' if good else 'Converged'}: {found}."


def said_against(answer: FitAnswer) -> list[str]:
    """What warnings say against the fit itself, the gravest first."""
    return [one.message for one in answer.warnings if one.code not in _HARMLESS]


def format_error(share: float) -> str:
    """Write a relative error in percent with two digits.

    >>> format_error(0.00283), format_error(0.0214), format_error(0.0)
    ('0.28%', '2.1%', '0%')
    """
    return f"{100 * share:.2g}%"

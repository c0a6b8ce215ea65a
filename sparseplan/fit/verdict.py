"""A fit judged in a sentence: whether this is a law to plan with."""

from sparseplan.fit.answer import FitAnswer

_GOOD = 0.01
"""A typical error that is called good: published laws miss half of their runs by 0.3 to 0.6 %."""
_HARMLESS = (
    *("left-out", "group-unused", "schedule-assumed", "no-dense-runs", "one-sparsity"),
    *("draws", "base-draws", "few-groups", "wide"),  # of the intervals
)
"""Warnings that say nothing against the fit itself."""


def verdict(answer: FitAnswer, typical: float) -> str:
    """Whether the law can be used; `Good fit` only where no warning says anything against it.

    Args:
        answer: What the fit says of itself.
        typical: Its typical relative error, `influence.typical_error`.
    """
    if answer.status != "converged":
        return f"No law to plan with ({answer.status}): {answer.explanation.rstrip('.')}."
    found = f"typical error {100 * typical:.2g}%, {answer.n_runs} runs"
    if typical <= _GOOD and all(one.code in _HARMLESS for one in answer.warnings):
        return f"Good fit: {found}."
    against = [one.message for one in answer.warnings if one.code not in _HARMLESS]
    return f"Converged: {found}{'; ' + against[0].rstrip('.') if against else ''}."

"""The verdict on a plan: a sentence or two, true as they stand."""

from sparseplan.common.units import (
    format_bounds,
    format_count,
    format_scientific,
    format_sparsity,
)
from sparseplan.plan.answer import Answer
from sparseplan.report.plan_words import (
    budget_of,
    cost_of,
    cost_word,
    data_end_losses,
    flops_bounds,
    is_dense_only,
    is_only_dense,
    is_spent,
    loss_word,
    needed,
    on_data,
    size_is_free,
    spending_word,
)


def verdict(answer: Answer) -> str:
    """The answer in a sentence or two, true as they stand."""
    plan = answer.plan
    budget = _goal(answer)
    run = f"{format_count(plan.data_seen)} {plan.data_unit}s"
    if answer.given.loss is None:
        run += f", {loss_word(answer)} {plan.loss:.3f}"
    source = f"law {answer.law.name}{_reach(answer)}"
    cost = cost_word(answer)
    cost += "" if answer.serving is None else " in training"
    if is_dense_only(answer):
        return f"{budget}: {format_count(plan.nonzero_params)} parameters on {run} ({source}, a dense law)."
    if is_only_dense(answer):
        return f"{budget}: dense, as asked: {format_count(plan.nonzero_params)} parameters on {run} ({source})."
    if plan.sparsity == 0:
        what = f"{budget}: stay dense{_but_draws(answer)}, {format_count(plan.nonzero_params)} parameters on {run}"
        return f"{what}, {cost} ({source}).{_undecided(answer)}"
    sparsity = format_sparsity(plan.sparsity)
    if answer.intervals and answer.intervals.sparsity[0] != answer.intervals.sparsity[1]:
        sparsity += f" ({format_bounds(answer.intervals.sparsity, format_sparsity)})"
    model = f"{format_count(plan.nonzero_params)} non-zero of {format_count(plan.dense_params)} weights"
    needs = f"{_dense_needs(answer)}, {cost} ({source}).{_undecided(answer)}"
    return f"{budget}: sparsity {sparsity}, {model} on {run}. {needs}"


def _goal(answer: Answer) -> str:
    """The budget, or the loss and the budget that it needs."""
    serves = " in training and inference" if answer.serving is not None else ""
    budget, asked = f"{format_scientific(cost_of(answer.plan))} FLOPs", budget_of(answer)
    if asked is not None and not is_spent(answer, answer.plan):
        return f"{budget} of {format_scientific(asked)}{serves}"
    if answer.given.loss is None:
        return budget + serves
    intervals = answer.intervals
    spread = None if intervals is None else intervals.total_flops or intervals.train_flops
    budget += serves if spread is None else f" ({flops_bounds(spread)}){serves}"
    word = loss_word(answer).capitalize()
    of_what = spending_word(answer)
    needs = "needs" if of_what == "compute" else f"takes least {of_what} with"
    return f"{word} {answer.given.loss:g} {needs} {budget}"


def _undecided(answer: Answer) -> str:
    """What keeps the answer from being a verdict: a gap within the law's error, rates of repetition that disagree."""
    found = ""
    error, gap = answer.law.held_out, abs(answer.comparison.loss_gain)
    if error is not None and answer.intervals is None and gap <= error.worst:
        on_average = f"the law's error ({error.mean:.3f} nats on average, {error.worst:.3f} at worst)"
        if answer.plan.sparsity > 0:
            found += f" The gap of {gap:.3f} nats to dense is within {on_average}."
        elif answer.brackets:
            found += f" What sparse models would lose by may be within {on_average}."
    if any(caveat.code == "repetition-disagreement" for caveat in answer.warnings):
        found += " The published rates of repetition disagree on whether sparsity pays."
    return found


def _but_draws(answer: Answer) -> str:
    """Up to which sparsity the law's draws would go where its values say dense."""
    if answer.intervals is None or answer.intervals.sparsity[1] == 0:
        return ""
    return f" (draws: {format_bounds(answer.intervals.sparsity, format_sparsity)} sparse)"


def _reach(answer: Answer) -> str:
    """Whether the plan, or only what it is compared with, lies outside what the law's runs covered."""
    outside = {distance.of for distance in answer.extrapolation}
    if "plan" in outside:
        return ", extrapolated"
    return ", the dense figures extrapolated" if outside else ""


def _dense_needs(answer: Answer) -> str:
    """What a dense model needs for the plan's loss: of any size, and of the size that is fixed."""
    comparison = answer.comparison
    if data_end_losses(answer) and comparison.compute_ratio_any_size == 0:
        data = on_data(answer) or " with these unique data"
        return f"No compute is enough for a dense model{data} to reach this loss"
    ratio = needed(comparison.compute_ratio_any_size)
    needs = f"A dense model{on_data(answer)} needs {ratio} the {spending_word(answer)} for this loss"
    if size_is_free(answer):
        return needs
    if comparison.compute_ratio is None:
        return f"{needs} if its size is free, and no compute is enough at this size"
    return f"{needs} if its size is free, {needed(comparison.compute_ratio)} at this size"

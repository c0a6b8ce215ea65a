"""What is said below the table of a plan, a list of sentences a subject."""

from math import isfinite

from sparseplan.common.intervals import Bounds
from sparseplan.common.units import (
    format_bounds,
    format_bytes,
    format_count,
    format_difference,
    format_loss,
    format_percent,
    format_ratio,
    format_regret,
    format_scientific,
    format_sparsity,
)
from sparseplan.plan.answer import Answer
from sparseplan.plan.brackets import Bracket
from sparseplan.plan.break_even import Serving
from sparseplan.plan.repeats import Repetition
from sparseplan.report.plan_words import (
    data_end_losses,
    format_epochs,
    is_dense_only,
    is_only_dense,
    is_spent,
    loss_word,
    needed,
    on_data,
    size_is_free,
    spending_word,
)

_BRACKETS = {"sparse": "Zeros free", "dense": "Zeros at full price"}


def against_dense(answer: Answer) -> list[str]:
    """The plan against dense models, and what the answer is at both ends of the cost."""
    comparison, plan = answer.comparison, answer.plan
    lines: list[str] = []
    if is_dense_only(answer):
        lines.append(f"The law {answer.law.name} knows nothing of sparsity: this is its dense plan.")
    elif is_only_dense(answer):
        lines.append("Only dense models are allowed here.")
    elif not isfinite(comparison.loss_gain):
        lines.append("The budget pays for no dense model of this size beside its inference.")
    elif plan.sparsity == 0:
        better = "reaches a lower loss" if answer.given.loss is None else "reaches this loss for less"
        lines.append(f"No allowed sparsity {better} than the dense plan.")
    else:
        verb = "lowers" if comparison.loss_gain >= 0 else "raises"
        rival = f"the best dense model{on_data(answer)}" if size_is_free(answer) else "dense at this size"
        at = "Sparsity" if answer.given.loss is None else "At this budget sparsity"
        gap = format_difference(abs(comparison.loss_gain))
        lines.append(f"{at} {verb} the {loss_word(answer)} by {gap} nats against {rival}.")
    if not (is_spent(answer, plan) and is_spent(answer, answer.dense)):
        lines.append("Size and data are both held, so part of the budget is left.")
    if not size_is_free(answer) and 0 < comparison.overtraining < float("inf"):
        lines.append(_training_length(answer))
    if answer.brackets:
        lines.append(" ".join(f"{_BRACKETS[one.cost]}: {_bracket(answer, one)}." for one in answer.brackets))
    return lines


def _training_length(answer: Answer) -> str:
    ratio, size = answer.comparison.overtraining, format_count(answer.dense.nonzero_params)
    optimal = format_scientific(answer.comparison.compute_optimal_flops)
    word = f"Overtrained {format_ratio(ratio)}" if ratio >= 1 else f"Undertrained {format_ratio(1 / ratio)}"
    return f"{word}: for {size} dense, {optimal} FLOPs would be compute-optimal."


def _bracket(answer: Answer, one: Bracket) -> str:
    if one.sparsity == 0:
        interval = one.sparsity_interval
        spread = f" (draws: {format_bounds(interval, format_sparsity)} sparse)" if interval and interval[1] > 0 else ""
        return f"stay dense{spread}"
    if data_end_losses(answer) and one.compute_ratio_any_size == 0:
        return f"{format_sparsity(one.sparsity)} sparse reaches what no compute of a dense model{on_data(answer)} does"
    worth = needed(one.compute_ratio_any_size)
    spread = _inverse(one.compute_ratio_any_size_interval)
    rival = f"the best dense model{on_data(answer)}"
    return f"{format_sparsity(one.sparsity)} sparse is worth {worth}{spread} the {spending_word(answer)} of {rival}"


def _inverse(ratio: Bounds | None) -> str:
    """An interval of a compute ratio as one of its inverse, in brackets; a ratio of 0 has no highest inverse."""
    if ratio is None:
        return ""
    low, high = ratio
    if low <= 0:
        return f" (at least {needed(high)})"
    return f" ({format_bounds((1 / high, 1 / low), format_ratio)})"


def memory_limit(answer: Answer) -> list[str]:
    """What a limit on memory leaves of the size where no real model is named."""
    most, memory = answer.given.max_dense_params, answer.given.max_memory
    if most is None or memory is None:
        return []
    return [
        f"Memory: at most {format_count(most)} dense parameters, whose weights, gradients and Adam take "
        f"{format_bytes(memory)} per device, 16 bytes each; embeddings, head and activations come on top."
    ]


def sensitivity(answer: Answer) -> list[str]:
    """How far each number may be rounded."""
    found = answer.sensitivity
    if found is None:
        return []
    parts = [
        f"{noun} {format_bounds(ends, write)}"
        for noun, ends, write in (
            ("sparsity", found.sparsity, format_sparsity),
            ("non-zero parameters", found.nonzero_params, format_count),
            ("data", found.data_seen, format_count),
        )
        if ends is not None
    ]
    if not parts:
        return []
    return [f"For {format_percent(found.share)} more compute at this loss, each alone: {', '.join(parts)}."]


def serving(answer: Answer) -> list[str]:
    """The demand, what zeros cost in serving it, and from which demand on sparsity pays."""
    found = answer.serving
    if found is None:
        return []
    costs = {"sparse": "zeros cost nothing", "dense": "zeros cost as much as weights"}
    there = costs.get(found.inference, f"speed-ups of {found.inference} in {found.kind}")
    line = f"Inference: {format_count(found.tokens)} tokens, {there}{_weight(found)}."
    if is_dense_only(answer) or any(caveat.code == "only-dense" for caveat in answer.warnings):
        return [line]
    if found.break_even_tokens is None:
        return [f"{line} Sparsity pays at {'any' if found.pays == 'always' else 'no'} demand under these givens."]
    side = "from" if found.pays == "above" else "up to"
    return [f"{line} Sparsity pays {side} {format_count(found.break_even_tokens)} tokens of inference."]


def _weight(found: Serving) -> str:
    """What a FLOP of inference costs against one of training, where that isn't the same."""
    if found.weight == 1.0:
        return ""
    words = {
        "flops": "a FLOP of it counts {} as much as one in training",
        "hours": "a FLOP of it takes {} the time of one in training",
        "money": "a FLOP of it costs {} the money of one in training",
    }
    return ", " + words[found.counted_in].format(format_ratio(found.weight))


def repeats(answer: Answer) -> list[str]:
    """How repeated data counts, and what the plan would be under the other published rates."""
    plan, used = answer.plan, answer.repetition
    if used is None or plan.unique_data is None or plan.epochs is None:
        return []
    if not answer.repetition_spread:
        return ["No data is repeated."]
    units, priced = f"{plan.data_unit}s", answer.given.loss is not None
    lines = [repeats_in_words(used, plan.unique_data, plan.epochs, units, "the plan")]
    for other in answer.repetition_spread:
        gap = f"{abs(other.loss_gain):.4f} nats {'below' if other.loss_gain >= 0 else 'above'} dense"
        what = "stay dense" if other.sparsity == 0 else f"{format_sparsity(other.sparsity)} sparse"
        if other.sparsity != 0 and not priced:
            what += f", {gap}"
        lines.append(
            f"With {other.law}'s rates (R_D {other.R_D:.1f}) instead: {what}, {format_count(other.nonzero_params)} "
            f"parameters, {format_epochs(other.epochs)} epochs, "
            f"{_reaching(other.train_flops) if priced else 'loss ' + format_loss(other.loss)}."
        )
    return lines


def _reaching(flops: float) -> str:
    return f"{format_scientific(flops)} FLOPs" if isfinite(flops) else "and no compute is enough for this loss"


def repeats_in_words(used: Repetition, unique: float, epochs: float, units: str, what: str) -> str:
    """What repeats count as in one run."""
    whose = f"{used.law}'s rates{', borrowed' if used.borrowed else ''}"
    return (
        f"In {what} {format_epochs(epochs)} epochs of {format_count(unique)} {units} count as "
        f"{format_count(used.effective_data)} unique ones, its size as {format_count(used.effective_params)} "
        f"({whose}: R_D {used.R_D:.1f}, R_N {used.R_N:.1f})."
    )


def how_sure(answer: Answer) -> list[str]:
    """How the plan as it stands does under the law's draws."""
    intervals = answer.intervals
    if intervals is None or not answer.brackets:
        return []
    if intervals.p_beats_best_dense is None:
        share = format_percent(intervals.p_sparse_better)
        return [f"In {share} of the law's {intervals.draws} draws some allowed sparsity would beat the dense plan."]
    regret = intervals.regret
    reached = []
    if intervals.p_reached is not None and intervals.p_reached < 1.0:
        share = format_percent(1.0 - intervals.p_reached)
        reached = [f"In {share} of the law's draws no compute reaches this loss."]
    return [
        *reached,
        f"Over the law's {intervals.draws} draws this plan beats each draw's best dense model in "
        f"{format_percent(intervals.p_beats_best_dense)}, and in the median loses {format_regret(regret.median)} nats "
        f"against each draw's own optimum"
        f"{'' if answer.given.loss is None else ' at this budget'} (95%: {format_regret(regret.p95)}).",
    ]


def in_the_mean(answer: Answer) -> list[str]:
    """What the least mean loss buys, against the plan by the law's values."""
    other, intervals = answer.by_values, answer.intervals
    if other is None or intervals is None:
        return []
    theirs, ours = other.regret, intervals.regret
    if is_dense_only(answer) or other.sparsity == 0:
        model = f"a dense model of {format_count(other.nonzero_params)}"
    else:
        model = f"{format_sparsity(other.sparsity)} sparse with {format_count(other.nonzero_params)} non-zero weights"
    return [
        f"Losses are means over the draws. By the law's values the plan would be {model}: against each draw's own "
        f"optimum it loses {theirs.mean:.4f} nats on average (95%: {theirs.p95:.3f}), this one {ours.mean:.4f} (95%: "
        f"{ours.p95:.3f})."
    ]


def across_laws(answer: Answer, *, explain: bool) -> list[str]:
    """Between which ends the laws put the best sparsity and its worth; with `explain` each of them."""
    found = answer.across_laws
    if found is None:
        return []
    sets = [one.runs for one in found.laws]
    same = max(sets.count(one) for one in sets)
    of_which = f" ({same} of them fits of the same runs)" if same > 1 else ""
    tied = sum(one.sparsity is None for one in found.laws)
    but = f"; by {'one' if tied == 1 else tied} of them every sparsity does as well" if tied else ""
    low, high = found.compute_ratio
    lines = [
        f"Over {len(sets)} laws{of_which}, each with its own runs' ramp: best sparsity "
        f"{format_bounds(found.sparsity, format_sparsity)}, worth {format_bounds((1 / high, 1 / low), format_ratio)} "
        f"the compute of the best dense model{but}."
    ]
    for one in found.laws if explain else ():
        best = "every sparsity does as well" if one.sparsity is None else f"{format_sparsity(one.sparsity)} sparse"
        lines.append(f"- {one.law}: {best}, worth {needed(one.compute_ratio)} ({one.ramp})")
    return lines

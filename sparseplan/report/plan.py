"""The answer of `optimal` for people: the verdict, the table, both ends of the cost, how sure it is, two warnings."""

from collections.abc import Callable
from math import isfinite

from rich.console import Console
from rich.table import Table

from sparseplan.common.caveat import Caveat
from sparseplan.common.console import open_table, print_table, say, say_wrapped
from sparseplan.common.intervals import Bounds
from sparseplan.common.units import (
    format_bounds,
    format_count,
    format_difference,
    format_loss,
    format_percent,
    format_ratio,
    format_regret,
    format_scientific,
    format_sparsity,
)
from sparseplan.plan.answer import Answer, LawName, Plan
from sparseplan.plan.brackets import Bracket
from sparseplan.plan.repeats import Repetition

SHOWN_CAVEATS = 2
_COSTS = {"sparse": "if zeros cost nothing", "dense": "if zeros cost as much as weights"}
_BRACKETS = {"sparse": "Zeros free", "dense": "Zeros at full price"}


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
    print_table(console, _plan_table(console, answer))
    say(console)
    for line in (
        ()
        if poor
        else (
            *_against_dense(answer),
            *_serving(answer),
            *(_sensitivity(answer) if explain else ()),
            *_repeats(answer),
            *_how_sure(answer),
            *_in_the_mean(answer),
            *_across_laws(answer, explain=explain),
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
    print_caveats(console, [one for one in answer.warnings if one is not poor], most=None if explain else SHOWN_CAVEATS)
    print_law_facts(console, answer.law)


def print_law_facts(console: Console, law: LawName) -> None:
    """What the law's loss is, what its N counts if more than prunable weights, and its name, hash and date."""
    if law.loss:
        say_wrapped(console, f"Loss: {law.loss}.")
    if law.counts_embeddings:
        say_wrapped(console, "Parameters are counted with embeddings.")
    say_wrapped(console, f"Law: {law.name} {law.hash}{'' if law.date is None else f', {law.date}'}.")


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
    budget, asked = f"{format_scientific(_cost(answer.plan))} FLOPs", _budget(answer)
    if asked is not None and not _is_spent(answer, answer.plan):
        return f"{budget} of {format_scientific(asked)}{serves}"
    if answer.given.loss is None:
        return budget + serves
    intervals = answer.intervals
    spread = None if intervals is None else intervals.total_flops or intervals.train_flops
    budget += serves if spread is None else f" ({_flops_bounds(spread)}){serves}"
    word = loss_word(answer).capitalize()
    return f"{word} {answer.given.loss:g} needs {budget}"


def _is_spent(answer: Answer, plan: Plan) -> bool:
    """Whether a plan spends the budget; where size and data are both held, it may not."""
    budget = _budget(answer)
    return budget is None or _paid(answer, plan) >= (1.0 - 1e-9) * budget


def _budget(answer: Answer) -> float | None:
    """The budget that was given; None where a loss was."""
    return answer.given.total_flops or answer.given.train_flops


def _cost(plan: Plan) -> float:
    """FLOPs of a plan, of inference too where it counts."""
    return plan.total_flops or plan.train_flops


def _paid(answer: Answer, plan: Plan) -> float:
    """What a plan takes of the budget: inference at its price."""
    price = 1.0 if answer.serving is None else answer.serving.price
    return plan.train_flops + price * (plan.inference_flops or 0.0)


def _flops_bounds(bounds: Bounds) -> str:
    """An interval of FLOPs, which has no upper end where no compute may be enough."""
    low, high = bounds
    return format_bounds(bounds, format_scientific) if isfinite(high) else f"at least {format_scientific(low)}"


def cost_word(answer: Answer) -> str:
    """What zeros cost in training."""
    return _COSTS.get(answer.cost, f"at its cost on {answer.cost}")


def loss_word(answer: Answer) -> str:
    """What the losses of an answer are."""
    return "mean loss" if answer.objective == "mean" else "loss"


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
    if _data_end_losses(answer) and comparison.compute_ratio_any_size == 0:
        data = _on_data(answer) or " with these unique data"
        return f"No compute is enough for a dense model{data} to reach this loss"
    ratio = _needed(comparison.compute_ratio_any_size)
    needs = f"A dense model{_on_data(answer)} needs {ratio} the compute for this loss"
    if size_is_free(answer):
        return needs
    if comparison.compute_ratio is None:
        return f"{needs} if its size is free, and no compute is enough at this size"
    return f"{needs} if its size is free, {_needed(comparison.compute_ratio)} at this size"


def _needed(ratio: float) -> str:
    """What a dense model needs, in budgets, where the budget is `ratio` of it; 0 where that overflows."""
    return format_ratio(1 / ratio) if ratio > 0 else "over 1e300x"


def _on_data(answer: Answer) -> str:
    """What is given of the data, as an addition to a model's name."""
    given = answer.given
    if given.data_seen is not None:
        return " on these data"
    if given.max_data is not None:
        return " within these data"
    return "" if given.tokens_per_param is None else " at this ratio"


def _data_end_losses(answer: Answer) -> bool:
    """Whether limited data may put a loss out of reach of all compute."""
    given = answer.given
    return any(one is not None for one in (given.unique_data, given.data_seen, given.max_data))


def size_is_free(answer: Answer) -> bool:
    """Whether the size was to be chosen too."""
    return answer.given.nonzero_params is None and answer.given.dense_params is None


def is_dense_only(answer: Answer) -> bool:
    """Whether the law knows nothing of sparsity, so that there is one plan and nothing to compare."""
    return any(caveat.code == "dense-only" for caveat in answer.warnings)


def is_only_dense(answer: Answer) -> bool:
    """Whether the question allows no sparsity above 0, so that nothing was compared."""
    return any(caveat.code == "only-dense" for caveat in answer.warnings)


def _plan_table(console: Console, answer: Answer) -> Table:
    plan, dense, intervals = answer.plan, answer.dense, answer.intervals
    alone = is_dense_only(answer) or plan.sparsity == 0
    columns = [_givens(answer), "dense plan" if alone else "plan"]
    if intervals is not None:
        columns.append(f"{100 * intervals.level:.0f}% interval")
    table = open_table(console, *columns, *([] if alone else ["dense plan"]))
    sizes: tuple[tuple[str, str, Callable[[float], str]], ...] = (
        ("sparsity", "sparsity", format_sparsity),
        ("nonzero_params", "non-zero parameters", format_count),
        ("dense_params", "dense parameters", format_count),
    )
    for key, noun, write in (
        *((("nonzero_params", "parameters", format_count),) if is_dense_only(answer) else sizes),
        ("data_seen", f"data ({plan.data_unit}s)", format_count),
        ("loss", f"{loss_word(answer)} (nats)", format_loss),
        ("train_flops", "training FLOPs", format_scientific),
    ):
        spent = _is_spent(answer, plan) and _is_spent(answer, dense)
        if key == "train_flops" and spent and answer.given.loss is None and answer.serving is None:
            continue  # the same for both plans, and given
        cells = [write(getattr(plan, key))]
        if intervals is not None:
            # Beside the plan's loss stands what this plan may reach; beside its size, what the best size may be.
            spread = intervals.plan_loss if key == "loss" else getattr(intervals, key)
            if key == "train_flops":
                cells.append("" if spread is None else _flops_bounds(spread))
            else:
                cells.append(format_bounds(spread, write))
        table.add_row(noun, *cells, *([] if alone else [_or_none(getattr(dense, key), write)]))
    if plan.inference_flops is not None and plan.total_flops is not None:
        for noun, ours, theirs, spread in (
            ("inference FLOPs", plan.inference_flops, dense.inference_flops, None),
            ("total FLOPs", plan.total_flops, dense.total_flops, None if intervals is None else intervals.total_flops),
        ):
            given = [] if intervals is None else ["" if spread is None else _flops_bounds(spread)]
            table.add_row(
                noun,
                format_scientific(ours),
                *given,
                *([] if alone else [_or_none(_known(theirs), format_scientific)]),
            )
    if plan.unique_data is not None and plan.epochs is not None:
        given = [] if intervals is None else [""]
        for noun, values in (
            (f"unique {plan.data_unit}s", [plan.unique_data, dense.unique_data]),
            ("epochs", [plan.epochs, dense.epochs]),
        ):
            first, second = (format_epochs(v) if noun == "epochs" else format_count(v) for v in map(_known, values))
            table.add_row(noun, first, *given, *([] if alone else [second]))
    return table


def _or_none(value: float, write: Callable[[float], str]) -> str:
    """A figure of the dense plan, where there is one."""
    return write(value) if isfinite(value) else "none"


def _known(value: float | None) -> float:
    assert value is not None, "both plans have what one has"
    return value


def format_epochs(epochs: float) -> str:
    """A number of epochs.

    >>> format_epochs(1.0), format_epochs(8.343), format_epochs(1234.5)
    ('1.0', '8.3', '1.23k')
    """
    return f"{epochs:.1f}" if epochs < 999.95 else format_count(epochs)


def size_given(answer: Answer) -> str:
    """What is decided of size and data."""
    given = answer.given
    size = "size free"
    if given.data_seen is not None:
        size = f"on {format_count(given.data_seen)}"
    elif given.tokens_per_param is not None:
        size = f"{given.tokens_per_param:g} per parameter"
    if given.nonzero_params is not None:
        size = f"{format_count(given.nonzero_params)} {'parameters' if is_dense_only(answer) else 'non-zero'}"
    elif given.dense_params is not None:
        size = f"{format_count(given.dense_params)} dense"
    if given.max_data is not None:
        size += f", at most {format_count(given.max_data)}"
    return size


def _givens(answer: Answer) -> str:
    size = size_given(answer)
    return size if answer.pattern == "unstructured" else f"{size}, {answer.pattern}"


def _against_dense(answer: Answer) -> list[str]:
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
        rival = f"the best dense model{_on_data(answer)}" if size_is_free(answer) else "dense at this size"
        at = "Sparsity" if answer.given.loss is None else "At this budget sparsity"
        lines.append(f"{at} {verb} the loss by {format_difference(abs(comparison.loss_gain))} nats against {rival}.")
    if not (_is_spent(answer, plan) and _is_spent(answer, answer.dense)):
        lines.append("Size and data are both held, so part of the budget is left.")
    if not size_is_free(answer) and 0 < comparison.overtraining < float("inf"):
        lines.append(_training_length(answer))
    if answer.brackets:
        lines.append(" ".join(f"{_BRACKETS[one.cost]}: {_bracket(answer, one)}." for one in answer.brackets))
    return lines


def _sensitivity(answer: Answer) -> list[str]:
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


def _serving(answer: Answer) -> list[str]:
    """The demand, what zeros cost in serving it, and from which demand on sparsity pays."""
    found = answer.serving
    if found is None:
        return []
    costs = {"sparse": "zeros cost nothing", "dense": "zeros cost as much as weights"}
    there = costs.get(found.inference, f"speed-ups of {found.inference}")
    price = "" if found.price == 1.0 else f", a FLOP of it costs {found.price:g} of one in training"
    line = f"Inference: {format_count(found.tokens)} tokens, {there}{price}."
    if is_dense_only(answer) or any(caveat.code == "only-dense" for caveat in answer.warnings):
        return [line]
    if found.break_even_tokens is None:
        return [f"{line} Sparsity pays at {'any' if found.pays == 'always' else 'no'} demand under these givens."]
    side = "from" if found.pays == "above" else "up to"
    return [f"{line} Sparsity pays {side} {format_count(found.break_even_tokens)} tokens of inference."]


def _repeats(answer: Answer) -> list[str]:
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
    if _data_end_losses(answer) and one.compute_ratio_any_size == 0:
        return f"{format_sparsity(one.sparsity)} sparse reaches what no compute of a dense model{_on_data(answer)} does"
    worth = _needed(one.compute_ratio_any_size)
    spread = _inverse(one.compute_ratio_any_size_interval)
    rival = f"the best dense model{_on_data(answer)}"
    return f"{format_sparsity(one.sparsity)} sparse is worth {worth}{spread} the compute of {rival}"


def _inverse(ratio: Bounds | None) -> str:
    """An interval of a compute ratio as one of its inverse, in brackets; a ratio of 0 has no highest inverse."""
    if ratio is None:
        return ""
    low, high = ratio
    if low <= 0:
        return f" (at least {_needed(high)})"
    return f" ({format_bounds((1 / high, 1 / low), format_ratio)})"


def _how_sure(answer: Answer) -> list[str]:
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
    loses = f"{format_regret(regret.median)} nats"
    return [
        *reached,
        f"Over the law's {intervals.draws} draws this plan beats each draw's best dense model in "
        f"{format_percent(intervals.p_beats_best_dense)}, and loses {loses} against each draw's own optimum"
        f"{'' if answer.given.loss is None else ' at this budget'} (95%: {format_regret(regret.p95)}).",
    ]


def _in_the_mean(answer: Answer) -> list[str]:
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


def _across_laws(answer: Answer, *, explain: bool) -> list[str]:
    """Between which ends the laws put the best sparsity and its worth; with `explain` each of them."""
    found = answer.across_laws
    if found is None:
        return []
    sets = [one.runs for one in found.laws]
    same = max(sets.count(one) for one in sets)
    of_which = f" ({same} of them fits of the same runs)" if same > 1 else ""
    lines = [
        f"Over {len(sets)} laws{of_which}, each with its own runs' ramp: best sparsity "
        f"{format_bounds(found.sparsity, format_sparsity)}, for {format_bounds(found.compute_ratio, format_ratio)} the "
        "compute that the best dense model needs for the same loss."
    ]
    for one in found.laws if explain else ():
        best = "every sparsity does as well" if one.sparsity is None else f"{format_sparsity(one.sparsity)} sparse"
        lines.append(f"- {one.law}: {best}, {format_ratio(one.compute_ratio)} ({one.ramp})")
    return lines


def print_caveats(console: Console, caveats: list[Caveat], *, most: int | None = None) -> None:
    """Print caveats as a list, the gravest first: `most` of them, and how many are left."""
    listed = sorted((one for one in caveats if one.code != "dense-only"), key=gravity)
    shown = listed if most is None or len(listed) <= most else listed[:most]
    for caveat in shown:
        say_wrapped(console, f"! {caveat.message}", style="yellow", indent="  ")
    if len(shown) < len(listed):
        say(console, f"  {len(listed) - len(shown)} more with `explain`")


_GRAVEST = (
    "status",
    "shadowed",
    "poor-fit",
    "trend",
    "misfit",
    "units",
    "dense-counts",
    "repetition-disagreement",
    "held-out-error",
    "transferred",
    "pattern-borrowed",
    "sparsity-capped",
    "extrapolation",
    "hardware-datasheet",
)


def gravity(caveat: Caveat) -> int:
    """Where a warning stands in a list: the gravest are 0."""
    return _GRAVEST.index(caveat.code) if caveat.code in _GRAVEST else len(_GRAVEST)

"""What pictures of plans say in words: goal, cost, law and how far it can be trusted."""

from collections.abc import Sequence

from sparseplan.common.units import format_count, format_scientific, format_sparsity
from sparseplan.cost.flops import FLOPS_COSTS
from sparseplan.figures.map_words import cost_words
from sparseplan.plan.answer import Answer
from sparseplan.plan.answer_facts import budget_of, paid

_GRAVE = ("pattern-borrowed", "transferred", "poor-fit")


def spent_word(answer: Answer) -> str:
    """What a budget is of."""
    if answer.serving is None:
        return "training FLOPs"
    return "total FLOPs" if answer.serving.weight == 1.0 else "weighed FLOPs"


def goal(answer: Answer) -> str:
    """What was asked for."""
    given = answer.given
    if given.loss is not None:
        said = f"loss {given.loss:g}"
    elif given.device_hours is not None:
        said = f"{format_count(given.device_hours)} device hours"
    else:
        said = f"{format_scientific(budget_of(answer) or 0.0)} {spent_word(answer)}"
    return ", ".join([said, *givens(answer).removeprefix("size free").removeprefix(", ").split(", ")]).rstrip(", ")


def givens(answer: Answer) -> str:
    """What is decided of size and data."""
    given, unit = answer.given, f"{answer.plan.data_unit}s"
    words = (
        (given.nonzero_params, "{} non-zero parameters"),
        (given.dense_params, "{} parameters before pruning"),
        (given.data_seen, f"on {{}} {unit}"),
        (given.max_data, f"at most {{}} {unit}"),
        (given.tokens_per_param, f"{{}} {unit} per parameter"),
        (given.unique_data, f"{{}} unique {unit}"),
        (given.inference_tokens, "{} tokens of inference"),
    )
    said = [phrase.format(format_count(value)) for value, phrase in words if value is not None]
    free = given.nonzero_params is None and given.dense_params is None
    decided = given.data_seen is not None or given.tokens_per_param is not None
    return ", ".join(["size free", *said] if free and not decided else said)


def plan_sentence(answer: Answer) -> str:
    """The plan in a line."""
    plan = answer.plan
    size = f"{format_count(plan.nonzero_params)} non-zero of {format_count(plan.dense_params)} parameters"
    if plan.sparsity == 0:
        size = f"{format_count(plan.nonzero_params)} parameters"
    what = "dense" if plan.sparsity == 0 else f"{format_sparsity(plan.sparsity)} sparse"
    data = f"{format_count(plan.data_seen)} {plan.data_unit}s"
    spent = f"{format_scientific(paid(answer, plan))} {spent_word(answer)}"
    return f"Plan: {what}, {size} on {data}, loss {plan.loss:.3f}, {spent}."


def pattern_words(pattern: str) -> str:
    """A pattern as a reader knows it."""
    return pattern if pattern == "unstructured" else f"pattern {pattern}"


def facts(answer: Answer) -> list[str]:
    """What a reader of one plan's picture has to know besides."""
    cost = cost_words(answer.cost)
    if answer.serving is not None:
        cost = f"in training {_zeros(answer.cost)}, in inference {_zeros(answer.serving.inference)}"
    found = [f"{cost[0].upper()}{cost[1:]}; {pattern_words(answer.pattern)}.", *law_facts([answer])]
    far = [one.message for one in answer.extrapolation if one.of == "plan"]
    if far:
        found.append(f"The plan is extrapolated: {', '.join(far)}.")
    return found


def _zeros(cost: str) -> str:
    return cost_words(cost) if cost in FLOPS_COSTS else f"the cost on {cost}"


def law_facts(answers: Sequence[Answer]) -> list[str]:
    """Laws, losses, and the warnings that a picture can't do without, each once."""
    laws = dict.fromkeys(f"{one.law.name} {one.law.hash}" for one in answers)
    losses = dict.fromkeys(one.law.loss or "its file doesn't say which" for one in answers)
    warned = dict.fromkeys(
        f"{caveat.message[0].upper()}{caveat.message[1:]}."
        for one in answers
        for caveat in one.warnings
        if caveat.code in _GRAVE and (caveat.code != "pattern-borrowed" or one.pattern != "unstructured")
    )
    return [f"Law{'s' if len(laws) > 1 else ''}: {', '.join(laws)}.", f"Loss: {'; '.join(losses)}.", *warned]

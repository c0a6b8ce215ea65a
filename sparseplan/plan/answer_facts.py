"""What several readers of an answer ask of it: texts and pictures."""

from sparseplan.plan.answer import Answer, Plan


def size_is_free(answer: Answer) -> bool:
    """Whether the size was to be chosen too."""
    return answer.given.nonzero_params is None and answer.given.dense_params is None


def loss_word(answer: Answer) -> str:
    """What the losses of an answer are."""
    return "mean loss" if answer.objective == "mean" else "loss"


def budget_of(answer: Answer) -> float | None:
    """The budget that was given; None where a loss was."""
    return answer.given.total_flops or answer.given.train_flops


def paid(answer: Answer, plan: Plan) -> float:
    """What a plan takes of the budget: inference at its weight."""
    weight = 1.0 if answer.serving is None else answer.serving.weight
    return plan.train_flops + weight * (plan.inference_flops or 0.0)

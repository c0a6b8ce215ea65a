"""`optimal`: plans, as the command prints them."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sparseplan.api import arguments
from sparseplan.api import devices as devices_of
from sparseplan.api.arguments import Number, PatternLike
from sparseplan.api.givens import givens
from sparseplan.api.named import CostLike, LawLike, cost_of, facts, load_law, profile_of, with_shadow
from sparseplan.common.json_struct import to_json
from sparseplan.cost.flops import FLOPS_COSTS
from sparseplan.cost.overhead import PLAIN
from sparseplan.errors import PlanError
from sparseplan.laws import DEFAULT_LAW
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.law import Law, coefficients, require_sparse
from sparseplan.laws.unique_data import limited
from sparseplan.plan import answer as plans
from sparseplan.plan.caveats import sparsity_cap
from sparseplan.plan.contest import contending_patterns, contest
from sparseplan.plan.objective import OBJECTIVES, Objective
from sparseplan.plan.question import Question
from sparseplan.sparsity.pattern import BEST, UNSTRUCTURED, Pattern

if TYPE_CHECKING:
    from sparseplan.api.models import ModelLike

_HOURS_PER_DAY = 24.0


class Answer(plans.Answer, frozen=True, kw_only=True):
    """The answer of `optimal`; its fields are the keys of `optimal --json`, and it prints as the terminal does."""

    def __str__(self) -> str:
        from sparseplan.api.rendering import printed
        from sparseplan.report.plan import print_answer

        return printed(lambda console: print_answer(console, self))

    def _repr_html_(self) -> str:
        from sparseplan.api.rendering import preformatted

        return preformatted(str(self))

    def plot(self, path: str | Path, *, width: str = "page") -> None:
        """Draw what every sparsity reaches, as `sparseplan optimal --plot` does.

        Args:
            path: .png, .svg or .pdf.
            width: A journal's "page" or "column".

        Raises:
            PlanError: for an answer without `curve`.
        """
        from sparseplan.api.plotting import plot

        plot([self], Path(path), width)

    def to_json(self) -> str:
        """As `sparseplan optimal --json` prints it."""
        return to_json(self)


def optimal(
    flops: Number | None = None,
    *,
    loss: Number | None = None,
    params: Number | None = None,
    dense_params: Number | None = None,
    model: "ModelLike | None" = None,
    context: Number | None = None,
    max_memory: Number | None = None,
    data: Number | None = None,
    max_data: Number | None = None,
    tokens_per_param: Number | None = None,
    unique_data: Number | None = None,
    inference_tokens: Number | None = None,
    inference: "CostLike | None" = None,
    inference_weight: Number | None = None,
    inference_price: Number | None = None,
    inference_utilization: float | None = None,
    inference_batch: Number | None = None,
    pattern: PatternLike | None = None,
    law: LawLike = DEFAULT_LAW,
    strategy: str | None = None,
    cost: "CostLike" = "sparse",
    max_sparsity: Number | None = None,
    objective: Objective = "point",
    device_hours: Number | None = None,
    days: Number | None = None,
    peak: Number | None = None,
    utilization: float | None = None,
    devices: Number | None = None,
    price: Number | None = None,
    curve: bool = False,
) -> Answer:
    """The sparsity, size and data that reach the lowest loss for a training budget, or a loss for the smallest one.

    Args:
        flops: Training FLOPs C, 1e23 or "1e23"; or else `device_hours`, `days` or `loss`.
        loss: A loss to reach with the least compute, nats, instead of a budget.
        params: Non-zero prunable parameters N at the end, where decided; with neither size the size is free.
        dense_params: Prunable parameters before pruning, N / (1 - S), where that is decided.
        model: A real model whose dense size is meant, by name, by the path of its Hugging Face config, or as
            `load_model` gives it. Then FLOPs are the model's: 6 N D, and attention, the head and patches beside it.
        context: Tokens of a sequence of that model; by default those of its pretraining.
        max_memory: The most memory that training may take on a device, 8e10 or "80GB". A model that takes more is
            refused; without one it limits the dense size by 16 bytes per parameter, split over the `devices`.
        data: Data seen D in the law's unit, repeats counted, where that is decided; the size follows.
        max_data: The most that D may be.
        tokens_per_param: Data per non-zero parameter, D / N, where that is decided; size and data follow.
        unique_data: Unique data to draw on, in the law's unit; beyond it data is repeated, which counts as the law's
            `repetition` says. By default all data are unique.
        inference_tokens: Tokens that the model will read or write once it is trained; then `flops` is the total of
            training and inference, and a `loss` is reached with the least total.
        inference: What zeros cost in inference, as `cost` in training; by default what `cost` says.
        inference_weight: What a FLOP of inference costs against one of training; by default 1, with a budget in hours
            what the rates of the devices say, and for a `loss` what their rates and prices say where both are given.
        inference_price: Price of one hour of a device that serves; by default that of training, where it is the same.
        inference_utilization: Share of its peak that inference reaches; by default that of training, or its profile's.
        inference_batch: Tokens processed at once: up to 64, the device's speed-ups in decoding count, and the bandwidth
            of its memory bounds the rate; by default so many that multiplying is the limit.
        pattern: "unstructured" (the default), one n:m such as "2:4", a family such as "n:4", or "best": the best among
            unstructured sparsity and the families that the law has a set for, on a device those that it runs faster.
        law: By name, path or object.
        strategy: How it is pruned, where the law's calibration has laws for several strategies.
        cost: What zeros cost in training: nothing ("sparse"), as much as weights ("dense"), or what a device makes of
            it, a hardware profile by name, path or object.
        max_sparsity: Highest sparsity to consider, 0.875 or "87.5%"; by default the highest among the law's runs.
        objective: What is made lowest: the loss by the law's values ("point"), or its mean over the law's draws
            ("mean"), which is also the least mean regret. With "mean" every loss of the answer is such a mean.
        device_hours: A budget in hours of the device that `cost` or `peak` describes; with `inference_tokens` the total
            of its hours and those of the devices that serve.
        days: A budget in days of all `devices`, of one where their number is not given.
        peak: Peak dense FLOP/s of one device, where the profile does not say it or there is none.
        utilization: Share of the peak that training reaches, (0, 1].
        devices: How many devices work at once, for wall-clock time.
        price: Price of one device hour, 2.5 or "$2.50".
        curve: Whether to add the best run of every sparsity, `answer.curve`, which `answer.plot` draws.

    Returns:
        The plan beside the best dense one, with intervals, distances and warnings; losses in nats.

    Raises:
        SparseplanError: for arguments that contradict each other or have no answer; it names the argument.

    Examples:
        >>> answer = optimal(1e23)
        >>> round(answer.plan.sparsity, 2), answer.law.name
        (0.49, 'frantar2023-t5-c4-refit')
    """
    arguments.choice("objective", objective, OBJECTIVES)
    flops, device_hours = arguments.positive("flops", flops), arguments.positive("device_hours", device_hours)
    days, devices = arguments.positive("days", days), arguments.positive("devices", devices)
    target = arguments.positive("loss", loss)
    _require_one_of(flops=flops, device_hours=device_hours, days=days, loss=target)
    chosen = load_law(law, strategy=strategy)
    among_all = pattern == BEST
    wanted = None if pattern is None or among_all else arguments.pattern("pattern", pattern)
    cap = arguments.sparsity("max_sparsity", max_sparsity)
    if wanted is not None or cap is not None:
        require_sparse(chosen)
    real, memory = None, arguments.memory("max_memory", max_memory)
    if model is not None:
        from sparseplan.api.models import sized_model

        real = sized_model(model, chosen, context=context, max_memory=memory, devices=devices)
    elif context is not None:
        raise PlanError("`context`: expected `model` beside it, the model that it is about.")
    given = givens(
        params=params,
        dense_params=dense_params,
        model=None if real is None else real.dense_params,
        data=data,
        max_data=max_data,
        tokens_per_param=tokens_per_param,
        unique_data=unique_data,
    )
    profile = profile_of(cost)
    served = devices_of.demand(
        tokens=inference_tokens,
        given=inference is not None,
        cost=_name(cost if inference is None else inference),
        profile=profile if inference is None else profile_of(inference, name="inference"),
        elsewhere=inference is not None and inference not in FLOPS_COSTS,
        weight=inference_weight,
        price=inference_price,
        utilization=inference_utilization,
        batch=inference_batch,
    )
    overhead, largest = PLAIN if real is None else real.overhead, None
    if memory is not None and real is None:
        from sparseplan.api.models import most_dense_params

        largest = most_dense_params(memory, devices, given)
    patterns = contending_patterns(chosen, profile) if among_all else [wanted or UNSTRUCTURED]
    plain = partial(
        Question,
        nonzero_params=given.params,
        dense_params=given.dense_params or given.model,
        data_seen=given.data,
        max_data=given.max_data,
        tokens_per_param=given.tokens_per_param,
        max_dense_params=largest,
        max_sparsity=sparsity_cap(chosen) if cap is None else cap,
        pattern_cap=1.0 if cap is None else cap,
        unique_data=None if given.unique_data is None else limited(chosen, given.unique_data),
    )
    device = devices_of.device(
        profile,
        served,
        device_hours=device_hours,
        days=days,
        peak=arguments.positive("peak", peak),
        utilization=utilization,
        devices=devices,
        price=arguments.money("price", price),
        overhead=overhead,
        splits=real is not None or memory is not None,
    )
    if days is not None:
        device_hours = days * _HOURS_PER_DAY * (devices or 1.0)

    def asked(made: Pattern) -> Question:
        return devices_of.asked(
            partial(_values, chosen, made, given.unique_data),
            partial(
                plain,
                pattern=made,
                cost=cost_of(cost, profile, chosen, made, overhead),
                inference=None if served is None else served.inference(made, overhead),
            ),
            device,
            served,
            flops=flops,
            loss=target,
            hours=device_hours,
        )

    questions = [asked(made) for made in patterns]
    question, contenders = contest(chosen, questions, objective) if among_all else (questions[0], None)
    result = plans.answer(chosen, question, objective=objective, device=device, device_hours=device_hours, curve=curve)
    found = facts(result) | {"warnings": with_shadow(law, result.warnings), "contenders": contenders}
    if memory is not None:
        found |= {"given": msgspec.structs.replace(result.given, max_memory=memory)}
    if real is not None:
        from sparseplan.plan.on_model import model_use

        found |= {"model": model_use(real, result, chosen)}
    return Answer(**found)


def _require_one_of(**goals: float | None) -> None:
    given = [f"`{name}`" for name, one in goals.items() if one is not None]
    if len(given) != 1:
        raise PlanError(
            "expected one budget, `flops`, or `device_hours` or `days` of a device, or a `loss` to reach instead; "
            f"found {' and '.join(given) or 'none'}."
        )


def _values(law: Law, pattern: Pattern, unique_data: float | None) -> Theta:
    """The law's values that answer for a pattern."""
    theta = coefficients(law, plans.answering_family(law, pattern))
    return theta if unique_data is None else limited(law, unique_data).limit(theta)


def _name(cost: "CostLike") -> str:
    return str(cost) if isinstance(cost, str | Path) else cost.name

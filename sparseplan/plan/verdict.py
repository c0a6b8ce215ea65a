"""Does sparsity pay on this hardware? For each kind of pattern: the gain, the break-even speed-up, the memory.

The break-even speed-up is the one that training with the final mask would need for the plan to reach exactly the dense
plan's loss. With size N fixed, that loss allows the data D*, so c_mul* = budget / (N D*); with the size free it is
c_mul* = m(S). From c_mul* (1 - S) = t1 + (1 - t1) / s follows s, and no s is enough where the left side is at most t1:
the ramp before t1 costs what a dense model costs.
"""

from dataclasses import replace

import numpy as np

from sparseplan.common.caveat import Caveat
from sparseplan.common.units import format_count
from sparseplan.cost.device import device_cost
from sparseplan.hardware.acceleration import WORKS, accelerated_sparsities, acceleration, runs_2to4
from sparseplan.hardware.kernels import Spread, Work
from sparseplan.hardware.profile import MeasuredProfile, Profile, speedup, training_rate
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.budget import Array
from sparseplan.laws.forms.search import lowest
from sparseplan.laws.law import Law, family_used
from sparseplan.plan.caveats import ROUNDING, Distance
from sparseplan.plan.hardware_answer import FamilyVerdict, Kind, Memory, SpeedupRange
from sparseplan.plan.intervals import sparse_is_better
from sparseplan.plan.objective import Objective, choose
from sparseplan.plan.question import Plans, Question
from sparseplan.plan.runs import run_for_loss
from sparseplan.shapes.base import COMPRESSED_SHARE, typical_width
from sparseplan.sparsity.pattern import TWO_OF_FOUR, UNSTRUCTURED, Pattern
from sparseplan.sparsity.schedule import Schedule

MASTER_BYTES = 4.0
_REACH = 7.0  # of ln N around the dense plan's
COMPUTE_BYTES = 2.0


def verdicts(law: Law, question: Question, profile: Profile, objective: Objective = "point") -> list[FamilyVerdict]:
    """One verdict for each kind of pattern that the law can speak for, under a question's givens.

    The question's own pattern doesn't matter.
    """
    kinds: tuple[tuple[Kind, list[Pattern]], ...] = (
        ("unstructured", [UNSTRUCTURED]),
        ("2:4", [TWO_OF_FOUR]),
        ("n:m", other_patterns(law)),
    )
    found = []
    for kind, patterns in kinds:
        spoken_for = [
            pattern
            for pattern in patterns
            if (pattern.family in law.sparsity or UNSTRUCTURED.family in law.sparsity)
            and (pattern.sparsity or 0.0) <= (question.max_sparsity if kind == "n:m" else question.pattern_cap)
        ]
        if spoken_for:
            tried = [_verdict(law, question, profile, objective, kind, pattern) for pattern in spoken_for]
            found.append(min(tried, key=lambda verdict: verdict.loss))
    return found


def other_patterns(law: Law) -> list[Pattern]:
    """Every n:m but 2:4 of the families that a law knows, of n:4 where it knows none."""
    groups = sorted({int(family[2:]) for family in law.sparsity if family.startswith("n:")}) or [4]
    patterns = [Pattern(kept=kept, group=group) for group in groups for kept in range(1, group)]
    return [pattern for pattern in patterns if pattern != TWO_OF_FOUR]


def _verdict(
    law: Law,
    question: Question,
    profile: Profile,
    objective: Objective,
    family: Kind,
    pattern: Pattern,
) -> FamilyVerdict:
    cost = device_cost(
        profile, pattern, law.schedule, tokens_per_unit=law.tokens_per_unit, overhead=question.cost.overhead
    )
    inference = None if question.inference is None else question.inference.on(pattern)
    asked = replace(question, pattern=pattern, cost=cost, inference=inference)
    sides, draws, point, drawn = choose(law, pattern.family, asked, objective)
    plan, dense = point.best, point.dense
    gain = float(dense.loss - plan.loss)
    width = float(typical_width(float(plan.dense_params)))
    S = float(plan.sparsity)

    def faster(work: Work) -> Spread | None:
        fast = acceleration(profile, pattern, work)
        return None if fast is None else fast.spread_at(S, width)

    training, decoding, prefill = (faster(work) for work in WORKS)
    compressed = bool(accelerated_sparsities(pattern)) and runs_2to4(profile)
    break_even = None
    if pattern.group is not None:
        break_even = break_even_speedup(sides.sparse, asked, plan, dense, schedule=law.schedule)
    return FamilyVerdict(
        family=family,
        pattern=str(pattern),
        coefficients=family_used(law, pattern.family),
        sparsity=float(plan.sparsity),
        nonzero_params=float(plan.nonzero_params),
        dense_params=float(plan.dense_params),
        data_seen=float(plan.data_seen),
        loss=float(plan.loss),
        loss_gain=gain,
        pays=gain > 0,
        p_pays=None if draws is None or drawn is None else float(np.mean(sparse_is_better(draws, point, drawn))),
        cost_multiplier=float(cost.multiplier(plan.sparsity, plan.nonzero_params)),
        training_speedup=None if training is None else _range(training),
        break_even_speedup=break_even,
        inference_speedup_small=None if decoding is None else decoding.median,
        inference_speedup_large=None if prefill is None else prefill.median,
        memory=memory(float(plan.dense_params), compressed=compressed),
    )


def _range(spread: Spread) -> SpeedupRange:
    return SpeedupRange(median=spread.median, low=spread.ends[0], high=spread.ends[1])


def break_even_speedup(
    theta: Theta, question: Question, plan: Plans, dense: Plans, *, schedule: Schedule
) -> float | None:
    """How much faster training must be after the ramp for a plan to reach the dense loss; None if nothing is enough.

    Below 1 the pattern pays even where it is slower than dense.
    """
    S = float(plan.sparsity)
    settled = float(schedule.settled(S))
    ramp = float(schedule.length(S)) - settled
    allowed = question.cost.overhead.within(_allowed_multiplier(theta, question, S, dense), S)
    time = allowed * (1.0 - S) - ramp
    return settled / time if time > 0.0 and settled > 0.0 else None


def _allowed_multiplier(theta: Theta, question: Question, S: float, dense: Plans) -> float:
    """The largest c_mul at which a run of sparsity S reaches the dense loss for what the dense plan costs."""
    inference = question.inference
    if inference is None:
        N, D = run_for_loss(theta, question, S, dense.reducible)
        return float(dense.nonzero_params * dense.data_seen / (N * D))
    per_token = question.cost.flops_for(1.0, 0.0, 1.0)

    def multiplier(N: Array) -> Array:
        _, D = run_for_loss(theta, replace(question, nonzero_params=N, dense_params=None), S, dense.reducible)
        return (dense.spent - inference.weight * inference.flops(S, N)) / (per_token * N * D)

    if not question.size_is_free or question.data_seen is not None or question.tokens_per_param is not None:
        N, _ = run_for_loss(theta, question, S, dense.reducible)
        return float(multiplier(N))
    # The size moves with c_mul: less training leaves room for a larger model.
    middle = np.log(np.asarray(dense.nonzero_params))
    x = lowest(lambda x: -multiplier(np.exp(x)), middle - _REACH, middle + _REACH)
    return float(multiplier(np.exp(x)))


def memory(dense_params: float, *, compressed: bool) -> Memory:
    """Bytes of the weights of a model with this number of prunable parameters before pruning."""
    training = (MASTER_BYTES + COMPUTE_BYTES) * dense_params
    inference = COMPUTE_BYTES * dense_params
    return Memory(
        training_dense=training,
        training_compressed=training + COMPRESSED_SHARE * inference if compressed else None,
        inference_dense=inference,
        inference_compressed=COMPRESSED_SHARE * inference if compressed else None,
    )


def measured_widths(profile: Profile) -> tuple[float, float] | None:
    """Ends of the widths that were measured in training; None for a profile that knows none."""
    curves = (training_rate(profile), speedup(profile, "training"))
    spans = [
        (float(curve.widths[0]), float(curve.widths[-1])) for curve in curves if curve and curve.widths is not None
    ]
    return (max(span[0] for span in spans), min(span[1] for span in spans)) if spans else None


def width_distances(profile: Profile, models: dict[str, float]) -> list[Distance]:
    """The models whose width lies outside what was measured in training; `models` are dense parameters by name."""
    found: dict[float, Distance] = {}
    spans = measured_widths(profile)
    if spans is None:
        return []
    low, high = spans
    for name, size in models.items():
        width = float(typical_width(size))
        if low / ROUNDING <= width <= high * ROUNDING:
            continue
        wide = width > high
        factor = width / high if wide else low / width
        edge = f"the {'widest' if wide else 'narrowest'} measured ({high if wide else low:g})"
        ratio = f"{factor:.3g}x" if wide else f"{100 / factor:.2g}% of"
        text = f"the {name} ({format_count(size)}) is about {width:.0f} wide, {ratio} {edge}, whose speed stands in"
        found.setdefault(size, Distance(axis="width", value=width, low=low, high=high, factor=factor, message=text))
    return list(found.values())


def hardware_caveats(profile: Profile, *, utilization_given: bool) -> list[Caveat]:
    """What a profile can't vouch for."""
    found = []
    runs_2to4 = acceleration(profile, TWO_OF_FOUR, "training") is not None
    if isinstance(profile, MeasuredProfile):
        reason = f" ({profile.two_to_four.reason})" if profile.two_to_four.reason else ""
    else:
        reason = ""
        peak = ": 2:4 at peak speed, which no layer reaches" if profile.peak_flops_2to4 is not None else ""
        assumed = f"an assumed utilization of {100 * profile.utilization:g}%"
        joined = "" if utilization_given else f"{', and ' if peak else ', with '}{assumed}"
        text = f"{profile.name} is a vendor datasheet, not a measurement{peak}{joined}. Measure with `bench`"
        found.append(Caveat(code="hardware-datasheet", message=text))
    claimed = sorted({row.pattern for row in profile.kernels if row.evidence == "claimed"})
    if claimed:
        text = f"{profile.name}: speed-ups of {', '.join(claimed)} are claimed, without a printed measurement"
        found.append(Caveat(code="hardware-claimed", message=text))
    if not runs_2to4:
        text = f"{profile.name} does not accelerate 2:4 in training{reason}: it costs like dense"
        found.append(Caveat(code="hardware-no-2to4", message=text))
    return found

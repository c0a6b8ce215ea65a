"""What an answer says of the device that it names."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sparseplan.common.caveat import Caveat
from sparseplan.laws.law import Law, form_of
from sparseplan.plan.caveats import Distance, law_caveats
from sparseplan.plan.hardware_answer import DeviceUse, FamilyVerdict
from sparseplan.plan.objective import Objective
from sparseplan.plan.question import Plans, Question, dense_run_for
from sparseplan.plan.sides import Planned, Sides
from sparseplan.sparsity.pattern import TWO_OF_FOUR

if TYPE_CHECKING:
    from sparseplan.plan.device_hours import Device


class OnDevice(NamedTuple):
    """Hours and money, whether patterns pay, how far models lie outside what was measured, and what to be warned of."""

    use: DeviceUse | None
    verdict: list[FamilyVerdict] | None
    distances: list[Distance]
    warnings: list[Caveat]


def on_device(
    law: Law, question: Question, objective: Objective, device: "Device", sides: Sides, point: Planned
) -> OnDevice:
    """What the answer says of the device; nothing of it is loaded where no device is named."""
    from sparseplan.hardware.profile import training_rate  # noqa: PLC0415
    from sparseplan.plan.device_hours import device_use  # noqa: PLC0415

    use = None
    serves = question.inference
    N, D = dense_run_for(sides.dense, question, point.best.reducible)
    if device.asked_for or device.profile is None or training_rate(device.profile) is not None:
        use = device_use(
            device,
            train_flops=float(point.best.train_flops),
            dense_params=_rated_size(point.best, point.dense),
            dense_flops_for_equal_loss=float(question.cost.flops_for(D, 0.0, N)),
            inference_flops=None if serves is None else float(point.best.inference_flops),
            dense_inference_flops_for_equal_loss=None if serves is None else float(serves.flops(0.0, N)),
        )
    if device.profile is None:
        return OnDevice(use, None, [], [])
    from sparseplan.plan.verdict import hardware_caveats, verdicts, width_distances  # noqa: PLC0415

    knows = form_of(law).knows_sparsity
    verdict = verdicts(law, question, device.profile, objective) if knows else None
    models = {
        "dense plan's model": float(point.dense.dense_params),
        "plan's model": float(point.best.dense_params),
    }
    models |= {f"{one.pattern} model": one.dense_params for one in verdict or () if one.training_speedup is not None}
    far = width_distances(device.profile, models)
    known = law_caveats(law, question.pattern.family) if knows else []
    asked = law_caveats(law, TWO_OF_FOUR.family) if knows else []
    return OnDevice(
        use,
        verdict,
        far,
        [
            *(caveat for caveat in asked if caveat not in known),
            *hardware_caveats(device.profile, utilization_given=device.utilization is not None),
            *(Caveat(code="hardware-extrapolation", message=distance.message) for distance in far),
        ],
    )


def _rated_size(plan: Plans, dense: Plans) -> float:
    """The size whose rate of training stands for the answer: the dense plan's, where there is one."""
    return float(np.where(np.isfinite(dense.train_flops), dense.dense_params, plan.dense_params))

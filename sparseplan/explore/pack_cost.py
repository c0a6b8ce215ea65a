"""Costs for a page: FLOP counts, and devices with what they accelerate of each pattern."""

import shlex
from collections.abc import Sequence

import numpy as np

from sparseplan.explore.data import ByDenseParams, PackedAcceleration, PackedCost
from sparseplan.hardware.acceleration import acceleration
from sparseplan.hardware.kernels import Work
from sparseplan.hardware.profile import Curve, Profile
from sparseplan.plan.verdict import hardware_caveats, measured_widths
from sparseplan.shapes.base import typical_width
from sparseplan.sparsity.pattern import parse_pattern

_WIDTH_OFFSET = 3.0 * float(np.log(typical_width(1.0)))


def pack_flops_cost(name: str) -> PackedCost:
    """One of the costs that count FLOPs: "sparse" or "dense"."""
    free = name == "sparse"
    return PackedCost(
        name=name,
        argument=name,
        zeros_free=free,
        training={},
        inference={},
        widths=None,
        width_offset=0.0,
        caveats=[],
    )


def pack_device(profile: Profile, argument: str, words: Sequence[str]) -> PackedCost:
    """The cost on a device, for some patterns."""
    return PackedCost(
        name=profile.name,
        argument=shlex.quote(argument),
        zeros_free=False,
        training=_accelerations(profile, words, "training"),
        inference=_accelerations(profile, words, "prefill"),
        widths=measured_widths(profile),
        width_offset=_WIDTH_OFFSET,
        caveats=hardware_caveats(profile, utilization_given=True),
    )


def _accelerations(profile: Profile, words: Sequence[str], work: Work) -> dict[str, PackedAcceleration]:
    found = {word: acceleration(profile, parse_pattern(word), work) for word in words}
    return {
        word: PackedAcceleration(
            as_2to4=list(fast.as_2to4),
            curve=_by_dense_params(fast.curve),
            exact=[(sparsity, spread.median) for sparsity, spread in fast.exact],
            sparsities=fast.sparsities.tolist(),
            speeds=fast.speeds.tolist(),
        )
        for word, fast in found.items()
        if fast is not None
    }


def _by_dense_params(curve: Curve | None) -> ByDenseParams | None:
    """A curve by width as one by parameters: ln w is ln M / 3 and a constant, so straight lines stay straight."""
    if curve is None:
        return None
    values = [float(value) for value in curve.median]
    if curve.widths is None:
        return ByDenseParams(log_dense_params=None, values=values[:1])
    points = [float(3.0 * np.log(width) - _WIDTH_OFFSET) for width in curve.widths]
    return ByDenseParams(log_dense_params=points, values=values)

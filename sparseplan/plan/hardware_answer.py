"""The part of an answer that speaks of hardware: hours and money, and whether each kind of pattern pays there.

Only shapes of the answer; they are computed in `device` and `verdict`, which a question without hardware never loads.
"""

from typing import Literal

from msgspec import Struct

SECONDS_PER_HOUR = 3600.0
Kind = Literal["unstructured", "2:4", "n:m"]


class InferenceUse(Struct, frozen=True, kw_only=True):
    """What serving the plan's model asks of devices, which may be others than those that train it, and both together.

    Attributes:
        utilization: Share of the peak that multiplying is taken to reach; None where no peak is known.
        flops_per_second: FLOPs of inference that one device does in a second, 2 per weight and token.
        tokens_at_once: How many tokens a step processes; None where multiplying is the limit.
        total_device_hours: Of training and inference.
        total_price: Likewise; None where one of the prices is not known.
        dense_device_hours_for_equal_loss: What a dense model needs in total for the plan's loss; None where none does.
    """

    name: str
    flops_per_second: float
    utilization: float | None
    utilization_source: str
    tokens_at_once: float | None
    device_hours: float
    price_per_device_hour: float | None
    price: float | None
    total_device_hours: float
    total_price: float | None
    dense_device_hours_for_equal_loss: float | None
    dense_price_for_equal_loss: float | None


class DeviceUse(Struct, frozen=True, kw_only=True):
    """What the plan asks of the devices.

    Attributes:
        utilization: Share of the peak that training is taken to reach; None where no peak is known.
        flops_per_second: Training FLOPs that one device does in a second, counted as train_flops are.
        dense_device_hours_for_equal_loss: What a dense model needs for the plan's loss; None where no budget is enough.
            Where inference counts, of training alone, in the dense run that needs least in total.
        inference: Where inference counts and its devices have a rate.
    """

    name: str
    peak_flops: float | None
    utilization: float | None
    utilization_source: str
    flops_per_second: float
    device_hours: float
    devices: float | None
    wall_clock_hours: float | None
    price_per_device_hour: float | None
    price: float | None
    dense_device_hours_for_equal_loss: float | None
    dense_price_for_equal_loss: float | None
    inference: InferenceUse | None = None


class SpeedupRange(Struct, frozen=True, kw_only=True):
    """A speed-up, and the percentiles 10 and 90 of the repeats behind it; all equal for a datasheet."""

    median: float
    low: float
    high: float


class Memory(Struct, frozen=True, kw_only=True):
    """Bytes of the prunable weights, without gradients and the optimizer's states, which pruning leaves as they are.

    Training keeps float32 master weights and a 16-bit copy, 6 bytes per weight before pruning. 2:4 adds a compressed
    copy (9/16 of 2 bytes) to them: the backward pass still needs the dense one. Inference reads 16-bit weights.
    """

    training_dense: float
    training_compressed: float | None
    inference_dense: float
    inference_compressed: float | None


class FamilyVerdict(Struct, frozen=True, kw_only=True):
    """Whether one kind of pattern pays under the question's givens.

    Attributes:
        family: unstructured, 2:4, or n:m for all others.
        pattern: The best of the family.
        coefficients: The law's coefficient set that spoke for it.
        loss_gain: Dense loss minus this plan's, nats; negative where it loses.
        pays: Whether loss_gain is positive.
        p_pays: Share of the law's draws that say so, as p_sparse_better is counted; None without draws.
        cost_multiplier: c_mul of the plan on this hardware.
        training_speedup: Of this pattern over dense weights, at the plan's width; None where nothing accelerates it.
        break_even_speedup: The training speed-up at which the pattern begins to pay; None where none is enough.
        inference_speedup_small: Of reading few tokens at once; None where not accelerated or not measured.
        inference_speedup_large: Of reading many.
    """

    family: Kind
    pattern: str
    coefficients: str
    sparsity: float
    nonzero_params: float
    dense_params: float
    data_seen: float
    loss: float
    loss_gain: float
    pays: bool
    p_pays: float | None
    cost_multiplier: float
    training_speedup: SpeedupRange | None
    break_even_speedup: float | None
    inference_speedup_small: float | None
    inference_speedup_large: float | None
    memory: Memory

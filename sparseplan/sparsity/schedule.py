"""Pruning ramps: sparsity over training, and the mean density that a run pays for.

With the ramp from t0 to t1 and S(p) = S (1 - (1 - p)^k), the mean density over training is
rho(S) = t0 + (t1 - t0) (1 - S k/(k+1)) + (1 - t1) (1 - S) = 1 - saving * S,
saving = (t1 - t0) k/(k+1) + (1 - t1). For the paper's cubic ramp, 25 % to 75 %, that is 1 - 0.625 S.
t0 = t1 prunes in one shot at that moment; t0 = t1 = 0 trains sparse from the start.

A geometric ramp takes the same share of what is left at every cut: the density is (1 - S)^p, and its mean,
rho(S) = t0 + (t1 - t0) S / -ln(1 - S) + (1 - t1) (1 - S), is not linear in S: there is no kappa.

A straight-through mask is in force from t0 = t1 on, but every weight keeps its gradient. Of the three equal products of
a training step, the output and the input's gradient use the masked weights, the weights' gradient is dense: zeros save
two thirds of what they save elsewhere, saving = 2/3 (1 - t1). Where only a share g of the sparse updates forms the
gradient of all weights, as RigL does, they save 1 - g/3.

Rewinding trains in rounds: a dense one, then R more from the fraction t0 of training on, each at a density lower by the
same factor, q = (1 - S)^(1/R), with R the number that brings q nearest to 1 - share. Zeros free, all rounds cost
rho(S) = 1 + (1 - t0) (q + q^2 + ... + q^R) dense trainings; zeros that cost like weights, 1 + (1 - t0) R.

Source: Zhu & Gupta 2017, arXiv:1710.01878 (the cubic ramp); Frantar et al. 2023, arXiv:2309.08520; Jin et al. 2025,
arXiv:2501.12486 (the geometric ramp); Frankle et al. 2019, arXiv:1903.01611 (rewinding).
"""

import re
from typing import Annotated, Literal

import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType
from numpy.typing import NDArray

from sparseplan.common.units import format_sparsity, parse_share
from sparseplan.errors import QuantityError

Floats = NDArray[np.float64] | float
_KINDS = ("cubic", "linear", "geometric", "straight-through", "rewinding")
_SHARE_OF_A_ROUND = 0.2
_EXPONENTS = {"cubic": 3, "linear": 1, "straight-through": 1}
_ONE_SHOT = 1e-9  # a ramp this short, as a fraction of training, lies within one step of any run


class Schedule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pruning ramp; `start` and `end` are fractions of training, 0 <= start <= end <= 1.

    >>> round(Schedule().saving, 6), round(float(Schedule().mean_density(0.5)), 6)
    (0.625, 0.6875)
    """

    kind: Annotated[
        Literal["cubic", "linear", "geometric", "straight-through", "rewinding"],
        Meta(
            description="How sparsity approaches its final value on the ramp; geometric: the density falls by the same "
            "factor at every cut; straight-through: at once, in all products but the gradient of the weights; "
            "rewinding: in rounds, each trained from `start` to the end."
        ),
    ] = "cubic"
    start: Annotated[
        float, Meta(ge=0, le=1, description="Fraction of training at which pruning starts; dense before it.")
    ] = 0.25
    end: Annotated[
        float, Meta(ge=0, le=1, description="Fraction of training at which the final sparsity is reached.")
    ] = 0.75

    share: (
        Annotated[
            float,
            Meta(
                ge=0.01,
                lt=1,
                description="Of rewinding: the share that a round prunes of what is left; 0.2 by default.",
            ),
        ]
        | UnsetType
    ) = UNSET
    dense_gradients: (
        Annotated[
            float,
            Meta(
                ge=0,
                le=1,
                description="Share of the sparse updates that form the gradient of pruned weights too, as RigL's do "
                "where it grows; 0 where not given, and 1 for straight-through masks.",
            ),
        ]
        | UnsetType
    ) = UNSET

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise ValueError(f"expected start <= end, found start {self.start:g} and end {self.end:g}")
        if self.kind == "straight-through" and self.start != self.end:
            raise ValueError(
                "expected start = end for straight-through masks, which have no ramp, "
                f"found start {self.start:g} and end {self.end:g}"
            )

        if self.kind == "rewinding" and not self.start < self.end == 1.0:
            raise ValueError(
                f"expected start < end = 1 for rewinding, whose rounds go on to the end of training, "
                f"found start {self.start:g} and end {self.end:g}"
            )
        if self.kind != "rewinding" and self.share:
            raise ValueError(f"expected a share for rewinding alone, found it with {self.kind}")

    @property
    def zeros_save(self) -> float:
        """The share of a training step's FLOPs per weight that a zero in force saves: all, or two of three products,
        or what lies between where some updates form the gradient of all weights.
        """
        dense = 1.0 if self.kind == "straight-through" else self.dense_gradients or 0.0
        return 1.0 - dense / 3.0

    @property
    def saving(self) -> float | None:
        """The kappa of rho(S) = 1 - kappa S: the share of training, in dense terms, that full sparsity would save.

        None where rho is not of that kind, as on a geometric ramp.
        """
        if self.kind == "rewinding" or (self.kind == "geometric" and not self._one_cut):
            return None
        exponent = _EXPONENTS.get(self.kind, 1)
        return self.zeros_save * ((self.end - self.start) * exponent / (exponent + 1) + (1.0 - self.end))

    def describe(self) -> str:
        """The ramp in a few words.

        >>> Schedule().describe()
        'cubic ramp from 25% to 75% of training'
        """
        if self.kind == "straight-through":
            return f"straight-through masks from {format_sparsity(self.start)} of training on"
        if self.kind == "rewinding":
            share = format_sparsity(self.share or _SHARE_OF_A_ROUND)
            return f"rounds from {format_sparsity(self.start)} of training on, each pruning about {share} of the rest"
        if self.end == 0.0:
            words = "sparse from the first step"
            if self.dense_gradients:
                words += f", gradients of all weights at {format_sparsity(self.dense_gradients)} of them"
            return words
        return f"{self.kind} ramp from {format_sparsity(self.start)} to {format_sparsity(self.end)} of training"

    def sparsity(self, final: Floats, progress: Floats) -> NDArray[np.float64]:
        """Sparsity after the fraction `progress` of training, for a final sparsity `final`; they broadcast."""
        assert self.kind != "rewinding", "a round has one sparsity"
        t = np.asarray(progress, dtype=np.float64)
        if self._one_cut:
            p = (t >= self.start).astype(np.float64)
        else:
            p = np.clip((t - self.start) / (self.end - self.start), 0.0, 1.0)
        if self.kind == "geometric":
            return np.asarray(-np.expm1(p * np.log1p(-np.asarray(final, dtype=np.float64))))
        return np.asarray(final * (1.0 - (1.0 - p) ** _EXPONENTS[self.kind]))

    def mean_density(self, final: Floats) -> NDArray[np.float64]:
        """Density averaged over training, rho(S), for a final sparsity `final` in [0, 1); FLOPs per dense FLOP.

        Of rewinding all rounds count, so it lies above 1.

        >>> round(float(Schedule(kind="geometric", start=0, end=1).mean_density(0.5)), 6)
        0.721348
        """
        S = np.asarray(final, dtype=np.float64)
        if self.saving is not None:
            return 1.0 - self.saving * S
        if self.kind == "rewinding":
            rounds = np.maximum(self.rounds(S), 1)
            left = np.exp(np.log1p(-S) / rounds)  # what a round leaves of the one before it
            series = left * S / np.where(S > 0.0, 1.0 - left, 1.0)
            return np.asarray(1.0 + (1.0 - self.start) * series)
        nonzero = np.where(S > 0.0, S, 0.5)  # the mean density of the ramp alone tends to 1 as S does to 0
        on_ramp = np.where(S > 0.0, nonzero / -np.log1p(-nonzero), 1.0)
        mean = self.start + (self.end - self.start) * on_ramp + (1.0 - self.end) * (1.0 - S)
        return np.asarray(1.0 - self.zeros_save * (1.0 - mean))

    def rounds(self, final: Floats) -> NDArray[np.int64]:
        """How often a training goes back, for a final sparsity; 0 for dense ones and without rewinding.

        >>> Schedule(kind="rewinding", start=0.1, end=1.0).rounds([0.0, 0.5, 0.875]).tolist()
        [0, 3, 9]
        """
        S = np.asarray(final, dtype=np.float64)
        if self.kind != "rewinding":
            return np.zeros(S.shape, dtype=np.int64)
        exact = np.log1p(-S) / np.log1p(-(self.share or _SHARE_OF_A_ROUND))
        return np.where(S > 0.0, np.maximum(np.rint(exact), 1.0), 0.0).astype(np.int64)

    def length(self, final: Floats) -> NDArray[np.float64]:
        """Updates of the whole training, per update that the final model has behind it: 1 without rewinding."""
        return np.asarray(1.0 + (1.0 - self.start) * self.rounds(final))

    def settled(self, final: Floats) -> NDArray[np.float64]:
        """The part of `length` that is trained with the final mask."""
        if self.kind == "rewinding":
            return np.where(self.rounds(final) > 0, 1.0 - self.start, 0.0)
        return np.full(np.shape(final), 1.0 - self.end)

    @property
    def _one_cut(self) -> bool:
        return self.end - self.start <= _ONE_SHOT


def parse_schedule(text: str) -> Schedule:
    """Read a ramp as people write it: its kind, and the ends of the ramp in shares of training.

    Raises:
        QuantityError: for another kind, or ends that aren't shares in order.

    >>> parse_schedule("linear:0..50%").describe(), parse_schedule("cubic") == Schedule()
    ('linear ramp from 0% to 50% of training', True)
    >>> parse_schedule("straight-through:0").describe()
    'straight-through masks from 0% of training on'
    """
    kind, _, ends = text.strip().partition(":")
    written = re.split(r"\.\.(?!\.)", ends) if ends else ["0.25", "0.75"]
    try:
        if kind not in _KINDS or len(written) > 2 or (kind in ("straight-through", "rewinding") and not ends):
            raise ValueError
        start, end = _share(written[0]), 1.0 if kind == "rewinding" else _share(written[-1])
        return Schedule(kind=kind, start=start, end=end)  # type: ignore[arg-type]
    except ValueError:
        raise QuantityError(
            f"expected {', '.join(_KINDS)} with the ends of the ramp, as in cubic:25%..75% or straight-through:0, "
            f"found {text!r}."
        ) from None


def _share(word: str) -> float:
    return 0.0 if word.strip().rstrip("%") in ("0", "0.0") else parse_share(word)

"""Size multipliers m(S) of laws: what carries best from one setup to another, side by side.

A sparse model is as capable as a dense one of m(S) times its non-zero parameters. Losses and coefficients of two setups
don't compare; m(S) does.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sparseplan.common.intervals import Bounds, bounds
from sparseplan.errors import LawError
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.identity import law_hash, same_runs
from sparseplan.laws.law import Law, coefficient_draws, coefficients, family_used, is_transferred, require_sparse

SHOWN_SPARSITIES = (0.5, 0.75, 0.875)
_TRIALS = 20_000


class Multiplier(Struct, frozen=True, kw_only=True):
    """One law's m(S) at one sparsity, with the interval of its draws where it has any."""

    sparsity: float
    value: float
    interval: Bounds | None


class LawMultipliers(Struct, frozen=True, kw_only=True):
    """One law's m(S).

    Attributes:
        law, hash: Which law.
        family: The pattern family that answered: the one asked for, else unstructured.
        setup: Number of the set of runs that it was fitted to: laws with one number are fits of the same runs.
        nonzero_params: The size at which m was read off, where it depends on the size.
        borrowed: Whether its effect of sparsity is another law's: it says nothing new of m.
        multipliers: At the sparsities shown.
    """

    law: str
    hash: str
    family: str
    setup: int
    nonzero_params: float
    borrowed: bool
    multipliers: list[Multiplier]


class Agreement(Struct, frozen=True, kw_only=True):
    """How far the setups agree on m at one sparsity.

    Attributes:
        sparsity: S.
        span: Least and most m over all laws.
        setups: How many setups have draws and an effect of sparsity of their own; one law each, the first that has.
        spread: Standard deviation of ln m between these setups beyond what their draws explain; None below three.
        chance: Of differing as much by their draws alone, if m were the same in all of them; None below two.
    """

    sparsity: float
    span: Bounds
    setups: int
    spread: float | None
    chance: float | None


class Comparison(Struct, frozen=True, kw_only=True):
    """Size multipliers of several laws, and how far these agree."""

    laws: list[LawMultipliers]
    agreement: list[Agreement]


def size_multipliers(law: Law, theta: Theta) -> dict[float, NDArray[np.float64]]:
    """m at 50, 75 and 87.5 % sparsity, for a model in the middle of the law's range where it depends on the size."""
    with np.errstate(over="ignore"):
        return {S: theta.size_multiplier(S, _middle(law)) for S in SHOWN_SPARSITIES}


def compare_laws(laws: Sequence[Law], family: str = "unstructured") -> Comparison:
    """Put m(S) of several laws side by side.

    Args:
        laws: Two or more with a sparsity term.
        family: Pattern family; a law without a set of its own for it answers with its unstructured one.

    Raises:
        LawError: if there are fewer than two laws, or one knows nothing of sparsity.
    """
    if len(laws) < 2:
        raise LawError(f"Comparing takes two or more laws with a sparsity term, found {len(laws)}. Name more laws.")
    rows: list[LawMultipliers] = []
    setups: list[Law] = []
    drawn: dict[int, dict[float, NDArray[np.float64]]] = {}
    for law in laws:
        used = family_used(require_sparse(law), family)
        same = next((index for index, other in enumerate(setups) if same_runs(law, other)), len(setups))
        draws = coefficient_draws(law, used)
        found = None if draws is None else size_multipliers(law, draws)
        if same == len(setups):
            setups.append(law)
        if found is not None and not is_transferred(law):
            drawn.setdefault(same, found)
        rows.append(
            LawMultipliers(
                law=law.name,
                hash=law_hash(law),
                family=used,
                setup=same,
                nonzero_params=_middle(law),
                borrowed=is_transferred(law),
                multipliers=[
                    Multiplier(sparsity=S, value=float(m), interval=None if found is None else bounds(found[S]))
                    for S, m in size_multipliers(law, coefficients(law, used)).items()
                ],
            )
        )
    agreement = [
        _agreement(S, [row.multipliers[index].value for row in rows], [np.log(one[S]) for one in drawn.values()])
        for index, S in enumerate(SHOWN_SPARSITIES)
    ]
    return Comparison(laws=rows, agreement=agreement)


def _agreement(S: float, values: list[float], drawn: list[NDArray[np.float64]]) -> Agreement:
    """A random-effects estimate of the spread between setups (DerSimonian and Laird 1986), tested by the draws."""
    count = len(drawn)
    span = (min(values), max(values))
    if count < 2:
        return Agreement(sparsity=S, span=span, setups=count, spread=None, chance=None)
    centre = np.array([np.mean(one) for one in drawn])
    weight = 1 / np.array([np.var(one) for one in drawn])

    def misfit(means: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted squared distances from the common mean, of `means` of shape (..., setups)."""
        common = np.sum(weight * means, axis=-1, keepdims=True) / weight.sum()
        return np.asarray(np.sum(weight * (means - common) ** 2, axis=-1))

    random = np.random.default_rng(0)
    if_equal = np.stack([random.choice(one - one.mean(), _TRIALS) for one in drawn], axis=-1)
    seen = float(misfit(centre))
    beyond = (seen - (count - 1)) / (weight.sum() - np.sum(weight**2) / weight.sum())
    return Agreement(
        sparsity=S,
        span=span,
        setups=count,
        spread=float(np.sqrt(max(beyond, 0.0))) if count > 2 else None,
        chance=float(np.mean(misfit(if_equal) >= seen)),
    )


def _middle(law: Law) -> float:
    low, high = law.range.nonzero_params or (1.0, 1.0)
    return float(np.sqrt(low * high))

"""How well m(S), and how well f(S)/f(0), carries from one setup to another: the numbers of `laws/compose.py`.

    python scripts/transfer_spread.py

Five setups with one law each: the refits of the authors' T5 and ViT runs, the two committed calibrations, and the law
of Wu et al. 2026 (arXiv:2606.01155). Everything is read off at 50, 75 and 87.5 % sparsity.
"""

from dataclasses import dataclass
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparseplan.laws.file import builtin_laws, read_law
from sparseplan.laws.forms.power_terms import PowerTerms
from sparseplan.laws.law import Law, coefficient_draws, coefficients
from sparseplan.laws.multipliers import SHOWN_SPARSITIES

ROOT = Path(__file__).resolve().parents[1]
Array = NDArray[np.float64]
S = np.array(SHOWN_SPARSITIES)
_SIZE = 1.0  # m depends on no size in these laws


@dataclass(frozen=True, kw_only=True)
class Setup:
    """One setup: ln m at the sparsities, its variance over the law's draws (of ln ln m), and b_N."""

    name: str
    log_m: Array
    fit_variance: Array
    b_N: float


def setups() -> list[Setup]:
    """The five."""
    built_in = ("frantar2023-t5-c4-refit", "frantar2023-vit-jft-refit", "wu2026-llama-c4")
    calibrations = [ROOT / "calibration" / name / "law.yaml" for name in ("gpt-stdlib-cpu", "bert-stdlib-cpu")]
    paths = [*(path for path in builtin_laws() if path.stem in built_in), *calibrations]
    return [_setup(read_law(path)) for path in paths]


def _setup(law: Law) -> Setup:
    theta, draws = coefficients(law), coefficient_draws(law)
    assert isinstance(theta, PowerTerms)
    # Of a law that was published without draws, nothing of its difference from the others is taken off.
    drawn = np.zeros((len(S), 1)) if draws is None else np.log(np.log(draws.size_multiplier(S[:, None], _SIZE)))
    return Setup(
        name=law.name,
        log_m=np.log(theta.size_multiplier(S, _SIZE)),
        fit_variance=np.var(drawn, axis=1),
        b_N=float(theta.size_exponent(0.0)),
    )


def rms_log_error(found: list[Setup], *, ratio: bool) -> float:
    """Root mean square of ln(predicted m / measured m) over all ordered pairs, m carried or f(S)/f(0)."""
    errors = [
        (one.b_N / other.b_N if ratio else 1.0) * one.log_m - other.log_m for one, other in permutations(found, 2)
    ]
    return float(np.sqrt(np.mean(np.square(errors))))


def spread(found: list[Setup], *, ratio: bool) -> float:
    """The same of ln(predicted ln m / measured ln m), less what the draws of the two laws explain."""
    squares = []
    for one, other in combinations(found, 2):
        gap = np.log(one.log_m / other.log_m) + (np.log(one.b_N / other.b_N) if ratio else 0.0)
        squares.append(gap**2 - one.fit_variance - other.fit_variance)
    return float(np.sqrt(max(np.mean(squares), 0.0)))


def main() -> None:
    """Print all of it."""
    found = setups()
    for one in found:
        print(f"{one.name}: b_N {one.b_N:.3f}, m {np.round(np.exp(one.log_m), 2)}")
    for words, ratio in (("m(S)", False), ("f(S)/f(0)", True)):
        error = rms_log_error(found, ratio=ratio)
        print(f"{words} carried: rms error of ln m {error:.3f}, spread {spread(found, ratio=ratio):.3f}")


if __name__ == "__main__":
    main()

"""Errors that runs share, those of one size, length, trunk or seed: what residuals say of them, and draws with them.

A run's error is u_g + w: u_g is common to its group, with variance lambda sigma^2, w its own, with variance sigma^2.
For every grouping that the table offers the restricted likelihood of lambda is computed, that of the residuals outside
the surface that the fit can follow: what the law has absorbed of the u_g isn't taken for their absence. sigma^2 is
integrated out. Over the shared part of a run's variance, lambda / (1 + lambda), the prior is flat, times a normal one
of the shared error's size with two standard deviations of the residuals: what few groups can't show is bounded by what
is plausible. A draw takes a grouping by its probability, then lambda and sigma^2 from what is known of them, simulates
the losses, and fits again. With few groups that has the long tails that a t distribution has.

Most of the prior probability is with the groups that were given, or independent runs where none were. Groupings
much less probable than the best are left out, or many small doubts would make every interval wide.

Source: Patterson & Thompson 1971, doi:10.1093/biomet/58.3.545 (restricted likelihood); Gelman 2006,
doi:10.1214/06-BA117A (priors for few groups); Madigan & Raftery 1994, doi:10.1080/01621459.1994.10476894 (the window).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sparseplan.fit.derivatives import residual_jacobian
from sparseplan.fit.fitting import Fit
from sparseplan.fit.levels import level_of
from sparseplan.laws.forms.fitting.coordinates import Array
from sparseplan.runs.table import Runs

MOST_GROUPS = 400
_INDEPENDENT, _GIVEN = 0.6, 0.9
_WINDOW = 0.3
_SHARES = (np.arange(40) + 0.5) / 40
_PLAUSIBLE = 2.0
_CLIP = 6.0
_FEWEST_SPARE = 3


class SharedError(Struct, frozen=True, kw_only=True):
    """What the residuals say of one grouping.

    Attributes:
        shared_by: What the runs of a group have in common, in words.
        groups: How many groups there are.
        share: Mean of the shared part of a run's error variance, if errors are shared so.
        deviation: Standard deviation of the shared error then: of log loss, or in nats for plain residuals.
        probability: That errors are shared so rather than as given, or not at all, or by another grouping.
        used: Whether some draws take it so.
    """

    shared_by: str
    groups: int
    share: float
    deviation: float
    probability: float
    used: bool


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """A grouping: `unit` numbers the group of each run, shape (n,)."""

    words: str
    unit: NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Variances:
    """What is known of lambda on a grid, of shape (m,), and of sigma^2 = scale / chi^2(spare) at each of its values."""

    ratio: Array
    log_density: Array
    scale: Array
    spare: int

    @property
    def density(self) -> Array:
        """Probabilities of the grid's values."""
        share = np.exp(self.log_density - self.log_density.max())
        return np.asarray(share / share.sum())

    @property
    def means(self) -> tuple[float, float]:
        """Expected variance of a run's own error, and of the shared one."""
        own = self.scale / max(self.spare - 2, 1)
        return float(self.density @ own), float(self.density @ (own * self.ratio))

    @property
    def evidence(self) -> float:
        """Log of the mean likelihood under the prior."""
        top = float(self.log_density.max())
        return top + float(np.log(np.mean(np.exp(self.log_density - top))))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ErrorModel:
    """How the runs' errors may be shared.

    Attributes:
        found: What the residuals say of each grouping, the most probable first.
        groupings: Those that draws use, with what is known of their variances; None for independent runs.
        probabilities: Of these, adding up to 1.
        given: The groups that the user gave, in words; None where there are none.
    """

    found: tuple[SharedError, ...]
    groupings: tuple[tuple[Grouping, Variances] | None, ...]
    probabilities: Array
    given: str | None = None

    @property
    def independent(self) -> bool:
        """Whether every draw takes the runs as independent."""
        return self.groupings == (None,)

    @property
    def words(self) -> str:
        """The groupings that draws use, with the share of draws of each."""
        parts = [
            f"{'independent' if one is None else f'shared by {one[0].words}'} in {100 * p:.0f}% of the draws"
            for one, p in zip(self.groupings, self.probabilities, strict=True)
        ]
        return f"errors {', '.join(parts)}"

    def simulate(self, fit: Fit, count: int, rng: np.random.Generator) -> tuple[NDArray[np.bool_], Array]:
        """Which of `count` draws take errors as shared, shape (count,), and simulated losses of these, (m, n)."""
        n = len(fit.runs)
        chosen = rng.choice(len(self.groupings), size=count, p=self.probabilities)
        errors = np.zeros((count, n))
        shared = np.zeros(count, dtype=np.bool_)
        for index, one in enumerate(self.groupings):
            rows = np.flatnonzero(chosen == index)
            if one is None or not len(rows):
                continue
            shared[rows] = True
            grouping, known = one
            place = rng.choice(len(known.ratio), size=len(rows), p=known.density)
            sigma = np.sqrt(known.scale[place] / rng.chisquare(known.spare, size=len(rows)))
            own = rng.standard_normal((len(rows), n))
            common = rng.standard_normal((len(rows), int(grouping.unit.max()) + 1))[:, grouping.unit]
            errors[rows] = sigma[:, None] * (own + np.sqrt(known.ratio[place])[:, None] * common)
        return shared, fit.objective.apply(fit.predicted, errors[shared])


INDEPENDENT = ErrorModel(found=(), groupings=(None,), probabilities=np.ones(1))


def error_model(fit: Fit) -> ErrorModel:
    """Weigh every grouping of the fit's runs; runs that repeat data, and those said to be independent, stay so."""
    runs = fit.runs
    if fit.joint is not None or runs.independent:
        return INDEPENDENT
    residual, surface = _outside(fit)
    spare = len(runs) - surface.shape[1]
    square = float(residual @ residual)
    if spare < _FEWEST_SPARE or square == 0.0:
        return INDEPENDENT
    candidates = [(one, _variances(residual, surface, one.unit, spare)) for one in _groupings(runs)]
    given = runs.group is not None and bool(candidates) and candidates[0][0].words == _given_words(runs)
    evidence = [known.evidence for _, known in candidates]
    options: list[tuple[Grouping, Variances] | None] = list(candidates)
    if not given:
        options = [None, *options]
        evidence = [-0.5 * spare * np.log(square), *evidence]
    first = _GIVEN if given else _INDEPENDENT
    prior = np.full(len(options), (1.0 - first) / max(len(options) - 1, 1))
    prior[0] = first
    weight = prior * np.exp(np.array(evidence) - max(evidence))
    weight /= weight.sum()
    kept = weight >= _WINDOW * weight.max()
    found = [
        _said(grouping, known, float(weight[index]), used=bool(kept[index]))
        for index, option in enumerate(options)
        if option is not None
        for grouping, known in (option,)
    ]
    return ErrorModel(
        found=tuple(sorted(found, key=lambda one: -one.probability)),
        groupings=tuple(option for option, keep in zip(options, kept, strict=True) if keep),
        probabilities=weight[kept] / weight[kept].sum(),
        given=_given_words(runs) if given else None,
    )


def _given_words(runs: Runs) -> str:
    return f"the column {runs.grouped_by}" if runs.grouped_by else "group"


def _groupings(runs: Runs) -> list[Grouping]:
    """What the table offers, the groups that were given first: partitions into 2 to n / 2 groups, each once."""
    seen: set[bytes] = set()
    found: list[Grouping] = []
    for words, labels in _labels(runs):
        _, first, unit = np.unique(labels, return_index=True, return_inverse=True)
        unit = np.argsort(np.argsort(first))[unit.reshape(-1)]  # numbered as they come, so that equal ones are equal
        most = len(runs) - 1 if not found and runs.group is not None else len(runs) // 2
        if 2 <= len(first) <= min(most, MOST_GROUPS) and unit.tobytes() not in seen:
            seen.add(unit.tobytes())
            found.append(Grouping(words, unit))
    return found


def _labels(runs: Runs) -> Iterator[tuple[str, NDArray[np.intp] | NDArray[np.int64]]]:
    if runs.group is not None:
        yield _given_words(runs), runs.group
    dense = level_of(np.log(runs.nonzero_params / (1.0 - runs.sparsity)))
    length = level_of(np.log(runs.data_seen))
    yield "dense size", dense
    yield "size", level_of(np.log(runs.nonzero_params))
    yield "data seen", length
    yield "dense size and data seen", dense * (int(length.max()) + 1) + length
    for name, labels in runs.labels:
        yield f"the column {name}", labels


def _outside(fit: Fit) -> tuple[Array, Array]:
    """The residuals outside the surface that the fit can follow, and an orthonormal basis of it, shape (n, p).

    Residuals far out are drawn in: they speak of a slip, not of a group.
    """
    jacobian = residual_jacobian(fit.problem, fit.theta)
    length = np.linalg.norm(jacobian, axis=0)
    left, singular, _ = np.linalg.svd(jacobian[:, length > 0] / length[length > 0], full_matrices=False)
    surface = left[:, singular > 1e-9 * singular[0]]
    far = _CLIP * float(np.median(np.abs(fit.residuals)))
    residual = np.clip(fit.residuals, -far, far)
    return residual - surface @ (surface.T @ residual), surface


def _variances(residual: Array, surface: Array, unit: NDArray[np.intp], spare: int) -> Variances:
    """The restricted likelihood of lambda times its prior, from the eigenvalues of Z' (1 - Q Q') Z."""
    groups = int(unit.max()) + 1
    seen = np.zeros((groups, surface.shape[1]))
    np.add.at(seen, unit, surface)
    values, vectors = np.linalg.eigh(np.diag(np.bincount(unit).astype(np.float64)) - seen @ seen.T)
    kept = values > 1e-8 * max(float(values.max()), 1.0)
    values = values[kept]
    between = (vectors[:, kept].T @ np.bincount(unit, residual, minlength=groups)) ** 2 / values
    square = float(residual @ residual)
    ratio = _SHARES / (1.0 - _SHARES)
    growth = 1.0 + ratio[:, None] * values
    scale = max(square - float(between.sum()), 1e-9 * square) + (between / growth).sum(axis=1)
    plausible = -0.5 * ratio * scale / square / _PLAUSIBLE**2  # of (shared error / residuals' deviation)^2
    plausible -= np.log(np.mean(np.exp(plausible)))
    likelihood = -0.5 * np.log(growth).sum(axis=1) - 0.5 * spare * np.log(scale)
    return Variances(ratio=ratio, log_density=likelihood + plausible, scale=scale, spare=spare)


def _said(grouping: Grouping, known: Variances, probability: float, *, used: bool) -> SharedError:
    return SharedError(
        shared_by=grouping.words,
        groups=int(grouping.unit.max()) + 1,
        share=float(known.density @ (known.ratio / (1.0 + known.ratio))),
        deviation=float(np.sqrt(known.means[1])),
        probability=probability,
        used=used,
    )

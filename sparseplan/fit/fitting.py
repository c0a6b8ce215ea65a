"""One fit: many starts, the best minimum, and its certificate."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from sparseplan.errors import FitError
from sparseplan.fit.certificate import Certificate, certify
from sparseplan.fit.derivatives import evaluate
from sparseplan.fit.levels import count_levels
from sparseplan.fit.objective import Objective, Problem
from sparseplan.fit.repeats import Joint, Rates, effective_design, predicted, repeats_data
from sparseplan.fit.solver import Solution, solve
from sparseplan.laws.forms.base import Form, Theta
from sparseplan.laws.forms.fitting import fitted_form
from sparseplan.laws.forms.fitting.base import FittedForm
from sparseplan.laws.forms.fitting.coordinates import LOG_F, Array, Design, kappa_of, make_design, predict
from sparseplan.laws.forms.fitting.prior import Prior, make_prior
from sparseplan.laws.law import Law, coefficient_draws, coefficients
from sparseplan.runs.table import Runs
from sparseplan.sparsity.pattern import UNSTRUCTURED

DEFAULT_STARTS = 64
_SCALE_STARTS = 16
NATS = (1e-6, 1e6)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DenseBase:
    """A dense base that a fit leaves as it is: one value of each coefficient, and draws of them where it has any.

    `tied` also keeps f(0), the numerator of the size term at S = 0, at the dense law's value.
    """

    law: Law
    tied: bool = False


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Fit:
    """A fitted law in the solver's coordinates, with the runs it came from.

    Attributes:
        runs: what was fitted.
        fitted: how the form is fitted.
        problem: what was minimised: objective, the runs' places, the parameters that were varied.
        value: the mean penalty over the runs at the minimum; a prior's part is not in it.
        theta: the best parameter vector, shape (P,).
        certificate: how far the minimum can be trusted.
        base: the dense base that was kept, None where it was fitted too.
        joint, rates: what was minimised where runs repeat data, and the rates R_N and R_D that came out; `problem` is
            then that of the form alone, with the runs at their effective size and data. None where no run does.
    """

    runs: Runs
    fitted: FittedForm
    problem: Problem
    value: float
    theta: Array
    certificate: Certificate
    base: DenseBase | None = None
    joint: Joint | None = None
    rates: Rates | None = None

    @property
    def form(self) -> Form:
        """The functional form."""
        return self.fitted.form

    @property
    def objective(self) -> Objective:
        """What was minimised."""
        return self.problem.objective

    @property
    def design(self) -> Design:
        """The runs' places, normalised."""
        return self.problem.design

    @property
    def free(self) -> tuple[int, ...]:
        """The parameters that were varied."""
        return self.problem.free

    @property
    def counted(self) -> tuple[Array, Array]:
        """What the runs' sizes and data count as, shape (n,) each: N and D where no data is repeated."""
        return np.exp(self.design.x + self.design.log_N0), np.exp(self.design.y + self.design.log_D0)

    @property
    def predicted(self) -> Array:
        """Losses that the law predicts for its runs, shape (n,)."""
        return predict(self.design, self.theta)

    @property
    def residuals(self) -> Array:
        """Residuals in the objective's sense, shape (n,): positive where the law predicts too high a loss."""
        return self.objective.residuals(self.predicted, self.runs.loss)

    def coefficients(self, family: str | None, theta: Array | None = None) -> Theta:
        """Coefficients of a family in natural units, None for the dense law; of other parameter vectors if given."""
        index = None if family is None else self.design.families.index(family)
        return self.fitted.coefficients(self.design, self.theta if theta is None else theta, index)

    def predict(self, runs: Runs, theta: Array | None = None) -> Array:
        """Losses that the law predicts for other runs of its families."""
        if self.joint is not None and self.rates is not None and runs.unique_data is not None:
            point = self.theta if theta is None else theta
            return predicted(self.fitted, self.joint.design, point, self.rates, runs)
        place = make_design(runs.sparsity, runs.nonzero_params, runs.data_seen, runs.family, like=self.design)
        return predict(place, self.theta if theta is None else theta)


def fit_law(
    runs: Runs,
    *,
    form: str | None = None,
    objective: Objective | None = None,
    base: DenseBase | None = None,
    prior: bool = False,
    starts: int = DEFAULT_STARTS,
    seed: int = 0,
    alone: Mapping[str, Fit] | None = None,
) -> Fit:
    """Fit a sparse law, the dense law where every S is 0, or only the sparsity term where a dense base is given.

    Args:
        runs: at least one run for each coefficient, better three.
        form: the form of a sparse law by its name, one of `laws.forms.fitting.SPARSE`, the first unless given.
        objective: mean Huber loss on log residuals with delta 1e-3 unless given.
        base: the dense base to keep.
        prior: pull exponents and floor towards those of other setups, see `laws.forms.fitting.prior`; not on a base,
            nor where runs repeat data.
        starts: random starting points.
        seed: of the starting points.
        alone: fits of single families to start from in every other start: of many families at once a random start
            hardly ever has all near their minimum.

    Raises:
        FitError: if the question contradicts itself: a base in another data unit, no sparse run to fit on a base, a
            form that has more in its base than a dense law; or if the minimum makes no sense, or the losses can't be in
            nats.
    """
    _require_nats(runs)
    objective = objective or Objective()
    design = make_design(runs.sparsity, runs.nonzero_params, runs.data_seen, runs.family)
    chosen = fitted_form(form, sparse=bool(design.families))
    free = chosen.free(design) if base is None else _free_on_base(runs, chosen, design, base)
    rng = np.random.default_rng(seed)
    points = chosen.starts(design, runs.loss, starts, rng)
    for family, one in (alone or {}).items():
        own = kappa_of(design.families.index(family))
        points[::2, own : own + 2] = one.theta[kappa_of(0) : kappa_of(0) + 2]
    repeated = bool(repeats_data(runs).any())
    if repeated and base is not None:
        raise FitError(
            f"{runs.source or 'the runs'}: runs that repeat data (data_seen above unique_data) are fitted with a "
            "dense base of their own. Leave `freeze_dense` out."
        )
    if base is not None:
        points = on_base(points, chosen, design, base, coefficients(base.law))
    unasked = one_point(design, base)
    points[:, list(unasked)] = 1.0
    problem = Problem.plain(objective, design, free, runs.loss)
    joint, rates = None, None
    if repeated:
        joint = Joint(fitted=chosen, design=design, free=free, objective=objective, runs=runs)
        vectors, solution = joint.solve(joint.starts(points, rng), np.tile(problem.weights, (starts, 1)))
        best = choose(solution)
        theta, rates = joint.split(vectors[best])
        problem = replace(problem, design=effective_design(chosen, design, theta, rates, runs))
    else:
        if prior and base is None:
            problem = replace(problem, prior=_weak_prior(chosen, problem, points))
        solution = solve(problem, points, rivals=np.zeros(len(points), dtype=np.intp))
        best = choose(solution)
    if not chosen.makes_sense(design, solution.theta[best]):
        raise FitError(
            f"{runs.source or 'the runs'}: the best fit of the `form` {chosen.form.name} has an exponent that is not "
            f"above 0 at S = {runs.sparsity.max():.4g}: larger models or more data would be worse. Fit another form."
        )
    value = float(solution.value[best])
    if problem.prior is not None:
        value = float(evaluate(replace(problem, prior=None), solution.theta[best : best + 1]).value[0])
    return Fit(
        runs=runs,
        fitted=chosen,
        problem=problem,
        value=value,
        theta=solution.theta[best],
        certificate=certify(chosen, problem, solution, best, unasked=unasked),
        base=base,
        joint=joint,
        rates=rates,
    )


def _weak_prior(form: FittedForm, problem: Problem, points: Array) -> Prior:
    """The prior in the objective's own unit: half a squared standard deviation weighs as much as one run's surprise.

    If residuals are distributed as exp(-H(r) / phi), the mean penalty is phi / n times minus the log likelihood. phi is
    estimated by the mean of psi(r) r at a minimum without the prior, which is sigma^2 for squared error and delta times
    the mean absolute residual for a Huber loss of small delta, over the degrees of freedom that the coefficients leave.
    """
    points = points[:_SCALE_STARTS]
    solution = solve(problem, points, rivals=np.zeros(len(points), dtype=np.intp))
    return prior_at(form, problem, solution.theta[choose(solution)])


def prior_at(form: FittedForm, problem: Problem, theta: Array) -> Prior:
    """The weak prior, from the minimum theta (P,) of a problem without it."""
    r = problem.objective.residuals(predict(problem.design, theta), problem.measured)
    count = len(problem.measured)
    phi = float(np.mean(problem.objective.penalty.psi(r) * r)) * count / max(count - len(problem.free), 1)
    return make_prior(form.known, float(problem.measured.min()), phi / count)


def _require_nats(runs: Runs) -> None:
    """Losses outside these ends would also lie outside the solver's bounds, and a fit would only show the bounds."""
    low, high = NATS
    for loss in (float(runs.loss.min()), float(runs.loss.max())):
        if not low <= loss <= high:
            raise FitError(
                f"{runs.source or 'the runs'}: expected losses between {low:g} and {high:g} nats, found {loss:.4g}. "
                "The law is of cross-entropies per token, byte or image, not of their sum over a corpus."
            )


def choose(solution: Solution) -> int:
    """The lowest minimum; among starts that reached it, the one with the smallest gradient."""
    value = np.where(np.isfinite(solution.value), solution.value, np.inf)
    near = value <= value.min() * (1.0 + 1e-9)
    return int(np.argmin(np.where(near, solution.gradient, np.inf)))


def _free_on_base(runs: Runs, form: FittedForm, design: Design, base: DenseBase) -> tuple[int, ...]:
    if not design.families:
        raise FitError(
            f"{runs.source or 'the runs'}: a fit on a frozen dense base needs sparse runs, and every S here is 0. "
            "Leave `freeze_dense` out to fit the dense law."
        )
    if form.base_vector(design, coefficients(base.law)) is None:
        raise FitError(
            f"`form` {form.form.name}: it can't keep the dense base of {base.law.name!r}, of the form "
            f"{base.law.form}. Choose another `form` or `freeze_dense`."
        )
    if runs.data_unit is not None and runs.data_unit != base.law.data_unit:
        raise FitError(
            f"{runs.source}: these runs count data in {runs.data_unit}s, the law {base.law.name!r} in "
            f"{base.law.data_unit}s. A dense base must come from the same setup."
        )
    families = tuple(range(kappa_of(0), design.size))
    return families if base.tied else (LOG_F, *families)


def one_point(design: Design, base: DenseBase | None) -> tuple[int, ...]:
    """Parameters that only bend f(S) away from the one sparsity of a family whose f(0) is known."""
    if base is None or not base.tied:
        return ()
    return tuple(kappa_of(family) + 1 for family in single_sparsities(design))


def single_sparsities(design: Design) -> list[int]:
    """The n:m families that were run at one sparsity: f(S) / f(0) is one number there.

    What unstructured sparsity asks of a law is a curve, so that one point of it is too little.
    """
    sparse = design.u < 0
    return [
        index
        for index, name in enumerate(design.families)
        if name != str(UNSTRUCTURED) and count_levels(design.u[sparse & (design.family == index)]) == 1
    ]


def on_base(points: Array, form: FittedForm, design: Design, base: DenseBase, dense: Theta) -> Array:
    """Give parameter vectors (B, P) a base's dense parameters; `dense` holds scalars, or draws of shape (B,).

    Where the fit varies f(0), it starts from the base's.
    """
    vector = form.base_vector(design, dense)
    assert vector is not None
    placed = points.copy()
    placed[:, : kappa_of(0)] = vector[..., : kappa_of(0)]
    if not base.tied and vector.ndim == 1:
        placed[:, LOG_F] = np.where(np.arange(len(points)) % 2, points[:, LOG_F], vector[LOG_F])
    return placed


def base_draws(base: DenseBase, count: int, rng: np.random.Generator) -> Theta | None:
    """`count` draws of the base's dense coefficients, at random from those it carries; None where it has none."""
    drawn = coefficient_draws(base.law)
    if drawn is None or base.law.draws is None:
        return None
    total = base.law.draws.count
    rows = rng.permutation(total)[:count] if count <= total else rng.integers(total, size=count)
    return type(drawn)(*(np.broadcast_to(np.asarray(value), (total,))[rows] for value in drawn))

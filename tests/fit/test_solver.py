"""The solver reaches the global minimum, and its derivatives are right."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sparseplan.fit.bootstrap import bootstrap, draw_weights, refit
from sparseplan.fit.derivatives import evaluate, residual_jacobian
from sparseplan.fit.fitting import fit_law
from sparseplan.fit.objective import Objective, Problem
from sparseplan.fit.penalties import Huber, Squared
from sparseplan.fit.solver import solve
from sparseplan.laws.forms.fitting.coordinates import (
    ETA,
    ZETA,
    from_coefficients,
    make_design,
    predict,
    to_coefficients,
)
from sparseplan.laws.forms.fitting.starts import make_starts
from sparseplan.laws.forms.frantar2023 import Coefficients, loss
from sparseplan.runs.published import t5_runs, vit_runs
from sparseplan.runs.table import Runs
from tests.helpers.laws import T5
from tests.helpers.laws import VIT as PUBLISHED_VIT
from tests.helpers.paper_runs import needs_paper_runs

VIT = Objective(residual="plain", penalty=Huber(0.01))


Array = NDArray[np.float64]


def grid(rng: np.random.Generator) -> tuple[Array, Array, Array, tuple[str, ...]]:
    S, N, D = (axis.ravel() for axis in np.meshgrid([0, 0.5, 0.75], [1e6, 4e6, 2e7], [1e9, 4e9, 2e10], indexing="ij"))
    families = tuple(rng.choice(["unstructured", "n:4"], size=len(S)).tolist())
    return S, N, D, families


@pytest.mark.parametrize("objective", [Objective(penalty=Huber(0.02)), VIT, Objective(penalty=Squared())])
def test_gradient_and_hessian_agree_with_finite_differences_for_every_parameter(objective: Objective) -> None:
    rng = np.random.default_rng(0)
    S, N, D, families = grid(rng)
    design = make_design(S, N, D, families)
    free = tuple(range(design.size))
    theta = np.array([[0.2, 0.3, 0.02, 0.1, 0.1, 0.2, 0.05, -0.4, 0.6, 0.3, 0.7, 0.5, 0.4]])
    assert theta.shape[1] == design.size
    measured = predict(design, theta[0])[None] * np.exp(0.03 * rng.standard_normal((1, len(S))))
    weights = rng.dirichlet(np.ones(len(S)), size=1)
    problem = Problem(objective=objective, design=design, free=free, measured=measured, weights=weights)

    def at(point: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        there = evaluate(problem, point)
        return float(there.value[0]), there.gradient[0], there.hessian[0]

    _, gradient, hessian = at(theta)
    jacobian = residual_jacobian(problem, theta[0])
    for i in free:
        step = np.zeros_like(theta)
        step[0, i] = 1e-5
        up, down = at(theta + step), at(theta - step)
        assert gradient[i] == pytest.approx((up[0] - down[0]) / 2e-5, rel=1e-5, abs=1e-10)
        assert hessian[i] == pytest.approx((up[1] - down[1]) / 2e-5, rel=2e-4, abs=1e-6)
        ends = [objective.residuals(predict(design, (theta + sign * step)[0]), measured[0]) for sign in (1, -1)]
        assert jacobian[:, i] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-8)


def test_the_solvers_coordinates_predict_what_the_law_predicts_and_convert_back() -> None:
    S, N, D, _ = grid(np.random.default_rng(0))
    design = make_design(S, N, D, ("unstructured",) * len(S))
    theta = from_coefficients(design, T5, 0)
    assert theta[ETA] == theta[ZETA] == 0
    assert predict(design, theta) == pytest.approx(loss(T5, S, N, D), rel=1e-12)
    assert [float(value) for value in to_coefficients(design, theta, 0)] == pytest.approx(list(T5), rel=1e-12)


@needs_paper_runs
@pytest.mark.parametrize("seed", range(6))
def test_the_authors_t5_runs_give_the_global_minimum_from_every_seed(seed: int) -> None:
    fit = fit_law(t5_runs(), seed=seed)
    assert fit.value <= 4.8802e-6
    assert fit.certificate.status == "converged"
    assert fit.certificate.gradient < 1e-9
    assert fit.certificate.smallest_curvature > 0
    assert fit.certificate.starts_at_optimum > 40


@needs_paper_runs
@pytest.mark.parametrize("seed", range(6))
def test_the_authors_vit_runs_give_the_published_law_from_every_seed(seed: int) -> None:
    fit = fit_law(vit_runs(), objective=VIT, seed=seed)
    assert fit.value <= 4.92909e-4
    assert fit.certificate.starts_at_optimum > 40
    assert [float(value) for value in fit.coefficients("unstructured")] == pytest.approx(list(PUBLISHED_VIT), rel=3e-3)


@needs_paper_runs
@pytest.mark.parametrize("seed", range(6))
def test_the_coupled_form_reaches_its_minimum_on_the_authors_runs_from_every_seed(seed: int) -> None:
    fit = fit_law(t5_runs(), form="coupled", seed=seed)
    assert fit.value <= 3.2285e-6
    assert fit.certificate.status == "converged"
    assert fit.certificate.gradient < 1e-9
    assert fit.certificate.smallest_curvature > 0
    assert fit.certificate.starts_at_optimum > 30
    assert float(fit.coefficients("unstructured").as_dict()["k"]) == pytest.approx(0.455, abs=0.001)
    vit = fit_law(vit_runs(), form="coupled", seed=seed)
    assert vit.value <= 5.1445e-6
    assert vit.certificate.status == "converged"
    assert float(vit.coefficients("unstructured").as_dict()["k"]) == pytest.approx(1.47, abs=0.01)


@needs_paper_runs
def test_the_published_t5_coefficients_lie_well_above_the_minimum() -> None:
    runs = t5_runs()
    residual = Objective().residuals(loss(T5, runs.sparsity, runs.nonzero_params, runs.data_seen), runs.loss)
    assert Objective().penalty.value(residual).mean() == pytest.approx(7.637e-6, rel=1e-3)  # 7.60e-6 before rounding


@needs_paper_runs
def test_an_independent_optimiser_started_at_the_minimum_finds_nothing_lower() -> None:
    scipy = pytest.importorskip("scipy.optimize")
    for runs, objective in ((t5_runs(), Objective()), (vit_runs(), VIT)):
        fit = fit_law(runs, objective=objective)
        size = np.array([float(value) for value in fit.coefficients("unstructured")])

        def value(scaled: np.ndarray, runs: Runs = runs, size: np.ndarray = size, o: Objective = objective) -> float:
            law = Coefficients(*(scaled * size))
            if np.any(scaled <= 0):
                return 1.0
            return float(
                o.penalty.value(
                    o.residuals(loss(law, runs.sparsity, runs.nonzero_params, runs.data_seen), runs.loss)
                ).mean()
            )

        assert value(np.ones(7)) == pytest.approx(fit.value, rel=1e-9)
        best = min(
            scipy.minimize(
                value,
                np.exp(0.2 * np.random.default_rng(seed).standard_normal(7)) if seed else np.ones(7),
                method="Nelder-Mead",
                options={"maxiter": 1500, "xatol": 1e-10, "fatol": 1e-16, "adaptive": True},
            ).fun
            for seed in range(3)
        )
        assert best >= fit.value * (1 - 1e-9)


@needs_paper_runs
def test_every_bootstrap_refit_converges_and_a_fresh_search_finds_nothing_lower() -> None:
    for runs, objective in ((t5_runs(), Objective()), (vit_runs(), VIT)):
        fit = fit_law(runs, objective=objective)
        rng = np.random.default_rng(3)
        assert len(bootstrap(fit, 400, rng).theta) == 400
        drawn = replace(fit.problem, weights=draw_weights(fit, 40, rng))
        warm = refit(drawn, np.tile(fit.theta, (40, 1)))
        fresh = np.full(40, np.inf)
        for _ in range(4):
            found = solve(drawn, make_starts(fit.design, runs.loss, 40, rng))
            fresh = np.minimum(fresh, np.where(found.converged, found.value, np.inf))
        assert np.all(warm.value <= fresh * (1 + 1e-7))


def test_levels_give_the_same_derivatives_as_runs_that_share_none() -> None:
    rng = np.random.default_rng(1)
    S, N, D, families = grid(rng)
    repeats = 4  # 27 runs have few levels; 108 runs with sizes of their own have more than a grid's
    apart = N.repeat(repeats) * np.exp(1e-13 * rng.standard_normal(repeats * len(N)))
    beside = D.repeat(repeats) * np.exp(1e-13 * rng.standard_normal(repeats * len(N)))
    shared = make_design(S.repeat(repeats), N.repeat(repeats), D.repeat(repeats), np.repeat(families, repeats).tolist())
    single = make_design(S.repeat(repeats), apart, beside, np.repeat(families, repeats).tolist())
    assert shared.x_levels.index is not None
    assert single.x_levels.index is None
    theta = np.array([[0.2, 0.3, 0.0, 0.1, 0.1, 0.2, 0.0, 0.0, 0.0, 0.3, 0.7, 0.5, 0.4]])
    measured = predict(shared, theta[0])[None] * np.exp(0.03 * rng.standard_normal((1, len(shared.x))))
    one, other = (
        evaluate(Problem.plain(Objective(), design, shared.free(), measured), theta) for design in (shared, single)
    )
    assert one.value == pytest.approx(other.value, rel=1e-9)
    assert one.gradient == pytest.approx(other.gradient, rel=1e-6, abs=1e-12)
    assert one.hessian == pytest.approx(other.hessian, rel=1e-6, abs=1e-12)

"""Speed of `sparseplan fit`, as ratios measured in one run.

- The T5 fit (64 starts and certificate) against the paper's procedure: 25 random-start BFGS with numerical gradients.
- 1,000 bootstrap refits of the ViT runs against a loop of scipy least_squares with analytic Jacobian.
- 4,000 refits of each, all converged, and the peak memory they took.

Needs the authors' runs; process start is excluded everywhere.

    python benchmarks/fit_speed.py
"""

import resource
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from sparseplan.fit.bootstrap import bootstrap, draw_weights, refit
from sparseplan.fit.fitting import Fit, fit_law
from sparseplan.fit.objective import Objective
from sparseplan.fit.penalties import Huber
from sparseplan.laws.forms.frantar2023 import Coefficients, coefficient_gradient, loss
from sparseplan.runs.published import t5_runs, vit_runs


def timed(work: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Best wall time of `repeats` runs, and the last result."""
    best, result = np.inf, None
    for _ in range(repeats):
        began = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - began)
    return best, result


def papers_procedure(fit: Fit, restarts: int = 25) -> list[float]:
    """Random-start BFGS with numerical gradients on the paper's objective, scales taken out; its minima."""
    from scipy.optimize import minimize

    runs, objective = fit.runs, fit.objective
    rng = np.random.default_rng(0)
    units = np.array([1e1, 1.0, 1e1, 1.0, 1e9, 1.0, 1.0])

    def value(x: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            predicted = loss(Coefficients(*(x * units)), runs.sparsity, runs.nonzero_params, runs.data_seen)
            mean = float(objective.penalty.value(objective.residuals(predicted, runs.loss)).mean())
        return mean if np.isfinite(mean) else 1e3

    with np.errstate(all="ignore"):
        return [float(minimize(value, rng.uniform(0.0, 1.0, size=7), method="BFGS").fun) for _ in range(restarts)]


def least_squares_loop(fit: Fit, weights: np.ndarray) -> list[float]:
    """One scipy least_squares a replicate, Huber, analytic Jacobian, from the fit's minimum; its objectives."""
    from scipy.optimize import least_squares

    runs, delta = fit.runs, fit.objective.penalty.delta
    assert delta is not None
    start = np.array([float(v) for v in fit.coefficients("unstructured")])
    S, N, D = runs.sparsity, runs.nonzero_params, runs.data_seen
    values = []
    for weight in weights:
        # rho of scipy acts on (r / f_scale)^2; a run's weight multiplies residual and scale alike.
        root = np.sqrt(weight)

        def rho(z: np.ndarray, weight: np.ndarray = weight) -> np.ndarray:
            size = np.sqrt(np.maximum(z, 1e-300) / weight)
            inside = size <= delta
            return np.stack(
                [
                    np.where(inside, z, weight * (2 * delta * size - delta**2)),
                    np.where(inside, 1.0, delta / size),
                    np.where(inside, 0.0, -0.5 * delta / (weight * size**3)),
                ]
            )

        solution = least_squares(
            lambda x, root=root: root * (loss(Coefficients(*x), S, N, D) - runs.loss),
            start,
            jac=lambda x, root=root: root[:, None] * coefficient_gradient(Coefficients(*x), S, N, D),
            x_scale=start,
            bounds=(np.zeros(7), np.full(7, np.inf)),
            loss=rho,
            xtol=1e-12,
            ftol=1e-12,
            gtol=1e-12,
            max_nfev=500,
        )
        values.append(float(solution.cost))
    return values


def main() -> None:
    """Measure and print."""
    t5_table, vit_table = t5_runs(), vit_runs()
    vit_objective = Objective(residual="plain", penalty=Huber(0.01))
    fit_law(t5_table, starts=4)  # first calls import and allocate

    ours, t5 = timed(lambda: fit_law(t5_table, starts=64), repeats=5)
    theirs, minima = timed(lambda: papers_procedure(t5))
    print(f"T5 fit, 64 starts and certificate: {ours:.3f} s, objective {t5.value:.6e}")
    print(f"paper's procedure, 25 BFGS restarts: {theirs:.2f} s, objective {min(minima):.6e} at best")
    print(f"  {theirs / ours:.0f}x faster")

    vit = fit_law(vit_table, objective=vit_objective)
    rng = np.random.default_rng(0)
    weights = draw_weights(vit, 1000, rng)
    problem = replace(vit.problem, weights=weights)
    ours, solution = timed(lambda: refit(problem, np.tile(vit.theta, (1000, 1))), repeats=3)
    few = 40
    theirs, values = timed(lambda: least_squares_loop(vit, weights[:few]))
    behind = np.array(values) / solution.value[:few] - 1.0
    print(f"ViT, 1,000 refits: {ours:.3f} s, {solution.converged.sum()} converged")
    print(
        f"scipy least_squares, {few} of them: {theirs:.2f} s; objectives {behind.min():+.1e} .. {behind.max():+.1e} off"
    )
    print(f"  {theirs / few / (ours / 1000):.0f}x faster a refit")

    for name, fit in (("T5", t5), ("ViT", vit)):
        ours, drawn = timed(lambda fit=fit: bootstrap(fit, 4000, np.random.default_rng(1)))
        print(f"{name}, 4,000 refits: {ours:.2f} s, {len(drawn.theta)} converged")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()

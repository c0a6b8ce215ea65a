"""Speed of `sparseplan fit`, as ratios measured in one run.

- The T5 fit (64 starts and certificate) against the paper's procedure: 25 random-start BFGS with numerical gradients.
- 1,000 bootstrap refits of the ViT runs against a loop of scipy least_squares with analytic Jacobian.
- 4,000 refits of each, all converged, and the peak memory they took.
- 1,000 draws of the T5 law, plain and coupled, with the errors that its runs share, over draws of independent runs.
- The fits without held-out runs in one batch, over one after the other.
- The choice of a form on T5 and on 400 simulated runs, and there the whole of `fit`.

Needs the authors' runs; process start is excluded everywhere. Times are of the processor, in one thread.

    python benchmarks/fit_speed.py
"""

import resource
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from sparseplan.fit.bootstrap import bootstrap, draw_weights, refit
from sparseplan.fit.choose_form import choose_form
from sparseplan.fit.fit_table import FitJob, fit_runs
from sparseplan.fit.fitting import Fit, fit_law
from sparseplan.fit.objective import Objective
from sparseplan.fit.penalties import Huber
from sparseplan.fit.rolling import fits_without
from sparseplan.fit.run_error import held_out
from sparseplan.laws.forms import coupled
from sparseplan.laws.forms.frantar2023 import Coefficients, coefficient_gradient, loss
from sparseplan.runs.columns import table_of
from sparseplan.runs.published import t5_runs, vit_runs
from sparseplan.runs.table import Runs, runs_from
from sparseplan.sparsity.schedule import Schedule


def timed(work: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Least processor time of `repeats` runs, and the last result."""
    best, result = np.inf, None
    for _ in range(repeats):
        began = time.process_time()
        result = work()
        best = min(best, time.process_time() - began)
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


def many_runs(count: int = 400) -> Runs:
    """Dense and sparse runs of a coupled law, scattered in size and length, each off by 1 %."""
    rng = np.random.default_rng(0)
    S = rng.choice([0.0, 0.0, 0.0, 0.5, 0.75, 0.875], size=count)
    N = np.exp(rng.uniform(np.log(4e6), np.log(5e8), count)) * (1 - S)
    D = np.exp(rng.uniform(np.log(2e9), np.log(2e11), count))
    law = coupled.Coefficients(a_S=616.0, b_S=1.388, c_S=1334.0, b_N=0.388, a_D=2.16e10, b_D=0.437, c=0.5, k=0.45)
    losses = np.asarray(law.loss(S, N, D)) * np.exp(0.01 * rng.standard_normal(count))
    return runs_from(table_of({"sparsity": S, "nonzero_params": N, "data_seen": D, "loss": losses}))


def beyond_the_minimum(t5_table: Runs) -> None:
    """Draws with shared errors, held-out fits and the choice of a form."""
    for form in ("frantar2023", "coupled"):
        fit = fit_law(t5_table, form=form)
        ours, _ = timed(lambda fit=fit: bootstrap(fit, 1000, np.random.default_rng(0)), repeats=3)
        alone = replace(fit, runs=replace(t5_table, independent=True))
        weights, _ = timed(lambda fit=alone: bootstrap(fit, 1000, np.random.default_rng(0)), repeats=3)
        print(f"T5 {form}, 1,000 draws with shared errors: {ours:.2f} s, {ours / weights:.1f}x independent ones")
        masks = list(held_out(t5_table))
        together, _ = timed(lambda fit=fit, masks=masks: fits_without(fit, masks, seed=0), repeats=3)
        single, _ = timed(
            lambda form=form, masks=masks: [fit_law(t5_table.take(~one), form=form, starts=8) for one in masks],
            repeats=3,
        )
        print(f"T5 {form}, {len(masks)} held-out fits: {together:.2f} s, {single / together:.1f}x faster in one batch")
    for name, runs in (("T5", t5_table), ("400 runs", many_runs())):
        taken, choice = timed(
            lambda runs=runs: choose_form(runs, objective=Objective(), schedule=Schedule(), starts=64, seed=0)
        )
        print(f"{name}, choice of a form: {taken:.1f} s ({choice.form})")
    taken, _ = timed(lambda: fit_runs(many_runs(), FitJob(form="auto")))
    print(f"400 runs, the whole of `fit` with 1,000 draws: {taken:.1f} s")


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
    beyond_the_minimum(t5_table)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()

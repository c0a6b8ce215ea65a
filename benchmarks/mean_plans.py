"""Plans of the least mean loss against plans by the law's values, on laws that made the runs and are known.

    SPARSEPLAN_PAPER_RUNS=... python benchmarks/mean_plans.py

The losses of the authors' 48 T5 runs are drawn again from a built-in law with heavy-tailed noise of 0.7 %, fitted with
200 draws, and planned for by both objectives; regret is what the plan loses under the law that made the runs against
its own best plan. 30 tables each.
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

from dataclasses import replace

import numpy as np

from sparseplan.cost.flops import Cost
from sparseplan.fit.bootstrap import bootstrap
from sparseplan.fit.fitting import fit_law
from sparseplan.laws.file import load_law
from sparseplan.laws.forms.mean import Mean
from sparseplan.laws.law import coefficients
from sparseplan.plan.question import Question
from sparseplan.plan.sides import Sides, plan_sides
from sparseplan.runs.published import t5_runs

TABLES, DRAWS, NOISE = 30, 200, 0.007
QUESTIONS = ((1e21, None), (1e23, None), (1e23, 5e9))
CASES = (
    ("frantar2023-t5-c4-refit", "frantar2023"),
    ("frantar2023-t5-c4-coupled", "coupled"),
    ("frantar2023-t5-c4-coupled", "frantar2023"),
)


@np.errstate(all="ignore")
def main() -> None:
    """Measure and print the table."""
    runs = t5_runs()
    for law, form in CASES:
        truth = coefficients(load_law(law), "unstructured")
        exact = truth.loss(runs.sparsity, runs.nonzero_params, runs.data_seen)
        regrets: dict[tuple[float, float | None], list[list[float]]] = {one: [] for one in QUESTIONS}
        for table in range(TABLES):
            noise = np.random.default_rng(table).standard_t(4, len(runs)) / np.sqrt(2)
            fit = fit_law(replace(runs, loss=exact * np.exp(NOISE * noise)), form=form, starts=24, seed=table)
            values = fit.coefficients("unstructured")
            drawn = bootstrap(fit, DRAWS, np.random.default_rng(table))
            draws = fit.coefficients("unstructured", drawn.theta)
            for flops, size in QUESTIONS:
                cost = Cost(name="sparse", saving=0.625)
                asked = Question(train_flops=flops, cost=cost, max_sparsity=0.875, nonzero_params=size)
                own = plan_sides(Sides(draws, draws), asked).best.loss
                mean = Mean.of(draws.rows(np.isfinite(np.broadcast_to(own, len(drawn.theta)))))
                best = plan_sides(Sides(truth, truth), asked).best
                plans = [plan_sides(Sides(theta, theta), asked).best for theta in (values, mean)]
                regrets[flops, size].append([float(Sides(truth, truth).loss(p) - best.loss) for p in plans])
        for (flops, size), rows in regrets.items():
            point, mean_plan = np.array(rows).T
            summary = (
                f"mean {one.mean():.4f}, 90 % below {np.quantile(one, 0.9):.4f}, most {one.max():.4f}"
                for one in (point, mean_plan)
            )
            where = f"truth {law}, fitted {form}, {flops:g} FLOPs, size {'free' if size is None else f'{size:g}'}"
            print(f"{where}: point {next(summary)}; mean {next(summary)}; better in {np.mean(mean_plan < point):.0%}")


if __name__ == "__main__":
    main()

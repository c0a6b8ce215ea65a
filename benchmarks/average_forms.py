"""Averaged against chosen forms: runs that were set aside, predicted by `fit --form auto` and by `fit --form average`.

    SPARSEPLAN_PAPER_RUNS=... python benchmarks/average_forms.py

Of the authors' T5 and ViT runs the dearest 30 %, the largest dense size, and the longest runs are set aside. Forms are
judged, chosen and weighted on the others alone. Errors are root mean squares of log predicted over measured loss, and
of its difference between set-aside runs whose costs are within a factor of 1.5; the interval is the law's (90 % of the
draws), without the scatter of single runs.
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import numpy as np

from sparseplan.errors import FitError
from sparseplan.fit.fit_table import FitJob, fit_runs
from sparseplan.fit.levels import level_of
from sparseplan.laws.law import Law, coefficient_draws, coefficients
from sparseplan.runs.published import t5_runs, vit_runs
from sparseplan.runs.table import Runs
from sparseplan.sparsity.schedule import Schedule

DRAWS, STARTS = 300, 12


def judge(law: Law, held: Runs, cost: np.ndarray) -> list[float]:
    """Errors of level and order, share of pairs in the right order, share inside the interval, its mean width."""
    place = held.sparsity, held.nonzero_params, held.data_seen
    error = np.log(coefficients(law, "unstructured").loss(*place)) - np.log(held.loss)
    first, second = np.triu_indices(len(held), 1)
    near = np.abs(np.log(cost[first] / cost[second])) < np.log(1.5)
    gaps = (error[first] - error[second])[near]
    measured = np.log(held.loss[first] / held.loss[second])[near]
    drawn = coefficient_draws(law, "unstructured")
    assert drawn is not None
    low, high = np.quantile(drawn.loss(*(axis[:, None] for axis in place)), [0.05, 0.95], axis=-1)
    return [
        float(np.sqrt(np.mean(error**2))),
        float(np.sqrt(np.mean(gaps**2))) if len(gaps) else np.nan,
        float(np.mean(np.sign(measured + gaps) == np.sign(measured))) if len(gaps) else np.nan,
        float(np.mean((held.loss >= low) & (held.loss <= high))),
        float(np.mean(np.log(high / low))),
    ]


def main() -> None:
    """Measure and print the table."""
    found: dict[str, list[list[float]]] = {"auto": [], "average": []}
    for name, runs in (("T5", t5_runs()), ("ViT", vit_runs())):
        cost = runs.nonzero_params * runs.data_seen * Schedule().mean_density(runs.sparsity) / (1 - runs.sparsity)
        sizes, lengths = (
            level_of(np.log(axis)) for axis in (runs.nonzero_params / (1 - runs.sparsity), runs.data_seen)
        )
        for what, held in (
            ("dearest 30 %", cost > np.quantile(cost, 0.7)),
            ("largest dense size", sizes == sizes.max()),
            ("longest", lengths == lengths.max()),
        ):
            try:
                laws = {
                    form: fit_runs(runs.take(~held), FitJob(form=form, draws=DRAWS, starts=STARTS)).law
                    for form in found
                }
            except FitError as problem:
                print(f"{name}, {what}: {problem}", flush=True)
                continue
            for form, law in laws.items():
                found[form].append(judge(law, runs.take(held), cost[held]))
                forms = ", ".join(f"{one.form} {one.weight:.2f}" for one in law.forms) or law.form
                row = "  ".join(f"{value:.4f}" for value in found[form][-1])
                print(f"{name}, {what}, {int(held.sum())} runs: {form} ({forms})  {row}", flush=True)
    for form, rows in found.items():
        means = "  ".join(f"{value:.4f}" for value in np.nanmean(np.array(rows), axis=0))
        print(f"mean of {len(rows)}: {form}  {means}")


if __name__ == "__main__":
    main()

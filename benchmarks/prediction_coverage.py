"""How often intervals of a law's mean, and of a measured run, hold runs that the law was not fitted to.

Every table that is at hand is cut as `fit` cuts tables (the dearest runs, the largest dense sizes, the longest runs).
The law is fitted to the rest, its `prediction` block is measured within the rest, and the held-out losses are compared
with 90 % intervals: of the mean from random weights alone (as 0.1 had them), of the mean, and of a measured run.

    python benchmarks/prediction_coverage.py --draws 200
"""

import argparse
import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from sparseplan.common.intervals import bounds
from sparseplan.errors import FitError
from sparseplan.fit.bootstrap import bootstrap
from sparseplan.fit.fitting import fit_law
from sparseplan.fit.objective import Objective
from sparseplan.fit.penalties import Huber
from sparseplan.fit.run_error import Part, held_out, run_error
from sparseplan.laws.law import Range
from sparseplan.runs.published import published_folder, t5_runs, vit_runs
from sparseplan.runs.table import Runs, read_runs

HERE = Path(__file__).resolve().parents[1]
METHODS = ("mean, weights", "mean", "measured run")


def tables() -> Iterator[tuple[str, Runs, Objective, tuple[str | None, ...]]]:
    """Name, runs, objective and forms to fit."""
    both = (None, "coupled")
    yield "T5", t5_runs(), Objective(), both
    yield "ViT", vit_runs(), Objective(residual="plain", penalty=Huber(0.01)), both
    for name in ("gpt", "bert"):
        runs = read_runs(HERE / "calibration" / f"{name}-stdlib-cpu" / "runs.csv")
        yield f"our {name}", runs.take(np.array([one == "unstructured" for one in runs.family])), Objective(), both
    yield "repeated data", repeated(), Objective(penalty=Huber(0.01)), (None,)


def repeated() -> Runs:
    """The 161 dense runs of Muennighoff et al. 2023."""
    with (published_folder().parent / "muennighoff2023" / "runs.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    unique, N, D, L = (
        np.array([float(row[name]) for row in rows]) for name in ("unique_tokens", "params", "tokens", "loss")
    )
    return Runs(
        sparsity=np.zeros(len(rows)),
        nonzero_params=N,
        data_seen=D,
        loss=L,
        unique_data=np.minimum(unique, D),
        family=("unstructured",) * len(rows),
        run_id=tuple(str(i) for i in range(len(rows))),
    )


def measure(rest: Runs, target: Runs, objective: Objective, form: str | None, draws: int) -> np.ndarray | None:
    """Share of held-out runs inside, and mean relative width, shape (3, 2) by `METHODS`; None without a fit."""
    try:
        fit = fit_law(rest, form=form, objective=objective)
    except FitError:
        return None
    if fit.certificate.status != "converged":
        return None
    drawn = bootstrap(fit, draws, np.random.default_rng(0))
    plain = replace(fit, runs=replace(rest, group=None, independent=True))
    error = run_error([Part(fit=fit, drawn=drawn)], seed=0)
    covered = Range(
        **{
            axis: (float(getattr(rest, axis).min()), float(getattr(rest, axis).max()))
            for axis in ("sparsity", "nonzero_params", "data_seen")
        }
    )
    distance = error.distance(covered, target.sparsity, target.nonzero_params, target.data_seen)

    def losses(one: object) -> np.ndarray:
        if drawn.rates is None:
            return fit.predict(target, one.theta)
        pairs = zip(one.theta, one.rates.logs, strict=True)
        return np.stack(
            [replace(fit, theta=theta, rates=type(fit.rates)(logs=logs)).predict(target) for theta, logs in pairs]
        )

    mean = losses(drawn)
    weights = losses(bootstrap(plain, draws, np.random.default_rng(0)))
    found = [
        [bounds(weights[:, i]) for i in range(len(target))],
        [bounds(mean[:, i]) for i in range(len(target))],
        [error.interval(mean[:, i], float(distance[i])) for i in range(len(target))],
    ]
    ends = np.array(found)
    inside = (ends[..., 0] <= target.loss) & (target.loss <= ends[..., 1])
    return np.stack([inside.mean(axis=1), ((ends[..., 1] - ends[..., 0]) / target.loss).mean(axis=1)], axis=1)


def main() -> None:
    """Print a row a table and form, then the mean over tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--only", default="", help="only tables whose name holds this")
    parser.add_argument("--all", action="store_true", help="print every cut")
    arguments = parser.parse_args()
    print(f"| runs | form | cuts | {' | '.join(METHODS)} | width of these | times |\n|{' --- |' * 8}")
    everything = []
    for name, runs, objective, forms in tables():
        if arguments.only not in name:
            continue
        for form in forms:
            cuts = []
            for held in held_out(runs):
                found = measure(runs.take(~held), runs.take(held), objective, form, arguments.draws)
                if found is None:
                    continue
                cuts.append(found)
                if arguments.all:
                    print(f"  {int(held.sum())} held: {np.round(found.T, 3).tolist()}", flush=True)
            _row(name, form or "plain", len(cuts), np.mean(cuts, axis=0))
            everything.append(np.mean(cuts, axis=0))
    if everything:
        _row("mean", "", len(everything), np.mean(everything, axis=0))


def _row(name: str, form: str, cuts: int, found: np.ndarray) -> None:
    shares = " | ".join(f"{100 * share:.0f} %" for share in found[:, 0])
    widths = ", ".join(f"{100 * width:.1f} %" for width in found[:, 1])
    print(f"| {name} | {form} | {cuts} | {shares} | {widths} | {found[2, 1] / found[0, 1]:.1f}x |", flush=True)


if __name__ == "__main__":
    main()

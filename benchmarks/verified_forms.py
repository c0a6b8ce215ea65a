"""Forms on plans that were trained to test a law: the runs of every committed `verify.json`, which no fit has seen.

    python benchmarks/verified_forms.py

Each form is fitted to the calibration's unstructured and dense runs, with the objective of its recipe, and predicts the
verified plans. Prints rank correlation, measured loss of the plan that the form puts first over the best measured one,
and root mean square of ln predicted over measured; docs/fitting.md has the figures.
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import csv
import json
from pathlib import Path

import numpy as np
import yaml
from scipy.stats import spearmanr

import sparseplan as sp

HERE = Path(__file__).resolve().parents[1]
FORMS = [
    *[(form, prior) for form in ("frantar2023", "coupled", "varying-exponents") for prior in ("none", "weak")],
    ("auto", None),
    ("average", None),
]


def runs_of(folder: Path) -> dict[str, list[str]]:
    """The table of a calibration without n:m, of which one sparsity leaves the coefficients open."""
    with (folder / "runs.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["pattern"] == "unstructured"]
    return {name: [row[name] for row in rows] for name in rows[0]}


def main() -> None:
    """Fit, predict, print."""
    print("| calibration | form | Spearman | regret | rms |\n| --- | --- | --- | --- | --- |")
    for found in sorted(HERE.glob("calibration/*/verify.json")):
        recipe = yaml.safe_load((found.parent / "recipe.yaml").read_text(encoding="utf-8"))
        runs = json.loads(found.read_text(encoding="utf-8"))["runs"]
        measured = np.array([run["measured"] for run in runs])
        for form, prior in FORMS:
            law = sp.fit(
                runs_of(found.parent),
                form=form,
                prior=prior,
                huber_delta=recipe["fit"]["huber_delta"],
                schedule=sp.load_law(found.parent / "law.yaml").schedule,
                draws=100,  # a law without draws is no average
                name="form",
            ).law
            predicted = np.array(
                [
                    sp.predict(
                        params=run["N"], data=run["D"], sparsity=run["S"], unique_data=run["unique_data"], law=law
                    ).loss
                    for run in runs
                ]
            )
            rank = spearmanr(predicted, measured).statistic
            regret = measured[np.argmin(predicted)] / measured.min() - 1
            rms = np.sqrt(np.mean(np.log(predicted / measured) ** 2))
            name = form if prior is None else f"{form}, prior {prior}"
            print(
                f"| {found.parent.name} | {name} | {rank:.2f} | {100 * regret:.1f} % | {100 * rms:.1f} % |", flush=True
            )


if __name__ == "__main__":
    main()

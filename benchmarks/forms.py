"""Forms beside each other on runs that they have not seen: the order of runs of similar cost, levels, intervals.

    SPARSEPLAN_PAPER_RUNS=... python benchmarks/forms.py

Of the authors' T5 and ViT runs and of our committed calibrations (unstructured runs) the dearest half, the dearest
30 %, the largest dense size and the longest runs are set aside in turn. Everything is chosen, weighted and measured on
the others alone, by `fit --form X`; the tables' own recipes say the objective. Pairs are of set-aside runs whose
training FLOPs are within a factor of 1.5. Writes forms.json beside this file and prints the tables of docs/fitting.md.
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from sparseplan.errors import FitError
from sparseplan.fit.job import FitJob
from sparseplan.fit.levels import level_of
from sparseplan.fit.made import make_law
from sparseplan.laws.law import Law, coefficients
from sparseplan.plan.predict import predict
from sparseplan.runs.published import t5_runs, vit_runs
from sparseplan.runs.table import Runs, read_runs
from sparseplan.sparsity.schedule import Schedule

HERE = Path(__file__).resolve().parents[1]
FORMS = ("frantar2023", "coupled", "auto")
SIMILAR = 1.5
MEASURES = {
    "spearman": "Spearman's rank correlation of predicted and measured differences in log loss over the pairs",
    "pairs": "share of the pairs in the right order",
    "order": "root mean square error of these differences",
    "level": "root mean square of log predicted over measured loss",
    "inside": "share of the runs inside the 90 % prediction interval",
    "width": "mean width of that interval over the loss",
}


def tables() -> Iterator[tuple[str, Runs, FitJob]]:
    """Name, runs and how to fit them."""
    yield "T5", t5_runs(), FitJob()
    yield "ViT", vit_runs(), FitJob(residual="plain", huber_delta=0.01)
    for name in ("gpt-stdlib-cpu", "bert-stdlib-cpu", "vit-fashion-cpu"):
        runs = read_runs(HERE / "calibration" / name / "runs.csv")
        yield name, runs.take(np.array([family == "unstructured" for family in runs.family])), FitJob(huber_delta=0.01)


def cuts(runs: Runs, cost: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """What is set aside, in words and as a mask."""
    for share in (0.5, 0.3):
        yield f"dearest {100 * share:.0f} %", cost > np.quantile(cost, 1 - share)
    for words, axis in (
        ("largest dense size", runs.nonzero_params / (1 - runs.sparsity)),
        ("longest", runs.data_seen),
    ):
        levels = level_of(np.log(axis))
        yield words, levels == levels.max()


def judge(law: Law, held: Runs, cost: np.ndarray) -> dict[str, float | None]:
    """The measures of a law on runs that were set aside; None where there are too few pairs, or no interval."""
    place = held.sparsity, held.nonzero_params, held.data_seen
    predicted, measured = np.log(coefficients(law, "unstructured").loss(*place)), np.log(held.loss)
    found: dict[str, float | None] = dict.fromkeys(MEASURES)
    found["level"] = float(np.sqrt(np.mean((predicted - measured) ** 2)))
    first, second = np.triu_indices(len(held), 1)
    near = np.abs(np.log(cost[first] / cost[second])) < np.log(SIMILAR)
    first, second = first[near], second[near]
    if len(first) >= 3:
        ours, theirs = predicted[first] - predicted[second], measured[first] - measured[second]
        both = np.concatenate([ours, -ours]), np.concatenate([theirs, -theirs])  # a pair has no first run
        found["spearman"] = float(spearmanr(*both).statistic)
        found["pairs"] = float(np.mean(np.sign(ours) == np.sign(theirs)))
        found["order"] = float(np.sqrt(np.mean((ours - theirs) ** 2)))
    answers = [predict(law, S=S, N=N, D=D) for S, N, D in zip(*(axis.tolist() for axis in place), strict=True)]
    ends = [one.prediction_interval for one in answers]
    if all(one is not None for one in ends):
        low, high = np.array(ends).T
        found["inside"] = float(np.mean((low <= held.loss) & (held.loss <= high)))
        found["width"] = float(np.mean((high - low) / held.loss))
    return found


def measure(draws: int, only: str) -> list[dict]:
    """One row a table, cut and form; cuts whose other runs don't determine the additive law are left out."""
    rows = []
    for name, runs, job in tables():
        if only not in name:
            continue
        cost = runs.nonzero_params * runs.data_seen * Schedule().mean_density(runs.sparsity) / (1 - runs.sparsity)
        for what, held in cuts(runs, cost):
            for form in FORMS:
                settings = {key: getattr(job, key) for key in ("residual", "huber_delta")}
                try:
                    result = make_law(runs.take(~held), FitJob(form=form, draws=draws, **settings))
                except FitError as problem:
                    print(f"{name}, {what}, {form}: {problem}", flush=True)
                    break
                if result.fit.certificate.status != "converged":
                    print(f"{name}, {what}, {form}: {result.fit.certificate.status}", flush=True)
                    break
                law = result.law([])
                made = [[one.form, one.weight] for one in law.forms] or [[law.form, 1.0]]
                found = judge(law, runs.take(held), cost[held])
                rows.append(
                    {"runs": name, "held": what, "count": int(held.sum()), "form": form, "made_of": made} | found
                )
                print(json.dumps(rows[-1]), flush=True)
    return rows


def print_tables(rows: list[dict]) -> None:
    """Markdown: Spearman and pairs of every cut, then the means."""
    print(f"\n| runs | held out | {' | '.join(f'Spearman, pairs right: {form}' for form in FORMS)} | made of |")
    print("| --- " * (len(FORMS) + 3) + "|")
    for row in rows:
        if row["form"] != FORMS[0]:
            continue
        of_form = {one["form"]: one for one in rows if (one["runs"], one["held"]) == (row["runs"], row["held"])}
        cells = [
            "too few pairs" if one["spearman"] is None else f"{one['spearman']:.3f}, {100 * one['pairs']:.0f} %"
            for one in (of_form[form] for form in FORMS)
        ]
        made = ", ".join(
            f"`{form}`" + (f" {share:.2f}" if share < 1 else "") for form, share in of_form["auto"]["made_of"]
        )
        print(f"| {row['runs']} | {row['held']}, {row['count']} | {' | '.join(cells)} | {made} |")
    print(f"\n| mean | {' | '.join(MEASURES)} |\n{'| --- ' * (len(MEASURES) + 1)}|")
    for form in FORMS:
        own = [row for row in rows if row["form"] == form]
        means = {key: np.mean([row[key] for row in own if row[key] is not None]) for key in MEASURES}
        cells = [f"{means[key]:.3f}" if key == "spearman" else f"{100 * means[key]:.1f} %" for key in MEASURES]
        print(f"| {form} | {' | '.join(cells)} |")


def main() -> None:
    """Measure, write the figures and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--only", default="", help="only tables whose name holds this; writes nothing")
    arguments = parser.parse_args()
    rows = measure(arguments.draws, arguments.only)
    if not arguments.only:
        figures = {"measures": MEASURES, "similar_cost": SIMILAR, "draws": arguments.draws, "rows": rows}
        Path(__file__).with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print_tables(rows)


if __name__ == "__main__":
    main()

"""Refit the shipped laws from the authors' own runs of arXiv:2309.08520.

    python scripts/refit_builtin_laws.py [--check] [FOLDER]

FOLDER holds `t5-data.csv` and `vit-data.json` (published beside the authors' fitting notebook in
google-research/jaxpruner); by default `$SPARSEPLAN_PAPER_RUNS/frantar2023`, else `../shared/data/frantar2023`.
Writes sparseplan/builtin/laws/frantar2023-{t5-c4,vit-jft}-{refit,coupled}.yaml; with --check only compares them.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from sparseplan.fit.fit_table import FitJob, FitResult, fit_runs
from sparseplan.laws.file import law_text, read_law
from sparseplan.laws.law import coefficient_draws, coefficients
from sparseplan.runs.published import T5_FILE, published_folder, t5_runs, vit_runs
from sparseplan.sparsity.schedule import Schedule

LAWS = Path(__file__).resolve().parents[1] / "sparseplan" / "builtin" / "laws"
DATE = "2026-11-23"  # of the last refit; fixed, so that a refit that changes nothing writes the same file
SCHEMA = "# yaml-language-server: $schema=../schemas/law.schema.json\n"
T5_LOSS = "span corruption by an encoder-decoder on C4, nats per target token"
VIT_LOSS = "image classification on JFT-4B, nats per image"
SAME_COEFFICIENTS = 1e-4
SAME_DRAWS = 0.02


def refits(folder: Path) -> list[FitResult]:
    """All refits, with the authors' own objectives."""
    t5 = FitJob(
        name="frantar2023-t5-c4-refit",
        description="T5 encoder-decoders on C4, span corruption; the authors' 48 runs refitted to their true minimum.",
        schedule=Schedule(),  # the paper's
        draws=1000,
        date=DATE,
    )
    vit = FitJob(
        name="frantar2023-vit-jft-refit",
        description="Vision transformers (patch 16) on JFT-4B; the authors' 112 runs refitted, with draws.",
        residual="plain",
        huber_delta=0.01,
        tokens_per_unit=196.0,
        schedule=Schedule(),
        draws=1000,
        date=DATE,
    )
    coupled = "refitted with one exponent over the sum of size and data term"
    t5_coupled = replace(
        t5,
        name="frantar2023-t5-c4-coupled",
        description=f"T5 encoder-decoders on C4, span corruption; the authors' 48 runs {coupled}.",
        form="coupled",
    )
    vit_coupled = replace(
        vit,
        name="frantar2023-vit-jft-coupled",
        description=f"Vision transformers (patch 16) on JFT-4B; the authors' 112 runs {coupled}.",
        form="coupled",
    )
    # The draws of laws that were published keep taking runs as independent.
    of_t5, of_vit = (replace(runs, independent=True) for runs in (t5_runs(folder), vit_runs(folder)))
    jobs = [
        (of_t5, t5, T5_LOSS),
        (of_vit, vit, VIT_LOSS),
        (of_t5, t5_coupled, T5_LOSS),
        (of_vit, vit_coupled, VIT_LOSS),
    ]
    return [_sourced(fit_runs(runs, job), loss) for runs, job, loss in jobs]


def _sourced(result: FitResult, loss: str) -> FitResult:
    source = {
        "source": "runs published by Frantar et al. 2023 (arXiv:2309.08520) in google-research/jaxpruner",
        "counts": "prunable weights of the transformer blocks only; embeddings, norms, heads, biases are not counted",
    }
    # Versions would make the same refit a new file on every machine.
    kept = {key: value for key, value in result.law.provenance.items() if key not in {"numpy", "python"}}
    law = type(result.law)(
        **{
            name: getattr(result.law, name)
            for name in result.law.__struct_fields__
            if name not in ("provenance", "loss")
        },
        loss=loss,
        provenance=source | kept,
    )
    return replace(result, law=law)


def differences(result: FitResult) -> list[str]:
    """How a fresh refit differs from the shipped file: coefficients, objective, and the draws' percentiles."""
    name = result.law.name
    shipped = read_law(LAWS / f"{name}.yaml")
    found = []
    new_values, old_values = (coefficients(law, "unstructured").as_dict() for law in (result.law, shipped))
    for letter, new in new_values.items():
        old = old_values[letter]
        if abs(float(new) / float(old) - 1) > SAME_COEFFICIENTS:
            found.append(f"{name}: {letter} is {float(new):.6g} now and {float(old):.6g} in the file")
    if abs(result.law.fit["objective"] / shipped.fit["objective"] - 1) > SAME_COEFFICIENTS:
        found.append(f"{name}: objective is {result.law.fit['objective']:.8g} now, {shipped.fit['objective']:.8g} then")
    fresh, kept = (coefficient_draws(law, "unstructured") for law in (result.law, shipped))
    if fresh is None or kept is None:
        return [*found, f"{name}: draws are missing"]
    for letter, *drawn in zip(fresh.as_dict(), fresh, kept, strict=True):
        ends = [np.quantile(values, [0.05, 0.5, 0.95]) for values in drawn]
        if np.any(np.abs(ends[0] - ends[1]) > SAME_DRAWS * np.abs(ends[1]).max()):
            found.append(f"{name}: the interval of {letter} is {ends[0][::2]} now and {ends[1][::2]} in the file")
    if shipped.provenance.get("runs_sha256") != result.law.provenance["runs_sha256"]:
        found.append(f"{name}: the runs are other ones than the file was fitted to")
    return found


def main() -> int:
    """Refit, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=published_folder())
    parser.add_argument("--check", action="store_true", help="compare with the shipped files, write nothing")
    arguments = parser.parse_args()
    if not (arguments.folder / T5_FILE).exists():
        print(f"{arguments.folder}: the authors' runs aren't here", file=sys.stderr)
        return 2
    problems = []
    for result in refits(arguments.folder):
        path = LAWS / f"{result.law.name}.yaml"
        if arguments.check:
            problems += differences(result)
        else:
            path.write_text(SCHEMA + law_text(result.law), encoding="utf-8")
            assert read_law(path) == result.law
            print(f"{path}: objective {result.fit.value:.10g}, {result.answer.draws} draws")
    print("\n".join(problems) or "done")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

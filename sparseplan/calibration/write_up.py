"""The end of a calibration: the law fitted to its runs, figures, and a README that says what they can't tell."""

import hashlib
import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from sparseplan.calibration.fit_runs import Fitted, UnfittedFamily, fit_calibration
from sparseplan.calibration.noise import origins
from sparseplan.calibration.repeats_page import repeats_lines
from sparseplan.calibration.setup import Setup
from sparseplan.calibration.strategies import describe_named
from sparseplan.calibration.train_runs import SweepResult
from sparseplan.calibration.write_strategies import strategy_lines, write_strategies
from sparseplan.common.files import write_text
from sparseplan.common.units import format_count, format_duration, format_percent, format_scientific, format_sparsity
from sparseplan.errors import LawError
from sparseplan.figures.fit_page import draw_fit_page
from sparseplan.fit.answer import FitAnswer, coefficient_values
from sparseplan.fit.fit_table import FitResult
from sparseplan.laws.file import read_law, write_law
from sparseplan.laws.forms import FORMS
from sparseplan.laws.forms.base import Form
from sparseplan.laws.law import Law, form_of
from sparseplan.plan.caveats import start_words
from sparseplan.plan.first_plan import first_question
from sparseplan.runs.job import RunRecord
from sparseplan.sweep.folder import Folder

_FIGURES = "Predicted against measured losses, the plan that follows, learning curves and residuals"
_FIGURES_OF_STRATEGIES = "Size multipliers, losses at equal training FLOPs, and residuals, by strategy"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Conclusion:
    """What a calibration found.

    Attributes:
        result: The fit.
        limits: What the grid can't tell, a sentence each.
        next_command: A plan to ask the law for; None where its fit did not converge.
        written: Whether files were written; not where the law was fitted to these runs, by this recipe, already.
    """

    result: FitResult
    limits: list[str]
    next_command: str | None
    written: bool


def write_up(setup: Setup, folder: Folder, trained: SweepResult) -> Conclusion:
    """Fit the law to the runs table, and write law.yaml, the figure and README.md if they aren't of this fit already.

    Raises:
        RunsError: if no run is left to fit.
        FitError: if there is nothing to fit.
    """
    shape = setup.runs[0].shape
    tokens = shape.tokens_per_sequence / shape.data_per_sequence
    fitted = fit_calibration(setup.loaded.recipe, folder.runs_table, tokens_per_unit=tokens)
    recipe = setup.loaded.recipe
    stale = not _is_fitted(folder, list(recipe.strategies) if fitted.strategies is not None else [])
    conclusion = Conclusion(
        result=fitted.result,
        limits=limits(setup, fitted),
        next_command=_next_command(setup, folder, fitted.result),
        written=stale,
    )
    if stale:
        first, *_ = recipe.pruned_by
        if fitted.strategies is None:
            draw_fit_page(fitted.result, folder.figure)
        else:
            laws = {
                part.name: _with_origin(part.law, part.name, fitted, setup, folder, trained)
                for part in fitted.strategies.parts
            }
            write_strategies(folder, setup, fitted, laws)
        write_law(_with_origin(fitted.result.law, first, fitted, setup, folder, trained), folder.law)
        write_text(folder.readme, _readme(setup, trained, conclusion, figure=folder.figure.name))
    return conclusion


def _is_fitted(folder: Folder, strategies: list[str]) -> bool:
    """Whether the folder's law says that it was fitted to these very runs by this very recipe, and all files are there.

    Another machine or version would fit the same law with other last digits: no reason to change what is committed.
    """
    files = [folder.readme, folder.figure, *(folder.law_of(name) for name in strategies)]
    if not all(path.exists() for path in files):
        return False
    try:
        provenance = read_law(folder.law).provenance
    except LawError:
        return False
    own = {"recipe_sha256": folder.recipe, "runs_sha256": folder.runs_table}
    return all(provenance.get(key) == hashlib.sha256(path.read_bytes()).hexdigest() for key, path in own.items())


def _with_origin(law: Law, strategy: str, fitted: Fitted, setup: Setup, folder: Folder, trained: SweepResult) -> Law:
    """A law, of one of the recipe's strategies, with where its runs came from."""
    devices = Counter(record.device for record in trained.records.values())
    versions = next(iter(trained.records.values())).versions
    origin = {
        "recipe_sha256": hashlib.sha256(folder.recipe.read_bytes()).hexdigest(),
        "strategy": strategy,
        "data": setup.data_description,
        "train_sha256": setup.data.train.sha256,
        "valid_sha256": setup.data.valid.sha256,
        "device": ", ".join(name for name, _ in devices.most_common()),
        "torch": versions.get("torch", "unknown"),
        "counts": "prunable weights of the transformer blocks only; embedding, norms and head are not counted",
    }
    aside = {each.family: f"{each.runs} runs left aside: they leave this set open" for each in fitted.aside}
    facts = law.fit | ({"families_aside": aside} if aside else {})
    return msgspec.structs.replace(law, fit=facts, provenance=law.provenance | origin)


def limits(setup: Setup, fitted: Fitted) -> list[str]:
    """What the grid can't tell, plainly."""
    answer = fitted.result.answer
    runs, recipe = setup.runs, setup.loaded.recipe
    unit = runs[0].data.unit
    loss_per = runs[0].shape.loss_per(unit)
    N = [run.nonzero_params for run in runs]
    D = [run.data_seen for run in runs]
    found = [
        f"The fit saw nothing beyond N = {format_count(max(N))} and D = {format_count(max(D))} {unit}s "
        f"(from {format_count(min(N))} and {format_count(min(D))}). A plan for a larger budget is an extrapolation, "
        "and says by how much.",
        f"The law holds for this data ({setup.data_description.split(',')[0]}), this family of models and this way "
        "of training; another corpus, tokenizer or architecture has other coefficients.",
    ]
    if (start := fitted.result.law.start) is not None:
        found.append(f"{start_words(start, unit)}.")
        if start.dense_data_seen[0] < start.dense_data_seen[1]:
            found.append("The law does not tell dense lengths apart: it is fitted to runs from all of them together.")
    if unit == "byte":
        found.append(f"D counts bytes and L is in nats per {loss_per}: neither compares with laws in tokens.")
    if unit == "image":
        found.append("D counts images and L is in nats per image: neither compares with laws in tokens.")
    if loss_per != unit:
        found.append(
            f"L is a mean over {loss_per}s, with the text around them in sight, and D counts every {unit} read: "
            "neither L nor the coefficients compare with those of models that predict what comes next."
        )
    if len(recipe.seeds) == 1:
        found.append("One seed: what another seed would change was not measured, only how well runs agree with a law.")
    dense = {run.shape.dense_params for run in runs}
    on_cuts = any(run.data.train != setup.data.train for run in runs)
    per = "dense size, seed and cut of the data" if on_cuts else "dense size and seed"
    if len(dense) < 2 * len(answer.coefficients):
        found.append(
            f"The runs share {origins(runs)} trunks (one a {per}). Runs of one trunk "
            "vary together, so there are far fewer independent observations than runs."
        )
    if max(run.epochs for run in runs) > 1:
        counted = "like fresh data" if fitted.result.law.repetition is None else "by the fitted rates"
        found.append(f"Some runs saw data more than once; the law counts repeats {counted}.")
    errors = np.abs(np.expm1(np.log(fitted.result.fit.predicted / fitted.result.fit.runs.loss)))
    found.append(
        f"The runs stray from the law by {format_percent(float(np.sqrt(np.mean(errors**2))))} in the mean square, "
        f"{format_percent(float(errors.max()))} at worst: what it says of a single run is no surer than that."
    )
    found += [_said_of(aside, form_of(fitted.result.law)) for aside in fitted.aside]
    found += [f"{warning.message[0].upper()}{warning.message[1:]}" for warning in answer.warnings]
    return found


def _said_of(aside: UnfittedFamily, form: Form) -> str:
    """What is known of a family that the law has no set for."""
    levels = ", ".join(format_sparsity(level) for level in aside.sparsities)
    *names, last = (one.name for one in form.per_family)
    off = _signed(100 * aside.mean_log_error, "%")
    words = (
        f"The law has no set of its own for {aside.family}: its {aside.runs} runs (S = {levels}) can't separate "
        f"{', '.join(names)} and {last}, and were left aside. Their losses lie {off} off what the "
        f"law says for unstructured sparsity, which the pattern {aside.family} falls back to"
    )
    if aside.above_pair is None:
        return words + "."
    return words + f", and {_signed(aside.above_pair, ' nats')} off unstructured runs of equal size and length."


def _signed(value: float, unit: str) -> str:
    return f"{value:+.2g}{unit}"


def _form_choice(result: FitResult) -> list[str]:
    """Why the law has its form, where that was chosen."""
    if result.answer.forms is None:
        return []
    of = f" The table is of {result.answer.form} alone." if result.law.forms else ""
    return [f"Form chosen: {result.answer.form_choice}{of}", ""]


def _next_command(setup: Setup, folder: Folder, result: FitResult) -> str | None:
    """A plan to look at: at the largest budget of the runs, and at their largest size where the law plans no other."""
    if result.law.fit["status"] != "converged":  # of several strategies this law is the first's
        return None
    largest = max(setup.runs, key=lambda run: run.train_flops)
    flops, params = largest.train_flops, largest.nonzero_params
    budget, size = first_question(result.law, train_flops=flops, nonzero_params=params)
    found_by_name = folder.root.parent.resolve() == Path("calibration").resolve()
    own = found_by_name and folder.root.name == setup.loaded.recipe.name
    name = setup.loaded.recipe.name if own else folder.law
    given = "" if size is None else f" --params {format_count(size)}"
    return f"sparseplan optimal --flops {format_scientific(budget)}{given} --law {shlex.quote(str(name))}"


def coefficient_rows(answer: FitAnswer) -> list[tuple[str, str, str]]:
    """Name, value and interval of every coefficient, families spelled out."""
    return [
        (name, f"{value:.4g}", "-" if interval is None else f"{interval[0]:.4g} .. {interval[1]:.4g}")
        for name, value, interval in coefficient_values(answer)
    ]


def _readme(setup: Setup, trained: SweepResult, conclusion: Conclusion, *, figure: str) -> str:
    recipe, answer = setup.loaded.recipe, conclusion.result.answer
    records = list(trained.records.values())
    diverged = [record for record in records if record.diverged]
    lines = [
        f"# {recipe.name}",
        "",
        recipe.description,
        "",
        "Written by `sparseplan calibrate`; `recipe.yaml` says what was trained, `runs.csv` has every run (one JSON "
        "each in `runs/`), `law.yaml` the law with its draws.",
        "",
        f"![{_FIGURES if answer.strategies is None else _FIGURES_OF_STRATEGIES}]({figure})",
        "",
        "## What was trained",
        "",
        *_facts(setup, trained, records, diverged),
        "",
        *_law_lines(setup, conclusion),
    ]
    lines += ["", "## What this can't tell", "", *(f"- {sentence}" for sentence in conclusion.limits)]
    lines += ["", "## Next", ""]
    if conclusion.next_command is None:
        lines += [f"No law to plan with ({answer.status}): {answer.explanation}", ""]
    else:
        lines += ["```sh", conclusion.next_command, "```", ""]
    return "\n".join(lines)


def _law_lines(setup: Setup, conclusion: Conclusion) -> list[str]:
    """What the law is, or the laws of several strategies are, and how well they were fitted."""
    answer, shape = conclusion.result.answer, setup.runs[0].shape
    unit = shape.loss_per(setup.runs[0].data.unit)
    fit = (
        f"Fit: {answer.status}; {answer.n_runs} runs, {answer.loss} on {answer.residual} residuals, objective "
        f"{answer.objective:.4g}; {answer.starts_at_optimum} of {answer.starts} starts reached the lowest minimum."
    )
    if answer.strategies is not None:
        return [*strategy_lines(answer.strategies, unit, setup.loaded.recipe.name), "", fit]
    lines = [
        "## The law",
        "",
        f"{FORMS[answer.form].formula}, in nats per {unit}.",
        "",
        *_form_choice(conclusion.result),
        f"| coefficient | value | {100 * answer.level:.0f}% interval |",
        "| --- | --- | --- |",
        *(f"| {name} | {value} | {interval} |" for name, value, interval in coefficient_rows(answer)),
        "",
        fit,
    ]
    if answer.free_size_sparsity is not None:
        interval = answer.free_size_sparsity_interval
        spread = f" ({format_sparsity(interval[0])} .. {format_sparsity(interval[1])})" if interval else ""
        family = next(iter(answer.families))
        lines += [
            "",
            f"Best sparsity with the size free, {family}, sparse FLOPs: "
            f"{format_sparsity(answer.free_size_sparsity)}{spread}.",
        ]
    return [*lines, *repeats_lines(conclusion.result)]


def _facts(setup: Setup, trained: SweepResult, records: list[RunRecord], diverged: list[RunRecord]) -> list[str]:
    data, runs = setup.data, setup.runs
    sizes = sorted({(run.shape.dense_params, run.shape.layers, run.shape.width) for run in runs})
    prunings = sorted({(run.pruning.sparsity, run.pruning.pattern) for run in runs})
    seconds = sum(record.segment_seconds for record in records)
    seconds += sum(trunk.segment_seconds for trunk in trained.trunks.values())
    versions = records[0].versions
    devices = ", ".join(sorted({record.device for record in records}))
    shown = ", ".join(f"{format_count(params)} ({layers} x {width})" for params, layers, width in sizes)
    cut = ", ".join(
        format_sparsity(sparsity) + (f" ({pattern})" if ":" in pattern else "") for sparsity, pattern in prunings
    )
    lengths = ", ".join(format_count(seen) for seen in sorted({run.data_seen for run in runs}))
    return [
        f"- {len(records)} runs"
        + (f", {len(diverged)} of them diverged" if diverged else "")
        + f", {format_scientific(setup.plan.unshared_flops)} training FLOPs; shared trunks saved "
        f"{format_percent(setup.plan.saved)} of them.",
        f"- Dense sizes (blocks x width): {shown}.",
        f"- Sparsities: {cut}; {'; '.join(describe_named(*one) for one in setup.loaded.recipe.pruned_by.items())}.",
        f"- Lengths: {lengths} {data.unit}s.",
        *_dense_before(setup, trained),
        f"- Data: {setup.data_description}; training sha256 `{data.train.sha256[:16]}`, "
        f"validation `{data.valid.sha256[:16]}`.",
        f"- Device: {devices}; {format_duration(seconds)} of training in all workers together; "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + ".",
    ]


def _dense_before(setup: Setup, trained: SweepResult) -> list[str]:
    """The dense weights that the runs started from: what they had seen and cost, and their losses where measured."""
    runs = [run for run in setup.runs if run.dense_data_seen is not None]
    if not runs:
        return []
    seen = ", ".join(format_count(each) for each in sorted({run.dense_data_seen or 0.0 for run in runs}))
    total = sum({(run.shape, run.seed, run.start): run.dense_train_flops or 0.0 for run in runs}.values())
    losses = [record.loss for record in trained.dense_runs.values() if record.loss is not None]
    measured = f"; their losses {min(losses):.4g} to {max(losses):.4g}" if losses else ""
    return [
        f"- Started from dense weights trained on {seen} {setup.data.unit}s, {format_scientific(total)} training FLOPs "
        f"that the runs' own leave out{measured}."
    ]

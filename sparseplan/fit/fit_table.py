"""From a runs table and options to a judged law: the one function behind the command."""

from dataclasses import dataclass
from pathlib import Path

from sparseplan.fit.answer import FitAnswer, diagnose
from sparseplan.fit.bootstrap import Bootstrap
from sparseplan.fit.fit_caveats import travelling
from sparseplan.fit.fitting import Fit
from sparseplan.fit.holdout import hold_out
from sparseplan.fit.job import FitJob
from sparseplan.fit.made import make_law
from sparseplan.laws.law import Law
from sparseplan.runs.reading import PLAIN, Reading
from sparseplan.runs.table import Runs, read_runs

__all__ = ["FitJob", "FitResult", "fit_runs", "run_fit"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FitResult:
    """A fit, its draws, the law to write and the answer to print."""

    fit: Fit
    drawn: Bootstrap | None
    law: Law
    answer: FitAnswer


def run_fit(path: Path, job: FitJob, reading: Reading = PLAIN) -> FitResult:
    """Read a runs table and fit it.

    Args:
        path: the table.
        job: how to fit it.
        reading: how the table is read.

    Raises:
        RunsError: if the table is broken.
        LawError: if the frozen base can't be found.
        FitError: if the options contradict each other or the table.
    """
    return fit_runs(read_runs(path, reading), job)


def fit_runs(runs: Runs, job: FitJob) -> FitResult:
    """Fit runs that are already in memory; as `run_fit`."""
    made = make_law(runs, job)
    fit, drawn = made.fit, made.first_drawn
    held = None
    if job.holdout is not None:
        held = hold_out(
            runs,
            job.holdout,
            form=fit.form.name,
            objective=fit.objective,
            base=fit.base,
            prior=fit.problem.prior is not None,
            starts=job.starts,
            seed=job.seed,
        )
    answer = diagnose(
        fit,
        drawn,
        naming=made.naming,
        holdout=held,
        choice=made.choice,
        why=made.why,
        prediction=made.prediction,
        seed=job.seed,
    )
    return FitResult(fit=fit, drawn=drawn, law=made.law(travelling(answer.warnings)), answer=answer)

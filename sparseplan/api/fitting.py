"""Laws from finished runs: `fit`, from a file, a dict of columns or any dataframe."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from sparseplan.api import arguments
from sparseplan.api.arguments import Number
from sparseplan.api.reading import Where, reading_of
from sparseplan.errors import FitError, LawError, QuantityError
from sparseplan.fit.answer import FitAnswer, to_json
from sparseplan.fit.bootstrap import DEFAULT_DRAWS
from sparseplan.fit.choose_form import AUTO
from sparseplan.fit.fit_table import FitJob, FitResult, fit_runs, run_fit
from sparseplan.fit.fitting import DEFAULT_STARTS
from sparseplan.fit.holdout import SPLITS, Split
from sparseplan.fit.objective import Residual
from sparseplan.fit.penalties import PENALTIES
from sparseplan.laws.law import Law
from sparseplan.runs.columns import table_of
from sparseplan.runs.reader import read_table, table_name
from sparseplan.runs.table import runs_from
from sparseplan.sparsity.schedule import Schedule, parse_schedule

MOST_DRAWS = MOST_STARTS = 100_000


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Fit:
    """A fitted law and how far it can be trusted; it prints as the terminal does.

    Attributes:
        result: Everything, down to the solver's coordinates.
    """

    result: FitResult

    @property
    def law(self) -> Law:
        """The law, with its draws; `optimal`, `predict` and `sparsity_map` take it as `law`."""
        return self.result.law

    @property
    def answer(self) -> FitAnswer:
        """What the fit says of itself; the fields are the keys of `fit --json`."""
        return self.result.answer

    def save(self, path: str | Path) -> None:
        """Write the law with its draws as a file, whole or not at all, in place of one that is there.

        Raises:
            LawError: if the name doesn't end in .yaml or .yml, by which laws are found.
        """
        from sparseplan.laws.file import write_law

        target = Path(path)
        if target.suffix not in (".yaml", ".yml"):
            raise LawError(f"{target}: expected a file ending in .yaml.")
        write_law(self.law, target)

    def draw(self, path: str | Path) -> None:
        """Write the figure page, as .png, .svg or .pdf, in place of one that is there; needs matplotlib.

        Raises:
            PlanError: for another ending, or without matplotlib.
        """
        from sparseplan.figures.fit_page import draw_fit_page

        draw_fit_page(self.result, Path(path))

    def to_json(self) -> str:
        """As `sparseplan fit --json` prints it."""
        return to_json(self.answer)

    def __str__(self) -> str:
        from sparseplan.api.rendering import printed
        from sparseplan.report.fit import print_fit

        return printed(lambda console: print_fit(console, self.result, written=None))

    def __repr__(self) -> str:
        return f"<Fit of {self.law.name} to {self.answer.n_runs} runs: {self.answer.status}>"

    def _repr_html_(self) -> str:
        from sparseplan.api.rendering import preformatted

        return preformatted(str(self))


def fit(
    table: object,
    *,
    columns: Mapping[str, str] | None = None,
    preset: str | None = None,
    where: Where | None = None,
    constants: Mapping[str, object] | None = None,
    last_per: str | None = None,
    group: str | None = None,
    form: str | None = None,
    prior: Literal["none", "weak"] | None = None,
    residual: Residual = "log",
    loss: Literal["huber", "squared"] = "huber",
    huber_delta: Number = 1e-3,
    freeze_dense: str | Path | None = None,
    tie_dense: bool = False,
    draws: int = DEFAULT_DRAWS,
    holdout: Split | None = None,
    starts: int = DEFAULT_STARTS,
    seed: int = 0,
    name: str | None = None,
    description: str | None = None,
    data_unit: str | None = None,
    tokens_per_unit: Number | None = None,
    schedule: str | Schedule | None = None,
    strategy: str | None = None,
) -> Fit:
    """Fit a law to finished runs and say how far it can be trusted.

    Args:
        table: A path (.csv, .tsv, .jsonl, .json, also with .gz behind it, .parquet), a dict of columns, or a dataframe
            of pandas, polars, pyarrow or one like them. Columns as in a runs table: sparsity, nonzero_params,
            data_seen, loss, ... Dictionaries in cells are columns of their own, `config.n_params`.
        columns: Our column names to the table's, {"nonzero_params": "N"}, where they differ.
        preset: Names of an exporter, "wandb", "mlflow" or "olmo"; `columns` overrides them.
        where: Rows to keep: a condition such as "optimizer=adamw", with = != < > <= >=, or several, all of which hold.
        constants: Columns of ours that the table lacks, {"sparsity": 0}, with the value that all its runs have.
        last_per: The column that names the run, of a table with a row for each evaluation: the last row of each run
            counts, by the data seen, then by a step, then by the order of rows.
        group: The table's column that names the runs that share a trunk or seed; by default `trunk`, and what the
            residuals show; "none" takes all runs as independent.
        form: The functional form. "auto", the default, takes what predicts larger and longer runs best, one form or an
            average of close ones, with or without the prior; the paper's where the runs can't tell. "average" keeps
            every form, each with a weight by how well it predicts. Or one by its name: "frantar2023", "coupled",
            "varying-exponents"; dense runs give its dense form, "chinchilla" or "coupled-dense", which can be named
            too: then the table needs no column of sparsity.
        prior: "weak" pulls exponents and floor towards those of other setups, "none" doesn't; by default "auto" and
            "average" decide, and a named form goes without.
        residual: Residuals of "log" loss, or of the "plain" loss.
        loss: Penalty of a residual, "huber" or "squared".
        huber_delta: Where Huber turns from square to linear, in the residual's unit.
        freeze_dense: A law, by name or path, whose b_N, a_D, b_D and c are kept.
        tie_dense: With `freeze_dense`, keep a_S + c_S at the dense value too.
        draws: Refits under random weights, for intervals; 0 for none.
        holdout: Also fit without these runs and predict them: "largest-n", "largest-dense" (of the dense size),
            "largest-d", "highest-s" or "rolling".
        starts: Random starting points.
        seed: Of starts and draws.
        name: The law's name; by default the file's, or "fitted".
        description: What was trained on what.
        data_unit: What data_seen counts; by default what the table says, else "token".
        tokens_per_unit: Tokens a data unit.
        schedule: How the runs were pruned, as "linear:0..50%": kind, and ends of the ramp in shares of training. By
            default the frozen law's, else "cubic:25%..75%", which the law then says was assumed.
        strategy: The one whose law is wanted, of a table with several: all are fitted on one dense base with draws in
            common, and compared in `answer.strategies`.

    Raises:
        RunsError: if the table is broken; it names the first bad rows and counts the rest.
        SparseplanError: for arguments that contradict each other or the table; it names the argument.

    Examples:
        >>> dense = {"sparsity": [0.0] * 4, "nonzero_params": [1e6, 1e6, 4e6, 4e6], "data_seen": ["1B", "4B"] * 2}
        >>> fit({**dense, "loss": [3.9, 3.5, 3.4, 3.1]}, draws=0).answer.status
        'too few levels'
    """
    arguments.choice("residual", residual, get_args(Residual))
    if prior is not None:
        arguments.choice("prior", prior, ["none", "weak"])
    arguments.choice("loss", loss, list(PENALTIES))
    if holdout is not None:
        arguments.choice("holdout", holdout, SPLITS)
    arguments.whole("draws", draws, least=0, most=MOST_DRAWS)
    arguments.whole("starts", starts, least=1, most=MOST_STARTS)
    arguments.whole("seed", seed, least=0)
    job = FitJob(
        form=form or AUTO,
        prior=None if prior is None else prior == "weak",
        residual=residual,
        loss=loss,
        huber_delta=arguments.needed("huber_delta", huber_delta),
        freeze_dense=None if freeze_dense is None else str(freeze_dense),
        tie_dense=tie_dense,
        draws=int(draws),
        holdout=holdout,
        starts=int(starts),
        seed=int(seed),
        name=name or (table_name(Path(table)) if isinstance(table, str | Path) else "") or "fitted",
        description=description,
        data_unit=data_unit,
        tokens_per_unit=arguments.positive("tokens_per_unit", tokens_per_unit),
        schedule=_schedule(schedule),
    )
    reading = reading_of(
        columns=columns,
        group=group,
        preset=preset,
        where=where,
        constants=constants,
        last_per=last_per,
        form=form,
        schedule=job.schedule,
        tokens_per_unit=job.tokens_per_unit,
    )
    if strategy is not None:
        from sparseplan.fit.strategy_table import fit_one_of

        if holdout is not None:
            raise FitError("`holdout`: expected a table of one strategy, or no `strategy`; found both.")
        rows = read_table(Path(table)) if isinstance(table, str | Path) else table_of(table)
        return Fit(fit_one_of(runs_from(rows, replace(reading, several_strategies=True)), job, strategy))
    if isinstance(table, str | Path):
        return Fit(run_fit(Path(table), job, reading))
    return Fit(fit_runs(runs_from(table_of(table), reading), job))


def _schedule(written: str | Schedule | None) -> Schedule | None:
    if written is None or isinstance(written, Schedule):
        return written
    try:
        return parse_schedule(written)
    except QuantityError as problem:
        raise QuantityError(f"`schedule`: {problem}") from None

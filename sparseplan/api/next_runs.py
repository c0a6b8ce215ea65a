"""Which runs to train next: `next_runs`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparseplan.api import arguments
from sparseplan.api.arguments import Number, PatternLike
from sparseplan.api.named import CostLike, LawLike, cost_of, load_law, profile_of
from sparseplan.api.reading import Where
from sparseplan.common.json_struct import to_json
from sparseplan.errors import PlanError
from sparseplan.laws import DEFAULT_LAW
from sparseplan.laws.law import require_sparse
from sparseplan.plan import next_runs as choosing
from sparseplan.plan.candidates import Span, Trainable, spans, sparsities
from sparseplan.plan.caveats import sparsity_cap
from sparseplan.plan.form_error import places
from sparseplan.plan.question import Question
from sparseplan.sparsity.pattern import UNSTRUCTURED

if TYPE_CHECKING:
    from sparseplan.calibration.further_runs import Reach
    from sparseplan.calibration.setup import Setup
    from sparseplan.laws.forms.budget import Array
    from sparseplan.laws.law import Law

MOST_RUNS = 1000
_RECIPE = {".yaml", ".yml"}


class NextRuns(choosing.NextRuns, frozen=True, kw_only=True):
    """The answer of `next_runs`; its fields are the keys of `next --json`, and it prints as the terminal does."""

    def save(self, path: str | Path) -> None:
        """Write the runs as a runs table (CSV) without losses, whole or not at all: fill them in once trained.

        Raises:
            PlanError: for a name that doesn't end in .csv.
        """
        from sparseplan.runs.written_table import RunRow, write_runs

        target = Path(path)
        require_name(target, None)
        rows = [
            RunRow(
                run_id=f"next-{number}",
                pattern=run.pattern,
                sparsity=run.sparsity,
                nonzero_params=run.nonzero_params,
                dense_params=run.dense_params,
                data_seen=run.data_seen,
                data_unit=run.data_unit,
                train_flops=run.train_flops,
                loss=None,
                extra=(("gain", run.gain), ("predicted_loss", run.predicted)),
            )
            for number, run in enumerate(self.runs, start=1)
        ]
        write_runs(rows, target)

    def save_recipe(self, path: str | Path, recipe: str | Path) -> None:
        """Write the recipe that these runs were chosen for, with them, whole or not at all.

        `sparseplan calibrate` goes on in the folder of the runs so far, trains the new ones and fits the law to all.

        Raises:
            PlanError: for a name that doesn't end in .yaml, or runs that weren't chosen for a recipe.
        """
        from sparseplan.calibration.further_runs import with_runs
        from sparseplan.calibration.recipe import load_recipe
        from sparseplan.common.files import write_text

        target = Path(path)
        if target.suffix.lower() not in _RECIPE:
            raise PlanError(f"`out`: expected a recipe's file, ending in .yaml, found {target}.")
        if any(run.steps is None for run in self.runs):
            raise PlanError("`recipe`: these runs were chosen without one: give it to `next_runs` as well.")
        write_text(target, with_runs(load_recipe(str(recipe)), self.runs))

    def __str__(self) -> str:
        from sparseplan.api.rendering import printed
        from sparseplan.report.next_runs import print_next_runs

        return printed(lambda console: print_next_runs(console, self))

    def _repr_html_(self) -> str:
        from sparseplan.api.rendering import preformatted

        return preformatted(str(self))

    def to_json(self) -> str:
        """As `sparseplan next --json` prints it."""
        return to_json(self)


def require_name(path: Path, recipe: str | Path | None) -> None:
    """Refuse a file that is neither a table of runs nor, where there is a recipe, a recipe.

    Raises:
        PlanError: naming it.
    """
    suffix = path.suffix.lower()
    if suffix == ".csv" or (recipe is not None and suffix in _RECIPE):
        return
    if suffix in _RECIPE:
        raise PlanError(
            f"`out`: {path} would be a recipe of the new runs; give the one of the runs so far as `recipe`."
        )
    raise PlanError(f"`out`: expected a file ending in .csv, or with `recipe` in .yaml, found {path}.")


def next_runs(
    flops: Number,
    *,
    law: LawLike | None = None,
    runs: object | None = None,
    columns: Mapping[str, str] | None = None,
    preset: str | None = None,
    where: Where | None = None,
    constants: Mapping[str, object] | None = None,
    last_per: str | None = None,
    group: str | None = None,
    form: str | None = None,
    budget: Number | None = None,
    params: Number | None = None,
    dense_params: Number | None = None,
    pattern: PatternLike | None = None,
    cost: "CostLike" = "sparse",
    max_sparsity: Number | None = None,
    sizes: tuple[Number, Number] | None = None,
    data: tuple[Number, Number] | None = None,
    most: int = choosing.MOST_RUNS,
    noise: Number | None = None,
    recipe: str | Path | None = None,
) -> NextRuns:
    """The runs that say most, for their cost, about the plan for a training budget.

    Args:
        flops: The target, the training FLOPs that are to be planned.
        law: A law with draws, by name, path or object; the default law if there are no `runs` either.
        runs: In place of a law the runs behind it, a table as `fit` takes it, which is fitted first.
        columns: Our column names to the table's, where they differ.
        preset: Names of an exporter, and `where`, `constants` and `last_per`, which rows and what the table lacks, as
            `fit` takes them.
        group: The table's column that names the runs that share a trunk or seed.
        form: The functional form to fit, as `fit` takes it.
        budget: Training FLOPs for all new runs together; by default a hundredth of the target.
        params: Non-zero parameters of the target, where decided.
        dense_params: Parameters before pruning of the target, where that is decided.
        pattern: "unstructured" (the default), "2:4", "n:4", ...
        cost: What zeros cost, in the target and in the new runs: "sparse", "dense" or a hardware profile.
        max_sparsity: Highest sparsity to consider; by default the highest among the law's runs.
        sizes: Non-zero parameters that new runs may have, ("1M", "100M"); by default from the smallest of the law's
            runs to 16 times the largest.
        data: Data that new runs may see, likewise.
        recipe: The calibration recipe of the runs so far, a path or a built-in one's name: new runs then have shapes
            and lengths that it can train, and `save_recipe` writes it with them. Its law, by name, answers unless
            `law` or `runs` are given.
        most: How many runs at most.
        noise: Relative scatter of a run's loss about the law, 0.003 or "0.3%"; by default from the law's fit.

    Returns:
        The runs in the order of choice, and what the decision's intervals are before and, expected, after them.

    Raises:
        SparseplanError: for arguments that contradict each other or have no answer; it names the argument.

    Examples:
        >>> answer = next_runs(1e22, law="frantar2023-t5-c4-refit", most=3)
        >>> len(answer.runs), answer.decision.choice
        (3, 'sparse')
    """
    if law is not None and runs is not None:
        raise PlanError("expected `law` or `runs`, found both: a law is of its runs, and runs are fitted first.")
    read: dict[str, Any] = {
        "columns": columns,
        "preset": preset,
        "where": where,
        "constants": constants,
        "last_per": last_per,
        "group": group,
        "form": form,
    }
    unread = [name for name, value in read.items() if value]
    if runs is None and unread:
        raise PlanError(f"`{unread[0]}` says how `runs` are read and fitted, and there are none.")
    arguments.whole("most", most, least=1, most=MOST_RUNS)
    target = arguments.needed("flops", flops)
    limit = arguments.positive("budget", budget)
    ranges = [
        None if ends is None else Span(low=ends[0], high=ends[1])
        for ends in (arguments.span("sizes", sizes), arguments.span("data", data))
    ]
    scatter = None if noise is None else arguments.share("noise", noise)
    if scatter == 0.0:
        raise PlanError("`noise`: expected a share above 0, such as 0.3%, found 0.")
    setup = None if recipe is None else _setup(recipe)
    named = DEFAULT_LAW if setup is None else setup.loaded.recipe.name
    chosen, known = (load_law(named if law is None else law), None) if runs is None else _fitted(runs, read)
    if setup is not None and setup.data.unit != chosen.data_unit:
        raise PlanError(
            f"`recipe`: {setup.loaded.document.source} counts {setup.data.unit}s, the law {chosen.name} "
            f"{chosen.data_unit}s: give the law, or the runs, of the recipe."
        )
    wanted = None if pattern is None else arguments.pattern("pattern", pattern)
    cap = arguments.sparsity("max_sparsity", max_sparsity)
    if wanted is not None or cap is not None:
        require_sparse(chosen)
    made = wanted or UNSTRUCTURED
    question = Question(
        train_flops=target,
        nonzero_params=arguments.count("params", params),
        dense_params=arguments.count("dense_params", dense_params),
        pattern=made,
        cost=cost_of(cost, profile_of(cost), chosen, made),
        max_sparsity=sparsity_cap(chosen) if cap is None else cap,
        pattern_cap=1.0 if cap is None else cap,
    )
    if question.nonzero_params is not None and question.dense_params is not None:
        raise PlanError("expected `params` or `dense_params`, found both.")
    within = None if setup is None else _reach(setup, chosen, question, ranges)
    result = choosing.next_runs(
        chosen,
        question,
        budget=limit,
        params=ranges[0],
        data=ranges[1],
        most=int(most),
        noise=scatter,
        known=known,
        models=None if within is None else within[1],
    )
    facts = {name: getattr(result, name) for name in result.__struct_fields__}
    if within is not None:
        facts["runs"] = [within[0].shaped(run) for run in result.runs]
    return NextRuns(**facts)


def _setup(recipe: str | Path) -> "Setup":
    """A recipe's runs and the facts of its data, which is prepared aside."""
    from tempfile import TemporaryDirectory

    from sparseplan.calibration.recipe import load_recipe
    from sparseplan.calibration.setup import set_up

    with TemporaryDirectory(prefix="sparseplan-corpus-") as corpus:
        return set_up(load_recipe(str(recipe)), Path(corpus))


def _reach(setup: "Setup", law: "Law", question: Question, ranges: list[Span | None]) -> "tuple[Reach, Trainable]":
    """What a recipe could train within the ranges, at any of the sparsities that are considered."""
    from sparseplan.calibration.further_runs import reach

    sizes, data = spans(law, *ranges)
    sparsest = max(sparsities(law, question.pattern, min(question.max_sparsity, question.pattern_cap)))
    found = reach(setup, Span(low=sizes.low, high=sizes.high / (1.0 - sparsest)))
    return found, found.trainable(data)


def _fitted(runs: object, read: Mapping[str, Any]) -> "tuple[Law, Array]":
    """The law of some runs, and where these lie."""
    from sparseplan.api.fitting import fit

    fitted = fit(runs, **read)
    if fitted.law.draws is None:
        raise PlanError(
            f"`runs`: the fit ended as '{fitted.answer.status}', so it has no draws that say what is uncertain: "
            f"{fitted.answer.explanation} A law that `fit` makes with other settings is taken as `law`."
        )
    table = fitted.result.fit.runs
    return fitted.law, places(table.sparsity, table.nonzero_params, table.data_seen)

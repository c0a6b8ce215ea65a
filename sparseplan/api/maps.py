"""Maps of the best sparsity, which show as figures: `sparsity_map`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sparseplan.api import arguments
from sparseplan.api.arguments import Number, PatternLike
from sparseplan.api.named import CostLike, LawLike, cost_of, load_law, profile_of
from sparseplan.common.units import format_count, format_scientific
from sparseplan.errors import PlanError, RunsError
from sparseplan.figures.map_runs import runs_on_map
from sparseplan.laws import DEFAULT_LAW
from sparseplan.laws.law import Law, main_family, require_sparse
from sparseplan.plan import sparsity_map as maps
from sparseplan.sparsity.pattern import TWO_OF_FOUR, UNSTRUCTURED, Pattern, parse_pattern

if TYPE_CHECKING:
    from sparseplan.runs.table import Runs

Width = Literal["column", "page"]


@dataclass(frozen=True, kw_only=True, slots=True, repr=False, eq=False)
class SparsityMap(maps.SparsityMap):
    """The best sparsity over sizes and budgets: arrays, and in a notebook a figure; needs matplotlib to be drawn."""

    def save(self, path: str | Path, *, width: Width = "page") -> None:
        """Write the figure as .png, .svg or .pdf, as wide as a journal's column or page, whole or not at all.

        Raises:
            PlanError: for another ending, or without matplotlib.
        """
        from sparseplan.figures.map_figure import draw_sparsity_maps

        draw_sparsity_maps([self], Path(path), width=width)

    def _repr_png_(self) -> bytes:
        from sparseplan.figures.map_figure import png_of_sparsity_map

        return png_of_sparsity_map(self)

    def __repr__(self) -> str:
        N, C = self.nonzero_params, self.train_flops
        sizes = f"{format_count(N[0])} .. {format_count(N[-1])} non-zero parameters"
        budgets = f"{format_scientific(C[0])} .. {format_scientific(C[-1])} FLOPs"
        return f"<SparsityMap of {self.law.name}, {self.cost_name} cost: {sizes}, {budgets}>"


def sparsity_map(
    law: LawLike = DEFAULT_LAW,
    *,
    cost: "CostLike | Sequence[CostLike]" = "sparse",
    pattern: PatternLike | None = None,
    max_sparsity: Number | None = None,
    params: tuple[Number, Number] | None = None,
    flops: tuple[Number, Number] | None = None,
    points: int = 120,
    spread: bool = False,
    plan_flops: Number | None = None,
    plan_params: Number | None = None,
    runs: "str | Path | Runs | None" = None,
    columns: Mapping[str, str] | None = None,
) -> list[SparsityMap]:
    """The best sparsity over non-zero parameters and training FLOPs, a map for each cost on one grid.

    Every point is what `optimal` plans there.

    Args:
        law: By name, path or object; it must know sparsity.
        cost: As for `optimal`; several make several maps.
        pattern: "unstructured", or a family such as "n:4"; by default the law's first, unstructured where it has that.
        max_sparsity: The highest to consider; by default the highest among the law's runs, as for `optimal`.
        params: Ends of the sizes, ("1M", "10B"); by default around what the law's runs covered.
        flops: Ends of the budgets; by default where sparsity begins to pay and goes on to 87.5 %.
        points: Grid points per axis.
        spread: Compute the percentiles of the best sparsity over the law's draws too, which takes longer.
        plan_flops: The budget of a plan to show on the map.
        plan_params: Its non-zero parameters, where decided.
        runs: Finished runs to show on the map: a table, as `fit` reads it.
        columns: Our column names to the table's, where they differ.

    Returns:
        Maps with arrays of shape (points, points): budgets down, sizes across. Each shows as a figure in a notebook
        and writes it with `save`.

    Raises:
        SparseplanError: for a law without sparsity, or ends that lead nowhere.
    """
    chosen = require_sparse(load_law(law))
    made = _pattern(chosen, pattern)
    costs = [cost] if isinstance(cost, str | Path) or not isinstance(cost, Sequence) else list(cost)
    map_costs = [_map_cost(one, chosen, made) for one in costs]
    cap = arguments.sparsity("max_sparsity", max_sparsity)
    sizes, budgets = arguments.span("params", params), arguments.span("flops", flops)
    budget, size = arguments.positive("plan_flops", plan_flops), arguments.count("plan_params", plan_params)
    if budget is None and size is not None:
        raise PlanError("`plan_params`: expected the plan's budget too, as `plan_flops`.")
    plans = (
        []
        if budget is None
        else [maps.map_plan(chosen, one, made, max_sparsity=cap, flops=budget, size=size) for one in map_costs]
    )
    for plan in plans:
        _require_inside("params", sizes, plan.nonzero_params)
        _require_inside("flops", budgets, plan.train_flops)
    given = None if runs is None else _read(runs, columns, chosen)
    found = maps.sparsity_maps(
        chosen,
        map_costs,
        pattern=made,
        max_sparsity=cap,
        points=points,
        sizes=sizes,
        flops=budgets,
        spread=spread,
        plans=plans,
        runs=[] if given is None else [runs_on_map(given, one, chosen) for one in map_costs],
    )
    return [SparsityMap(**{field.name: getattr(chart, field.name) for field in fields(chart)}) for chart in found]


def _pattern(law: Law, asked: PatternLike | None) -> Pattern:
    """What may be chosen at each point."""
    family = main_family(law)
    assert family is not None, "a law with sparsity has a family"
    made = parse_pattern(family) if asked is None else arguments.pattern("pattern", asked)
    if made.kept is not None:
        raise PlanError(
            f"`pattern`: expected several sparsities to choose from, unstructured or a family such as {made.family}, "
            f"found {made}, which makes one."
        )
    return made


def _map_cost(cost: CostLike, law: Law, pattern: Pattern) -> maps.MapCost:
    """The costs that compete in a map: a device that runs 2:4 faster lets it compete with unstructured sparsity."""
    profile = profile_of(cost)
    plain = cost_of(cost, profile, law, pattern)
    rival = profile is not None and pattern == UNSTRUCTURED
    return maps.MapCost(plain, cost_of(cost, profile, law, TWO_OF_FOUR) if rival else None)


def _require_inside(name: str, span: tuple[float, float] | None, value: float) -> None:
    if span is not None and not span[0] <= value <= span[1]:
        write = format_count if name == "params" else format_scientific
        raise PlanError(
            f"`{name}`: the plan, at {write(value)}, lies outside {write(span[0])} .. {write(span[1])}; widen the "
            "range, or leave it out."
        )


def _read(runs: "str | Path | Runs", columns: Mapping[str, str] | None, law: Law) -> "Runs":
    from sparseplan.runs.reading import Reading
    from sparseplan.runs.table import read_runs

    table = read_runs(Path(runs), Reading(columns=columns or {})) if isinstance(runs, str | Path) else runs
    if table.data_unit is not None and table.data_unit != law.data_unit:
        raise RunsError(
            f"{table.source}: its data_unit is {table.data_unit}, that of the law {law.name} is {law.data_unit}: these "
            "runs belong to another law."
        )
    return table

"""Maps of the best sparsity, which show as figures: `sparsity_map`."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from sparseplan.api import arguments
from sparseplan.api.arguments import Number
from sparseplan.api.planning import CostLike, LawLike, cost_of, load_law, profile_of
from sparseplan.common.units import format_count, format_scientific
from sparseplan.laws import DEFAULT_LAW
from sparseplan.laws.law import Law, main_family, require_sparse
from sparseplan.plan import sparsity_map as maps
from sparseplan.sparsity.pattern import TWO_OF_FOUR, UNSTRUCTURED


@dataclass(frozen=True, kw_only=True, slots=True, repr=False, eq=False)
class SparsityMap(maps.SparsityMap):
    """The best sparsity over sizes and budgets: arrays, and in a notebook a figure; needs matplotlib to be drawn."""

    def save(self, path: str | Path) -> None:
        """Write the figure as .png, .svg or .pdf, whole or not at all.

        Raises:
            PlanError: for another ending, or without matplotlib.
        """
        from sparseplan.figures.sparsity_map import draw_sparsity_maps

        draw_sparsity_maps([self], Path(path))

    def _repr_png_(self) -> bytes:
        from sparseplan.figures.sparsity_map import png_of_sparsity_map

        return png_of_sparsity_map(self)

    def __repr__(self) -> str:
        N, C = self.nonzero_params, self.train_flops
        sizes = f"{format_count(N[0])} .. {format_count(N[-1])} non-zero parameters"
        budgets = f"{format_scientific(C[0])} .. {format_scientific(C[-1])} FLOPs"
        return f"<SparsityMap of {self.law_name}, {self.cost_name} cost: {sizes}, {budgets}>"


def sparsity_map(
    law: LawLike = DEFAULT_LAW,
    *,
    cost: "CostLike | Sequence[CostLike]" = "sparse",
    params: tuple[Number, Number] | None = None,
    flops: tuple[Number, Number] | None = None,
    points: int = 120,
    spread: bool = False,
) -> list[SparsityMap]:
    """The best sparsity over non-zero parameters and training FLOPs, a map for each cost on one grid.

    Args:
        law: By name, path or object; it must know sparsity.
        cost: As for `optimal`; several make several maps.
        params: Ends of the sizes, ("1M", "10B"); by default around what the law's runs covered.
        flops: Ends of the budgets; by default where sparsity begins to pay and goes on to 87.5 %.
        points: Grid points per axis.
        spread: Compute the percentiles of the best sparsity over the law's draws too, which takes longer.

    Returns:
        Maps with arrays of shape (points, points): budgets down, sizes across. Each shows as a figure in a notebook
        and writes it with `save`.

    Raises:
        SparseplanError: for a law without sparsity, or ends that lead nowhere.
    """
    chosen = require_sparse(load_law(law))
    family = main_family(chosen)
    assert family is not None, "a law with sparsity has a family"
    costs = [cost] if isinstance(cost, str | Path) or not isinstance(cost, Sequence) else list(cost)
    found = maps.sparsity_maps(
        chosen,
        [_map_cost(one, chosen) for one in costs],
        family=family,
        points=points,
        sizes=arguments.span("params", params),
        flops=arguments.span("flops", flops),
        spread=spread,
    )
    return [SparsityMap(**{field.name: getattr(chart, field.name) for field in fields(chart)}) for chart in found]


def _map_cost(cost: CostLike, law: Law) -> maps.MapCost:
    """The costs that compete in a map: a device that runs 2:4 faster lets it compete with unstructured sparsity."""
    profile = profile_of(cost)
    plain = cost_of(cost, profile, law, UNSTRUCTURED)
    return maps.MapCost(plain, None if profile is None else cost_of(cost, profile, law, TWO_OF_FOUR))

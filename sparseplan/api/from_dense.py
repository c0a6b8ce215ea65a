"""Plans for a dense model that exists: `from_dense`, which the command line calls `optimal --from-dense`."""

from collections.abc import Sequence

from msgspec import structs

from sparseplan.api import arguments
from sparseplan.api.arguments import Number, PatternLike
from sparseplan.api.named import CostLike, LawLike, cost_of, load_law, profile_of
from sparseplan.common.json_struct import to_json
from sparseplan.errors import PlanError
from sparseplan.laws import DEFAULT_LAW
from sparseplan.laws.law import Law, require_sparse
from sparseplan.plan import from_dense as planning
from sparseplan.plan.caveats import sparsity_cap
from sparseplan.sparsity.pattern import UNSTRUCTURED


class FromDense(planning.FromDense, frozen=True, kw_only=True):
    """The answer of `from_dense`; its fields are the keys of `optimal --from-dense --json`, and it prints likewise."""

    def __str__(self) -> str:
        from sparseplan.api.rendering import printed
        from sparseplan.report.from_dense import print_from_dense

        return printed(lambda console: print_from_dense(console, self))

    def _repr_html_(self) -> str:
        from sparseplan.api.rendering import preformatted

        return preformatted(str(self))

    def to_json(self) -> str:
        """As `sparseplan optimal --from-dense --json` prints it."""
        return to_json(self)


def from_dense(
    flops: Number,
    *,
    dense_params: Number,
    dense_data: Number,
    law: LawLike | Sequence[LawLike] = DEFAULT_LAW,
    pattern: PatternLike = UNSTRUCTURED,
    cost: CostLike = "sparse",
    max_sparsity: Number | None = None,
) -> FromDense:
    """Whether to prune a dense model that exists, to train it on, or to train from scratch.

    Args:
        flops: Training FLOPs to spend now.
        dense_params: The model's prunable parameters.
        dense_data: What it was trained on, in the law's unit.
        law: By name, path or object; a second one may be of runs that started from dense checkpoints of the same setup.
            Without such a law all of the model's data are assumed to count for the pruned one.
        pattern: "unstructured" (the default), one n:m such as "2:4", or a family such as "n:4".
        cost: What zeros cost in training, as `optimal` takes it.
        max_sparsity: Highest sparsity to consider; by default the highest among the law's runs.

    Returns:
        For every sparsity the pruned model's loss, the cheapest training from scratch of equal loss and as many
        non-zero parameters, and the share of the model's data that must count for pruning to be the better.

    Raises:
        SparseplanError: for arguments that contradict each other or have no answer; it names the argument.

    >>> answer = from_dense(1e21, dense_params="1B", dense_data="20B", law="frantar2023-t5-c4")
    >>> half = answer.pruned[1]
    >>> half.sparsity, half.flops_ratio < 1 < half.flops_ratio_with_dense
    (0.5, True)
    """
    made, cap = arguments.pattern("pattern", pattern), arguments.sparsity("max_sparsity", max_sparsity)
    size = arguments.count("dense_params", dense_params)
    assert size is not None, "it has no default"
    scratch, started = _told_apart([law] if isinstance(law, LawLike) else list(law))
    require_sparse(scratch)
    ramp = (started or scratch).schedule
    profile = profile_of(cost)
    asked = planning.Existing(
        dense_params=size,
        data_seen=arguments.needed("dense_data", dense_data),
        train_flops=arguments.needed("flops", flops),
        cost=cost_of(cost, profile, scratch, made),
        pruning_cost=cost_of(cost, profile, structs.replace(scratch, schedule=ramp), made),
        pattern=made,
        max_sparsity=sparsity_cap(scratch) if cap is None else cap,
    )
    found = planning.from_dense(scratch, asked, ramp=ramp.describe(), start_law=started)
    return FromDense(**{name: getattr(found, name) for name in found.__struct_fields__})


def _told_apart(given: list[LawLike]) -> tuple[Law, Law | None]:
    """The law of runs from scratch, and that of pretrained starts, where there is one.

    Raises:
        PlanError: unless there is one of the first and at most one of the second, of one data unit.
    """
    laws = [load_law(one) for one in given]
    scratch, started = [one for one in laws if one.start is None], [one for one in laws if one.start is not None]
    if len(scratch) != 1 or len(started) > 1:
        names = ", ".join(f"{one.name} ({'from scratch' if one.start is None else 'pretrained'})" for one in laws)
        raise PlanError(
            "`law`: expected a law of runs from scratch, and at most one more of pretrained starts of the same setup, "
            f"found {names}."
        )
    if started and started[0].data_unit != scratch[0].data_unit:
        raise PlanError(
            f"`law`: expected two laws of one data unit, found {scratch[0].data_unit} and {started[0].data_unit}."
        )
    return scratch[0], started[0] if started else None

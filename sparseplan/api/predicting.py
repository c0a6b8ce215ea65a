"""`predict`: the loss of a run, as the command prints it."""

from sparseplan.api import arguments
from sparseplan.api.arguments import Number, PatternLike
from sparseplan.api.named import LawLike, facts, load_law, with_shadow
from sparseplan.common.json_struct import to_json
from sparseplan.errors import PlanError
from sparseplan.laws import DEFAULT_LAW
from sparseplan.laws.law import form_of
from sparseplan.plan import predict as predictions
from sparseplan.sparsity.pattern import UNSTRUCTURED


class Prediction(predictions.Prediction, frozen=True, kw_only=True):
    """The answer of `predict`; its fields are the keys of `predict --json`, and it prints as the terminal does."""

    def __str__(self) -> str:
        from sparseplan.api.rendering import printed
        from sparseplan.report.prediction import print_prediction

        return printed(lambda console: print_prediction(console, self))

    def _repr_html_(self) -> str:
        from sparseplan.api.rendering import preformatted

        return preformatted(str(self))

    def to_json(self) -> str:
        """As `sparseplan predict --json` prints it."""
        return to_json(self)


def predict(
    *,
    data: Number,
    params: Number | None = None,
    dense_params: Number | None = None,
    sparsity: Number | None = None,
    pattern: PatternLike = UNSTRUCTURED,
    law: LawLike = DEFAULT_LAW,
    strategy: str | None = None,
    unique_data: Number | None = None,
) -> Prediction:
    """The validation loss of a run with N non-zero parameters, D data and sparsity S.

    Args:
        data: Data seen D in the law's unit, repeats counted.
        params: Non-zero prunable parameters N, 7e9 or "7B"; or else `dense_params`.
        dense_params: Prunable parameters before pruning, N / (1 - S).
        sparsity: Final sparsity S in [0, 1), 0.75 or "75%"; a single pattern such as "2:4" says it too,
            and under a law of dense models it is 0.
        pattern: The pattern that makes it.
        law: By name, path or object.
        strategy: How it is pruned, where the law's calibration has laws for several strategies.
        unique_data: Unique data that the run draws on; beyond it data is repeated. By default all data are unique.

    Returns:
        The loss in nats with the interval of the law's draws and the distance from its runs.

    Raises:
        SparseplanError: for arguments that contradict each other or the law; it names the argument.

    Examples:
        >>> round(predict(params="85M", data="65.5B", sparsity="75%", law="frantar2023-t5-c4").loss, 4)
        1.6317
    """
    made = arguments.pattern("pattern", pattern)
    S = arguments.sparsity("sparsity", sparsity)
    if S is None:
        S = made.sparsity
    chosen = load_law(law, strategy=strategy)
    if S is None and not form_of(chosen).knows_sparsity:
        S = 0.0
    if S is None:
        raise PlanError("`sparsity`: expected the fraction of weights that are zero, or one `pattern` such as 2:4.")
    N, M = arguments.positive("params", params), arguments.positive("dense_params", dense_params)
    if (N is None) == (M is None):
        found = "neither" if N is None else "both"
        raise PlanError(f"expected one size, `params` or `dense_params`; found {found}.")
    result = predictions.predict(
        chosen,
        N=N,
        M=M,
        D=arguments.needed("data", data),
        S=S,
        pattern=made,
        unique_data=arguments.positive("unique_data", unique_data),
    )
    return Prediction(**facts(result) | {"warnings": with_shadow(law, result.warnings)})

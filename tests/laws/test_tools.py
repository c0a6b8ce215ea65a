"""What can be done with law files besides planning: compose, check, compare."""

from sparseplan.laws.check import check_law
from sparseplan.laws.diff import diff_laws
from sparseplan.laws.file import load_law
from sparseplan.laws.law import Law, Range
from sparseplan.plan.predict import predict
from sparseplan.sparsity.pattern import parse_pattern


def test_check_names_what_is_doubtful(t5: Law) -> None:
    assert [(finding.key, finding.doubtful) for finding in check_law(t5)] == [("draws", False)]
    facts = {name: getattr(t5, name) for name in t5.__struct_fields__}
    odd = Law(
        **facts
        | {
            "coefficients": {"b_N": 3.0, "a_D": 6.9e8, "b_D": 0.203, "c": 0.651},
            "range": Range(),
            "data_unit": "image",
            "tokens_per_unit": 1.0,
            "sparsity": {**t5.sparsity, "n:4": {"a_S": 0.0, "b_S": 0.7, "c_S": 30.0}},
        }
    )
    keys = {finding.key for finding in check_law(odd)}
    assert {"coefficients.b_N", "range.sparsity", "tokens_per_unit", "sparsity.n:4.a_S", "sparsity.n:4"} <= keys


def test_check_notices_draws_of_another_law(t5: Law, t5_with_draws: Law) -> None:
    assert [finding.key for finding in check_law(t5_with_draws)] == []
    vit = load_law("frantar2023-vit-jft")
    mixed = Law(**{n: getattr(vit, n) for n in vit.__struct_fields__} | {"draws": t5_with_draws.draws})
    assert {finding.key for finding in check_law(mixed)} == {"draws.data"}


def test_a_law_does_not_differ_from_itself(t5: Law) -> None:
    difference = diff_laws(t5, t5)
    assert difference.loss_difference == (0.0, 0.0, 0.0)
    assert difference.sparsity_difference == (0.0, 0.0, 0.0)
    assert difference.region == "both"


def test_the_difference_of_two_laws_is_that_of_their_predictions() -> None:
    first, second = load_law("hoffmann2022-chinchilla"), load_law("besiroglu2024-chinchilla")
    difference = diff_laws(first, second)
    plain = parse_pattern("unstructured")
    assert [change.name for change in difference.coefficients] == ["E", "A", "B", "alpha", "beta"]
    assert difference.loss_difference is not None
    corner = [predict(law, N=7e7, D=5e9, S=0.0, pattern=plain).loss for law in (first, second)]
    assert difference.loss_difference[0] <= corner[1] - corner[0] <= difference.loss_difference[2]
    assert difference.sparsity_difference is None

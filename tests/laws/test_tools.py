"""What can be done with law files besides planning: compose, check, compare."""

import numpy as np
import pytest

from sparseplan.laws.check import check_law
from sparseplan.laws.compose import compose
from sparseplan.laws.diff import diff_laws
from sparseplan.laws.file import load_law
from sparseplan.laws.law import Law, Range, coefficient_draws, coefficients
from sparseplan.plan.answer import answer
from sparseplan.plan.predict import predict
from sparseplan.sparsity.pattern import parse_pattern
from tests.helpers.questions import codes, question


def test_composing_keeps_the_dense_base_and_the_shape_of_the_sparsity_term(t5: Law) -> None:
    dense = load_law("besiroglu2024-chinchilla")
    mixed = compose(dense, t5, name="mixed")
    plain = parse_pattern("unstructured")
    assert predict(mixed, N=1e9, D=2e10, S=0.0, pattern=plain).loss == pytest.approx(
        predict(dense, N=1e9, D=2e10, S=0.0, pattern=plain).loss
    )
    for S in (0.3, 0.5, 0.875):
        lent, own = (coefficients(law, "unstructured") for law in (t5, mixed))
        shares = [float(theta.reducible(S, 1.0, np.inf) / theta.reducible(0.0, 1.0, np.inf)) for theta in (lent, own)]
        assert shares[1] == pytest.approx(shares[0])
    assert "transferred" in codes(answer(mixed, question(mixed, 1e22)))


def test_composing_carries_draws_of_the_lender(t5_with_draws: Law) -> None:
    mixed = compose(load_law("besiroglu2024-chinchilla"), t5_with_draws, name="mixed")
    draws = coefficient_draws(mixed, "unstructured")
    assert draws is not None
    np.testing.assert_allclose(draws.reducible(0.0, 1.0, np.inf), 482.01, rtol=1e-6)
    result = answer(mixed, question(mixed, 1e22))
    assert result.intervals is not None
    assert result.intervals.sparsity[0] < result.plan.sparsity < result.intervals.sparsity[1]


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


def test_draws_on_a_base_that_stands_still_are_a_composed_law_s_own() -> None:
    for sparse in ("frantar2023-t5-c4-refit", "frantar2023-t5-c4-coupled"):
        mixed = compose(load_law("hoffmann2022-chinchilla"), load_law(sparse), name="mixed")
        assert [one for one in check_law(mixed) if one.key.startswith("draws")] == []


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

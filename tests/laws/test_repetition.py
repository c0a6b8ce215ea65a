"""The block `repetition` of law files: read, refused, composed, compared, checked, drawn, lent."""

from dataclasses import asdict

import numpy as np
import pytest

from sparseplan.errors import LawError
from sparseplan.laws.check import check_law
from sparseplan.laws.compose import compose
from sparseplan.laws.diff import diff_laws
from sparseplan.laws.draws import Draws
from sparseplan.laws.file import law_text, load_law, parse_law
from sparseplan.laws.law import Law, coefficient_draws, coefficients
from sparseplan.laws.repetition import RateInSparsity, Repetition
from sparseplan.laws.unique_data import limited, published

HEAD = """\
format: sparseplan-law/1
name: team
description: Ours.
form: chinchilla
data_unit: token
coefficients: {E: 1.69, A: 406.4, B: 410.7, alpha: 0.34, beta: 0.28}
"""


def with_block(law: Law, **facts: object) -> Law:
    return Law(**{name: getattr(law, name) for name in law.__struct_fields__} | facts)


def test_any_law_may_carry_numbers_or_coefficients_in_sparsity(t5: Law) -> None:
    plain = parse_law(HEAD + "repetition: {R_N: 5, R_D: 15.5}\n", source="team.yaml")
    assert plain.repetition == Repetition(R_N=5.0, R_D=15.5)
    varying = with_block(t5, repetition=Repetition(R_N=5.0, R_D=RateInSparsity(dense=4.4, linear=1.8, quadratic=-1.3)))
    again = parse_law(law_text(varying), source="t5.yaml")
    assert again == varying
    assert again.repetition is not None
    assert float(again.repetition.rate("R_D").at(0.5)) == pytest.approx(4.4 * (1 + 0.9 - 0.325))


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("{R_N: 5}", r"team.yaml:7: repetition: the key 'R_D' is missing"),
        ("{R_N: 5, R_D: -1}", r"team.yaml:7: repetition.R_D: expected a number > 0.0, found -1"),
        ("{R_N: 5, R_D: many}", r"team.yaml:7: repetition.R_D: expected a number or a mapping, found 'many'"),
        (
            "{R_N: 5, R_D: {dense: 4, linea: 1}}",
            r"team.yaml:7: repetition.R_D.linea: unknown key \(did you mean 'linear'",
        ),
        ("{R_N: 5, R_D: {dense: 4, linear: -1.5}}", r"above 0 at every sparsity, found -0.5 at S = 1"),
        ("{R_N: 5, R_D: {dense: 4, linear: -5, quadratic: 5}}", r"found -0.25 at S = 0.5"),
    ],
)
def test_a_mistake_in_the_block_is_named_by_line_and_key(block: str, expected: str) -> None:
    with pytest.raises(LawError, match=expected):
        parse_law(HEAD + f"repetition: {block}\n", source="team.yaml")


def test_a_worst_error_below_the_mean_is_refused() -> None:
    with pytest.raises(LawError, match=r"held_out: expected worst at least mean \(0.04\), found 0.01"):
        parse_law(HEAD + "held_out: {mean: 0.04, worst: 0.01, runs: 11}\n", source="team.yaml")


def test_a_law_without_rates_borrows_published_ones_that_speak_of_such_models(t5: Law) -> None:
    assert (limited(t5, 1e9).lender.name, limited(t5, 1e9).borrowed) == ("wu2026-llama-c4", True)
    assert limited(load_law("besiroglu2024-chinchilla"), 1e9).lender.name == "muennighoff2023-c4"
    own = load_law("muennighoff2023-c4")
    assert (limited(own, 1e9).lender, limited(own, 1e9).borrowed) == (own, False)
    assert [one.lender.name for one in published(1e9, but=own)] == ["wu2026-llama-c4"]


def test_composing_keeps_the_dense_rates_and_lends_their_change_with_sparsity(t5: Law) -> None:
    dense, sparse = load_law("muennighoff2023-c4"), load_law("wu2026-llama-c4")
    assert dense.repetition is not None
    assert sparse.repetition is not None
    mixed = compose(dense, sparse, name="mixed").law.repetition
    assert mixed is not None
    for name in ("R_N", "R_D"):
        for S in (0.0, 0.5, 0.9):
            change = sparse.repetition.rate(name).at(S) / sparse.repetition.rate(name).at(0.0)
            expected = dense.repetition.rate(name).at(0.0) * change
            assert float(mixed.rate(name).at(S)) == pytest.approx(float(expected))
    assert compose(dense, t5, name="mixed").law.repetition == dense.repetition
    assert compose(load_law("besiroglu2024-chinchilla"), sparse, name="mixed").law.repetition == sparse.repetition
    assert compose(dense, t5, name="mixed").law.counts_embeddings


def test_draws_of_the_rates_are_read_paired_and_carried_into_composed_laws(t5_with_draws: Law) -> None:
    dense = load_law("muennighoff2023-c4")
    table = np.array([5.3, 15.4]) * np.exp(0.1 * np.random.default_rng(1).standard_normal((300, 2)))
    draws = Draws.pack(["repetition.R_N", "repetition.R_D"], table, method="synthetic")
    drawn = parse_law(law_text(with_block(dense, draws=draws)), source="drawn.yaml")
    theta = limited(drawn, 1e9).limit_draws(coefficients(drawn))
    losses = theta.loss(0.0, 1e9, 2e10)
    assert losses.shape == (300,)
    for k in (0, 7):
        alone = with_block(dense, repetition=Repetition(R_N=float(table[k, 0]), R_D=float(table[k, 1])))
        one = limited(alone, 1e9).limit(coefficients(alone))
        assert float(losses[k]) == pytest.approx(float(one.loss(0.0, 1e9, 2e10)), rel=1e-6)
    mixed = compose(drawn, t5_with_draws, name="mixed").law
    assert mixed.draws is not None
    assert {"repetition.R_N", "repetition.R_D", "unstructured.a_S"} <= set(mixed.draws.columns)
    assert coefficient_draws(mixed, "unstructured") is not None


def test_draws_of_rates_that_the_law_does_not_have_are_refused(t5: Law) -> None:
    draws = Draws.pack(["repetition.R_D"], np.array([[4.0], [5.0]]), method="synthetic")
    with pytest.raises(LawError, match=r"draws.columns\[0\]: expected a coefficient of this law"):
        parse_law(law_text(with_block(t5, draws=draws)), source="t5.yaml")


def test_two_laws_are_compared_in_their_rates_too() -> None:
    rows = {
        row.name: row for row in diff_laws(load_law("wu2026-llama-c4"), load_law("muennighoff2023-c4")).coefficients
    }
    assert (rows["repetition.R_D at 0%"].first, rows["repetition.R_D at 0%"].second) == (4.40474882, 15.387756)
    assert rows["repetition.R_D at 50%"].first == pytest.approx(4.40474882 * (1 + 1.82138122 / 2 - 1.36530917 / 4))
    assert "repetition.R_D" not in {row.name for row in diff_laws(*(load_law("frantar2023-t5-c4"),) * 2).coefficients}


def test_rates_far_from_published_ones_and_missing_ranges_are_named() -> None:
    dense = load_law("muennighoff2023-c4")
    assert {finding.key for finding in check_law(dense)} == {"draws"}
    odd = parse_law(HEAD + "repetition: {R_N: 5, R_D: 1500}\n", source="team.yaml")
    found = [asdict(finding) for finding in check_law(odd)]
    assert {"repetition.R_D", "range.unique_data", "range.epochs"} <= {one["key"] for one in found}

"""A law averaged over forms: what its file says, what it predicts and plans, and what refuses it."""

from typing import Any

import numpy as np
import pytest

import sparseplan as sp
from sparseplan.cost.flops import flops_cost
from sparseplan.errors import LawError
from sparseplan.laws.check import check_law
from sparseplan.laws.compose import compose
from sparseplan.laws.diff import diff_laws
from sparseplan.laws.file import law_text, load_law, parse_law
from sparseplan.laws.forms.budget import flops_budget
from sparseplan.laws.forms.mixture import Mixture
from sparseplan.laws.law import AVERAGE, FormBlock, Law, coefficient_draws, coefficients, draw_count, members
from sparseplan.plan.sparsity_map import MapCost, sparsity_maps

PLAIN, COUPLED = (load_law(f"frantar2023-t5-c4-{word}") for word in ("refit", "coupled"))
TEXT = """\
format: sparseplan-law/1
name: both
description: Two forms of one law.
form: average
data_unit: token
forms:
  - form: frantar2023
    weight: 0.25
    coefficients: {b_N: 0.245, a_D: 6.90e+8, b_D: 0.203, c: 0.651}
    sparsity: {unstructured: {a_S: 16.8, b_S: 0.722, c_S: 45.0}}
  - form: coupled
    weight: 0.75
    coefficients: {b_N: 0.388, a_D: 2.16e+10, b_D: 0.437, c: 0.305, k: 0.455}
    sparsity: {unstructured: {a_S: 616.0, b_S: 1.388, c_S: 1334.0}}
schedule: {kind: cubic, start: 0.25, end: 0.75}
"""


def averaged(first: Law = PLAIN, second: Law = COUPLED, weight: float = 0.25) -> Law:
    facts = {name: getattr(first, name) for name in first.__struct_fields__}
    blocks = tuple(
        FormBlock(form=law.form, weight=share, coefficients=law.coefficients, sparsity=law.sparsity, draws=law.draws)
        for law, share in ((first, weight), (second, 1 - weight))
    )
    own: dict[str, Any] = {
        "name": "both",
        "form": AVERAGE,
        "coefficients": {},
        "sparsity": {"unstructured": {}},
        "draws": None,
    }
    return Law(**facts | own | {"forms": blocks})


def test_its_loss_is_the_weighted_mean_of_its_forms() -> None:
    law = parse_law(TEXT, source="both.yaml")
    first, second = (coefficients(one, "unstructured").loss(0.75, 85e6, 65.5e9) for one in members(law))
    assert float(first) == pytest.approx(1.6317, abs=5e-5)  # the paper's own coefficients
    by_hand = 0.25 * float(first) + 0.75 * float(second)
    predicted = sp.predict(params=85e6, data=65.5e9, sparsity=0.75, law=law)
    assert predicted.loss == pytest.approx(by_hand, rel=1e-12)
    assert predicted.law.form == "average"


def test_it_survives_the_way_through_its_file_with_draws_of_every_form() -> None:
    law = averaged()
    again = parse_law(law_text(law), source="again.yaml")
    assert again.forms == law.forms
    assert "coefficients" not in law_text(law).split("forms:")[0]
    place = (0.5, 1e8, 3e10)
    assert float(coefficients(again).loss(*place)) == float(coefficients(law).loss(*place))


def test_its_draws_are_those_of_the_forms_as_often_as_they_weigh() -> None:
    law = averaged()
    draws = coefficient_draws(law, "unstructured")
    assert isinstance(draws, Mixture)
    assert draws.counts == (333, 1000)  # 1,000 of the heavier one, and a third of them of the other
    assert draw_count(law) == 1333
    losses = draws.loss(0.5, 1e9, 3e10)
    for member, rows in zip(members(law), (slice(0, 333), slice(333, None)), strict=True):
        own = coefficient_draws(member, "unstructured")
        assert own is not None
        # Vector and scalar powers of numpy differ in the last digit.
        np.testing.assert_allclose(losses[rows], own.loss(0.5, 1e9, 3e10)[: rows.stop], rtol=1e-13)


def test_every_answer_of_a_mixture_is_each_parts_own() -> None:
    parts = [coefficient_draws(law, "unstructured") for law in (PLAIN, COUPLED)]
    assert all(part is not None for part in parts)
    first, second = (part.rows(slice(0, 3 + index)) for index, part in enumerate(parts) if part is not None)
    mixed, budget = Mixture((first, second), (3, 4)), flops_budget(1e20, 0.625)
    grid: Any = np.geomspace(1e7, 1e10, 5)
    own: Any = np.linspace(1e8, 7e8, 7)
    for name, arguments in (
        ("best_size", (0.5, budget)),
        ("best_sparsity", (budget,)),
        ("optimal_tokens", (1e9,)),
        ("cheapest_tokens", (0.5, 0.5)),
        ("data_for", (0.5, 1e9, 0.9)),
        ("size_for_data", (0.5, 1e11)),
        ("balance", (0.5, 1e9, 1e11)),
        ("size_multiplier", (0.5, 1e9)),
        ("tokens_for_sparsity", (0.5, 1e9, budget)),
    ):
        pieces = [np.broadcast_to(getattr(part, name)(*arguments), n) for part, n in ((first, 3), (second, 4))]
        np.testing.assert_array_equal(getattr(mixed, name)(*arguments), np.concatenate(pieces), err_msg=name)
    wide = mixed.expanded().loss(0.5, grid, 1e10)
    assert wide.shape == (7, 5)
    np.testing.assert_array_equal(wide[4], second.rows(slice(1, 2)).loss(0.5, grid, 1e10))
    np.testing.assert_array_equal(mixed.loss(0.5, own, 1e10)[:3], first.loss(0.5, own[:3], 1e10))
    kept = mixed.rows(np.array([False, True, False, False, True, True, False]))
    assert kept.counts == (1, 2)
    np.testing.assert_array_equal(kept.loss(0.5, 1e9, 1e10), mixed.loss(0.5, 1e9, 1e10)[[1, 4, 5]])


@pytest.mark.parametrize("objective", ["point", "mean"])
def test_no_plan_of_a_grid_has_a_lower_loss(objective: str) -> None:
    law = averaged()
    result = sp.optimal(1e22, law=law, objective=objective)  # type: ignore[arg-type]
    S, N = np.linspace(0.3, 0.7, 41)[:, None], np.geomspace(1e9, 1e11, 121)
    D = flops_budget(1e22 / 6, 0.625).data(S, N)
    if objective == "point":
        losses = coefficients(law, "unstructured").loss(S, N, D)
    else:
        draws = coefficient_draws(law, "unstructured")
        assert draws is not None
        losses = np.stack([draws.loss(s, N[:, None], d[:, None]).mean(axis=-1) for s, d in zip(S, D, strict=True)])
    assert result.plan.loss <= losses.min() + 1e-12
    assert result.plan.loss == pytest.approx(losses.min(), abs=1e-4)
    assert result.intervals is not None
    assert result.intervals.draws == 1333


def test_the_interval_reaches_over_both_forms() -> None:
    """A law of one form is sure of what another denies: beyond the runs the average's interval holds both."""
    place: dict[str, Any] = {"params": "10B", "data": "1T", "sparsity": 0.5}
    both, plain, coupled = (sp.predict(**place, law=law) for law in (averaged(weight=0.5), PLAIN, COUPLED))
    assert both.interval is not None
    assert both.interval[0] < coupled.loss < plain.loss < both.interval[1]


def test_a_map_has_the_best_sparsity_of_each_point() -> None:
    law = averaged()
    (drawn,) = sparsity_maps(law, [MapCost(flops_cost("sparse", law.schedule))], points=3)
    answered = sp.optimal(float(drawn.train_flops[1]), params=float(drawn.nonzero_params[1]), law=law)
    assert drawn.sparsity[1, 1] == pytest.approx(answered.plan.sparsity, abs=1e-3)
    assert drawn.half_flops is not None


def test_check_looks_at_every_form_and_diff_names_each() -> None:
    findings = check_law(averaged())
    assert {finding.key.split(".")[0] for finding in findings} == {"forms[0]", "forms[1]"}
    assert not [finding for finding in findings if finding.doubtful]
    rows = {one.name: (one.first, one.second) for one in diff_laws(averaged(), PLAIN).coefficients}
    assert rows["frantar2023 weight"] == (0.25, 1.0)
    assert rows["coupled weight"] == (0.75, None)
    assert rows["frantar2023 b_N"][0] == rows["frantar2023 b_N"][1]


def test_what_needs_one_form_refuses_it() -> None:
    with pytest.raises(LawError, match="averaged over the forms frantar2023 and coupled: composing needs a law of one"):
        compose(load_law("besiroglu2024-chinchilla"), averaged(), name="x")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("weight: 0.75", "weight: 0.5", "forms: expected weights that add up to 1, found 0.75 in all"),
        ("form: coupled", "form: coupld", "expected one of"),
        ("k: 0.455", "q: 0.455", "forms[1].coefficients"),
        ("unstructured: {a_S: 616.0", "n:4: {a_S: 616.0", "the pattern families of the first form (unstructured)"),
        ("b_N: 0.245", "b_N: -0.245", "forms[0].coefficients.b_N: expected a number > 0"),
    ],
)
def test_a_mistake_in_a_block_is_named_by_its_key(old: str, new: str, expected: str) -> None:
    assert old in TEXT
    with pytest.raises(LawError) as caught:
        parse_law(TEXT.replace(old, new), source="both.yaml")
    assert expected in str(caught.value)

"""The line over all laws: hand values of each, what applies to a question, and no contradiction with the plan."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import sparseplan as sp
from sparseplan.laws.file import load_law
from sparseplan.laws.forms import search
from sparseplan.laws.forms.average_parameters import AverageParameters
from sparseplan.laws.forms.budget import schedule_budget
from sparseplan.laws.law import Law, coefficients
from sparseplan.plan.across_laws import JIN, AcrossLaws
from sparseplan.plan.answer import answer
from sparseplan.sparsity.schedule import Schedule
from tests.helpers.questions import question

T5, WU = "frantar2023-t5-c4", "wu2026-llama-c4"


def across(answered: sp.Answer) -> AcrossLaws:
    assert answered.across_laws is not None
    return answered.across_laws


def test_each_law_answers_with_its_own_numbers() -> None:
    by_name = {one.law: one for one in across(sp.optimal(1e25, law=T5)).laws}
    assert by_name[T5].sparsity == pytest.approx(0.499, abs=6e-4)
    assert by_name[T5].compute_ratio == pytest.approx(0.866, abs=6e-4)
    # Sparse from step 0, where zeros are free, costs what a dense model of the non-zero size costs: 1 / m(S) is left.
    assert by_name[WU].sparsity == 0.9375
    assert by_name[WU].compute_ratio == pytest.approx(1 / 2.24, abs=1e-3)
    assert by_name[WU].ramp == "sparse from the first step"
    # Jin et al.: equal compute, equal loss.
    assert by_name[JIN].sparsity is None
    assert by_name[JIN].compute_ratio == 1.0


@pytest.mark.parametrize(
    "asked",
    [
        {"cost": "sparse", "objective": "mean"},
        {"cost": "dense", "params": "1B"},
        {"cost": "h100", "dense_params": "2B"},
    ],
)
def test_the_line_contains_the_plan_above_it_which_comes_first(asked: dict[str, Any]) -> None:
    result = sp.optimal(1e21, **asked)
    found = across(result)
    assert found.laws[0].law == result.law.name
    assert found.laws[0].sparsity == result.plan.sparsity
    assert found.laws[0].compute_ratio == pytest.approx(result.comparison.compute_ratio_any_size)
    assert found.sparsity[0] <= result.plan.sparsity <= found.sparsity[1]
    assert found.compute_ratio[0] <= found.laws[0].compute_ratio <= found.compute_ratio[1]


def test_laws_of_another_data_unit_and_dense_ones_are_not_asked_and_fits_of_the_same_runs_are_numbered_alike() -> None:
    runs = {one.law: one.runs for one in across(sp.optimal(1e23)).laws}
    assert runs == {
        "frantar2023-t5-c4-refit": 0,
        "frantar2023-t5-c4-coupled": 0,
        "frantar2023-t5-c4": 0,
        WU: 1,
        JIN: 2,
    }
    images = across(sp.optimal(1e21, law="frantar2023-vit-jft")).laws
    assert [one.law for one in images if one.runs == 0] == [
        "frantar2023-vit-jft",
        "frantar2023-vit-jft-coupled",
        "frantar2023-vit-jft-refit",
    ]
    assert len(images) == 4


def test_where_only_dense_models_are_asked_for_there_is_nothing_to_compare() -> None:
    law = load_law(T5)
    assert answer(law, replace(question(law, 1e22), max_sparsity=0.0)).across_laws is None
    assert sp.optimal(1e22, law="besiroglu2024-chinchilla").across_laws is None
    assert sp.optimal(1e20, law=WU, unique_data="1.3B", cost="dense").across_laws is None


def test_a_cap_of_the_user_holds_for_every_law_and_the_laws_own_caps_else() -> None:
    assert across(sp.optimal(1e23, max_sparsity="40%")).sparsity == (0.4, 0.4)
    family = across(sp.optimal(1e23, pattern="2:4")).laws
    assert {one.sparsity for one in family} == {0.5, None}


def test_a_law_of_ones_own_stands_beside_the_built_in_ones(t5: Law) -> None:
    facts = {name: getattr(t5, name) for name in t5.__struct_fields__}
    mine = Law(**facts | {"name": "mine", "range": replace_range(t5)})
    found = across(sp.optimal(1e23, law=mine)).laws
    assert found[0].law == "mine"
    assert found[0].runs not in [one.runs for one in found[1:]]


def replace_range(law: Law) -> object:
    facts = {name: getattr(law.range, name) for name in law.range.__struct_fields__}
    return type(law.range)(**facts | {"nonzero_params": (1e6, 2e9)})


@pytest.mark.parametrize("ramp", [Schedule(), Schedule(start=0, end=0), Schedule(kind="geometric")])
def test_by_average_parameters_equal_compute_is_equal_loss_at_every_sparsity(ramp: Schedule) -> None:
    dense = coefficients(load_law("besiroglu2024-chinchilla"))
    rule, budget = AverageParameters(dense, ramp), schedule_budget(1e20, ramp)
    S = np.array([0.0, 0.3, 0.6, 0.9])
    N = rule.best_size(S, budget)
    np.testing.assert_allclose(N, search.best_size(rule, S, budget, *search.ANY_SIZE), rtol=1e-6)
    losses = rule.loss(S, N, budget.data(S, N))
    np.testing.assert_allclose(losses, losses[0], rtol=1e-12)
    np.testing.assert_allclose(rule.cheapest_tokens(losses - rule.floor, S) * rule.size_multiplier(S, N), 1e20)
    D = rule.data_for(0.6, 1e9, rule.reducible(0.6, 1e9, 3e10))
    assert float(D) == pytest.approx(3e10)


def test_by_average_parameters_a_model_counts_as_hand_values_say() -> None:
    dense = coefficients(load_law("besiroglu2024-chinchilla"))
    assert float(AverageParameters(dense, Schedule()).size_multiplier(0.5, 1.0)) == pytest.approx(1.375)
    assert float(AverageParameters(dense, Schedule()).size_multiplier(0.75, 1.0)) == pytest.approx(2.125)
    geometric = AverageParameters(dense, Schedule(kind="geometric"))
    assert float(geometric.loss(0.5, 1e9, 2e10)) == pytest.approx(float(dense.loss(0.0, 1.471348e9, 2e10)), rel=1e-7)


def test_the_terminal_says_it_in_one_line_and_explains_it_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    from sparseplan.cli import run

    assert run(["optimal", "--flops", "1e23", "--law", T5]) == 0
    text = " ".join(capsys.readouterr().out.split())
    said = (
        "Over 5 laws (3 of them fits of the same runs), each with its own runs' ramp: best sparsity 49.4% .. 93.8%, "
        "worth 1x .. 2.24x the compute of the best dense model; by one of them every sparsity does as well."
    )
    assert said in text
    assert "- wu2026-llama-c4" not in text
    assert run(["optimal", "--flops", "1e23", "--law", T5, "--explain"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "- wu2026-llama-c4: 93.8% sparse, worth 2.24x (sparse from the first step)" in text
    assert f"- {JIN}: every sparsity does as well, worth 1x" in text
    assert run(["optimal", "--flops", "1e23", "--law", T5, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["across_laws"]
    assert set(told) == {"sparsity", "compute_ratio", "laws"}

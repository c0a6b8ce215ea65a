"""The best pattern is the one whose own plan is best, whatever is asked and on whatever device."""

import json
from typing import Any

import pytest
from msgspec import structs
from msgspec.structs import replace

import sparseplan as sp
from sparseplan.api.named import cost_of, profile_of
from sparseplan.cli import run
from sparseplan.errors import LawError
from sparseplan.hardware.kernels import Kernel, Spread
from sparseplan.laws.law import Law
from sparseplan.plan.contest import contending_patterns
from sparseplan.plan.sparsity_map import MapCost, map_plan
from sparseplan.sparsity.pattern import TWO_OF_FOUR, UNSTRUCTURED, Pattern

T5 = sp.load_law("frantar2023-t5-c4-refit")
OWN = T5.sparsity["unstructured"]


def with_sets(**sets: dict[str, float]) -> Law:
    """The T5 law with sets of its own for further families, and no draws."""
    return replace(T5, name="sets", draws=None, sparsity={"unstructured": OWN} | sets, prediction=None)


# A family prunes as well as unstructured sparsity with b_S lower, and worse with b_S higher; f(0) stays.
WORSE = {"n:4": OWN | {"b_S": OWN["b_S"] * 0.8}, "n:8": OWN | {"b_S": OWN["b_S"] * 0.9}}
QUESTIONS: list[Any] = [
    ({"flops": 1e22}, "sparse"),
    ({"flops": 1e22, "params": "1B"}, "dense"),
    ({"flops": 1e21, "params": "7B"}, "h100"),
    ({"loss": 1.3}, "sparse"),
    ({"flops": 1e22, "max_sparsity": 0.4}, "h100"),
    pytest.param({"flops": 1e22, "inference_tokens": "1T"}, "h100", marks=pytest.mark.slow),
    pytest.param({"flops": 1e22, "unique_data": "20B"}, "sparse", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("asked", "cost"), QUESTIONS, ids=str)
def test_the_best_pattern_is_the_best_of_all_patterns_planned_alone(asked: dict[str, Any], cost: str) -> None:
    law = with_sets(**WORSE)
    alone = {
        word: sp.optimal(**asked, law=law, cost=cost, pattern=word).plan for word in ("unstructured", "n:4", "n:8")
    }
    found = sp.optimal(**asked, law=law, cost=cost, pattern="best")
    key = "train_flops" if "loss" in asked else "loss"
    assert getattr(found.plan, key) == pytest.approx(min(getattr(plan, key) for plan in alone.values()), rel=1e-12)
    assert found.plan == alone[found.pattern]
    assert found.contenders is not None
    assert found.contenders[0].pattern == found.pattern
    values = [getattr(one, key) for one in found.contenders]
    assert values == sorted(values)
    for one in found.contenders:  # each row is that pattern's own plan
        assert (one.sparsity, one.loss) == (alone[one.pattern].sparsity, alone[one.pattern].loss)


def test_on_a_device_the_best_pattern_is_the_best_row_of_its_verdict() -> None:
    answer = sp.optimal(5e22, params="7B", cost="h100", pattern="best")
    assert answer.verdict is not None
    assert answer.contenders is not None
    best = min(answer.verdict, key=lambda row: row.loss)
    assert answer.plan.loss == pytest.approx(best.loss, rel=1e-12)
    assert answer.contenders[0].makes == best.pattern
    assert answer.pattern == "n:4"
    assert answer.contenders[0].coefficients == "unstructured"  # the law has no set for n:4


def test_on_a_device_without_2to4_only_unstructured_sparsity_and_patterns_of_its_kernels_compete() -> None:
    profile = profile_of("tpu-v6e")
    assert profile is not None
    assert contending_patterns(T5, profile) == [UNSTRUCTURED]
    row = Kernel(pattern="8:16", work="training", speedup=Spread(median=1.3), evidence="claimed", source="a test")
    assert contending_patterns(T5, structs.replace(profile, kernels=[row])) == [UNSTRUCTURED, Pattern(group=16)]
    assert contending_patterns(T5, None) == [UNSTRUCTURED]  # no set of the law speaks for others


def test_a_law_of_patterns_alone_competes_with_them_and_stays_dense_where_zeros_do_not_pay() -> None:
    law = replace(with_sets(**WORSE), sparsity=WORSE)
    answer = sp.optimal(1e19, params="7B", cost="dense", law=law, pattern="best")
    assert answer.contenders is not None
    assert {one.pattern for one in answer.contenders} == {"n:4", "n:8"}
    assert answer.plan.sparsity == 0.0
    assert [(one.makes, one.loss_gain) for one in answer.contenders] == [("dense", 0.0)] * 2


def test_a_law_of_dense_models_has_no_best_pattern() -> None:
    with pytest.raises(LawError, match="is dense only"):
        sp.optimal(1e22, law="besiroglu2024-chinchilla", pattern="best")


def test_every_budget_and_law_has_its_own_best_pattern_and_none_is_asked_for_twice() -> None:
    found = sp.plans("1e19,1e22", law=[with_sets(**WORSE), T5], pattern=["best", "n:4"], params="1B")
    assert [one.contenders is not None for one in found] == [True, False] * 4
    with pytest.raises(sp.errors.PlanError, match="found best twice"):
        sp.plans(1e22, pattern="best,best")


@pytest.mark.parametrize("size", [None, 1e9])
@pytest.mark.parametrize("cap", [0.4, 0.875])
def test_a_plan_on_a_map_is_the_better_of_its_pattern_and_two_of_four(size: float | None, cap: float) -> None:
    profile = profile_of("h100")
    cost = MapCost(cost_of("h100", profile, T5, UNSTRUCTURED), cost_of("h100", profile, T5, TWO_OF_FOUR))
    found = map_plan(T5, cost, UNSTRUCTURED, max_sparsity=cap, flops=5e22, size=size)
    words = ["unstructured", *(["2:4"] if cap >= 0.5 else [])]
    alone = [sp.optimal(5e22, params=size, cost="h100", pattern=one, max_sparsity=cap) for one in words]
    best = min(alone, key=lambda one: one.plan.loss)
    assert (found.pattern, found.sparsity) == (best.pattern, best.plan.sparsity)
    assert found.loss == pytest.approx(best.plan.loss, rel=1e-12)


def test_the_terminal_shows_the_contenders_and_json_has_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["optimal", "--flops", "5e22", "--params", "7B", "--cost", "h100", "--pattern", "best"]) == 0
    shown = capsys.readouterr().out
    assert "Patterns that the law can speak for, the best first:" in shown
    assert shown.index("2:4             50%") < shown.index("unstructured  unstructured")
    assert "n:4: by the unstructured coefficients, since the law has none of its own." in shown
    assert run(["optimal", "--flops", "5e22", "--pattern", "best", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [one["pattern"] for one in answer["contenders"]] == ["unstructured"]
    assert answer["pattern"] == "unstructured"

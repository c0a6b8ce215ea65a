"""The page's own code answers what `optimal` answers: in node, question by question."""

import re
import shlex
from typing import Any

import msgspec
import numpy as np
import pytest

import sparseplan as sp
from sparseplan.api.named import CostLike, LawLike
from sparseplan.cli import run
from sparseplan.common import units
from sparseplan.errors import SparseplanError
from sparseplan.hardware.file import load_profile
from sparseplan.hardware.kernels import Kernel, Spread
from sparseplan.hardware.profile import Profile
from sparseplan.laws.file import load_law, parse_law
from sparseplan.laws.forms import FORMS
from sparseplan.laws.law import Law, law_block
from sparseplan.laws.repetition import Repetition
from sparseplan.plan.question import plan_at
from sparseplan.plan.sides import law_sides
from sparseplan.sparsity.schedule import Schedule, parse_schedule
from tests.cost.test_device import synthetic
from tests.explore.questions import asked, assert_same_answer, assert_same_words, questions
from tests.helpers.page_core import in_node
from tests.helpers.questions import question
from tests.laws.forms.test_forms import BENT
from tests.laws.test_average import TEXT as AVERAGED

T5, WU, VIT = "frantar2023-t5-c4", "wu2026-llama-c4", "frantar2023-vit-jft-coupled"
REFIT = "frantar2023-t5-c4-refit"
SERVING: dict[str, Any] = {"inference_tokens": 1e11, "inference": "dense"}


def fewer_draws(name: str, count: int) -> Law:
    """A built-in law with some of its draws: what is claimed holds for any number, and fewer are quicker."""
    law = load_law(name)
    assert law.draws is not None
    table = law.draws.table()[:count]
    return msgspec.structs.replace(law, draws=type(law.draws).pack(law.draws.columns, table, method="for tests"))


def check(laws: list[LawLike], costs: list[CostLike], asked_for: list[dict[str, Any]], *, words: bool = True) -> None:
    """Hold the page against `optimal`."""
    page = sp.explore(laws, cost=costs)
    by_name: dict[str, LawLike] = {law.name: law for law in laws if isinstance(law, Law)}
    devices: dict[str, CostLike] = {cost.name: cost for cost in costs if not isinstance(cost, str)}
    found = in_node(page.data, questions=asked_for)["answers"]
    assert len(found) == len(asked_for)
    for one, ours in zip(asked_for, found, strict=True):
        answer = asked(one, by_name, devices)
        try:
            assert_same_answer(ours, answer)
            if words:
                assert_same_words(ours, answer)
        except AssertionError as problem:
            raise AssertionError(f"{one}: {problem}") from None


def test_plans_and_sentences_are_those_of_optimal() -> None:
    asked_for = questions([T5, WU], ["sparse", "h100"], ["unstructured", "n:4"], {}, {"unique_data": 2e10})
    check([T5, WU], ["sparse", "h100"], asked_for)


def test_intervals_are_those_of_optimal_over_the_same_draws() -> None:
    laws: list[LawLike] = [fewer_draws(REFIT, 60)]
    asked_for = questions([REFIT], ["sparse", "dense"], ["unstructured", "2:4"], {}, SERVING)
    check(laws, ["sparse", "dense"], asked_for)


def test_rates_of_repetition_that_were_drawn_with_the_law_are_drawn_on_the_page() -> None:
    law = fewer_draws(REFIT, 30)
    assert law.draws is not None
    rates = np.linspace(5.0, 20.0, 30)[:, None]
    table = np.hstack([law.draws.table(), rates, 2.0 * rates])
    columns = [*law.draws.columns, "repetition.R_N", "repetition.R_D"]
    own = msgspec.structs.replace(
        law, repetition=Repetition(R_N=6.0, R_D=12.0), draws=type(law.draws).pack(columns, table, method="for tests")
    )
    check([own], ["sparse"], questions([REFIT], ["sparse"], ["unstructured"], {"unique_data": 5e9}))


def law_of(form: str, schedule: Schedule) -> Law:
    """A law of any form that knows sparsity, with coefficients of published ones."""
    facts = {name: getattr(load_law(T5), name) for name in load_law(T5).__struct_fields__}
    theta = {"varying-exponents": BENT}.get(form)
    if theta is not None:
        facts |= {
            "form": form,
            "coefficients": law_block(FORMS[form], theta, per_family=False),
            "sparsity": {"unstructured": law_block(FORMS[form], theta, per_family=True)},
        }
    else:
        like = {"coupled": VIT, "wu2026": WU, "frantar2023": T5}[form]
        facts |= {name: getattr(load_law(like), name) for name in ("form", "coefficients", "sparsity")}
    return Law(**facts | {"name": f"law-{form}", "schedule": schedule})


@pytest.mark.parametrize("form", [name for name, form in FORMS.items() if form.knows_sparsity])
def test_every_form_that_knows_sparsity_is_computed_on_the_page(form: str) -> None:
    law = law_of(form, Schedule())
    check([law], ["sparse", "dense"], questions([law.name], ["sparse", "dense"], ["unstructured"]))


def test_a_law_averaged_over_forms_is_planned_as_the_mean_that_it_is() -> None:
    law = parse_law(AVERAGED, source="both.yaml")
    check([law], ["sparse"], questions(["both"], ["sparse"], ["unstructured", "2:4"]))


@pytest.mark.parametrize("ramp", ["geometric:0..100%", "rewinding:10%..100%", "straight-through:25%", "linear:0..50%"])
def test_every_kind_of_schedule_costs_what_it_costs_in_optimal(ramp: str) -> None:
    law = law_of("frantar2023", parse_schedule(ramp))
    check(
        [law], ["sparse", "dense", "h100"], questions([law.name], ["sparse", "dense", "h100"], ["unstructured", "2:4"])
    )


def test_patterns_that_one_law_has_of_its_own_are_answered_by_the_others_too() -> None:
    own = load_law(T5)
    families = own.sparsity | {"n:32": own.sparsity["unstructured"]}
    other = msgspec.structs.replace(own, name="own-family", sparsity=families)
    assert "n:32" in sp.explore([other, WU], cost="sparse").data.patterns
    check([other, WU], ["sparse"], questions([other.name, WU], ["sparse"], ["n:32"]))


def test_a_device_measured_at_several_widths_costs_by_the_model() -> None:
    profile: Profile = synthetic(1.05, 1.2, 1.3, 1.4, 1.5)
    name = profile.name
    asked_for = questions([T5], [name], ["2:4", "n:4", "unstructured"], {}, SERVING | {"inference": name})
    check([T5], ["sparse", profile], asked_for)


def test_a_device_with_kernels_for_its_own_sparsities_costs_as_they_say() -> None:
    rows = [
        Kernel(pattern=pattern, work=work, sparsity=S, speedup=Spread(median=fast), evidence="measured", source="tests")
        for pattern, S, fast in (("unstructured", 0.5, 1.1), ("unstructured", 0.75, 1.9), ("1:4", None, 2.5))
        for work in ("training", "prefill")
    ]
    profile = msgspec.structs.replace(load_profile("h100"), name="kernels", kernels=rows)
    asked_for = questions([T5], ["kernels"], ["unstructured", "n:4"], {}, {"inference_tokens": 1e11})
    asked_for[-1]["inference"] = "h100"
    check([T5], [profile, "h100"], asked_for)


@pytest.mark.slow
def test_plans_agree_over_every_law_cost_pattern_and_given() -> None:
    laws: list[LawLike] = [fewer_draws(REFIT, 20), fewer_draws(VIT, 20), WU]
    names = [law if isinstance(law, str) else law.name for law in laws]
    costs: list[CostLike] = ["sparse", "dense", "a100"]
    further: list[dict[str, Any]] = [{}, {"unique_data": 5e9}, SERVING, {"unique_data": 1e9, "inference_tokens": 1e11}]
    asked_for = questions(names, ["sparse", "a100"], ["unstructured", "n:8"], *further)
    check(laws, costs, asked_for)


@pytest.mark.parametrize("law", [T5, pytest.param(WU, marks=pytest.mark.slow)])
def test_the_map_shows_the_sparsities_of_contour(law: str) -> None:
    page = sp.explore(law, cost="sparse")
    state = {"law": law, "cost": "sparse", "pattern": "unstructured", "flops": 1e20}
    (grid,) = in_node(page.data, maps=[{"state": state, "sizes": [1e6, 1e10], "flops": [1e18, 1e23]}])["maps"]
    points = grid["columns"]
    (chart,) = sp.sparsity_map(law, params=(1e6, 1e10), flops=(1e18, 1e23), points=points)
    ours = np.reshape(grid["sparsity"], (grid["rows"], points))
    np.testing.assert_allclose(ours[[0, -1]], chart.sparsity[[0, -1]], atol=1e-6)
    assert chart.extrapolated is not None
    ours_extrapolated = np.reshape(grid["extrapolated"], (grid["rows"], points)).astype(bool)
    assert np.array_equal(ours_extrapolated[[0, -1]], chart.extrapolated[[0, -1]])


def test_the_curve_is_the_loss_at_each_sparsity_less_that_of_the_dense_plan() -> None:
    law = load_law(T5)
    page = sp.explore(T5, cost="sparse")
    state = {"law": T5, "cost": "sparse", "pattern": "unstructured", "flops": 1e21, "params": 1e9}
    (found,) = in_node(page.data, curves=[state])["curves"]
    S = np.array([point["S"] for point in found["curve"]])
    assert S[0] == 0.0
    assert S[-1] == pytest.approx(0.875)
    theta = law_sides(law, "unstructured").sparse
    losses = plan_at(theta, question(law, 1e21, nonzero_params=1e9), S).loss
    np.testing.assert_allclose([point["gap"] for point in found["curve"]], losses - losses[0], atol=1e-12)
    assert found["band"] is None  # the published law has no draws


def test_the_band_holds_the_curve_and_is_nothing_at_zero() -> None:
    page = sp.explore(fewer_draws(REFIT, 60), cost="sparse")
    state = {"law": REFIT, "cost": "sparse", "pattern": "unstructured", "flops": 1e21, "params": 1e9}
    (found,) = in_node(page.data, curves=[state])["curves"]
    assert found["band"][0] == {"S": 0, "low": 0, "high": 0}
    for point, band in zip(found["curve"][1:], found["band"][1:], strict=True):
        assert band["low"] < point["gap"] < band["high"]


def test_numbers_are_written_and_read_as_everywhere() -> None:
    values = [
        0.125,
        62.5,
        1225.0,
        1235.0,
        0.5,
        1.0,
        7.0,
        450.0,
        999.6,
        1234.0,
        7e9,
        1.5e12,
        9.996e11,
        1.2345e15,
        3e23,
        4.56e-6,
        0.87499,
        12.5,
    ]
    names = {
        "formatCount": units.format_count,
        "formatScientific": units.format_scientific,
        "formatDifference": units.format_difference,
        "formatRegret": units.format_regret,
        "formatLoss": units.format_loss,
        "formatRatio": units.format_ratio,
    }
    counts, losses = {"formatCount"}, {"formatDifference", "formatRegret", "formatLoss"}
    pairs = [
        (name, value)
        for name in names
        for value in values
        if value > 0 and (name not in counts or value >= 0.5) and (name not in losses or value < 1e4)
    ]
    shares = [("formatSparsity", value) for value in (0.0, 0.5, 0.875, 0.49412, 0.9994, 0.99996)]
    texts = ["7B", "1.5T", "1e23", "300_000", " 2.5m ", ".5k"]
    data = sp.explore(T5, cost="sparse").data
    exact = [("formatExact", value) for value in (7e9, 8.66e7, 1.5e12, 450.0, 1e15, 1.23456789e23, 0.5, 999999.9)]
    found = in_node(data, written=[*pairs, *shares, *exact], parsed=[*texts, "seven", "-3", "0", "1e400", "7X", ""])
    assert found["written"] == [
        *(names[name](value) for name, value in pairs),
        *(units.format_sparsity(value) for _, value in shares),
        *("7B", "86.6M", "1.5T", "450", "1e15", "1.23457e23", "0.5", "1M"),
    ]
    assert found["parsed"][: len(texts)] == [units.parse_number(text) for text in texts]
    assert found["parsed"][len(texts) :] == [None] * 6


@pytest.mark.parametrize(
    ("givens", "words"),
    [
        ({"params": 7.0}, "at least 100 parameters, found 7; did you mean 7B?"),
        ({"dense_params": 99.0}, "at least 100 parameters, found 99"),
        ({"flops": 1e90}, "not a possible run"),
        ({"flops": 1.0}, "not a possible run"),
        ({"params": 1e12, "flops": 1e10}, "not a possible run"),
        ({"params": 1e10, "inference_tokens": 1e13}, "does not pay for the inference of 10.0T tokens"),
    ],
    ids=str,
)
def test_what_optimal_refuses_the_page_refuses(givens: dict[str, Any], words: str) -> None:
    asked_for: dict[str, Any] = {"law": T5, "cost": "sparse", "pattern": "unstructured", "flops": 1e20} | givens
    with pytest.raises(SparseplanError, match=re.escape(words)):
        sp.optimal(**asked_for)
    assert words in in_node(sp.explore(T5, cost="sparse").data, questions=[asked_for])["answers"][0]["refused"]


def test_the_command_gives_the_same_answer_and_the_link_the_same_question(capsys: pytest.CaptureFixture[str]) -> None:
    page = sp.explore([T5, WU], cost=["sparse", "dense", "h100"])
    asked_for = questions([T5], ["h100"], ["n:4"], {"unique_data": 2e10}, SERVING)
    for one, ours in zip(asked_for, in_node(page.data, questions=asked_for)["answers"], strict=True):
        assert run([*shlex.split(ours["command"])[1:], "--json"]) == 0
        printed = msgspec.json.decode(capsys.readouterr().out)
        assert printed["plan"]["loss"] == pytest.approx(ours["planned"]["best"]["loss"], rel=1e-9), one
        (state,) = in_node(page.data, fragments=[ours["fragment"]])["states"]
        assert {name: value for name, value in state.items() if value is not None} == {
            name: pytest.approx(value) if isinstance(value, float) else value for name, value in one.items()
        }


def test_a_link_that_makes_no_sense_is_read_as_far_as_it_does() -> None:
    page = sp.explore([T5, WU], cost="sparse")
    broken = "#law=<script>&cost=gold&pattern=7:3&flops=much&params=-1&unique-data=1e999&inference=h100&__proto__=x"
    (state,) = in_node(page.data, fragments=[broken])["states"]
    first = page.data.laws[0]
    assert state["law"] == T5
    assert state["cost"] == "sparse"
    assert state["pattern"] == "unstructured"
    assert state["flops"] == first.budget
    assert {state[name] for name in ("params", "dense_params", "unique_data", "inference_tokens", "inference")} == {
        None
    }

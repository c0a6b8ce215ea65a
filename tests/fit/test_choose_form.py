"""The prior pulls no more than it says, and the form is chosen by what it predicts."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparseplan import fit
from sparseplan.cli import run
from sparseplan.errors import FitError
from sparseplan.fit.bootstrap import bootstrap
from sparseplan.fit.choose_form import FormScore, _Judged, _pairs, _weighed, choose_form
from sparseplan.fit.derivatives import evaluate
from sparseplan.fit.fitting import fit_law
from sparseplan.fit.objective import Objective
from sparseplan.fit.penalties import Squared
from sparseplan.laws.file import read_law
from sparseplan.laws.forms import coupled
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.fitting.prior import CENTRES, FACTORS
from sparseplan.laws.law import Levels
from sparseplan.runs.columns import table_of
from sparseplan.runs.published import t5_runs, vit_runs
from sparseplan.runs.table import Runs, runs_from
from sparseplan.sparsity.schedule import Schedule
from tests.helpers.paper_runs import needs_paper_runs

BENT = coupled.Coefficients(a_S=616.0, b_S=1.388, c_S=1334.0, b_N=0.388, a_D=2.16e10, b_D=0.437, c=0.5, k=0.45)
PLAIN = coupled.Coefficients(a_S=16.8, b_S=0.722, c_S=45.0, b_N=0.245, a_D=6.90e8, b_D=0.303, c=0.9, k=1.0)


def simulate(theta: Theta, *, noise: float, seed: int = 0) -> Runs:
    """Four dense sizes, four lengths and four sparsities."""
    axes = np.meshgrid([0.0, 0.5, 0.75, 0.875], np.geomspace(4e6, 3e8, 4), np.geomspace(4e9, 1e11, 4), indexing="ij")
    S, M, D = (axis.ravel() for axis in axes)
    N = M * (1 - S)
    random = np.random.default_rng(seed)
    loss = np.asarray(theta.loss(S, N, D)) * np.exp(noise * random.standard_normal(len(S)))
    return runs_from(table_of({"sparsity": S, "nonzero_params": N, "data_seen": D, "loss": loss}))


@pytest.mark.parametrize(("theta", "form"), [(BENT, "coupled"), (PLAIN, "frantar2023")])
def test_the_form_that_made_the_runs_is_chosen(theta: Theta, form: str) -> None:
    choice = choose_form(simulate(theta, noise=0.002), objective=Objective(), schedule=Schedule(), starts=16, seed=0)
    assert choice.form == form
    assert [one.form for one in choice.scores if one.chosen] == [form]
    assert len(choice.scores) == 6
    assert choice.cuts >= 5
    best = next(one for one in choice.scores if one.chosen)
    assert best.order <= 1.1 * min(one.order for one in choice.scores)
    assert best.level < 0.01


@needs_paper_runs
def test_on_the_authors_runs_order_decides_before_level() -> None:
    t5 = choose_form(t5_runs(), objective=Objective(), schedule=Schedule(), starts=24, seed=0)
    assert t5.form == "coupled"
    by_form = {one.form: one for one in t5.scores if not one.prior}
    assert by_form["coupled"].order < 0.8 * by_form["frantar2023"].order
    assert by_form["coupled"].agree > by_form["frantar2023"].agree
    vit = choose_form(vit_runs(), objective=Objective(), schedule=Schedule(), starts=24, seed=0)
    by_form = {one.form: one for one in vit.scores if not one.prior}
    assert by_form["coupled"].level < by_form["frantar2023"].level  # and yet it orders runs of one cost worse
    assert by_form["coupled"].order > by_form["frantar2023"].order
    assert vit.form == "frantar2023"


def test_too_few_runs_to_judge_by_are_refused() -> None:
    runs = simulate(PLAIN, noise=0.002)
    with pytest.raises(FitError, match="pairs of larger or longer runs"):
        choose_form(
            runs.take(np.arange(len(runs)) % 4 == 0), objective=Objective(), schedule=Schedule(), starts=8, seed=0
        )


@pytest.mark.parametrize("form", ["frantar2023", "coupled", "varying-exponents"])
def test_the_prior_s_derivatives_are_right(form: str) -> None:
    fit = fit_law(simulate(BENT, noise=0.01), form=form, prior=True, starts=8)
    assert fit.problem.prior is not None
    problem = replace(fit.problem, prior=replace(fit.problem.prior, strength=0.7))
    theta = fit.fitted.plain_point(fit.design, fit.free, fit.theta)[None]
    here = evaluate(problem, theta)
    plain = evaluate(replace(problem, prior=None), theta)
    for slot, parameter in enumerate(fit.free):
        step = np.zeros_like(theta)
        step[0, parameter] = 1e-5
        ends = [
            [evaluate(one, theta + sign * step) for sign in (1, -1)] for one in (problem, replace(problem, prior=None))
        ]
        slope, bare = ((up.value - down.value)[0] / 2e-5 for up, down in ends)
        assert (here.gradient - plain.gradient)[0, slot] == pytest.approx(slope - bare, rel=1e-6, abs=1e-8)
        bend, bare_bend = ((up.gradient - down.gradient)[0] / 2e-5 for up, down in ends)
        assert (here.hessian - plain.hessian)[0, slot] == pytest.approx(bend - bare_bend, rel=1e-5, abs=1e-7)


def test_many_precise_runs_overrule_the_prior_and_few_vague_ones_follow_it() -> None:
    away = coupled.Coefficients(a_S=2e3, b_S=1.2, c_S=4e3, b_N=0.5, a_D=6.9e8, b_D=0.6, c=0.4, k=1.0)
    precise = simulate(away, noise=1e-4)
    found = fit_law(precise, prior=True, starts=16).coefficients("unstructured").as_dict()
    assert float(found["b_N"]) == pytest.approx(0.5, abs=0.005)
    assert float(found["c"]) == pytest.approx(0.4, abs=0.02)
    vague = simulate(away, noise=0.15)
    squared = Objective(penalty=Squared())
    alone, pulled = (fit_law(vague, objective=squared, prior=prior, starts=16) for prior in (False, True))
    assert pulled.value >= alone.value * (1 - 1e-9)
    assert pulled.problem.prior is not None
    both = [np.abs(pulled.problem.prior.away(fit.theta[None])) for fit in (alone, pulled)]
    assert np.nan_to_num(both[1], posinf=99.0).sum() < np.nan_to_num(both[0], posinf=99.0).sum()
    assert pulled.certificate.status == "converged"


def test_draws_under_the_prior_are_no_surer_than_the_prior_where_runs_say_nothing() -> None:
    runs = simulate(PLAIN, noise=0.3)
    fit = fit_law(runs, objective=Objective(penalty=Squared()), prior=True, starts=16)
    drawn = bootstrap(fit, 400, np.random.default_rng(0))
    assert fit.problem.prior is not None
    spread = [np.std(term.value(drawn.theta)) for term in fit.problem.prior.terms]
    assert spread[2] == pytest.approx(np.log(FACTORS[2]), rel=0.35)  # noise of 30 % says next to nothing of the floor
    assert len(CENTRES) == len(spread)


def test_the_command_shows_what_every_form_predicted_and_writes_the_chosen_law(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = simulate(BENT, noise=0.002)
    rows = zip(runs.sparsity, runs.nonzero_params, runs.data_seen, runs.loss, strict=True)
    table = tmp_path / "runs.csv"
    lines = ["sparsity,nonzero_params,data_seen,loss", *(",".join(repr(float(cell)) for cell in row) for row in rows)]
    table.write_text("\n".join(lines), encoding="utf-8")
    law = tmp_path / "team.yaml"
    options = ["--form", "auto", "--bootstrap", "50", "--starts", "16", "--schedule", "cubic:25%..75%"]
    assert run(["fit", str(table), *options, "--out", str(law)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Chosen: coupled" in out
    assert all(word in out for word in ("varying-exponents", "order", "pairs", "behind"))
    assert "form: coupled" in law.read_text(encoding="utf-8")
    assert read_law(law).levels == Levels(sparsity=(0.0, 0.5, 0.75, 0.875))
    assert run(["fit", str(table), *options, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {one["form"] for one in answer["forms"]} == {"frantar2023", "coupled", "varying-exponents"}
    assert sum(one["chosen"] for one in answer["forms"]) == 1
    assert run(["fit", str(table), "--prior", "weak", "--bootstrap", "50", "--starts", "16", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["prior"] == "weak"
    assert answer["form"] == "coupled"
    assert {one["prior"] for one in answer["forms"]} == {True}


def test_without_a_form_the_law_is_what_predicts_best_and_where_runs_cannot_tell_it_is_the_paper_s() -> None:
    runs = simulate(BENT, noise=0.002)
    columns = {
        "sparsity": runs.sparsity,
        "nonzero_params": runs.nonzero_params,
        "data_seen": runs.data_seen,
        "loss": runs.loss,
    }
    chosen = fit(columns, draws=0, starts=8)
    assert chosen.law.form == "coupled"
    assert chosen.answer.form_choice is not None
    assert chosen.answer.form_choice.startswith("coupled: of larger and longer runs that were set aside")
    assert fit(columns, draws=0, starts=8, form="frantar2023").answer.form_choice is None
    few = {name: values[::4] for name, values in columns.items()}
    plain = fit(few, draws=0, starts=8)
    assert plain.law.form == "frantar2023"
    assert "not chosen among others: expected at least 5 pairs" in " ".join(str(plain).split())
    kept = fit(columns, draws=0, starts=8, freeze_dense="frantar2023-t5-c4")
    assert kept.answer.form_choice == "a frozen dense base fixes what forms are told apart by."
    assert [one.prior for one in fit(columns, draws=0, starts=8, prior="none").answer.forms or ()] == [False] * 3


def judged(form: str, logs: list[float], order: float = 0.01) -> _Judged:
    return _Judged(FormScore(form=form, prior=False, order=order, agree=0.9, level=0.01), np.array(logs))


def test_forms_within_two_standard_errors_are_averaged_and_others_left_out() -> None:
    """By hand: gaps .2, .2, .3, .3 add up to 1.0, standard error .12; .9, -.5, .6, -.2 to .8, standard error 1.3."""
    best = judged("a", [-4.0, -4.0, -5.0, -5.0], order=0.02)
    far = judged("b", [-3.8, -3.8, -4.7, -4.7])
    close = judged("c", [-3.1, -4.5, -4.4, -5.2])
    choice = _weighed([best, far, close], {}, 3, every=False)
    assert choice.scores[1].behind == pytest.approx(1.0)
    assert choice.scores[1].uncertain == pytest.approx(2 * np.std([0.2, 0.2, 0.3, 0.3], ddof=1))
    assert [one.weight for one in choice.scores] == pytest.approx([1 / (1 + np.exp(-0.8)), 0.0, 1 / (1 + np.exp(0.8))])
    assert choice.form == "c"  # of the close ones that which orders best speaks for the law
    assert choice.words.startswith("c 31% and a 69%, averaged")
    assert choice.alone("not determined.").words.startswith("c: ")
    everything = _weighed([best, far, close], {}, 3, every=True)
    assert all(one.weight > 0.1 for one in everything.scores)


def test_of_very_many_runs_pairs_of_similar_cost_are_drawn_from_all_of_them() -> None:
    price = np.log(np.geomspace(1.0, 1e3, 2000))
    first, second = _pairs(price)
    assert len(first) == 20_000
    gap = price[second] - price[first]
    assert np.all((gap > 0) & (gap < np.log(1.5)))
    assert np.ptp(price[first]) > 0.9 * np.ptp(price)
    few = np.log([1.0, 1.4, 1.6, 9.0])
    assert sorted(zip(*(one.tolist() for one in _pairs(few)), strict=True)) == [(0, 1), (1, 2)]

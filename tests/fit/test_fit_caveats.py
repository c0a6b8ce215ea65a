"""A fit reads back what it understood, names the rows that are off, and says what a law rests on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import sparseplan as sp
from sparseplan.fit.answer import FitAnswer
from sparseplan.fit.fit_table import FitJob, FitResult, fit_runs
from sparseplan.fit.fitting import DenseBase, fit_law
from sparseplan.fit.influence import outliers
from sparseplan.fit.objective import Objective
from sparseplan.fit.penalties import Huber
from sparseplan.fit.read_back import in_words
from sparseplan.fit.trends import trends
from sparseplan.laws.file import law_text, load_law, parse_law, write_law
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.fitting.coordinates import make_design
from sparseplan.laws.law import coefficient_draws, coefficients
from sparseplan.runs.published import t5_runs, vit_runs
from sparseplan.runs.table import Runs
from sparseplan.sparsity.schedule import Schedule
from tests.helpers.paper_runs import needs_paper_runs
from tests.helpers.tables import TRUTH, Grid, changed, measured, simulated

GOOD = simulated()
DENSE = simulated(Grid(sparsities=(0.0,)))


def fitted(runs: Runs, **job: object) -> FitResult:
    return fit_runs(runs, FitJob(**{"draws": 0, "starts": 16, "schedule": Schedule()} | job))  # type: ignore[arg-type]


def said(answer: FitAnswer, code: str) -> list[str]:
    return [one.message for one in answer.warnings if one.code == code]


def test_what_was_read_is_the_ends_of_every_column() -> None:
    read = fitted(GOOD).answer.read
    assert read.nonzero_params == pytest.approx((1.25e6, 5.4e8))
    assert read.data_seen == (2e9, 2e10)
    assert read.loss == pytest.approx((GOOD.loss.min(), GOOD.loss.max()))
    assert (read.sparsity, read.dense_runs, read.families) == ((0.0, 0.9375), 12, ["unstructured"])
    assert in_words(read).startswith("N 1.25M .. 540M, D 2.00B .. 20.0B tokens, loss 1.5966 ..")
    assert in_words(read).endswith(" nats, S 0% .. 93.8%")
    assert in_words(fitted(DENSE).answer.read).endswith("nats, all dense")


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        (replace(GOOD, nonzero_params=GOOD.nonzero_params / 1e6), "nonzero_params (1.25 .. 540) is small"),
        (replace(DENSE, nonzero_params=DENSE.nonzero_params / 1e4 + 0.5), "has decimals"),
        (replace(GOOD, data_seen=GOOD.data_seen / 1e9), "data_seen (2 .. 20) is small"),
        (replace(GOOD, nonzero_params=GOOD.data_seen, data_seen=GOOD.nonzero_params), "are the two columns swapped?"),
        (replace(GOOD, loss=np.exp(GOOD.loss)), "is the column a perplexity?"),
    ],
)
def test_wrong_units_and_columns_are_asked_about_and_every_plan_repeats_it(runs: Runs, words: str) -> None:
    result = fitted(runs)
    assert any(words in message for message in said(result.answer, "units"))
    again = parse_law(law_text(result.law), source="law.yaml")
    assert any(words in one["message"] for one in again.fit["warnings"])


def test_a_good_table_is_asked_nothing() -> None:
    assert {one.code for one in fitted(GOOD).answer.warnings} == set()


def test_a_small_model_that_is_left_with_few_weights_is_not_asked_about() -> None:
    runs = replace(GOOD, nonzero_params=GOOD.nonzero_params / 1e3)  # dense sizes from 20,000, 1,250 weights left
    assert not said(fitted(runs).answer, "units")
    smaller = replace(GOOD, nonzero_params=GOOD.nonzero_params / 2e3)  # 10,000, and 625 left
    assert not [one for one in said(fitted(smaller).answer, "units") if "small" in one]


def test_a_sparse_size_with_decimals_is_a_product_and_not_asked_about() -> None:
    runs = replace(GOOD, nonzero_params=np.where(GOOD.sparsity > 0, GOOD.nonzero_params / 1e3 + 0.25, 2e5))
    assert not [message for message in said(fitted(runs).answer, "units") if "decimals" in message]


@pytest.mark.parametrize("slip", [{"loss": 1.45}, {"data_seen": 10.0}, {"nonzero_params": 100.0}])
def test_a_slip_in_one_row_is_named_by_row_and_line_with_what_the_law_has(slip: dict[str, float]) -> None:
    answer = fitted(changed(GOOD, 17, **slip)).answer
    (message,) = said(answer, "outliers")
    assert "1 run lies far off" in message
    assert "runs.csv:19 (r17): loss " in message
    assert answer.outliers[0].times > 20


def test_of_many_outliers_three_are_shown_and_all_counted() -> None:
    runs = GOOD
    for row in (3, 17, 30, 44, 55):
        runs = changed(runs, row, loss=1.3)
    (message,) = said(fitted(runs).answer, "outliers")
    assert message.startswith("5 runs lie far off")
    assert message.count("runs.csv:") == 3
    assert "; and 2 more" in message


def test_heavy_tails_and_runs_too_few_to_tell_give_no_outliers() -> None:
    heavy = replace(GOOD, loss=GOOD.loss * np.exp(0.002 * np.random.default_rng(3).standard_t(4, len(GOOD))))
    assert outliers(fit_law(heavy, starts=16)) == []
    few = changed(GOOD, 17, loss=1.45).take(np.arange(10, 23))
    assert outliers(fit_law(few, starts=16)) == []


@needs_paper_runs
def test_the_authors_runs_have_neither_outliers_nor_a_misfit() -> None:
    for runs in (t5_runs(), vit_runs()):
        answer = fitted(runs).answer
        assert answer.outliers == []
        assert not {"misfit", "trend", "units", "dense-counts"} & {one.code for one in answer.warnings}


def test_as_many_runs_as_coefficients_are_too_few_and_give_no_draws() -> None:
    result = fitted(GOOD.take(np.array([0, 7, 14, 23, 31, 42, 58])), draws=20)
    assert result.answer.status == "too few levels"
    assert "7 runs for 7 coefficients: the law meets them exactly" in result.answer.explanation
    assert result.law.draws is None
    assert not result.fit.certificate.identified


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        (np.full(60, 2.5), "do not fall with N and D"),
        (8.0 - GOOD.loss, "the losses rise with N and D"),
        (2.5 * np.exp(0.003 * np.random.default_rng(4).standard_normal(60)), "the losses do not fall with"),
    ],
)
def test_constant_and_rising_losses_contradict_the_law(losses: np.ndarray, words: str) -> None:
    result = fitted(replace(GOOD, loss=losses), draws=20)
    assert result.answer.status == "contradicted"
    assert words in result.answer.explanation
    assert said(result.answer, "trend")
    assert result.law.draws is None
    assert result.answer.free_size_sparsity is None


def test_a_dense_table_on_one_line_is_a_flat_direction_and_a_sparse_one_is_warned_of() -> None:
    M = np.geomspace(2e7, 2e9, 12)
    for D in (20 * M, 20 * M * np.linspace(0.97, 1.03, 12)):  # exactly, and to whole batches
        dense = fitted(measured(np.zeros(12), M, D))
        assert dense.answer.status == "flat direction"
        assert "all runs have the same data per parameter" in dense.answer.explanation.lower()
    S, M = (axis.ravel() for axis in np.meshgrid((0.0, 0.5, 0.75, 0.875), np.geomspace(2e7, 2e9, 8)))
    for N, D in ((M * (1 - S), 20 * M), (M, 20 * M)):  # per dense and per non-zero parameter
        sparse = fitted(measured(S, N, D))
        assert sparse.answer.status == "converged"
        assert said(sparse.answer, "one-ratio")
        assert "one-ratio" in [one["code"] for one in sparse.law.fit["warnings"]]
    assert not said(fitted(GOOD).answer, "one-ratio")


def test_weights_counted_before_pruning_are_suspected_where_sparser_runs_do_worse() -> None:
    result = fitted(replace(GOOD, nonzero_params=GOOD.nonzero_params / (1 - GOOD.sparsity)))
    assert "read that column as dense_params" in said(result.answer, "dense-counts")[0]
    assert result.answer.status == "flat direction"
    assert "does it count weights before pruning?" in result.answer.explanation


def test_a_table_without_dense_runs_says_that_its_dense_model_is_extrapolated() -> None:
    result = fitted(simulated(Grid(sparsities=(0.9, 0.95, 0.97, 0.98, 0.99))))
    assert said(result.answer, "no-dense-runs") == [
        "no run is below 90% sparsity: the law's dense model is extrapolated."
    ]
    assert result.law.range.sparsity == (0.9, 0.99)


def test_a_law_that_misses_half_of_its_runs_by_3_percent_says_so_in_every_plan() -> None:
    noise = np.exp(0.135 * np.random.default_rng(2).standard_normal(60))
    result = fitted(replace(GOOD, loss=GOOD.loss * noise))
    assert "misses half of its runs by more than" in said(result.answer, "misfit")[0]
    assert "misfit" in [one["code"] for one in result.law.fit["warnings"]]


@pytest.mark.parametrize(("name", "tied"), [("hoffmann2022-chinchilla", False), ("hoffmann2022-chinchilla", True)])
def test_a_base_of_another_setup_is_named_as_the_cause(name: str, tied: bool) -> None:
    fit = fit_law(GOOD, base=DenseBase(law=load_law(name), tied=tied), starts=16)
    assert fit.certificate.status == "contradicted"
    assert "these runs are hardly of the base's setup" in fit.certificate.explanation


def test_a_base_of_the_same_setup_is_none_of_that() -> None:
    base = fitted(DENSE).law
    fit = fit_law(GOOD, base=DenseBase(law=base, tied=True), starts=16)
    assert fit.certificate.status == "converged"


def two_four() -> Runs:
    sparse = simulated(Grid(sparsities=(0.5,), pattern="n:4"))
    return Runs(
        **{  # type: ignore[arg-type]
            name: np.concatenate([getattr(DENSE, name), getattr(sparse, name)])
            for name in ("sparsity", "nonzero_params", "data_seen", "loss")
        },
        family=(*DENSE.family, *sparse.family),
        run_id=tuple(str(i) for i in range(24)),
    )


def test_dense_and_2_4_runs_on_a_tied_base_give_the_one_ratio_with_draws(tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    write_law(fitted(DENSE, draws=40, name="base").law, base)
    result = fitted(two_four(), draws=60, freeze_dense=str(base), tie_dense=True)
    assert result.answer.status == "converged"
    law = parse_law(law_text(result.law), source="law.yaml")

    def ratio(theta: Theta) -> np.ndarray:
        return np.asarray(theta.reducible(0.5, 1.0, np.inf) / theta.reducible(0.0, 1.0, np.inf))

    true = float(ratio(TRUTH))
    draws = coefficient_draws(law, "n:4")
    assert draws is not None
    assert float(ratio(coefficients(law, "n:4"))) == pytest.approx(true, abs=0.01)
    low, high = np.quantile(ratio(draws), [0.005, 0.995])
    assert low < true < high
    assert high - low < 0.1
    plan = sp.optimal(1e20, law=law, pattern="2:4")
    assert plan.intervals is not None
    assert plan.plan.sparsity == 0.5
    assert "n:4 was run at 50% only" in {one.code: one.message for one in plan.warnings}["one-sparsity"]


def test_one_unstructured_sparsity_or_an_open_f0_is_still_too_little(tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    write_law(fitted(DENSE, name="base").law, base)
    runs = two_four()
    unstructured = replace(runs, family=("unstructured",) * len(runs))
    assert fitted(unstructured, freeze_dense=str(base), tie_dense=True).answer.status == "too few levels"
    assert fitted(runs, freeze_dense=str(base)).answer.status == "too few levels"


def test_not_converged_names_its_cause_and_a_remedy_that_works() -> None:
    tiny = fit_law(GOOD, objective=Objective(penalty=Huber(1e-12)), starts=16).certificate
    assert tiny.status == "not converged"
    assert "the delta of the Huber penalty, 1e-12, is far below" in tiny.explanation
    advised = float(tiny.explanation.rpartition("about ")[2].rstrip("."))
    assert fit_law(GOOD, objective=Objective(penalty=Huber(advised)), starts=16).certificate.status == "converged"


def test_trends_are_the_slopes_of_a_power_law_and_their_errors_those_of_least_squares() -> None:
    random = np.random.default_rng(0)
    S, N, D = random.uniform(0, 0.9, 400), 10 ** random.uniform(6, 9, 400), 10 ** random.uniform(9, 11, 400)
    losses = 9 * N**-0.1 * D**0.02 * (1 - S) ** 0.05 * np.exp(0.01 * random.standard_normal(400))
    found = trends(make_design(S, N, D, ("unstructured",) * 400), losses)
    for axis, slope in (("N", -0.1), ("D", 0.02), ("S", 0.05)):
        assert abs(found[axis].slope - slope) < 4 * found[axis].error
        assert 0.0001 < found[axis].error < 0.002
    assert found["N"].falls
    assert found["D"].rises
    assert trends(make_design(S, N, 20 * N, ("unstructured",) * 400), losses) == {}


def test_the_best_sparsity_is_never_given_beyond_the_sparsest_run() -> None:
    S, M = (axis.ravel() for axis in np.meshgrid((0.0, 0.2, 0.3, 0.4), np.geomspace(2e7, 2e9, 8)))
    runs = np.concatenate([S, S]), np.concatenate([M * (1 - S)] * 2), np.concatenate([10 * M, 60 * M])
    answer = fitted(measured(*runs), draws=30).answer
    assert answer.free_size_sparsity is not None
    assert answer.free_size_sparsity <= 0.4
    assert answer.free_size_sparsity_interval is not None
    assert answer.free_size_sparsity_interval[1] <= 0.4

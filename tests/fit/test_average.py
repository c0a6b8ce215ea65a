"""A law averaged over forms: weights by what each form predicted, draws as often as it weighs, a run's interval."""

import re
from functools import cache

import numpy as np
import pytest

import sparseplan as sp
from sparseplan.errors import FitError
from sparseplan.fit.choose_form import weights_of
from sparseplan.fit.fit_table import FitJob, FitResult, fit_runs
from sparseplan.laws.file import law_text, parse_law
from sparseplan.laws.law import draw_count
from tests.fit.test_choose_form import PLAIN, simulate


@cache
def averaged() -> FitResult:
    return fit_runs(simulate(PLAIN, noise=0.01), FitJob(form="average", draws=60, starts=8, name="both"))


def test_weights_are_in_proportion_to_the_density() -> None:
    assert weights_of([np.log(3.0), 0.0, -9.0], 0.02) == pytest.approx(
        [0.75, 0.25, 0.0]
    )  # the last is below a fiftieth
    assert weights_of([-5.0], 0.1) == [1.0]


@pytest.mark.slow
def test_the_law_has_every_form_that_counts_with_as_many_draws_as_it_weighs() -> None:
    law, forms = averaged().law, averaged().answer.forms
    assert forms is not None
    weights = {one.form: one.weight for one in forms if one.weight > 0}
    assert sum(weights.values()) == pytest.approx(1.0)
    assert {block.form: block.weight for block in law.forms} == pytest.approx(weights, abs=1e-5)
    assert len(law.forms) >= 2
    for block in law.forms:
        assert block.draws is not None
        assert block.draws.count == pytest.approx(60 * block.weight, abs=3)
    assert draw_count(law) == pytest.approx(60, abs=15)
    assert parse_law(law_text(law), source="both.yaml").forms == law.forms


@pytest.mark.slow
def test_it_recovers_the_law_that_made_the_runs_beyond_their_range() -> None:
    S, N, D = 0.75, 1e9, 4e11
    true = float(PLAIN.loss(S, N, D))
    found = sp.predict(params=N, data=D, sparsity=S, law=averaged().law)
    assert found.loss == pytest.approx(true, rel=0.02)
    assert found.interval is not None
    assert found.interval[0] < true < found.interval[1]


@pytest.mark.slow
def test_a_measured_run_lies_in_the_interval_that_the_average_gives_it() -> None:
    runs = simulate(PLAIN, noise=0.01, seed=1)
    block = averaged().law.prediction
    assert block is not None
    assert block == averaged().answer.prediction
    assert 0.005 < block.runs < 0.015
    inside = []
    for S, N, D, loss in zip(runs.sparsity, runs.nonzero_params, runs.data_seen, runs.loss, strict=True):
        found = sp.predict(params=float(N), data=float(D), sparsity=float(S), law=averaged().law)
        assert found.interval is not None
        assert found.prediction_interval is not None
        assert found.prediction_interval[0] < found.interval[0] < found.interval[1] < found.prediction_interval[1]
        inside.append(found.prediction_interval[0] < loss < found.prediction_interval[1])
    assert np.mean(inside) > 0.8  # of 64 runs with noise that the law has not seen, 90 % less four standard errors


@pytest.mark.slow
def test_the_report_shows_the_weights_and_says_what_the_rest_is_of() -> None:
    from sparseplan.api.rendering import printed
    from sparseplan.report.fit import print_fit

    text = " ".join(printed(lambda console: print_fit(console, averaged(), written=None)).split())
    assert "behind weight" in text
    assert re.search(r"Chosen: frantar2023 \d+%, .*, averaged: ", text)
    assert "What follows is of frantar2023 alone, but for the error of a measured run." in text


def test_a_frozen_base_is_refused() -> None:
    job = FitJob(form="average", freeze_dense="frantar2023-t5-c4")
    with pytest.raises(FitError, match="`form` average: a frozen dense base fixes"):
        fit_runs(simulate(PLAIN, noise=0.01), job)

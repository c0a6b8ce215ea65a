"""Claims that hold for every form: closed solutions against searches, limits, and what files may hold."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseplan.laws.file import law_text, parse_law
from sparseplan.laws.forms import (
    FORMS,
    chinchilla,
    coupled,
    coupled_dense,
    frantar2023,
    search,
    varying_exponents,
    wu2026,
)
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.budget import Budget, flops_budget, schedule_budget
from sparseplan.laws.law import Law, coefficients, law_block
from sparseplan.sparsity.schedule import Schedule

T5 = frantar2023.Coefficients(a_S=16.8, b_S=0.722, c_S=45.0, b_N=0.245, a_D=6.90e8, b_D=0.203, c=0.651)
BENT = varying_exponents.Coefficients(**T5.as_dict(), eta=0.01, zeta=-0.03, N_0=1e7, D_0=3e10)
STRAIGHT = replace(BENT, eta=0.0, zeta=0.0)
HOFFMANN = chinchilla.Coefficients(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
WU = wu2026.Coefficients(
    eps=-0.00968044, mu=0.84661793, P=-0.27288932, E=2.348, A=188.8, B=447.2, alpha=0.32682177, beta=0.32682177
)
COUPLED = coupled.Coefficients(**replace(T5, a_S=616.0, c_S=1334.0, b_N=0.388).as_dict(), k=0.455)
COUPLED_DENSE = coupled_dense.Coefficients(**HOFFMANN.as_dict(), k=1.4)
EXAMPLES: list[Theta] = [T5, HOFFMANN, BENT, COUPLED, COUPLED_DENSE, WU]


def by_name(theta: Theta) -> str:
    return theta.form.name


@pytest.mark.parametrize("name", FORMS)
def test_a_form_describes_exactly_the_fields_of_its_coefficients(name: str) -> None:
    form = FORMS[name]
    assert [one.name for one in form.coefficients] == [field.name for field in fields(form.theta)]
    assert form.theta.form is form
    assert all(one.description for one in form.coefficients)
    assert all(one.name in form.formula for one in form.coefficients)


@pytest.mark.parametrize("theta", EXAMPLES, ids=by_name)
def test_the_best_size_is_the_one_that_a_search_finds(theta: Theta) -> None:
    budget = flops_budget(np.array([1e17, 1e20]), 0.625)
    for S in (0.0,) if not theta.form.knows_sparsity else (0.0, 0.5):
        found = search.best_size(theta, S, budget, *search.ANY_SIZE)
        np.testing.assert_allclose(theta.best_size(S, budget), found, rtol=1e-6)


@pytest.mark.parametrize("theta", EXAMPLES, ids=by_name)
def test_the_cheapest_run_of_a_loss_is_the_best_run_of_its_budget(theta: Theta) -> None:
    budget = flops_budget(1e19, 0.0)
    N = theta.best_size(0.0, budget)
    reached = theta.reducible(0.0, N, budget.data(0.0, N))
    assert float(theta.cheapest_tokens(reached)) == pytest.approx(1e19, rel=1e-9)
    assert float(theta.optimal_tokens(N)) == pytest.approx(1e19, rel=1e-9)


@pytest.mark.parametrize("theta", EXAMPLES, ids=by_name)
def test_the_data_for_a_loss_reaches_it_and_no_data_reaches_below_the_size_term(theta: Theta) -> None:
    D = theta.data_for(0.0, 1e8, theta.reducible(0.0, 1e8, 3e10))
    assert float(D) == pytest.approx(3e10, rel=1e-9)
    assert np.isinf(theta.data_for(0.0, 1e8, 0.999 * theta.reducible(0.0, 1e8, np.inf)))


@pytest.mark.parametrize("theta", EXAMPLES, ids=by_name)
def test_the_size_for_some_data_is_the_best_size_of_the_budget_that_they_make(theta: Theta) -> None:
    D = np.array([1e9, 1e12])
    N = theta.size_for_data(0.0, D)
    np.testing.assert_allclose(theta.best_size(0.0, flops_budget(N * D, 0.0)), N, rtol=1e-9)
    np.testing.assert_allclose(search.size_for_data(theta, 0.0, D), N, rtol=1e-9)
    closed = theta.balance(0.0, 1e8, D)
    np.testing.assert_allclose(search.balance(theta, 0.0, 1e8, D), closed, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("theta", [T5, BENT, COUPLED, WU], ids=by_name)
def test_a_sparse_model_has_the_size_term_of_the_dense_one_of_multiplied_size(theta: Theta) -> None:
    N = np.geomspace(1e6, 1e10, 5)
    m = theta.size_multiplier(0.75, N)
    np.testing.assert_allclose(theta.reducible(0.75, N, np.inf), theta.reducible(0.0, N * m, np.inf), rtol=1e-12)


@settings(max_examples=20)
@given(st.floats(15, 24), st.floats(0, 0.9), st.sampled_from(["N", "M", "free"]))
def test_the_searched_sparsity_is_the_root_of_the_derivative(log_tokens: float, saving: float, given_size: str) -> None:
    budget = flops_budget(10.0**log_tokens, saving)
    size = {} if given_size == "free" else {given_size: 1e8}
    root, found = T5.best_sparsity(budget, **size), STRAIGHT.best_sparsity(budget, **size)
    if root < 1 - 1e-5:  # the search looks no further than a density of 1e-6
        assert float(found) == pytest.approx(float(root), abs=1e-4)


def test_without_a_dependence_the_exponents_are_those_of_the_sparse_law() -> None:
    S, N, D = np.linspace(0, 0.95, 7)[:, None, None], np.geomspace(1e6, 1e10, 5)[:, None], np.geomspace(1e9, 1e13, 4)
    np.testing.assert_allclose(STRAIGHT.loss(S, N, D), T5.loss(S, N, D), rtol=1e-12)


def test_the_dependence_turns_around_its_centre_and_leaves_dense_models_alone() -> None:
    # By hand, S = 0.75, u = ln 0.25: the size term at N = 4e7 gains a factor (N / N_0)^(-eta u) = 4^(-0.01 ln 0.25).
    term = float(BENT.reducible(0.75, 4e7, np.inf) / T5.reducible(0.75, 4e7, np.inf))
    assert term == pytest.approx(4 ** (-0.01 * np.log(0.25)))
    # ... and the data term at D = 2 D_0 a factor (D / D_0)^(-b_D zeta u) = 2^(0.203 x 0.03 x ln 0.25).
    data = float(BENT.data_term(0.75, 6e10) / T5.data_term(0.75, 6e10))
    assert data == pytest.approx(2 ** (0.203 * 0.03 * np.log(0.25)))
    assert float(BENT.loss(0.0, 1e9, 1e11)) == pytest.approx(float(T5.loss(0.0, 1e9, 1e11)), rel=1e-14)


def test_exponents_that_fall_with_sparsity_make_the_best_sparsity_depend_on_the_budget() -> None:
    weaker = replace(BENT, eta=0.02, zeta=0.0)
    budgets = flops_budget(np.array([1e15, 1e19, 1e23]), 0.625)
    S = weaker.best_sparsity(budgets, highest=0.95)
    assert np.all(np.diff(S) < 0)  # a smaller exponent at high S costs the more the larger the model
    for k, tokens in enumerate(np.asarray(budgets.tokens)):
        looked = np.linspace(0, 0.95, 400)
        budget = flops_budget(tokens, 0.625)
        N = weaker.best_size(looked, budget)
        losses = weaker.loss(looked, N, budget.data(looked, N))
        assert float(S[k]) == pytest.approx(looked[np.argmin(losses)], abs=0.005)


def test_the_budget_for_a_sparsity_is_found_by_search_as_in_closed_form() -> None:
    N = np.array([1e7, 1e9])
    for S in (0.0, 0.5):
        closed = T5.tokens_for_sparsity(S, N, flops_budget(1.0, 0.625))
        np.testing.assert_allclose(
            search.tokens_for_sparsity(STRAIGHT, S, N, flops_budget(1.0, 0.625)), closed, rtol=2e-2
        )


@pytest.mark.parametrize("given_size", ["N", "M", "free"])
def test_a_geometric_ramp_is_planned_for_by_search(given_size: str) -> None:
    budget = schedule_budget(1e19, Schedule(kind="geometric", start=0.1, end=0.9))
    size = {} if given_size == "free" else {given_size: 1e8}
    found = float(T5.best_sparsity(budget, **size))
    looked = np.linspace(0, 0.999, 4000)
    fixed = {"N": np.asarray(1e8), "M": 1e8 * (1 - looked)}
    N = T5.best_size(looked, budget) if given_size == "free" else fixed[given_size]
    losses = T5.reducible(looked, N, budget.data(looked, N))
    assert 0.01 < found < 0.99
    assert found == pytest.approx(float(looked[np.argmin(losses)]), abs=1e-3)
    if given_size == "free":
        assert float(np.asarray(T5.free_size_sparsity(budget))) == pytest.approx(found)
    if given_size == "N":
        tokens = T5.tokens_for_sparsity(found, 1e8, budget)
        assert float(np.log(tokens / 1e19)) == pytest.approx(0.0, abs=1e-3)


def test_a_search_ends_whatever_the_numbers_are() -> None:
    def nonsense(*_: object) -> np.ndarray:
        return np.asarray(np.nan)

    budget = Budget(tokens=np.array([1e-300, np.nan, 1e300]), multiplier=nonsense, depends_on_size=True)
    with np.errstate(all="ignore"):
        assert np.shape(T5.best_size(0.5, budget)) == (3,)
        assert np.shape(BENT.best_sparsity(budget)) == (3,)


@pytest.mark.parametrize("theta", EXAMPLES, ids=by_name)
def test_a_law_of_any_form_survives_the_way_through_its_file(theta: Theta) -> None:
    form = theta.form
    law = Law(
        format="sparseplan-law/1",
        name="any",
        description="for tests",
        form=form.name,
        data_unit="token",
        coefficients=law_block(form, theta, per_family=False),
        sparsity={"unstructured": law_block(form, theta, per_family=True)} if form.knows_sparsity else {},
    )
    again = parse_law(law_text(law), source="any.yaml")
    assert again == law
    assert coefficients(again).as_dict() == theta.as_dict()


def test_a_dense_law_knows_nothing_of_sparse_models() -> None:
    assert np.isnan(HOFFMANN.loss(0.5, 1e9, 1e10))
    assert float(HOFFMANN.best_sparsity(flops_budget(1e20, 0.625), N=1e9)) == 0.0
    assert np.isinf(HOFFMANN.tokens_for_sparsity(0.0, 1e9, flops_budget(1.0, 0.625)))


@settings(max_examples=30)
@given(st.floats(0.2, 3.0), st.floats(14, 24), st.floats(0, 0.9), st.sampled_from(["N", "M", "free"]))
def test_whatever_k_is_the_best_plan_is_that_of_the_sum_and_no_other_is_better(
    k: float, log_tokens: float, saving: float, given_size: str
) -> None:
    theta, budget = replace(COUPLED, k=k), flops_budget(10.0**log_tokens, saving)
    plain = frantar2023.Coefficients(*(getattr(COUPLED, field.name) for field in fields(frantar2023.Coefficients)))
    given_ = {} if given_size == "free" else {given_size: 1e8}
    S = float(theta.best_sparsity(budget, **given_))
    assert float(plain.best_sparsity(budget, **given_)) == S

    def loss(S: np.ndarray) -> np.ndarray:
        N = {"N": 1e8 + 0 * S, "M": 1e8 * (1 - S), "free": theta.best_size(S, budget)}[given_size]
        return theta.loss(S, N, budget.data(S, N))

    assert loss(np.array([S]))[0] <= loss(np.linspace(0.0, 0.999, 4001)).min() * (1 + 1e-12)
    N = float(theta.best_size(S, budget))
    others = N * np.geomspace(0.01, 100, 4001)
    assert theta.loss(S, N, budget.data(S, N)) <= theta.loss(S, others, budget.data(S, others)).min() * (1 + 1e-12)


def test_k_of_one_is_the_plain_law_and_a_smaller_k_makes_size_and_data_help_each_other() -> None:
    S, N, D = np.array([0.0, 0.5]), np.array([[1e7], [1e9]]), 3e10
    plain = replace(COUPLED, k=1.0)
    without = frantar2023.Coefficients(*(value for name, value in plain.as_dict().items() if name != "k"))
    np.testing.assert_allclose(plain.loss(S, N, D), without.loss(S, N, D), rtol=1e-14)

    def gain(theta: Theta, D: float) -> float:
        return float(theta.loss(0.0, 1e8, D) - theta.loss(0.0, 1e9, D))

    assert gain(without, 1e12) == pytest.approx(gain(without, 1e10), rel=1e-9)
    assert gain(COUPLED, 1e12) > gain(COUPLED, 1e10)
    assert gain(replace(COUPLED, k=1.5), 1e12) < gain(replace(COUPLED, k=1.5), 1e10)


def test_a_coupled_law_takes_the_base_of_any_dense_law() -> None:
    for dense in (HOFFMANN, COUPLED_DENSE):
        lent = COUPLED.on_base(dense)
        np.testing.assert_allclose(lent.loss(0.0, 1e8, 1e10), dense.loss(0.0, 1e8, 1e10), rtol=1e-12)
        shape = [float(theta.numerator(0.75) / theta.numerator(0.0)) for theta in (lent, COUPLED)]
        assert shape[0] == pytest.approx(shape[1], rel=1e-12)

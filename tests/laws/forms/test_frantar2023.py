"""The law itself: hand values, limits, derivatives."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseplan.laws.forms import chinchilla
from sparseplan.laws.forms.frantar2023 import (
    Coefficients,
    coefficient_gradient,
    dense_as_sparse,
    input_gradient,
    loss,
    shape,
    size_multiplier,
)
from tests.helpers.laws import T5, VIT

coefficients = st.builds(
    Coefficients,
    a_S=st.floats(0.1, 1e3),
    b_S=st.floats(0.1, 3),
    c_S=st.floats(0.1, 1e3),
    b_N=st.floats(0.05, 1),
    a_D=st.floats(1e3, 1e10),
    b_D=st.floats(0.05, 1),
    c=st.floats(0, 5),
)
inputs = st.tuples(st.floats(0, 0.99), st.floats(1e4, 1e12), st.floats(1e6, 1e14))


@pytest.mark.parametrize(("theta", "expected"), [(VIT, [1.60, 2.17, 2.63]), (T5, [1.59, 2.16, 2.63])])
def test_size_multipliers_match_the_papers_table(theta: Coefficients, expected: list[float]) -> None:
    assert np.round(size_multiplier(theta, np.array([0.5, 0.75, 0.875])), 2).tolist() == expected


@given(coefficients, inputs)
def test_a_sparse_model_matches_the_dense_one_of_multiplied_size(
    theta: Coefficients, point: tuple[float, float, float]
) -> None:
    S, N, D = point
    dense = loss(theta, 0.0, N * float(size_multiplier(theta, S)), D)
    assert float(loss(theta, S, N, D)) == pytest.approx(float(dense), rel=1e-10)


@given(coefficients, inputs)
def test_input_derivatives_agree_with_central_differences(
    theta: Coefficients, point: tuple[float, float, float]
) -> None:
    steps = (1e-6 * (1 - point[0]), 1e-5 * point[1], 1e-5 * point[2])
    for axis, (derivative, step) in enumerate(zip(input_gradient(theta, *point), steps, strict=True)):
        low, high = list(point), list(point)
        low[axis] -= step
        high[axis] += step
        numeric = (loss(theta, *high) - loss(theta, *low)) / (2 * step)
        noise = 1e-15 * float(loss(theta, *point)) / step
        assert float(derivative) == pytest.approx(float(numeric), rel=1e-4, abs=10 * noise)


@given(coefficients, inputs)
def test_coefficient_derivatives_agree_with_central_differences(
    theta: Coefficients, point: tuple[float, float, float]
) -> None:
    gradient = coefficient_gradient(theta, *point)
    assert gradient.shape == (7,)
    for axis, value in enumerate(theta):
        step = 1e-5 * max(abs(float(value)), 1e-3)
        low, high = (replace(theta, **{list(theta.as_dict())[axis]: value + sign * step}) for sign in (-1, 1))
        numeric = (loss(high, *point) - loss(low, *point)) / (2 * step)
        noise = 1e-15 * float(loss(theta, *point)) / step
        assert float(gradient[axis]) == pytest.approx(float(numeric), rel=1e-4, abs=10 * noise)


@given(coefficients, inputs)
def test_loss_falls_with_size_with_data_and_with_sparsity_at_equal_nonzero_size(
    theta: Coefficients, point: tuple[float, float, float]
) -> None:
    by_S, by_N, by_D = input_gradient(theta, *point)
    # With N the non-zero weights, a sparser model is the larger one before pruning: the loss falls with S too.
    assert float(by_S) < 0
    assert float(by_N) < 0
    assert float(by_D) < 0


def test_loss_tends_to_the_irreducible_part() -> None:
    assert float(loss(T5, 0.5, 1e300, 1e300)) == pytest.approx(0.651, abs=1e-9)


def test_the_dense_law_is_the_sparse_law_at_zero_sparsity() -> None:
    E, A, B, alpha, beta = 1.8172, 482.01, 2085.43, 0.3478, 0.3658
    N, D = np.geomspace(1e7, 1e11, 7)[:, None], np.geomspace(1e9, 1e13, 5)
    dense = chinchilla.Coefficients(E, A, B, alpha, beta)
    np.testing.assert_allclose(dense.loss(0.0, N, D), E + A * N**-alpha + B * D**-beta, rtol=1e-12)
    np.testing.assert_allclose(loss(dense_as_sparse(dense), 0.0, N, D), dense.loss(0.0, N, D), rtol=1e-12)


def test_draws_of_coefficients_broadcast_over_points() -> None:
    draws = Coefficients(*(np.full(5, value) for value in T5))
    values = loss(draws.expanded(), 0.5, np.array([1e6, 1e7, 1e8]), 1e10)
    assert values.shape == (5, 3)
    np.testing.assert_array_equal(values[0], loss(T5, 0.5, np.array([1e6, 1e7, 1e8]), 1e10))
    assert shape(draws, 0.0).shape == (5,)

"""Penalties: hand values, derivatives, and that every door knows the same names."""

import typing

import numpy as np
import pytest

from sparseplan.calibration.recipe import Fitting
from sparseplan.cli.fit import fit
from sparseplan.fit.penalties import PENALTIES, Huber, Penalty, Squared

RESIDUALS = np.array([-3.0, -0.4, 0.0, 0.1, 0.5001, 2.0])


def test_huber_is_a_square_inside_delta_and_a_line_of_equal_slope_outside() -> None:
    huber = Huber(0.5)
    assert huber.value(np.array([0.4, -0.5, 2.0])).tolist() == pytest.approx([0.08, 0.125, 0.5 * (2.0 - 0.25)])
    assert huber.psi(np.array([0.4, -2.0])).tolist() == [0.4, -0.5]
    assert huber.inliers(np.array([0.4, -2.0])).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("penalty", [one.with_delta(0.5) for one in PENALTIES.values()])
def test_slope_curvature_and_touching_parabola_belong_to_the_value(penalty: Penalty) -> None:
    step = 1e-6
    up, down = (penalty.value(RESIDUALS + sign * step) for sign in (1, -1))
    assert penalty.psi(RESIDUALS) == pytest.approx((up - down) / (2 * step), abs=1e-6)
    slope_up, slope_down = (penalty.psi(RESIDUALS + sign * step) for sign in (1, -1))
    assert penalty.inliers(RESIDUALS) == pytest.approx((slope_up - slope_down) / (2 * step), abs=1e-6)
    assert penalty.weight(RESIDUALS) * RESIDUALS == pytest.approx(penalty.psi(RESIDUALS))
    elsewhere = np.linspace(-4.0, 4.0, 81)[:, None]
    parabola = penalty.value(RESIDUALS) + 0.5 * penalty.weight(RESIDUALS) * (elsewhere**2 - RESIDUALS**2)
    assert np.all(parabola >= penalty.value(elsewhere) - 1e-12)


def test_huber_with_a_delta_beyond_every_residual_is_squared_error() -> None:
    for method in ("value", "psi", "weight", "inliers"):
        assert getattr(Huber(10.0), method)(RESIDUALS) == pytest.approx(getattr(Squared(), method)(RESIDUALS))
    assert Squared.with_delta(0.5).delta is None


def test_the_command_and_the_recipe_offer_every_penalty() -> None:
    option = typing.get_type_hints(fit)["loss"]
    assert set(typing.get_args(option)) == set(typing.get_args(typing.get_type_hints(Fitting)["loss"])) == {*PENALTIES}

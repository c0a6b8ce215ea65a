"""What the runs leave open is named the same whatever basis, kernel or number of rows the linear algebra meets."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from sparseplan.fit.certificate import certify
from sparseplan.fit.derivatives import residual_jacobian
from sparseplan.fit.identify import Unseen, open_coefficients, unseen
from sparseplan.fit.objective import Objective, Problem
from sparseplan.fit.solver import solve
from sparseplan.fit.status import _open_words
from sparseplan.laws.forms.fitting import FITTED
from sparseplan.laws.forms.fitting.coordinates import (
    B_N,
    DENSE_FREE,
    LOG_F,
    LOG_O,
    SIGMA,
    Array,
    Design,
    E,
    make_design,
)
from sparseplan.laws.forms.frantar2023 import Coefficients, loss
from sparseplan.runs.table import Runs


def one_line(log_F: float) -> tuple[Design, Array]:
    """Dense runs at 20 tokens per parameter with b_N = b_D = 0.3: the terms in N and D have one shape."""
    N = np.geomspace(1e6, 1e9, 12)
    design = make_design(np.zeros(12), N, 20 * N, ("unstructured",) * 12)
    theta = np.zeros(design.size)
    theta[[LOG_F, B_N, LOG_O, SIGMA, E]] = log_F, 0.3, 0.7, 0.16, 0.14
    return design, theta


def placed(design: Design, free: tuple[int, ...]) -> Problem:
    """Runs at a design's places; what they measured doesn't matter to a Jacobian."""
    return Problem.plain(Objective(), design, free, np.ones(len(design.x)))


@pytest.mark.parametrize("log_F", [0.0, -7.0, -15.0, -25.0])
def test_a_valley_names_what_it_mixes_even_where_one_of_them_has_all_but_vanished(log_F: float) -> None:
    design, theta = one_line(log_F)
    hidden = unseen(residual_jacobian(placed(design, DENSE_FREE), theta))
    assert hidden.null.shape == (5, 2)  # f(0) against a_D, b_N against b_D; c is what no D reaches
    assert open_coefficients(FITTED["chinchilla"], design, theta, list(DENSE_FREE), hidden) == (
        ("A", "B", "alpha", "beta"),
    )


def test_names_and_groups_are_those_of_the_null_space_in_any_of_its_bases() -> None:
    # One size, with N in units of it so that f(0) doesn't hang on b_N: b_N is open alone. c_S is mixed with c, which
    # two lengths leave mixed with a_D and b_D. What sparsity changes, a_S and b_S, is determined.
    S, D = (axis.ravel() for axis in np.meshgrid([0.0, 0.5, 0.75], [1e9, 1e10], indexing="ij"))
    design = replace(make_design(S, np.full(6, 1e6), D, ("unstructured",) * 6), log_N0=0.0)
    theta = np.array([0.2, 0.3, 0.0, 0.4, 0.13, 0.23, 0.0, 0.0, 0.0, 0.48, 0.37])
    free = design.free()
    hidden = unseen(residual_jacobian(placed(design, free), theta))
    assert hidden.null.shape == (7, 3)
    random = np.random.default_rng(0)
    for _ in range(20):
        turn = np.linalg.qr(random.standard_normal((3, 3)))[0]
        turned = hidden._replace(null=hidden.null @ turn)
        assert open_coefficients(FITTED["frantar2023"], design, theta, list(free), turned) == (
            ("c_S", "a_D", "b_D", "c"),
            ("b_N",),
        )


def test_the_null_space_is_whole_where_there_are_fewer_rows_than_columns_or_a_column_is_zero() -> None:
    jacobian = np.array([[1.0, 0.0, 0.0, 2.0, 0.0], [0.0, 3.0, 0.0, 0.0, 0.0]])
    hidden = unseen(jacobian)
    assert hidden.condition == np.inf
    assert hidden.scale == pytest.approx([1, 3, 1, 2, 1])
    assert hidden.null.T @ hidden.null == pytest.approx(np.eye(3), abs=1e-12)
    assert jacobian / hidden.scale @ hidden.null == pytest.approx(np.zeros((2, 3)), abs=1e-12)
    # (1, 0, 0, -1, 0) / sqrt 2 and the two zero columns, so that P is known by hand.
    expected = np.diag([0.5, 0.0, 1.0, 0.5, 1.0])
    expected[0, 3] = expected[3, 0] = -0.5
    assert hidden.null @ hidden.null.T == pytest.approx(expected, abs=1e-12)


def test_no_free_parameter_leaves_nothing_open() -> None:
    design, theta = one_line(0.0)
    assert unseen(np.zeros((12, 0))).condition == 1.0
    assert open_coefficients(FITTED["chinchilla"], design, theta, [], unseen(np.zeros((12, 0)))) == ()


@pytest.mark.parametrize("name", FITTED)
def test_gradients_are_those_of_the_coefficients_by_finite_differences(name: str) -> None:
    form = FITTED[name]
    S = np.array([0.0, 0.5, 0.75, 0.9]) if form.form.knows_sparsity else np.zeros(4)
    design = make_design(S, np.geomspace(1e6, 1e8, 4), np.geomspace(1e9, 1e11, 4), ("unstructured",) * 4)
    theta = np.array([0.2, 0.3, 0.01, 0.4, 0.13, 0.23, -0.02, -0.4, 0.6, 0.48, 0.37])[: design.size]
    theta[[one for one in range(design.size) if one not in form.free(design)]] = 0.0
    steps = 1e-6 * np.eye(design.size)
    family = 0 if design.families else None
    plus, minus = (form.coefficients(design, theta + sign * steps, family).as_dict() for sign in (1.0, -1.0))
    gradients = form.gradients(design, theta, family)
    assert set(gradients) == {one.name for one in form.form.coefficients if not one.reference}
    for letter, exact in gradients.items():
        numeric = (plus[letter] - minus[letter]) / 2e-6
        size = np.linalg.norm(exact) * np.linalg.norm(numeric)
        assert exact @ numeric == pytest.approx(size, rel=1e-8), letter  # each up to a positive factor of its own


@pytest.mark.parametrize(
    ("flat", "words"),
    [
        ((("c_S",),), "the runs do not determine c_S"),
        ((("c_S",), ("b_N",)), "the runs do not determine c_S, b_N"),
        ((("a_D", "c"),), "the runs can't tell these coefficients apart: a_D, c"),
        (
            (("a_S", "c_S"), ("b_N",), ("b_D", "c")),
            "the runs do not determine b_N and can't tell these coefficients apart: a_S, c_S; b_D, c",
        ),
    ],
)
def test_one_open_coefficient_is_not_called_mixed(flat: tuple[tuple[str, ...], ...], words: str) -> None:
    assert _open_words(flat) == words


def test_a_direction_that_only_moves_the_dense_capacity_opens_A_alone() -> None:
    design, theta = one_line(0.0)
    only_F = np.eye(5)[:, [DENSE_FREE.index(LOG_F)]]
    hidden = Unseen(condition=np.inf, null=only_F, scale=np.ones(5))
    assert open_coefficients(FITTED["chinchilla"], design, theta, list(DENSE_FREE), hidden) == (("A",),)


def test_a_certificate_of_100_000_rows_takes_megabytes() -> None:
    random = np.random.default_rng(0)
    count = 100_000
    S, N, D = random.uniform(0, 0.9, count), 10 ** random.uniform(6, 8, count), 10 ** random.uniform(9, 11, count)
    truth = Coefficients(a_S=10.7, b_S=1.34, c_S=41.6, b_N=0.232, a_D=6.8e8, b_D=0.385, c=0.83)
    runs = Runs(
        sparsity=S,
        nonzero_params=N,
        data_seen=D,
        loss=loss(truth, S, N, D) * np.exp(0.003 * random.standard_normal(count)),
        family=("unstructured",) * count,
        run_id=tuple(map(str, range(count))),
    )
    design = make_design(S, N, D, runs.family)
    problem = Problem.plain(Objective(), design, design.free(), runs.loss)
    start = np.array([[0.2, 0.3, 0.0, 0.4, 0.13, 0.23, 0.0, 0.0, 0.0, 0.48, 0.37]])
    solution = solve(problem, start)
    tracemalloc.start()
    certificate = certify(FITTED["frantar2023"], problem, solution, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert certificate.identified
    assert peak < 200e6

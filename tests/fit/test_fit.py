"""Fits recover known laws, don't depend on units or order, and say so where the runs can't decide."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparseplan.fit.fit_table import FitJob, fit_runs
from sparseplan.fit.fitting import fit_law
from sparseplan.fit.influence import without_each_run
from sparseplan.fit.objective import Objective, Residual
from sparseplan.fit.penalties import Huber, Penalty, Squared
from sparseplan.laws.file import law_text, load_law, parse_law, write_law
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.fitting.coordinates import Array
from sparseplan.laws.forms.frantar2023 import Coefficients, loss
from sparseplan.laws.law import coefficient_draws, coefficients
from sparseplan.runs.published import t5_runs
from sparseplan.runs.table import Runs
from tests.helpers.paper_runs import needs_paper_runs

TRUTH = Coefficients(a_S=10.7, b_S=1.34, c_S=41.6, b_N=0.232, a_D=6.8e8, b_D=0.385, c=0.83)
SIZES = (1.3e6, 5.2e6, 2.1e7, 8.4e7)
LENGTHS = (1.6e10, 3.3e10, 6.6e10)
SPARSITIES = (0.0, 0.5, 0.75, 0.875)


def simulate(
    *,
    truth: Coefficients = TRUTH,
    sizes: tuple[float, ...] = SIZES,
    sparsities: tuple[float, ...] = SPARSITIES,
    lengths: tuple[float, ...] = LENGTHS,
    family: str = "unstructured",
    noise: float = 0.0,
    seed: int = 0,
) -> Runs:
    N, S, D = (axis.ravel() for axis in np.meshgrid(sizes, sparsities, lengths, indexing="ij"))
    error = noise * np.random.default_rng(seed).standard_normal(len(N))
    return Runs(
        sparsity=S,
        nonzero_params=N,
        data_seen=D,
        loss=loss(truth, S, N, D) * np.exp(error),
        family=(family,) * len(N),
        run_id=tuple(str(i) for i in range(len(N))),
    )


def joined(*tables: Runs) -> Runs:
    return Runs(
        sparsity=np.concatenate([table.sparsity for table in tables]),
        nonzero_params=np.concatenate([table.nonzero_params for table in tables]),
        data_seen=np.concatenate([table.data_seen for table in tables]),
        loss=np.concatenate([table.loss for table in tables]),
        family=tuple(family for table in tables for family in table.family),
        run_id=tuple(str(i) for i in range(sum(len(table) for table in tables))),
    )


def far_losses(theta: Theta) -> Array:
    """Losses far outside the grid: 30 times the largest size, 50 times the data, S = 0.95."""
    return theta.loss(np.array([0.0, 0.95, 0.6]), np.array([2.5e9, 2.5e9, 3e5]), np.array([3e12, 6e10, 3e12]))


@pytest.mark.parametrize("residual", ["log", "plain"])
@pytest.mark.parametrize("penalty", [Huber(1e-3), Squared()])
def test_a_noiseless_law_is_recovered_far_beyond_its_runs(residual: Residual, penalty: Penalty) -> None:
    fit = fit_law(simulate(), objective=Objective(residual=residual, penalty=penalty))
    assert fit.certificate.status == "converged"
    assert far_losses(fit.coefficients("unstructured")) == pytest.approx(far_losses(TRUTH), rel=1e-6)
    assert [float(value) for value in fit.coefficients("unstructured")] == pytest.approx(list(TRUTH), rel=1e-4)


def test_a_noisy_law_is_recovered_within_its_noise_beyond_its_runs() -> None:
    fit = fit_law(simulate(noise=0.003, seed=1))
    inside, beyond = (0.5, 2.1e7, 3.3e10), (0.75, 3.4e8, 1.3e11)
    for point, tolerance in ((inside, 0.003), (beyond, 0.03)):
        assert fit.coefficients("unstructured").loss(*point) == pytest.approx(loss(TRUTH, *point), rel=tolerance)


def test_dense_runs_give_the_dense_law_with_five_coefficients() -> None:
    result = fit_runs(simulate(sparsities=(0.0,), lengths=(*LENGTHS, 2e11)), FitJob(draws=50))
    assert result.law.form == "chinchilla"
    assert len(result.fit.free) == 5
    law = result.law.coefficients
    expected = (TRUTH.c, TRUTH.a_S + TRUTH.c_S, TRUTH.a_D**TRUTH.b_D, TRUTH.b_N, TRUTH.b_D)
    assert [law[name] for name in ("E", "A", "B", "alpha", "beta")] == pytest.approx(expected, rel=1e-4)
    assert parse_law(law_text(result.law), source="dense.yaml") == result.law


def test_units_of_size_and_data_change_nothing_but_the_scales() -> None:
    runs = simulate(noise=0.005)
    fit = fit_law(runs)
    other = fit_law(replace(runs, nonzero_params=runs.nonzero_params / 1e6, data_seen=runs.data_seen * 4.3))
    assert other.value == pytest.approx(fit.value, rel=1e-12)
    assert other.predicted == pytest.approx(fit.predicted, rel=1e-9)
    theta, scaled = (
        {name: float(value) for name, value in each.coefficients("unstructured").as_dict().items()}
        for each in (fit, other)
    )
    assert scaled["a_D"] == pytest.approx(4.3 * theta["a_D"], rel=1e-6)
    assert scaled["a_S"] == pytest.approx(theta["a_S"] * 1e-6 ** theta["b_N"], rel=1e-6)


def test_row_order_and_a_table_written_twice_change_nothing() -> None:
    runs = simulate(noise=0.005)
    fit = fit_law(runs)
    shuffled = fit_law(runs.take(np.random.default_rng(0).permutation(len(runs))))
    twice = fit_law(joined(runs, runs))
    for other in (shuffled, twice):
        assert other.value == pytest.approx(fit.value, rel=1e-9)
        theta, again = (one.coefficients("unstructured") for one in (fit, other))
        assert [float(value) for value in again] == pytest.approx([float(value) for value in theta], rel=1e-6)


def test_one_seed_gives_the_same_law_file_twice_and_another_seed_the_same_coefficients() -> None:
    runs = simulate(noise=0.005)
    texts = [law_text(fit_runs(runs, FitJob(draws=40, seed=seed, date="x")).law) for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]
    first, other = (parse_law(text, source="law.yaml") for text in (texts[0], texts[2]))
    assert [*coefficients(first, "unstructured")] == pytest.approx([*coefficients(other, "unstructured")], rel=1e-6)


def test_pattern_families_share_one_dense_base_and_keep_their_own_sets() -> None:
    other = replace(TRUTH, a_S=8.3, b_S=0.9, c_S=44.0)  # the same f(0)
    runs = joined(simulate(), simulate(truth=other, family="n:4", sparsities=(0.5, 0.75)))
    fit = fit_law(runs)
    assert len(fit.free) == 5 + 2 * 2
    assert [*fit.coefficients("unstructured")] == pytest.approx([*TRUTH], rel=1e-3)
    assert [*fit.coefficients("n:4")] == pytest.approx([*other], rel=1e-3)
    law = fit_runs(runs, FitJob(draws=30)).law
    assert law.sparsity
    assert set(law.sparsity) == {"unstructured", "n:4"}
    draws = coefficient_draws(law, "n:4")
    assert draws is not None
    assert draws.count == 30
    f0 = [coefficient_draws(law, family).reducible(0.0, 1.0, np.inf) for family in law.sparsity]  # type: ignore[union-attr]
    assert f0[0] == pytest.approx(f0[1], rel=1e-5)


def frozen_base(draws: int, tmp_path: Path) -> str:
    dense = fit_runs(simulate(sparsities=(0.0,), noise=0.004), FitJob(draws=draws, name="base"))
    path = tmp_path / "base.yaml"
    write_law(dense.law, path)
    return str(path)


def test_a_frozen_dense_base_is_kept_exactly_and_three_numbers_are_refitted(tmp_path: Path) -> None:
    base = frozen_base(60, tmp_path)
    runs = simulate(family="n:4", sparsities=(0.0, 0.5, 0.75), noise=0.002)
    free = fit_runs(runs, FitJob(draws=80, freeze_dense=base))
    tied = fit_runs(runs, FitJob(draws=0, freeze_dense=base, tie_dense=True))
    assert len(free.fit.free) == 3
    assert len(tied.fit.free) == 2
    known = load_law(base)
    assert known.form == "chinchilla"
    for result in (free, tied):
        assert result.law.sparsity
        assert result.law.coefficients["b_N"] == known.coefficients["alpha"]
        assert result.law.coefficients["c"] == known.coefficients["E"]
    tied_set = tied.law.sparsity["n:4"]
    assert tied_set["a_S"] + tied_set["c_S"] == pytest.approx(known.coefficients["A"], rel=1e-9)
    draws = coefficient_draws(free.law, "n:4")
    assert draws is not None
    b_D = np.asarray(draws.as_dict()["b_D"])
    assert np.std(b_D) > 0  # the base's own uncertainty is carried along
    drawn_base = coefficient_draws(known)
    assert drawn_base is not None
    betas = np.asarray(drawn_base.as_dict()["beta"])
    assert np.all([np.min(np.abs(betas - value)) < 1e-5 for value in b_D])


def test_a_base_without_draws_is_a_warning_and_its_coefficients_are_not_drawn(tmp_path: Path) -> None:
    base = frozen_base(0, tmp_path)
    result = fit_runs(simulate(sparsities=(0.0, 0.5, 0.75), noise=0.002), FitJob(draws=30, freeze_dense=base))
    assert "base-draws" in {warning.code for warning in result.answer.warnings}
    assert result.law.draws is not None
    assert all(column.startswith("unstructured.") for column in result.law.draws.columns)


@pytest.mark.parametrize(
    ("change", "status", "mixed"),
    [
        ({"lengths": (1.6e10, 6.6e10)}, "too few levels", {"a_D", "b_D", "c"}),
        ({"lengths": (3.3e10,)}, "too few levels", {"a_D", "b_D", "c"}),
        ({"sizes": (2e7,)}, "too few levels", {"b_N"}),
        ({"sparsities": (0.0, 0.5)}, "too few levels", {"a_S", "b_S", "c_S"}),
        ({"sparsities": (0.5,)}, "too few levels", {"a_S", "b_S", "c_S"}),
        ({"sparsities": (0.0,), "sizes": (1e6, 1e8)}, "too few levels", {"alpha", "E"}),
        ({"sparsities": (0.0, 0.5, 0.75), "sizes": (1e6,), "lengths": (1e9, 1e10)}, "too few levels", {"b_N"}),
    ],
)
@pytest.mark.parametrize("noise", [0.0, 0.004])
def test_degenerate_tables_get_a_status_and_no_intervals(
    change: dict[str, tuple[float, ...]], status: str, mixed: set[str], noise: float
) -> None:
    grid = {"sizes": SIZES, "sparsities": SPARSITIES, "lengths": LENGTHS} | change
    runs = simulate(noise=noise, sizes=grid["sizes"], sparsities=grid["sparsities"], lengths=grid["lengths"])
    result = fit_runs(runs, FitJob(draws=20))
    assert result.answer.status == status
    assert mixed <= {name for names in result.fit.certificate.flat for name in names}
    assert result.answer.intervals is None
    assert result.law.draws is None
    assert result.law.fit["status"] == status


def test_a_table_along_one_line_has_a_flat_direction_that_names_what_it_mixes() -> None:
    N = np.geomspace(1e6, 1e9, 12)
    D = 20 * N  # every run at the same tokens per parameter: size and data can't be told apart when b_N = b_D
    truth = Coefficients(a_S=0.0, b_S=1.0, c_S=40.0, b_N=0.3, a_D=4e8, b_D=0.3, c=1.0)
    runs = Runs(
        sparsity=np.zeros(12),
        nonzero_params=N,
        data_seen=D,
        loss=loss(truth, 0.0, N, D),
        family=("unstructured",) * 12,
        run_id=tuple("abcdefghijkl"),
    )
    fit = fit_law(runs)
    assert fit.certificate.status == "flat direction"
    assert {"A", "B"} <= {name for names in fit.certificate.flat for name in names}


def test_fewer_runs_than_coefficients_are_no_confident_answer() -> None:
    runs = simulate(noise=0.004).take(np.array([0, 5, 11, 22, 30]))
    result = fit_runs(runs, FitJob(draws=20))
    assert result.answer.status in {"too few levels", "flat direction"}
    assert result.answer.intervals is None


def test_a_loss_that_sparsity_does_not_touch_is_reported_at_its_bound() -> None:
    indifferent = replace(TRUTH, a_S=0.0, c_S=52.3)
    fit = fit_law(simulate(truth=indifferent, noise=0.004))
    assert fit.certificate.bounds_hit or float(fit.coefficients("unstructured").as_dict()["a_S"]) < 5


def test_leaving_out_the_only_group_leaves_out_runs() -> None:
    runs = replace(simulate(noise=0.004), group=np.zeros(48, dtype=np.int64))
    fit = fit_law(runs)
    alone = without_each_run(replace(fit, runs=replace(runs, group=None)))
    assert without_each_run(fit).tolist() == alone.tolist()


@needs_paper_runs
def test_draws_in_the_law_file_give_the_planner_the_fits_own_intervals() -> None:
    result = fit_runs(t5_runs(), FitJob(draws=400))
    law = parse_law(law_text(result.law), source="law.yaml")
    draws = coefficient_draws(law, "unstructured")
    assert draws is not None
    assert result.answer.intervals is not None
    for name, values in draws.as_dict().items():
        assert np.quantile(values, [0.05, 0.95]) == pytest.approx(result.answer.intervals[name], rel=1e-5)

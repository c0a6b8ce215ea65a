"""Costs of models whose tokens take more than 6 FLOPs a weight."""

import numpy as np
import pytest

from sparseplan.cost.device import device_cost
from sparseplan.cost.flops import Cost, flops_cost
from sparseplan.cost.inference import flops_inference, lifetime_cost
from sparseplan.cost.overhead import PLAIN, Overhead
from sparseplan.hardware.file import load_profile
from sparseplan.sparsity.pattern import TWO_OF_FOUR
from sparseplan.sparsity.schedule import Schedule, parse_schedule

OVERHEAD = Overhead(weights=0.8, rest=0.25)
SCHEDULES = [Schedule(), parse_schedule("geometric:25%..75%")]
N, D = 1e9, 2e10


def costs(overhead: Overhead) -> list[Cost]:
    made = [flops_cost(name, schedule, overhead=overhead) for name in ("sparse", "dense") for schedule in SCHEDULES]
    return [*made, device_cost(load_profile("h100"), TWO_OF_FOUR, Schedule(), overhead=overhead)]


@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize("S", [0.0, 0.5, 0.9])
def test_a_run_costs_its_weights_by_the_plain_cost_and_the_rest_whatever_its_zeros(index: int, S: float) -> None:
    plain, cost = costs(PLAIN)[index], costs(OVERHEAD)[index]
    dense_params = N / (1 - S)
    expected = 0.8 * float(plain.flops_for(D, S, N)) + 0.25 * 6 * dense_params * D
    assert float(cost.flops_for(D, S, N)) == pytest.approx(expected, rel=1e-12)
    assert float(cost.data_for(expected, S, N)) == pytest.approx(D, rel=1e-12)
    assert float(cost.multiplier(0.0, N)) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("index", range(4))
def test_another_ramp_keeps_what_a_token_takes(index: int) -> None:
    other = parse_schedule("linear:0..50%")
    there, here = (
        costs(OVERHEAD)[index].on_ramp(other, 4.0),
        flops_cost(costs(OVERHEAD)[index].name, other, overhead=OVERHEAD),
    )
    assert float(there.flops_for(D, 0.5, N)) == pytest.approx(4.0 * float(here.flops_for(D, 0.5, N)), rel=1e-12)


def test_the_closed_forms_kappa_is_of_the_whole() -> None:
    cost = flops_cost("sparse", Schedule(), overhead=OVERHEAD)
    assert cost.saving is not None
    S = np.linspace(0, 0.95, 20)
    direct = OVERHEAD.around(Schedule().mean_density(S) / (1 - S), S)
    assert cost.saving + (1 - cost.saving) / (1 - S) == pytest.approx(direct, rel=1e-12)


def test_the_weights_multiplier_is_found_again() -> None:
    assert OVERHEAD.within(float(OVERHEAD.around(1.7, 0.6)), 0.6) == pytest.approx(1.7, rel=1e-12)


def test_inference_pays_for_the_rest_too_and_zeros_save_none_of_it() -> None:
    sparse, dense = (flops_inference(name, 1e12, overhead=OVERHEAD) for name in ("sparse", "dense"))
    assert float(sparse.flops(0.5, N)) == pytest.approx(2 * 1e12 * (0.8 * N + 0.25 * 2 * N), rel=1e-12)
    assert float(dense.flops(0.5, N)) == pytest.approx(2 * 1e12 * 1.05 * 2 * N, rel=1e-12)
    training = flops_cost("sparse", Schedule(), overhead=OVERHEAD)
    whole = lifetime_cost(training, sparse)
    spent = float(training.flops_for(D, 0.5, N)) + float(sparse.flops(0.5, N))
    assert float(whole.flops_for(D, 0.5, N)) == pytest.approx(spent, rel=1e-12)
    assert float(whole.data_for(spent, 0.5, N)) == pytest.approx(D, rel=1e-12)

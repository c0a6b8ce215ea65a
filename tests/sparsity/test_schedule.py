"""Ramps and what they cost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseplan.cost.flops import flops_cost
from sparseplan.sparsity.schedule import Schedule, parse_schedule

fractions = st.floats(min_value=0, max_value=1)


def test_the_papers_ramp_has_mean_density_1_minus_0_625_S() -> None:
    for S in (0.0, 0.5, 0.75, 0.875):
        assert Schedule().mean_density(S) == pytest.approx(1 - 0.625 * S, abs=1e-15)


@given(fractions, fractions, st.sampled_from(["cubic", "linear", "geometric"]), st.floats(min_value=0, max_value=0.99))
def test_mean_density_is_the_average_of_the_ramp(first: float, second: float, kind: str, S: float) -> None:
    ramp = Schedule(kind=kind, start=min(first, second), end=max(first, second))  # type: ignore[arg-type]
    middles = (np.arange(20_000) + 0.5) / 20_000
    assert float(ramp.mean_density(S)) == pytest.approx(float(np.mean(1 - ramp.sparsity(S, middles))), abs=2e-4)


def test_the_cubic_ramp_matches_hand_values() -> None:
    # Half-way up the ramp: 0.8 (1 - 0.5^3) = 0.7.
    assert Schedule().sparsity(0.8, np.array([0.0, 0.25, 0.5, 0.75, 1.0])).tolist() == pytest.approx(
        [0, 0, 0.7, 0.8, 0.8]
    )


def test_the_geometric_ramp_takes_the_same_share_at_every_cut() -> None:
    # S = 0.9375, four equal steps of the ramp: the density halves at each
    ramp = Schedule(kind="geometric", start=0.2, end=0.6)
    assert (1 - ramp.sparsity(0.9375, np.array([0.2, 0.3, 0.4, 0.5, 0.6, 1.0]))).tolist() == pytest.approx(
        [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 16]
    )


def test_the_geometric_mean_density_meets_hand_values_and_has_no_kappa() -> None:
    # Jin et al. 2025: t0 + (t1 - t0) S / -ln(1 - S) + (1 - t1)(1 - S); S = 0.75, ln 4 = 1.386294
    ramp = Schedule(kind="geometric", start=0.25, end=0.75)
    assert ramp.saving is None
    assert float(ramp.mean_density(0.75)) == pytest.approx(0.25 + 0.5 * 0.75 / 1.386294 + 0.25 * 0.25, abs=1e-6)
    assert float(ramp.mean_density(0.0)) == 1.0
    assert float(ramp.mean_density(1e-9)) == pytest.approx(1.0, abs=1e-8)
    assert float(flops_cost("sparse", ramp).multiplier(0.75)) == pytest.approx(4 * float(ramp.mean_density(0.75)))
    assert float(flops_cost("dense", ramp).multiplier(0.75)) == pytest.approx(4.0)
    assert Schedule(kind="geometric", start=0.4, end=0.4).saving == pytest.approx(0.6)  # one cut is one cut


def test_rewinding_counts_its_rounds_by_hand() -> None:
    # a fifth a round: 3 rounds to one half, each leaving 0.5^(1/3) = 0.7937 of the one before
    rounds = Schedule(kind="rewinding", start=0.25, end=1.0)
    assert rounds.saving is None
    assert float(rounds.mean_density(0.5)) == pytest.approx(1 + 0.75 * (0.793701 + 0.629961 + 0.5), abs=1e-6)
    assert float(rounds.length(0.5)) == pytest.approx(1 + 0.75 * 3)
    assert float(rounds.settled(0.5)) == 0.75
    assert (float(rounds.mean_density(0.0)), float(rounds.length(0.0)), float(rounds.settled(0.0))) == (1, 1, 0)
    assert float(rounds.mean_density(0.01)) == pytest.approx(1 + 0.75 * 0.99)  # one round at the least
    assert parse_schedule("rewinding:25%") == rounds
    with pytest.raises(ValueError, match="expected start < end = 1"):
        Schedule(kind="rewinding")
    with pytest.raises(ValueError, match="a share for rewinding alone"):
        Schedule(share=0.2)


def test_one_shot_and_from_start_are_limits_of_the_ramp() -> None:
    assert Schedule(start=0.4, end=0.4).saving == pytest.approx(0.6)
    assert Schedule(start=0.0, end=0.0).saving == 1.0
    assert Schedule(start=1.0, end=1.0).saving == 0.0
    assert float(flops_cost("sparse", Schedule(start=0, end=0)).multiplier(0.9)) == pytest.approx(1.0)


def test_straight_through_masks_save_two_thirds_and_have_no_ramp() -> None:
    assert Schedule(kind="straight-through", start=0, end=0).saving == pytest.approx(2 / 3)
    assert Schedule(kind="straight-through", start=0.5, end=0.5).saving == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="expected start = end"):
        Schedule(kind="straight-through")

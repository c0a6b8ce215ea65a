"""Claims about strategies without torch: ramps, costs, identities."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseplan.runs.pruning import GradualMagnitude, Pruning
from sparseplan.sparsity.schedule import Schedule


def test_the_ramp_meets_hand_values_of_the_cubic() -> None:
    # S (1 - (1 - p)^3) with S = 0.8 at p = 1/4, 1/2, 3/4, 1
    pruning = Pruning(sparsity=0.8, strategy=GradualMagnitude(updates=4))
    ramp = pruning.ramp(400)
    assert [step for step, _ in ramp] == [150, 200, 250, 300]
    assert [s for _, s in ramp] == pytest.approx([0.8 * 37 / 64, 0.8 * 7 / 8, 0.8 * 63 / 64, 0.8])
    assert ramp[-1][1] == 0.8
    assert pruning.sparsity_at(149, 400) == 0
    assert pruning.sparsity_at(150, 400) == ramp[0][1]
    assert (pruning.shared_until(400), pruning.dense_until(400), pruning.settled_from(400)) == (100, 150, 300)


@given(
    sparsity=st.floats(0.01, 0.99),
    steps=st.integers(1, 5000),
    updates=st.integers(1, 200),
    ends=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_any_ramp_climbs_to_its_final_sparsity_inside_the_run(
    sparsity: float, steps: int, updates: int, ends: tuple[float, float]
) -> None:
    schedule = Schedule(start=min(ends), end=max(ends))
    ramp = GradualMagnitude(updates=updates, schedule=schedule).ramp(sparsity, steps)
    assert 1 <= len(ramp) <= updates
    assert ramp[-1] == (round(schedule.end * steps), sparsity)
    assert all(a[0] < b[0] and a[1] <= b[1] for a, b in pairwise(ramp))


@pytest.mark.parametrize(
    ("sparsity", "pattern", "message"),
    [(0.5, "1:4", "0.75"), (0.0, "2:4", "0.5"), (0.5, "n:4", "pattern n:4"), (0.5, "two", "expected unstructured")],
)
def test_a_sparsity_that_contradicts_its_pattern_is_refused(sparsity: float, pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pruning(sparsity=sparsity, pattern=pattern)

"""Claims about many draws: planned in parts they give what they give at once, in bounded memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sparseplan.cost.flops import flops_cost
from sparseplan.laws.draws import Draws
from sparseplan.laws.file import write_law
from sparseplan.laws.law import Law
from sparseplan.plan import sides
from sparseplan.plan.question import Question
from sparseplan.plan.sides import draw_sides, plan_draws, plan_sides
from tests.helpers.memory import MEGABYTES

PEAK = f"""
import sys
{MEGABYTES}
from sparseplan.cli import run
status = run(sys.argv[1:])
print(status, megabytes("VmHWM"), file=sys.stderr)
"""


def test_draws_planned_in_parts_are_those_planned_at_once(t5_with_draws: Law, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = draw_sides(t5_with_draws, "unstructured")
    assert draws is not None
    for size in (None, 1e9):
        asked = Question(train_flops=1e21, nonzero_params=size, cost=flops_cost("sparse", t5_with_draws.schedule))
        whole = plan_sides(draws, asked)
        monkeypatch.setattr(sides, "_AT_A_TIME", 150)  # 400 draws: two full parts and a short one
        parts = plan_draws(draws, asked)
        for one, other in zip(
            (*parts.best, *parts.dense, parts.equal, parts.any_equal),
            (*whole.best, *whole.dense, whole.equal, whole.any_equal),
            strict=True,
        ):
            np.testing.assert_allclose(one, np.broadcast_to(other, 400), rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--flops", "1e23"], ["--flops", "1e21", "--params", "1B", "--cost", "h100"]])
def test_400000_draws_are_planned_in_less_than_a_gigabyte(
    t5_with_draws: Law, tmp_path: Path, options: list[str]
) -> None:
    draws = t5_with_draws.draws
    assert draws is not None
    few = draws.table()
    many = np.tile(few, (1000, 1)) * np.exp(0.01 * np.random.default_rng(3).standard_normal((400_000, 7)))
    packed = Draws.pack(list(draws.columns), many, method="synthetic, for tests")
    facts = {name: getattr(t5_with_draws, name) for name in t5_with_draws.__struct_fields__} | {"draws": packed}
    write_law(Law(**facts), tmp_path / "many.yaml")
    law = str(tmp_path / "many.yaml")
    done = subprocess.run(
        [sys.executable, "-c", PEAK, "optimal", *options, "--law", law], capture_output=True, text=True, check=True
    )
    status, megabytes = map(int, done.stderr.split())
    assert status == 0
    assert "400000 draws" in done.stdout
    assert megabytes < 1000

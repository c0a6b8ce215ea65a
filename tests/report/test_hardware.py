"""What people read of a verdict: it fits 80 columns, and names the row of the lowest loss."""

import re
from io import StringIO

import msgspec
import numpy as np
import pytest
from rich.console import Console

import sparseplan as sp
from sparseplan.hardware.profile import training_rate
from sparseplan.plan.hardware_answer import FamilyVerdict, SpeedupRange
from sparseplan.plan.verdict import width_distances
from sparseplan.report.hardware import print_profile, print_verdict
from sparseplan.shapes.base import typical_width
from tests.hardware.test_profile import MEASURED as MEASURED_PROFILE
from tests.hardware.test_profile import measured

MEASURED = SpeedupRange(median=1.234, low=1.101, high=1.302)


def rows() -> list[FamilyVerdict]:
    """A verdict of the h100 at a fixed size, where every kind of pattern pays."""
    verdict = sp.optimal(device_hours="5k", params="300M", cost="h100").verdict
    assert verdict is not None
    return verdict


def shown(verdict: list[FamilyVerdict], *, plan_loss: float) -> str:
    """What is printed of it, without a terminal."""
    written = StringIO()
    print_verdict(Console(file=written, width=10_000), "h100", verdict, plan_loss=plan_loss)
    return written.getvalue()


def lowest(text: str) -> str | None:
    """The sentence that names the best row, on one line."""
    found = re.search(r"Lowest loss here: .*?\.$", text, re.MULTILINE | re.DOTALL)
    return None if found is None else " ".join(found[0].split())


def test_a_measured_verdict_fits_80_columns() -> None:
    verdict = [msgspec.structs.replace(row, training_speedup=MEASURED, break_even_speedup=None) for row in rows()]
    text = shown(verdict, plan_loss=9.0)
    assert "1.23x (1.10 .. 1.30)" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_a_profile_without_a_date_does_not_say_measured_and_nothing() -> None:
    written = StringIO()
    print_profile(Console(file=written, width=10_000), measured())
    assert "Measured; the profile does not say when." in written.getvalue()
    assert "Measured ." not in written.getvalue()


def test_a_measured_profile_fits_80_columns_where_piped() -> None:
    everything = MEASURED_PROFILE + "".join(
        f"- {{part: {part}, phase: {phase}, width: {width}, tokens: 8192, dense: {spread}, sparse: {spread}}}\n"
        for part in ("linear", "block")
        for phase in ("forward", "training", "inference")
        for width in (2048, 16384)
        for spread in ["{median: 2.345e-2, low: 2.1e-2, high: 2.7e-2}"]
    )
    written = StringIO()
    print_profile(Console(file=written, width=10_000), measured(everything))
    lines = written.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    headings = [
        line.split()[0] for line in lines if "layer fwd" in line or "prefill  " in line or "prefill" in line.split()
    ]
    assert headings.count("width") == 2  # both parts begin with the width
    for heading in ("FLOP/s", "of peak", "layer fwd", "layer train", "block train", "decoding", "prefill"):
        assert any(heading in line for line in lines)


def test_a_width_just_outside_is_told_by_its_own_ratio() -> None:
    profile = measured()
    rate = training_rate(profile)
    assert rate is not None
    assert rate.widths is not None
    size = next(size for size in np.geomspace(1e6, 1e10, 20000) if typical_width(size) > rate.widths[0] / 1.04)
    (near,) = width_distances(profile, {"plan's model": float(size)})
    assert re.search(r"9[67]% of the narrowest measured", near.message)


def test_patterns_above_the_cap_are_left_out_of_the_verdict() -> None:
    verdict = sp.optimal(1e22, cost="h100", max_sparsity="30%").verdict
    assert verdict is not None
    assert [row.family for row in verdict] == ["unstructured", "n:m"]
    assert max(row.sparsity for row in verdict) <= 0.3


def test_a_row_below_the_plan_is_named_with_what_to_ask_and_whose_coefficients_it_uses() -> None:
    unstructured, two_of_four, other = rows()
    assert other.loss < unstructured.loss < two_of_four.loss
    borrowed = f"Lowest loss here: 1:4 ({other.loss:.4f} nats, by the unstructured coefficients), with `pattern` 1:4."
    assert lowest(shown([unstructured, two_of_four, other], plan_loss=unstructured.loss)) == borrowed
    own = f"Lowest loss here: unstructured ({unstructured.loss:.4f} nats), with `pattern` unstructured."
    assert lowest(shown([unstructured, two_of_four], plan_loss=two_of_four.loss)) == own


@pytest.mark.parametrize("margin", [0.0, 1e-6])
def test_nothing_is_named_where_the_plan_is_the_best_row_to_the_digits_shown(margin: float) -> None:
    verdict = [msgspec.structs.replace(row, loss=1.25) for row in rows()]
    assert lowest(shown(verdict, plan_loss=1.25 + margin)) is None


def test_a_dense_row_below_a_pattern_is_called_dense() -> None:
    first = msgspec.structs.replace(rows()[0], sparsity=0.0, loss=1.2)
    assert lowest(shown([first], plan_loss=1.3)) == "Lowest loss here: dense (1.2000 nats)."


def with_speed(needed: float | None, here: float | None) -> str:
    """What is said of 2:4 where it would have to be so fast, and is so fast."""
    speed = None if here is None else SpeedupRange(median=here, low=here, high=here)
    row = msgspec.structs.replace(rows()[1], break_even_speedup=needed, training_speedup=speed)
    return " ".join(shown([row], plan_loss=9.0).split())


def test_what_a_pattern_needs_to_pay_stands_beside_what_it_has() -> None:
    assert "2:4 pays even at 0.20x dense speed in training." in with_speed(0.2, 1.2)
    assert "2:4 needs 5.72x dense speed in training to pay; here it has 1.20x." in with_speed(5.72, 1.2)
    assert "needs 1.40x dense speed in training to pay; nothing here speeds it up." in with_speed(1.4, None)
    assert "2:4 pays at no speed here: its ramp alone costs too much." in with_speed(None, 1.2)

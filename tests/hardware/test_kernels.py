"""Claims about kernels in a profile: what they make of a sparsity, of a plan, of inference, and of mistakes in them."""

import json

import numpy as np
import pytest

import sparseplan as sp
from sparseplan.cli import run
from sparseplan.cost.device import device_cost, device_inference
from sparseplan.errors import HardwareError
from sparseplan.hardware.acceleration import acceleration
from sparseplan.hardware.doubts import doubts
from sparseplan.hardware.engines import engines
from sparseplan.hardware.file import load_profile, parse_profile, profile_text
from sparseplan.hardware.profile import Profile, inference_rate
from sparseplan.laws.file import load_law
from sparseplan.laws.law import coefficients
from sparseplan.sparsity.pattern import TWO_OF_FOUR, UNSTRUCTURED, parse_pattern

T5 = "frantar2023-t5-c4"
FREE = """\
- {pattern: unstructured, work: training, sparsity: 0.5, speedup: {median: 1.2}, evidence: measured, source: by hand}
- {pattern: unstructured, work: training, sparsity: 0.75, speedup: {median: 2.0}, evidence: measured, source: by hand}
"""
DECODES = """\
- {pattern: unstructured, work: decoding, sparsity: 0.5, speedup: {median: 1.4}, evidence: claimed, source: by hand}
- {pattern: "2:4", work: decoding, speedup: {median: 1.6, low: 1.5, high: 1.7}, evidence: measured, source: by hand}
"""


def with_kernels(rows: str, peak_2to4: str = "peak_flops_2to4: 2e15\n") -> Profile:
    text = (
        "format: sparseplan-hardware/1\nname: mine\ndescription: by hand\nkind: datasheet\n"
        "hardware: {device: Some GPU, memory_bandwidth: 2e12}\npeak_flops: 1e15\n"
        f"{peak_2to4}utilization: 0.4\nsource: by hand\nkernels:\n{rows}"
    )
    return parse_profile(text, source="mine.yaml")


def test_unstructured_speedups_are_linear_in_the_logarithm_of_the_density_from_the_first_row_on() -> None:
    fast = acceleration(with_kernels(FREE), UNSTRUCTURED, "training")
    assert fast is not None
    S = np.array([0.0, 0.3, 0.499, 0.5, 1 - np.sqrt(0.5 * 0.25), 0.75, 0.95])
    np.testing.assert_allclose(fast.at(S, 4096.0), [1, 1, 1, 1.2, 1.6, 2, 2])


def test_a_kernel_for_unstructured_zeros_runs_every_mask_and_the_faster_of_two_is_taken() -> None:
    profile = with_kernels(FREE)
    four_of_eight, two_of_four = (acceleration(profile, parse_pattern(word), "training") for word in ("4:8", "2:4"))
    assert four_of_eight is not None
    assert two_of_four is not None
    assert float(four_of_eight.at(0.5, 4096.0)) == pytest.approx(1.2)
    # A datasheet's 2:4 trains 3 / (2 + 1/2) = 1.2 times as fast; at 1:4 the unstructured kernel is faster.
    quarter = acceleration(profile, parse_pattern("1:4"), "training")
    assert quarter is not None
    assert float(quarter.at(0.75, 4096.0)) == pytest.approx(2.0)


def test_a_row_for_2to4_stands_before_what_the_peaks_say_in_its_kind_of_work_alone() -> None:
    profile = with_kernels(DECODES)
    decoding, prefill = (acceleration(profile, TWO_OF_FOUR, work) for work in ("decoding", "prefill"))
    assert decoding is not None
    assert prefill is not None
    assert float(decoding.at(0.5, 4096.0)) == pytest.approx(1.6)
    assert float(prefill.at(0.5, 4096.0)) == pytest.approx(2.0)
    spread = decoding.spread_at(0.5, 4096.0)
    assert spread is not None
    assert spread.ends == (1.5, 1.7)


def test_training_with_an_unstructured_kernel_costs_a_hand_value() -> None:
    cost = device_cost(with_kernels(FREE), UNSTRUCTURED, load_law(T5).schedule)
    # Three quarters of training as dense, one quarter in half the time, of a model four times as large.
    np.testing.assert_allclose(cost.multiplier(np.array([0.25, 0.75]), 1e9), [4 / 3, (0.75 + 0.125) * 4])


@pytest.mark.parametrize("size", [20e6, 80e6])
def test_no_sparsity_of_a_fine_grid_does_better_under_an_unstructured_kernel(size: float) -> None:
    profile = with_kernels(FREE.replace("1.2}", "1.9}").replace("2.0}", "3.9}"))
    theta, answer = coefficients(load_law(T5)), sp.optimal(1e20, law=T5, cost=profile, params=size)
    S = np.linspace(0, 0.875, 100_001)
    cost = device_cost(profile, UNSTRUCTURED, load_law(T5).schedule)
    losses = theta.loss(S, size, 1e20 / (6 * size * cost.multiplier(S, size)))
    assert answer.plan.loss == pytest.approx(losses.min(), abs=1e-9)  # the grid's own coarseness
    verdict = next(each for each in answer.verdict or () if each.family == "unstructured")
    assert verdict.loss == pytest.approx(answer.plan.loss, rel=1e-12)
    assert verdict.training_speedup is not None
    plain = sp.optimal(1e20, law=T5, cost="dense", params=size)
    assert answer.plan.loss < plain.plan.loss  # zeros that gain speed are worth more than zeros that gain none


def test_decoding_and_prefill_are_priced_apart() -> None:
    profile = with_kernels(DECODES)
    for work, speed in (("decoding", 1.6), ("prefill", 2.0)):
        inference = device_inference(profile, TWO_OF_FOUR, 1e12, work=work)  # type: ignore[arg-type]
        assert float(inference.flops(0.5, 1e9)) == pytest.approx(2 * 2e9 * 1e12 / speed)
        unstructured = inference.on(UNSTRUCTURED)
        assert float(unstructured.speedup(0.5, 1e9)) == pytest.approx(1.4 if work == "decoding" else 1.0)


def test_decoding_runs_at_a_byte_of_weights_per_flop_and_token_until_multiplying_is_the_limit() -> None:
    profile = with_kernels(FREE)
    for tokens, rate in ((1, 2e12), (64, 128e12), (1000, 4e14), (None, 4e14)):  # 2e12 bytes/s; 0.4 x 1e15 FLOP/s
        found = inference_rate(profile, tokens)
        assert found is not None
        assert float(found.at(4096.0)) == pytest.approx(rate)


def test_a_speedup_beyond_leaving_all_zeros_out_is_doubted() -> None:
    good = with_kernels(FREE)
    assert doubts(good) == []
    found = doubts(with_kernels(FREE.replace("1.2}", "2.1}")))
    assert len(found) == 1
    assert "unstructured at 50% runs 2.1x as fast in training, more than the 2x" in found[0]


def test_a_profile_with_kernels_reads_back_and_shows_them(capsys: pytest.CaptureFixture[str]) -> None:
    profile = with_kernels(FREE + DECODES)
    assert parse_profile(profile_text(profile), source="again.yaml") == profile
    from sparseplan.common.console import open_console
    from sparseplan.report.hardware import print_profile

    print_profile(open_console(), profile)
    printed = capsys.readouterr().out
    assert "1.60x (1.50 .. 1.70)" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_an_answer_says_that_a_speedup_is_claimed() -> None:
    codes = [warning.code for warning in sp.optimal(1e20, law=T5, cost=with_kernels(DECODES)).warnings]
    assert "hardware-claimed" in codes
    assert "hardware-claimed" not in [w.code for w in sp.optimal(1e20, law=T5, cost=with_kernels(FREE)).warnings]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("sparsity: 0.5, ", "", "sparsity of an unstructured row"),
        ("sparsity: 0.75", "sparsity: 0.5", "found training of unstructured at sparsity 0.5 twice"),
        ('unstructured, work: training, sparsity: 0.5', '"n:4", work: training', "one n:m such as 2:4, found n:4"),
        ('unstructured, work: training, sparsity: 0.5', '"4:4", work: training', "leaves weights out"),
        ('unstructured, work: training, sparsity: 0.5', '"1:4", work: training, sparsity: 0.5', "makes (0.75), found"),
        ("work: training, sparsity: 0.5", "work: serving, sparsity: 0.5", "expected one of"),
    ],
)  # fmt: skip
def test_mistakes_in_kernels_are_named(old: str, new: str, says: str) -> None:
    with pytest.raises(HardwareError) as problem:
        with_kernels(FREE.replace(old, new, 1))
    assert says in str(problem.value)


def test_a_device_without_units_for_2to4_costs_like_dense_and_says_so() -> None:
    answer = sp.optimal(1e22, law=T5, pattern="2:4", cost="tpu-v5p")
    assert answer.plan.loss == pytest.approx(sp.optimal(1e22, law=T5, pattern="2:4", cost="dense").plan.loss)
    said = {warning.code: warning.message for warning in answer.warnings}
    assert "does not accelerate 2:4" in said["hardware-no-2to4"]
    assert "2:4" not in said["hardware-datasheet"]
    assert all(each.memory.inference_compressed is None for each in answer.verdict or ())


@pytest.mark.parametrize("name", ["h100", "mi300x", "rtx5090", "tpu-v6e"])
def test_every_datasheet_has_what_a_rate_of_decoding_needs(name: str) -> None:
    slow, fast = (inference_rate(load_profile(name), tokens) for tokens in (1, None))
    assert slow is not None
    assert fast is not None
    assert float(slow.at(1.0)) < 0.1 * float(fast.at(1.0))


def test_the_list_of_engines_says_what_is_gone_and_where_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {(one.engine, one.pattern, one.state): one.date for one in engines().engines}
    assert rows["vLLM", "2:4", "removed"] == "2026-03"
    assert rows["torchao", "2:4", "removed"] == "2026-08"
    assert ("PyTorch", "2:4", "prototype") in rows
    assert all(one.date <= engines().looked_up for one in engines().engines)
    assert run(["hardware", "engines"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    squeezed = " ".join(printed.split())
    assert all(one.source in squeezed for one in engines().engines)
    assert run(["hardware", "engines", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["format"] == "sparseplan-engines/1"

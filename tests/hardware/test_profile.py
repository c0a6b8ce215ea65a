"""Claims about hardware profiles: what the loader accepts, and what a profile says at a width."""

import json
from pathlib import Path

import jsonschema
import msgspec
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sparseplan.errors import HardwareError
from sparseplan.hardware.file import (
    builtin_profiles,
    datasheet_of,
    load_profile,
    parse_profile,
    profile_schema,
    profile_text,
    read_profile,
    write_profile,
)
from sparseplan.hardware.kernels import Spread
from sparseplan.hardware.profile import (
    DatasheetProfile,
    Hardware,
    MeasuredProfile,
    Phase,
    Point,
    TwoToFour,
    speedup,
    training_rate,
    training_utilization,
)

MEASURED = """\
format: sparseplan-hardware/1
name: bench-machine
description: by hand
kind: measured
hardware: {device: Some GPU, accelerator: cuda, capability: "9.0", memory_bytes: 8e10}
peak_flops: 1e15
two_to_four: {backend: cusparselt}
points:
- {part: block, phase: training, width: 1024, tokens: 8192, dense: {median: 2e-3}, sparse: {median: 4e-3}}
- {part: block, phase: training, width: 4096, tokens: 8192, dense: {median: 2e-2}, sparse: {median: 1e-2}}
- {part: linear, phase: inference, width: 1024, tokens: 16, dense: {median: 3e-5}, sparse: {median: 2e-5}}
- {part: linear, phase: inference, width: 1024, tokens: 8192, dense: {median: 3e-4}, sparse: {median: 1e-4}}
"""


def measured(text: str = MEASURED) -> MeasuredProfile:
    profile = parse_profile(text, source="bench.yaml")
    assert isinstance(profile, MeasuredProfile)
    return profile


def test_speedups_are_interpolated_linearly_in_the_logarithm_of_the_width() -> None:
    curve = speedup(measured(), "training")
    assert curve is not None
    assert curve.at(1024.0) == pytest.approx(0.5)
    assert curve.at(2048.0) == pytest.approx((0.5 + 2.0) / 2)  # half way between 1024 and 4096 in logarithm
    assert curve.at(4096.0) == pytest.approx(2.0)


def test_beyond_the_outermost_widths_their_speedup_stands_in() -> None:
    curve = speedup(measured(), "training")
    assert curve is not None
    np.testing.assert_allclose(curve.at(np.array([8.0, 1e6])), [0.5, 2.0])


def test_inference_is_looked_up_by_batch() -> None:
    small, large = speedup(measured(), "inference", "small"), speedup(measured(), "inference", "large")
    assert small is not None
    assert large is not None
    assert small.at(1024.0) == pytest.approx(1.5)
    assert large.at(1024.0) == pytest.approx(3.0)


def test_of_several_token_counts_training_is_read_at_the_most_and_a_small_batch_at_the_fewest() -> None:
    def point(phase: Phase, tokens: int, seconds: float) -> Point:
        dense, sparse = Spread(median=seconds), Spread(median=seconds / (1 + tokens / 1e5))
        return Point(part="linear", phase=phase, width=1024, tokens=tokens, dense=dense, sparse=sparse)

    points = [point("training", 4096, 1e-3), point("training", 16384, 3e-3), point("training", 8192, 2e-3)]
    points += [point("inference", 16, 1e-5), point("inference", 64, 2e-5), point("inference", 8192, 1e-3)]
    profile = msgspec.structs.replace(measured(), points=points)
    trained, few, many = (speedup(profile, *w) for w in (("training",), ("inference", "small"), ("inference", "large")))
    assert trained is not None
    assert few is not None
    assert many is not None
    assert float(trained.at(1024)) == pytest.approx(1.16384)
    assert float(few.at(1024)) == pytest.approx(1.00016)
    assert float(many.at(1024)) == pytest.approx(1.08192)
    rate = training_rate(profile)
    alone = training_rate(msgspec.structs.replace(profile, points=[points[1]]))
    assert rate is not None
    assert alone is not None
    assert float(rate.at(1024)) == float(alone.at(1024))


def test_the_training_rate_counts_six_flops_a_weight_and_token_of_a_block() -> None:
    rate = training_rate(measured())
    assert rate is not None
    assert rate.at(1024.0) == pytest.approx(6 * 12 * 1024**2 * 8192 / 2e-3)


def test_the_utilization_counts_attention_too() -> None:
    text = MEASURED.replace(
        "width: 1024, tokens: 8192, dense: {median: 2e-3}",
        "width: 1024, tokens: 8192, context: 512, dense: {median: 2e-3}",
    )
    used = training_utilization(measured(text))
    assert used is not None
    # 72 w^2 and, for causal attention over T tokens, 6 w T a token (arch.GptShape counts the same).
    assert used.at(1024.0) == pytest.approx((72 * 1024**2 + 6 * 1024 * 512) * 8192 / 2e-3 / 1e15)


def test_a_layer_stands_in_where_no_block_was_measured() -> None:
    text = MEASURED.replace("part: block", "part: linear")
    rate = training_rate(measured(text))
    assert rate is not None
    assert rate.at(1024.0) == pytest.approx(6 * 4 * 1024**2 * 8192 / 2e-3)


def test_a_device_without_2to4_times_has_no_speedup() -> None:
    text = "\n".join(
        line.split(", sparse:")[0] + ("}" if ", sparse:" in line else "") for line in MEASURED.splitlines()
    )
    assert speedup(measured(text), "training") is None


def test_a_datasheet_speeds_up_only_the_forward_third_of_training() -> None:
    h100 = load_profile("h100")
    training, forward = speedup(h100, "training"), speedup(h100, "forward")
    assert training is not None
    assert forward is not None
    assert forward.at(4096.0) == pytest.approx(2.0)
    assert training.at(4096.0) == pytest.approx(3 / 2.5)


def test_a_datasheet_reads_nine_sixteenths_of_the_bytes_on_small_batches() -> None:
    curve = speedup(load_profile("a100"), "inference", "small")
    assert curve is not None
    assert curve.at(4096.0) == pytest.approx(16 / 9)  # per 4 weights: 2 x 16 bits and 2 x 2 bits against 4 x 16


_BUILT_IN = (
    *("a100", "h100", "h100-pcie", "h100-nvl", "h200", "b200", "b300", "gb200", "l40s", "rtx4090", "rtx5090"),
    *("mi300x", "mi355x", "tpu-v5p", "tpu-v6e"),
)
_KINDS_OF_SOURCE = ("datasheet", "data sheet", "whitepaper", "specifications", "documentation")


@pytest.mark.parametrize("name", _BUILT_IN)
def test_builtin_profiles_are_labelled_as_datasheets_with_a_source(name: str) -> None:
    profile = load_profile(name)
    assert isinstance(profile, DatasheetProfile)
    assert profile.name == name
    assert any(word in profile.source for word in _KINDS_OF_SOURCE)
    assert profile.date >= "2026-11"
    assert "nothing measured" in profile.description
    assert {path.stem for path in builtin_profiles()} == set(_BUILT_IN)


def test_devices_are_matched_to_their_datasheets() -> None:
    found = datasheet_of("NVIDIA H100 80GB HBM3")
    assert found is not None
    assert found.name == "h100"
    for device, name in (
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA H100 NVL", "h100-nvl"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("AMD Instinct MI300X OAM", "mi300x"),
        ("NVIDIA GB200", "gb200"),
    ):
        found = datasheet_of(device)
        assert found is not None
        assert found.name == name
    assert datasheet_of("NVIDIA H800") is None


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("width: 1024", "width: 0", 9, "`int` >= 1"),
        ("dense: {median: 2e-3}", "dense: {median: -2e-3}", 9, "> 0"),
        ("dense: {median: 2e-3}", "dense: {median: 2e-3, low: 3e-3}", 9, "low <= median <= high"),
        ("kind: measured", "kind: measurd", 4, "did you mean 'measured'"),
        ("phase: training, width: 4096", "phase: training, width: 1024", 1, "found block training at width 1024"),
        ("two_to_four: {backend: cusparselt}\n", "", 1, "'two_to_four' is missing"),
        (
            "sparse: {median: 4e-3}}",
            "sparse: {median: 4e-3}, speedup: {median: 3}}",
            9,
            "dense over the sparse seconds (0.5), found 3",
        ),
        ("sparse: {median: 4e-3}}", "speedup: {median: 3}}", 9, "seconds of 2:4"),
        ("tokens: 16,", "tokens: 16, batch: 2,", 11, "unknown key"),
    ],
)
def test_mistakes_are_named_by_line_and_expectation(old: str, new: str, line: int, says: str) -> None:
    assert old in MEASURED
    with pytest.raises(HardwareError) as caught:
        parse_profile(MEASURED.replace(old, new, 1), source="bench.yaml")
    message = str(caught.value)
    assert message.startswith(f"bench.yaml:{line}:")
    assert says in message.replace("a whole number", "`int`")


def test_a_datasheet_can_not_claim_more_than_twice_the_dense_peak() -> None:
    text = builtin_profiles()[0].read_text(encoding="utf-8").replace("6.24e+14", "6.25e+14")
    with pytest.raises(HardwareError, match="between 1 and 2 times peak_flops"):
        parse_profile(text, source="x.yaml")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(HardwareError, match=r"did you mean 'h100'.*Known: a100"):
        load_profile("h10")


def test_profiles_of_the_repository_come_before_the_variable_and_the_builtins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    ours = MEASURED.replace("bench-machine", "h100")
    write_profile(measured(ours.replace("by hand", "from the variable")), elsewhere / "any.yaml")
    monkeypatch.setenv("SPARSEPLAN_HARDWARE", str(elsewhere))
    assert load_profile("h100").description == "from the variable"
    write_profile(measured(ours.replace("by hand", "ours")), tmp_path / "calibration" / "hardware" / "other.yaml")
    assert load_profile("h100").description == "ours"


def test_the_shipped_schema_is_that_of_the_code_and_accepts_the_builtins() -> None:
    shipped = json.loads((builtin_profiles()[0].parents[1] / "schemas" / "hardware.schema.json").read_text("utf-8"))
    assert shipped == profile_schema()
    for path in builtin_profiles():
        jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), shipped)


seconds = st.floats(1e-7, 10.0)


@st.composite
def spreads(draw: st.DrawFn) -> Spread:
    low, median, high = sorted(draw(st.tuples(seconds, seconds, seconds)))
    return Spread(median=median, low=low, high=high)


@st.composite
def profiles(draw: st.DrawFn) -> MeasuredProfile:
    places = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["linear", "block"]),
                st.sampled_from(["forward", "training", "inference"]),
                st.integers(1, 2**20),
                st.integers(1, 2**30),
            ),
            min_size=1,
            max_size=12,
            unique=True,
        )
    )
    points = [
        Point(part=part, phase=phase, width=w, tokens=t, dense=draw(spreads()), sparse=draw(st.none() | spreads()))  # type: ignore[arg-type]
        for part, phase, w, t in places
    ]
    return MeasuredProfile(
        format="sparseplan-hardware/1",
        name="drawn",
        description=draw(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30)),
        hardware=Hardware(device="x"),
        two_to_four=TwoToFour(reason="none"),
        points=points,
    )


@given(profiles())
def test_a_written_profile_reads_back_to_five_digits(profile: MeasuredProfile) -> None:
    back = measured(profile_text(profile))
    assert back.description == profile.description
    for ours, theirs in zip(profile.points, back.points, strict=True):
        assert (ours.part, ours.phase, ours.width, ours.tokens) == (
            theirs.part,
            theirs.phase,
            theirs.width,
            theirs.tokens,
        )
        assert theirs.dense.median == pytest.approx(ours.dense.median, rel=1e-4)


@given(profiles(), st.floats(1.0, 1e6))
def test_an_interpolated_speedup_lies_between_the_measured_ones(profile: MeasuredProfile, width: float) -> None:
    curve = speedup(profile, "training")
    if curve is not None:
        assert curve.median.min() * (1 - 1e-9) <= curve.at(width) <= curve.median.max() * (1 + 1e-9)


@given(st.text(max_size=300))
def test_text_that_is_no_profile_is_refused_with_the_files_name(text: str) -> None:
    with pytest.raises(HardwareError, match=r"any\.yaml"):
        parse_profile(text, source="any.yaml")


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("a:-", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=4,
)


@st.composite
def damaged_profiles(draw: st.DrawFn) -> str:
    """A valid profile in which one value, at any depth, is replaced by anything, or removed."""
    data = yaml.safe_load(MEASURED.replace("e1", "e+1").replace("8e10", "8.0e+10"))
    here = data
    while True:
        key = draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
        if not isinstance(here[key], dict | list) or not here[key] or draw(st.booleans()):
            break
        here = here[key]
    if draw(st.booleans()):
        here[key] = draw(anything)
    else:
        del here[key]
    text: str = yaml.safe_dump(data)
    return text


@given(damaged_profiles())
def test_a_damaged_profile_is_refused_by_name_or_still_answers(text: str) -> None:
    try:
        profile = parse_profile(text, source="any.yaml")
    except HardwareError as problem:
        message = str(problem)
    else:
        curves = [speedup(profile, phase) for phase in ("forward", "training", "inference")]
        message = "any.yaml" if all(c is None or np.all(c.at(2048.0) > 0) for c in curves) else "a speed-up below 0"
    assert message.startswith("any.yaml")


def test_a_profile_is_found_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    write_profile(measured(), path)
    assert read_profile(path) == load_profile(str(path)) == measured()

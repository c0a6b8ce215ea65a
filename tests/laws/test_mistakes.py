"""Claims about `laws check`: it passes laws that were measured, and names the mistakes that people make with them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sparseplan.errors import LawError
from sparseplan.laws.check import check_law
from sparseplan.laws.file import builtin_laws, law_text, load_law, parse_law, read_law
from sparseplan.laws.forms import FORMS
from sparseplan.laws.law import Law, Levels, Range, coefficient_draws, coefficients

ROOT = Path(__file__).parents[2]
COMMITTED = [*builtin_laws(), *sorted((ROOT / "calibration").glob("*/law.yaml"))]
SPOILED = (
    *("frantar2023-t5-c4", "frantar2023-t5-c4-refit", "frantar2023-t5-c4-coupled"),
    *("frantar2023-vit-jft", "frantar2023-vit-jft-refit", "frantar2023-vit-jft-coupled"),
    str(ROOT / "calibration" / "gpt-stdlib-cpu" / "law.yaml"),
)
ON_TINY_MODELS = (
    *("data in billions", "data in billions in the range alone", "data in billions in the coefficients alone"),
    *("data in millions", "params in millions", "params in millions in the range alone", "params in billions"),
    *("params in millions in the coefficients alone", "n:4 better than unstructured"),
)


def doubts(law: Law) -> set[str]:
    return {one.code for one in check_law(law) if one.doubtful}


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.parent.name if path.stem == "law" else path.stem)
def test_no_law_that_comes_with_the_repository_is_doubtful(path: Path) -> None:
    assert doubts(read_law(path)) == set()


def test_what_the_draws_of_a_tiny_setup_hold_is_noted_not_doubted() -> None:
    law = read_law(ROOT / "calibration" / "vit-fashion-cpu" / "law.yaml")
    worth = float(coefficients(law, "unstructured").size_multiplier(0.5, np.sqrt(768.0 * 98304.0))) * 0.5
    drawn = coefficient_draws(law, "unstructured")
    assert drawn is not None
    assert worth > 1.2
    assert float(np.mean(drawn.size_multiplier(0.5, np.sqrt(768.0 * 98304.0)) * 0.5 > 1.02)) > 0.8
    (note,) = (one for one in check_law(law) if one.code == "free-pruning")
    assert not note.doubtful
    assert f"counts for {worth:.4g} times it, at equal data, and the law's draws hold that (90%:" in note.message
    assert "swapped-weights" in doubts(replace(law, draws=None))  # then nothing says that its runs do
    own = law.sparsity["unstructured"]
    half = replace(law, coefficients=scaled(law, "b_N", 0.5), sparsity={"unstructured": own})
    assert doubts(half) & {"free-pruning", "swapped-weights"}  # its draws do not hold 1.5 times as much


def test_a_million_images_are_little_for_a_large_model_and_thousands_enough_for_a_tiny_one() -> None:
    law = read_law(ROOT / "calibration" / "vit-fashion-cpu" / "law.yaml")
    assert law.range.data_seen == (4800.0, 38400.0)
    large = replace(law, range=replace(law.range, nonzero_params=(1e6, 1e8)))
    (found,) = (one for one in check_law(large) if one.key == "range.data_seen")
    assert "3.84e+04 images, 0.0061 tokens for each parameter of the largest model" in found.message
    unsaid = replace(law, range=replace(law.range, nonzero_params=None))
    assert "range.data_seen" in {one.key for one in check_law(unsaid) if one.doubtful}


def scaled(law: Law, name: str, factor: float) -> dict[str, float]:
    return law.coefficients | {name: law.coefficients[name] * factor}


def data_in(unit: float, *, in_range: bool = True, in_coefficients: bool = True) -> Callable[[Law], Law]:
    def spoil(law: Law) -> Law:
        assert law.range.data_seen is not None
        low, high = law.range.data_seen
        if in_range:
            law = replace(law, range=replace(law.range, data_seen=(low / unit, high / unit)))
        return replace(law, coefficients=scaled(law, "a_D", 1 / unit)) if in_coefficients else law

    return spoil


def params_in(unit: float, *, in_range: bool = True, in_coefficients: bool = True) -> Callable[[Law], Law]:
    def spoil(law: Law) -> Law:
        assert law.range.nonzero_params is not None
        low, high = law.range.nonzero_params
        if in_range:
            law = replace(law, range=replace(law.range, nonzero_params=(low / unit, high / unit)))
        if in_coefficients:
            own, factor = law.sparsity["unstructured"], unit ** -law.coefficients["b_N"]
            own = own | {"a_S": own["a_S"] * factor, "c_S": own["c_S"] * factor}
            law = replace(law, sparsity={"unstructured": own})
        return law

    return spoil


def weights_swapped(law: Law) -> Law:
    own = law.sparsity["unstructured"]
    return replace(law, sparsity={"unstructured": own | {"a_S": own["c_S"], "c_S": own["a_S"]}})


def numerator_given(law: Law) -> Law:
    """B of B / D^b_D where a_D of (a_D / D)^b_D belongs."""
    return replace(law, coefficients=law.coefficients | {"a_D": law.coefficients["a_D"] ** law.coefficients["b_D"]})


def patterns_better(law: Law) -> Law:
    """A set for n:4 whose term falls a tenth further, from the same dense model."""
    own = law.sparsity["unstructured"]
    tenth = 0.1 * own["c_S"]
    return replace(law, sparsity={**law.sparsity, "n:4": own | {"a_S": own["a_S"] + tenth, "c_S": own["c_S"] - tenth}})


def exponent_too_small(law: Law) -> Law:
    """f(S) as measured, with a size exponent a third of what was measured: m(S) = (f(0)/f(S))^(1/b_N) is its cube.

    The weights follow, so that dense models of the middle size stay what they were.
    """
    assert law.range.nonzero_params is not None
    middle = float(np.sqrt(np.prod(law.range.nonzero_params)))
    own, factor = law.sparsity["unstructured"], middle ** (-2 / 3 * law.coefficients["b_N"])
    own = own | {"a_S": own["a_S"] * factor, "c_S": own["c_S"] * factor}
    return replace(law, sparsity={"unstructured": own}, coefficients=scaled(law, "b_N", 1 / 3))


MISTAKES: dict[str, tuple[Callable[[Law], Law], str]] = {
    "data in billions": (data_in(1e9), "data-units"),
    "data in billions in the range alone": (data_in(1e9, in_coefficients=False), "data-units"),
    "data in billions in the coefficients alone": (data_in(1e9, in_range=False), "data-units"),
    "data in millions": (data_in(1e6), "data-units"),
    "params in millions": (params_in(1e6), "size-units"),
    "params in millions in the range alone": (params_in(1e6, in_coefficients=False), "size-units"),
    "params in millions in the coefficients alone": (params_in(1e6, in_range=False), "data-per-param"),
    "params in billions": (params_in(1e9), "size-units"),
    "weights swapped": (weights_swapped, "swapped-weights"),
    "numerator for scale": (numerator_given, "numerator"),
    "n:4 better than unstructured": (patterns_better, "pattern-better"),
    "size exponent too small": (exponent_too_small, "free-pruning"),
}


@pytest.mark.parametrize("name", SPOILED, ids=lambda name: Path(name).parent.name or name)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_found_in_each_law(mistake: str, name: str) -> None:
    spoil, code = MISTAKES[mistake]
    spoiled = parse_law(law_text(spoil(load_law(name))), source="team.yaml")  # planning would take it
    assert code in doubts(spoiled)
    message = next(one.message for one in check_law(spoiled) if one.code == code)
    assert any(character.isdigit() for character in message)


@pytest.mark.parametrize("mistake", ON_TINY_MODELS)
def test_units_are_found_in_the_law_of_tiny_vision_models_too(mistake: str) -> None:
    spoil, code = MISTAKES[mistake]
    assert code in doubts(spoil(read_law(ROOT / "calibration" / "vit-fashion-cpu" / "law.yaml")))


def test_a_dense_law_in_billions_is_found_too() -> None:
    law = load_law("hoffmann2022-chinchilla")
    coefficients = law.coefficients | {"B": law.coefficients["B"] * 1e-9 ** law.coefficients["beta"]}
    assert "data-units" in doubts(replace(law, coefficients=coefficients))
    coefficients = law.coefficients | {"A": law.coefficients["A"] * 1e-6 ** law.coefficients["alpha"]}
    assert "data-per-param" in doubts(replace(law, coefficients=coefficients))


def test_the_remedy_for_a_numerator_is_the_scale_that_was_meant(t5: Law) -> None:
    message = next(one.message for one in check_law(numerator_given(t5)) if one.code == "numerator")
    assert "a_D = 62.27 is small" in message  # 6.9e8^0.203
    assert "B^(1/b_D) = 6.9e+08" in message


def test_swapped_weights_are_explained_by_what_they_make_of_pruning(t5: Law) -> None:
    found = [one for one in check_law(weights_swapped(t5)) if one.doubtful]
    assert [(one.key, one.code) for one in found] == [("sparsity.unstructured.a_S", "swapped-weights")]
    swapped = coefficients(weights_swapped(t5))
    worth = float(swapped.size_multiplier(0.875, 1.0)) * 0.125
    assert f"up to {worth:.3g} times the model" in found[0].message


def test_what_the_refit_says_between_the_runs_at_0_and_50_percent_is_noted_not_doubted() -> None:
    law = load_law("frantar2023-t5-c4-refit")
    theta = coefficients(law)
    assert float(theta.size_multiplier(0.15, 1.0)) * 0.85 > 1.01
    assert float(theta.size_multiplier(0.5, 1.0)) * 0.5 < 0.9
    notes = [one for one in check_law(law) if one.code == "free-pruning"]
    assert [one.doubtful for one in notes] == [False]
    assert "no run was near" in notes[0].message
    run_there = replace(law, levels=Levels(sparsity=(0.0, 0.15, 0.5)))
    assert doubts(run_there) == set()  # 1.4 % is less than a fit can tell
    far_worse = replace(run_there, sparsity={"unstructured": law.sparsity["unstructured"] | {"c_S": 35.0}})
    assert doubts(far_worse) >= {"free-pruning"}


positive = st.floats(min_value=1e-300, max_value=1e300)
any_sign = st.floats(min_value=-1e300, max_value=1e300)


@st.composite
def ends(draw: st.DrawFn, values: st.SearchStrategy[float]) -> tuple[float, float] | None:
    pair = draw(st.none() | st.tuples(values, values))
    return None if pair is None else (min(pair), max(pair))


@st.composite
def laws(draw: st.DrawFn) -> Law:
    form = FORMS[draw(st.sampled_from(sorted(FORMS)))]

    def block(*, per_family: bool) -> dict[str, float]:
        chosen = form.per_family if per_family else form.base
        return {one.name: draw(any_sign if one.low is None else positive) for one in chosen}

    fractions = st.floats(min_value=0, max_value=0.999)
    families = ["unstructured", "n:4", "n:64"] if form.knows_sparsity else []
    levels = draw(st.none() | st.lists(fractions, min_size=1, max_size=5, unique=True))
    return Law(
        format="sparseplan-law/1",
        name="any",
        description="",
        data_unit=draw(st.sampled_from(["token", "image", "byte"])),
        tokens_per_unit=draw(positive),
        form=form.name,
        coefficients=block(per_family=False),
        sparsity={
            family: block(per_family=True) for family in draw(st.permutations(families).map(lambda f: f[:2])) if family
        },
        range=Range(
            sparsity=draw(ends(fractions)),
            nonzero_params=draw(ends(positive)),
            data_seen=draw(ends(positive)),
        ),
        levels=None if levels is None else Levels(sparsity=tuple(sorted(levels))),
    )


def parsed(law: Law) -> Law | str:
    """The law as its file is read, or why it is refused."""
    try:
        return parse_law(law_text(law), source="any.yaml")
    except LawError as problem:
        return str(problem)


@settings(max_examples=300)
@given(laws())
def test_no_check_fails_on_any_law_that_can_be_written(law: Law) -> None:
    valid = parsed(law)
    if isinstance(valid, str):  # all that these may have wrong is a numerator below the smallest float
        assert "above 0, found both 0" in valid
        return
    for one in check_law(valid):
        assert one.message
        assert one.key.split(".")[0] in {"coefficients", "sparsity", "range", "draws", "tokens_per_unit"}

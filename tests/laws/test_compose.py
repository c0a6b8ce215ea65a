"""Lending a dense law the effect of sparsity of another: what is carried, how closely, and how sure it is."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from msgspec import structs

from sparseplan.errors import LawError
from sparseplan.fit.fit_table import FitJob, fit_runs
from sparseplan.laws.check import check_law
from sparseplan.laws.compose import SPREAD, Carried, compose
from sparseplan.laws.file import load_law, write_law
from sparseplan.laws.forms import coupled, coupled_dense, varying_exponents
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.closest_shape import closest_shape, places
from sparseplan.laws.law import Law, Range, coefficient_draws, coefficients, law_block
from sparseplan.plan.answer import answer
from tests.helpers.laws import T5
from tests.helpers.questions import codes, question
from tests.helpers.tables import simulated

S = np.array([0.3, 0.5, 0.75, 0.875])
CHINCHILLA = "besiroglu2024-chinchilla"


def law_with(theta: Theta, **changes: object) -> Law:
    facts = {"format": "sparseplan-law/1", "name": "other", "description": "", "data_unit": "token"}
    own = {"unstructured": law_block(theta.form, theta, per_family=True)} if theta.form.knows_sparsity else {}
    coefficients = law_block(theta.form, theta, per_family=False)
    return Law(**facts | {"form": theta.form.name, "coefficients": coefficients, "sparsity": own} | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("base", [CHINCHILLA, "frantar2023-vit-jft", "gpt-stdlib-cpu"])
def test_composing_keeps_the_dense_base_and_carries_the_size_multiplier(base: str, t5: Law) -> None:
    dense, mixed = load_law(base), compose(load_law(base), t5, name="mixed")
    N, D = np.geomspace(1e7, 1e11, 3)[:, None], np.geomspace(1e9, 1e13, 3)
    own = coefficients(mixed.law)
    np.testing.assert_allclose(own.loss(0.0, N, D), coefficients(dense).loss(0.0, N, D), rtol=1e-12)
    lent = coefficients(t5).size_multiplier(S, 1e9)
    np.testing.assert_allclose(own.size_multiplier(S, 1e9), lent, rtol=mixed.deviation * 1.001)
    assert 0 < mixed.deviation < 0.01
    assert mixed.law.fit["deviation"] == pytest.approx(mixed.deviation, rel=0.06)
    assert "transferred" in codes(answer(mixed.law, question(mixed.law, 1e22)))


def test_on_request_the_ratio_is_carried_and_the_size_multiplier_is_another(t5: Law) -> None:
    mixed = compose(load_law(CHINCHILLA), t5, name="mixed", carry="ratio")
    lent, own = coefficients(t5), coefficients(mixed.law)
    shares = [theta.reducible(S, 1.0, np.inf) / theta.reducible(0.0, 1.0, np.inf) for theta in (lent, own)]
    np.testing.assert_allclose(shares[1], shares[0], rtol=1e-6)
    # By hand: m on the base is the lender's to the power b_N / alpha.
    np.testing.assert_allclose(own.size_multiplier(S, 1.0), lent.size_multiplier(S, 1.0) ** (0.245 / 0.3478), rtol=1e-6)


@pytest.mark.parametrize("carry", ["multiplier", "ratio"])
def test_a_law_composed_with_itself_is_itself(carry: Carried, t5: Law) -> None:
    mixed = compose(t5, t5, name="mixed", carry=carry)
    assert mixed.law.fit["deviation"] == 0
    for name, value in coefficients(mixed.law).as_dict().items():
        assert float(value) == pytest.approx(float(T5.as_dict()[name]), rel=1e-6)


def test_a_coupled_base_keeps_its_k_and_a_coupled_lender_lends_its_multiplier(t5: Law) -> None:
    bent = coupled.Coefficients(**replace(T5, a_S=616.0, c_S=1334.0, b_N=0.388).as_dict(), k=0.455)
    base = coupled_dense.Coefficients(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28, k=1.4)
    for dense, lender in ((law_with(base), t5), (law_with(base), law_with(bent)), (t5, law_with(bent))):
        mixed = coefficients(compose(dense, lender, name="mixed").law)
        lent = coefficients(lender)
        np.testing.assert_allclose(mixed.size_multiplier(S, 1.0), lent.size_multiplier(S, 1.0), rtol=5e-3)
        expected = coefficients(dense).loss(0.0, 1e9, 1e11)
        assert float(mixed.loss(0.0, 1e9, 1e11)) == pytest.approx(float(expected), rel=1e-12)


def test_a_multiplier_that_changes_with_size_is_taken_in_the_middle_of_the_lenders_range(t5: Law) -> None:
    bent = varying_exponents.Coefficients(**T5.as_dict(), eta=0.01, zeta=0.0, N_0=1e7, D_0=3e10)
    covered = Range(sparsity=(0, 0.875), nonzero_params=(1e6, 1e10), data_seen=(1e9, 1e12))
    mixed = compose(t5, law_with(bent, range=covered), name="mixed")
    assert mixed.multiplier_at == pytest.approx(1e8)
    own = coefficients(mixed.law).size_multiplier(S, 3e9)
    np.testing.assert_allclose(own, bent.size_multiplier(S, 1e8), rtol=5e-3)
    assert compose(t5, t5, name="mixed").multiplier_at is None


def test_the_closest_shape_is_no_further_off_than_any_on_a_fine_grid() -> None:
    at, wanted = places(0.9), 1.7 * np.log(1 - 0.35 * (1 - (1 - places(0.9)) ** 0.6))
    w, b_S = closest_shape(at, wanted)

    def error(weight: np.ndarray, power: np.ndarray) -> np.ndarray:
        share = 1 - weight[..., None] * (1 - (1 - at) ** power[..., None])
        return np.asarray(np.sqrt(np.mean((np.log(share) - wanted) ** 2, axis=-1)))

    grid = error(*np.meshgrid(np.linspace(0.01, 1, 300, endpoint=False), np.geomspace(0.05, 5, 300)))
    assert float(error(w, b_S)) <= float(np.nanmin(grid)) * 1.01
    # Many at once are each as alone.
    many = closest_shape(at, np.stack([wanted, 0.5 * wanted]))
    assert [float(many[0][0]), float(many[1][0])] == pytest.approx([float(w), float(b_S)], rel=1e-6)


def drawn_multiplier(law: Law) -> np.ndarray:
    draws = coefficient_draws(law, "unstructured")
    assert draws is not None
    return np.log(draws.size_multiplier(0.75, 1.0))


def test_the_spread_between_setups_is_part_of_the_draws_even_where_neither_law_has_any(t5: Law) -> None:
    mixed = compose(load_law(CHINCHILLA), t5, name="mixed").law
    assert mixed.draws is not None
    assert set(mixed.draws.columns) == {"unstructured.a_S", "unstructured.b_S", "unstructured.c_S"}
    log_m = drawn_multiplier(mixed)
    assert float(np.std(np.log(log_m))) == pytest.approx(SPREAD["multiplier"], rel=0.1)
    assert float(np.median(log_m)) == pytest.approx(
        float(np.log(coefficients(t5).size_multiplier(0.75, 1.0))), rel=0.03
    )
    result = answer(mixed, question(mixed, 1e22))
    assert {"transferred", "partial-draws"} <= set(codes(result))  # the base is taken as exactly known
    assert result.intervals is not None
    assert result.intervals.sparsity[0] < result.plan.sparsity < result.intervals.sparsity[1]


def test_draws_on_a_base_that_stands_still_are_a_composed_law_s_own() -> None:
    for sparse in ("frantar2023-t5-c4-refit", "frantar2023-t5-c4-coupled"):
        mixed = compose(load_law("hoffmann2022-chinchilla"), load_law(sparse), name="mixed").law
        assert [one for one in check_law(mixed) if one.key.startswith("draws")] == []


def test_the_draws_of_both_laws_are_combined(tmp_path: Path) -> None:
    dense, sparse = load_law("frantar2023-vit-jft-refit"), load_law("frantar2023-t5-c4-refit")
    mixed = compose(dense, sparse, name="mixed", seed=3).law
    assert mixed.draws == compose(dense, sparse, name="mixed", seed=3).law.draws
    assert mixed.draws != compose(dense, sparse, name="mixed", seed=4).law.draws
    own, base, lent = (coefficient_draws(law, "unstructured") for law in (mixed, dense, sparse))
    assert own is not None
    assert base is not None
    assert lent is not None
    np.testing.assert_allclose(own.loss(0.0, 1e7, 1e9), base.loss(0.0, 1e7, 1e9), rtol=1e-5)
    # Errors of fit and of transfer are independent: their variances add, and are correlated with no error of the base.
    fit = np.var(np.log(np.log(lent.size_multiplier(0.75, 1.0))))
    whole = np.log(drawn_multiplier(mixed))
    assert float(np.var(whole)) == pytest.approx(float(fit) + SPREAD["multiplier"] ** 2, rel=0.15)
    assert abs(float(np.corrcoef(whole, np.asarray(base.as_dict()["b_N"]))[0, 1])) < 0.1
    write_law(mixed, tmp_path / "mixed.yaml")


def script() -> ModuleType:
    path = Path(__file__).parents[2] / "scripts" / "transfer_spread.py"
    spec = importlib.util.spec_from_file_location("transfer_spread", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_spread_is_what_ten_pairs_of_laws_show_and_the_multiplier_carries_better_than_the_ratio() -> None:
    transfer_spread = script()
    found = transfer_spread.setups()
    assert len(found) == 5
    assert transfer_spread.spread(found, ratio=False) == pytest.approx(SPREAD["multiplier"], abs=0.01)
    assert transfer_spread.spread(found, ratio=True) == pytest.approx(SPREAD["ratio"], abs=0.01)
    errors = [transfer_spread.rms_log_error(found, ratio=ratio) for ratio in (False, True)]
    assert errors[0] < 0.5 * errors[1]


def test_a_law_whose_fit_did_not_converge_is_no_half_of_another(t5: Law, tmp_path: Path) -> None:
    poor = structs.replace(t5, name="poor", fit={"status": "flat direction", "explanation": "the runs leave b_S open."})
    for dense, sparse in ((poor, t5), (load_law(CHINCHILLA), poor)):
        with pytest.raises(LawError, match="poor: nothing to compose with: this law's fit ended with 'flat direction'"):
            compose(dense, sparse, name="mixed")
    assert [one.message for one in check_law(poor) if one.code == "poor-fit"] == [
        "this law's fit ended with 'flat direction': the runs leave b_S open."
    ]
    # As a frozen base it is warned of, in plans too.
    write_law(structs.replace(poor, draws=None), tmp_path / "poor.yaml")
    base = str(tmp_path / "poor.yaml")
    fitted = fit_runs(simulated(), FitJob(freeze_dense=base, tie_dense=True, draws=0, starts=4))
    assert any("'poor' is no law to rest on" in one["message"] for one in fitted.law.fit["warnings"])

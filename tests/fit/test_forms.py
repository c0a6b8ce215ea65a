"""Every form that can be fitted is recovered, written and planned with, and no other module knows its coefficients."""

import ast
import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import sparseplan
from sparseplan.cli import run
from sparseplan.errors import FitError
from sparseplan.fit.compare import exponent_depends_on_sparsity
from sparseplan.fit.fit_table import FitJob, fit_runs
from sparseplan.fit.fitting import fit_law
from sparseplan.laws.file import law_text, parse_law, write_law
from sparseplan.laws.forms import FORMS
from sparseplan.laws.forms.fitting import FITTED, SPARSE
from sparseplan.laws.forms.varying_exponents import Coefficients
from sparseplan.laws.law import coefficient_draws, coefficients, undrawn
from sparseplan.runs.table import Runs

SIZES, LENGTHS = (1.3e6, 5.2e6, 2.1e7, 8.4e7), (1e9, 1e10, 4e10, 2e11)
CENTRE = {"N_0": float(np.exp(np.mean(np.log(SIZES)))), "D_0": float(np.exp(np.mean(np.log(LENGTHS))))}
BASE = {"b_N": 0.232, "a_D": 6.8e8, "b_D": 0.385, "c": 0.83, "eta": 0.02, "zeta": 0.08} | CENTRE
TRUTH = Coefficients(a_S=10.7, b_S=1.34, c_S=41.6, **BASE)
OTHER = Coefficients(a_S=8.3, b_S=0.9, c_S=44.0, **BASE)  # the same f(0)
BEYOND = (np.array([0.0, 0.97, 0.6]), np.array([2.5e9, 2.5e9, 3e5]), np.array([3e12, 6e10, 3e12]))


def simulate(families: dict[str, Coefficients], noise: float = 0.0, sparsities: tuple[float, ...] = ()) -> Runs:
    grid = product(families, SIZES, sparsities or (0.0, 0.5, 0.75, 0.9), LENGTHS)
    rows = [(family, float(families[family].loss(S, N, D)), S, N, D) for family, N, S, D in grid]
    family, loss, S, N, D = zip(*rows, strict=True)
    wobble = np.exp(noise * np.random.default_rng(0).standard_normal(len(rows)))
    return Runs(
        sparsity=np.array(S),
        nonzero_params=np.array(N),
        data_seen=np.array(D),
        loss=np.array(loss) * wobble,
        family=family,
        run_id=tuple(map(str, range(len(rows)))),
    )


def test_exponents_that_made_the_runs_vary_are_recovered_beyond_the_runs_range() -> None:
    fit = fit_law(simulate({"unstructured": TRUTH}), form="varying-exponents")
    assert fit.certificate.status == "converged"
    assert fit.certificate.starts_at_optimum > 32
    found = fit.coefficients("unstructured")
    assert found.loss(*BEYOND) == pytest.approx(TRUTH.loss(*BEYOND), rel=1e-6)
    for name, value in found.as_dict().items():
        assert float(value) == pytest.approx(getattr(TRUTH, name), rel=1e-5), name
    plain = fit_law(simulate({"unstructured": TRUTH}))
    assert abs(plain.coefficients("unstructured").loss(*BEYOND)[1] / TRUTH.loss(*BEYOND)[1] - 1) > 0.01


def test_families_share_eta_and_zeta_on_one_base() -> None:
    fit = fit_law(simulate({"unstructured": TRUTH, "n:4": OTHER}), form="varying-exponents")
    assert len(fit.free) == 11
    for family, truth in (("unstructured", TRUTH), ("n:4", OTHER)):
        assert fit.coefficients(family).loss(*BEYOND) == pytest.approx(truth.loss(*BEYOND), rel=1e-6)


@pytest.mark.parametrize("form", SPARSE)
def test_a_fitted_law_is_saved_predicts_as_the_fit_does_and_plans(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = simulate({"unstructured": TRUTH, "n:4": OTHER}, noise=0.002)
    result = fit_runs(runs, FitJob(form=form, name="team", draws=60, starts=32))
    assert result.answer.form == result.law.form == form
    assert parse_law(law_text(result.law), source="team.yaml") == result.law
    fit = result.fit
    for family, S, truth in (("unstructured", 0.75, TRUTH), ("n:4", 0.5, OTHER)):
        rows = np.array([each == family and own == S for each, own in zip(runs.family, runs.sparsity, strict=True)])
        target = runs.take(rows)
        by_file = coefficients(result.law, family).loss(target.sparsity, target.nonzero_params, target.data_seen)
        assert by_file == pytest.approx(fit.predict(target), rel=1e-9)
        assert result.drawn is not None
        drawn = coefficient_draws(result.law, family)
        assert drawn is not None
        spread = np.quantile(drawn.loss(S, 2.1e7, 1e10), [0.05, 0.95])
        assert 0.99 * spread[0] < truth.loss(S, 2.1e7, 1e10) < 1.01 * spread[1]
        # The runs' own form knows them well; another errs alike at all runs of a size, and its intervals say so.
        assert 0 < spread[1] - spread[0] < (0.1 if form == "varying-exponents" else 0.5)
        assert undrawn(result.law, family) == []  # a place of reference is known exactly
    law = tmp_path / "team.yaml"
    write_law(result.law, law)
    assert run(["optimal", "--flops", "1e19", "--params", "40M", "--law", str(law), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    low, high = plan["intervals"]["sparsity"]
    assert low <= plan["plan"]["sparsity"] <= high
    assert "partial-draws" not in {warning["code"] for warning in plan["warnings"]}


def test_what_is_fitted_is_not_tested_again_and_a_plan_of_free_size_hangs_on_the_budget() -> None:
    runs = simulate({"unstructured": TRUTH}, noise=0.002)
    varying = fit_runs(runs, FitJob(form="varying-exponents", draws=60, starts=32)).answer
    assert varying.dependence == []
    assert varying.free_size_sparsity is None
    assert varying.intervals is not None
    assert {"eta", "zeta"} <= set(varying.intervals)
    assert not {"N_0", "D_0"} & set(varying.intervals)
    assert varying.intervals["eta"][0] < TRUTH.eta < varying.intervals["eta"][1]
    assert "wide" not in {warning.code for warning in varying.warnings}
    plain = fit_law(runs, starts=32)
    assert len(exponent_depends_on_sparsity(plain, 20, np.random.default_rng(0))) == 2


def test_one_sparsity_leaves_the_changes_of_the_exponents_with_the_shape_open() -> None:
    fit = fit_law(simulate({"unstructured": TRUTH}, sparsities=(0.5,)), form="varying-exponents")
    assert fit.certificate.status == "too few levels"
    assert {"eta", "zeta"} <= {name for names in fit.certificate.flat for name in names}


def test_runs_in_which_larger_sparse_models_are_worse_are_no_law() -> None:
    runs = simulate({"unstructured": TRUTH})
    centre = np.log(runs.nonzero_params).mean()
    tilt = 0.2 * np.log1p(-runs.sparsity) * (centre - np.log(runs.nonzero_params))  # b_N - 0.46 at S = 0.9
    with pytest.raises(FitError, match="larger models or more data would be worse"):
        fit_law(replace(runs, loss=runs.loss * np.exp(tilt)), form="varying-exponents")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    runs = simulate({"unstructured": TRUTH}, noise=0.002)
    columns = (runs.sparsity, runs.nonzero_params, runs.data_seen, runs.loss)
    lines = [",".join(map(repr, map(float, row))) for row in zip(*columns, strict=True)]
    path = tmp_path / "runs.csv"
    path.write_text("\n".join(["sparsity,nonzero_params,data_seen,loss", *lines]), encoding="utf-8")
    return path


def test_the_command_fits_the_form_and_shows_its_coefficients(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    law = tmp_path / "law.yaml"
    options = ["--form", "varying-exponents", "--bootstrap", "40", "--starts", "32"]
    assert run(["fit", str(table), *options, "--out", str(law), "--report", str(tmp_path / "page.png")]) == 0
    out = capsys.readouterr().out
    assert "exponents that vary with sparsity" in " ".join(out.split())
    assert all(word in out for word in ("eta", "zeta", "N_0", "chosen"))
    assert run(["laws", "show", str(law)]) == 0
    assert "zeta" in capsys.readouterr().out
    assert run(["fit", str(table), *options, "--json", "--holdout", "largest-n"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["form"] == "varying-exponents"
    assert list(answer["coefficients"]) == [one.name for one in FORMS["varying-exponents"].coefficients]
    assert answer["holdout"][0]["law"]["rms"] < 0.02


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--form", "chinchilla"],
            "--form chinchilla: expected auto, average, frantar2023 or varying-exponents or coupled, whose dense runs",
        ),
        (["--form", "varying"], "expected auto, average, frantar2023 or varying-exponents"),
        (
            ["--form", "varying-exponents", "--freeze-dense", "frantar2023-t5-c4"],
            "it can't keep the dense base of 'frantar2023-t5-c4', of the form frantar2023",
        ),
    ],
)
def test_a_form_that_cannot_be_fitted_is_one_message(
    options: list[str], message: str, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["fit", str(table), "--bootstrap", "0", *options]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_every_parameter_of_a_form_has_words_for_both_its_bounds() -> None:
    runs = simulate({"unstructured": TRUTH, "n:4": OTHER})
    for form in FITTED.values():
        chosen = runs if form.form.knows_sparsity else runs.take(runs.sparsity == 0)
        design = fit_law(chosen, form=form.form.name if form.form.knows_sparsity else None, starts=4).design
        free = form.free(design)
        low, high = design.bounds()
        words = [*form.bounds_hit(design, free, low).values(), *form.bounds_hit(design, free, high).values()]
        assert len(words) == 2 * len(free)
        named = {one.name for one in form.form.coefficients if not one.reference}
        assert all(any(name in word for name in (*named, "f(0)")) for word in words)


KNOWN = {one.name for form in FORMS.values() for one in form.coefficients if len(one.name) > 1} - {"alpha"}
"""What nothing else may name; alpha is also matplotlib's word for transparency."""


def _names(path: Path) -> set[str]:
    """Identifiers and words of strings in a module, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {
        id(node.value)
        for body in (getattr(each, "body", None) for each in ast.walk(tree))
        if isinstance(body, list)
        for node in body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name"):
            if isinstance(name := getattr(node, field, None), str):
                found.add(name)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            found |= set("".join(c if c.isalnum() or c == "_" else " " for c in node.value).split())
            found |= {"_S"} if node.value.endswith("_S") else set()
    return found


def test_nothing_outside_the_forms_names_a_coefficient() -> None:
    root = Path(sparseplan.__file__).parent
    forms = root / "laws" / "forms"
    outside = [path for path in root.rglob("*.py") if forms not in path.parents]
    assert len(outside) > 100
    known = KNOWN | {"_S"}
    offenders = {str(path.relative_to(root)): both for path in outside if (both := _names(path) & known)}
    # Norms and optimizers have an eps of their own, which is no exponent of the density.
    assert {path: both for path, both in offenders.items() if both != {"eps"} or not path.startswith("train")} == {}
    assert {"a_S", "b_N", "eta"} <= _names(forms / "varying_exponents.py")  # the search finds what is there

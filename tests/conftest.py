"""Fixtures that several tests share."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from sparseplan.laws.draws import Draws
from sparseplan.laws.file import load_law
from sparseplan.laws.law import Law, coefficients

# The same examples on every run: a red test is a change of ours, never the luck of the draw.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def _empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config")


@pytest.fixture(autouse=True)
def _no_laws_of_the_user(monkeypatch: pytest.MonkeyPatch, _empty_folder: Path) -> None:
    """What the person running the tests keeps in their environment must not change an answer."""
    monkeypatch.delenv("SPARSEPLAN_LAWS", raising=False)
    monkeypatch.delenv("SPARSEPLAN_HARDWARE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(_empty_folder))
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def t5() -> Law:
    """The published T5 law."""
    law = load_law("frantar2023-t5-c4")
    assert law.sparsity
    return law


@pytest.fixture
def t5_with_draws(t5: Law) -> Law:
    """The published T5 law with 400 synthetic draws, each coefficient 5 % around its value."""
    random = np.random.default_rng(7)
    values = coefficients(t5, "unstructured").as_dict()
    point = {name: float(values[name]) for name in ("b_N", "a_D", "b_D", "c")}
    point |= {f"unstructured.{name}": float(values[name]) for name in ("a_S", "b_S", "c_S")}
    table = np.array(list(point.values())) * np.exp(0.05 * random.standard_normal((400, 7)))
    draws = Draws.pack(list(point), table, method="synthetic, for tests")
    facts = {name: getattr(t5, name) for name in t5.__struct_fields__} | {"draws": draws, "name": "t5-with-draws"}
    return Law(**facts)

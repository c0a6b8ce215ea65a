"""The page in a headless browser: its numbers are those of the command, its controls have names, nothing is run."""

import html
import re
import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest

import sparseplan as sp
from sparseplan.cli import run
from tests.explore.test_core import REFIT, T5, fewer_draws
from tests.explore.test_page import Elements, evil_law
from tests.helpers.page_core import in_browser

pytestmark = pytest.mark.slow


def opened(page: sp.ExplorePage, fragment: str, folder: Path) -> str:
    path = folder / "page.html"
    page.save(path)
    return in_browser(f"{path.as_uri()}#{fragment}", folder / "profile")


def cells(document: str, column: str) -> dict[str, str]:
    return dict(re.findall(rf'<td data-{column}="(\w+)" data-value="([^"]*)">', document))


def text_of(document: str, element: str) -> str:
    found = re.search(rf'id="{element}"[^>]*>(.*?)</', document, flags=re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


@pytest.mark.parametrize(
    ("fragment", "asked"),
    [
        ("flops=1e23", {"flops": 1e23}),
        (
            "flops=1e22&params=7B&cost=h100&pattern=2:4",
            {"flops": 1e22, "params": 7e9, "cost": "h100", "pattern": "2:4"},
        ),
        (
            "flops=3e21&cost=dense&unique-data=2e9&inference-tokens=1e11&inference=sparse",
            {"flops": 3e21, "cost": "dense", "unique_data": 2e9, "inference_tokens": 1e11, "inference": "sparse"},
        ),
    ],
)
def test_the_page_shows_the_numbers_of_optimal(
    fragment: str, asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = opened(sp.explore(REFIT, cost=["sparse", "dense", "h100"]), fragment, tmp_path)
    assert '<body data-ready="yes"' in document
    answer = sp.optimal(law=REFIT, **asked)
    assert answer.intervals is not None
    for column, plan in (("plan", answer.plan), ("dense", answer.dense)):
        shown = cells(document, column)
        for key in ("sparsity", "nonzero_params", "dense_params", "data_seen", "loss"):
            assert float(shown[key]) == pytest.approx(getattr(plan, key), rel=1e-4, abs=1e-6), (column, key)
    bounds = cells(document, "interval")
    for key, expected in (("sparsity", answer.intervals.sparsity), ("loss", answer.intervals.plan_loss)):
        assert [float(end) for end in bounds[key].split()] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert run([*shlex.split(text_of(document, "command"))[1:]]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith(text_of(document, "verdict"))
    assert document.count("<svg") == 2


def test_no_script_of_a_law_runs_and_its_text_is_text(tmp_path: Path) -> None:
    document = opened(sp.explore(evil_law()), "flops=1e21", tmp_path)
    assert "<title>sparseplan explore</title>" in document
    assert "&lt;script&gt;document.title='owned'" in document
    assert not [tag for tag, _ in Elements(document).found if tag == "img"]
    assert [tag for tag, _ in Elements(document).found].count("script") == 2


def test_every_control_has_a_name_and_every_picture_words(tmp_path: Path) -> None:
    found = Elements(opened(sp.explore(T5), "inference-tokens=1e10&params=1e9", tmp_path)).found
    labelled = {attributes.get("for") for tag, attributes in found if tag == "label"}
    controls = [attributes for tag, attributes in found if tag in ("input", "select")]
    assert len(controls) > 10
    for attributes in controls:
        assert attributes.get("aria-label") or attributes.get("id") in labelled, attributes
    pictures = [attributes for tag, attributes in found if tag == "svg"]
    assert len(pictures) == 2
    for attributes in pictures:
        assert attributes["role"] == "img"
        assert attributes["aria-label"]
    assert ("html", {"lang": "en"}) in found


def test_a_law_whose_fit_failed_gives_no_sentence_to_paste(tmp_path: Path) -> None:
    law = fewer_draws(REFIT, 10)
    poor = msgspec.structs.replace(law, fit={"status": "not converged", "explanation": "too few runs"})
    document = opened(sp.explore(poor), "flops=1e22", tmp_path)
    assert text_of(document, "verdict").startswith("Nothing to plan with: this law's fit ended with 'not converged'")


def test_a_total_that_inference_alone_exceeds_is_refused_on_the_page_too(tmp_path: Path) -> None:
    document = opened(sp.explore(T5), "flops=1e18&params=1e10&inference-tokens=1e13", tmp_path)
    assert text_of(document, "verdict").startswith("A total of 1e18 does not pay for the inference of 10.0T tokens")
    assert re.search(r'id="details"[^>]* hidden', document)

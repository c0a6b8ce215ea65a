"""Plans and predictions under limited unique data: published figures, brute force, limits, and what answers say."""

import json
from typing import Any

import numpy as np
import pytest

import sparseplan as sp
from sparseplan.api.planning import Answer
from sparseplan.errors import QuantityError
from sparseplan.laws.draws import Draws
from sparseplan.laws.file import load_law
from sparseplan.laws.law import Law, coefficients
from sparseplan.laws.unique_data import limited
from tests.helpers.questions import codes

WU, DENSE = "wu2026-llama-c4", "muennighoff2023-c4"


def text(answer: object) -> str:
    """As printed, on one line."""
    return " ".join(str(answer).split())


def test_half_sparse_wins_at_dense_cost_where_data_are_scarce_and_dense_where_they_are_plenty() -> None:
    for U, sparse, dense in (("1.3B", 2.844, 2.860), ("10T", 2.783, 2.768)):
        answer = sp.optimal(1e20, law=WU, cost="dense", pattern="2:4", unique_data=U)
        assert answer.plan.loss == pytest.approx(sparse, abs=6e-4)
        assert answer.dense.loss == pytest.approx(dense, abs=6e-4)
        assert answer.comparison.loss_gain == pytest.approx(dense - sparse, abs=1e-3)


def test_a_plan_under_limited_data_beats_every_plan_of_a_fine_grid() -> None:
    law = load_law(WU)
    theta = limited(law, 1.3e9).limit(coefficients(law))
    answer = sp.optimal(1e20, law=WU, cost="dense", unique_data=1.3e9)
    S, N = np.linspace(0, 0.9375, 301)[:, None], np.geomspace(1e7, 1e11, 2001)
    losses = theta.loss(S, N, 1e20 / 6 / N * (1 - S))
    assert answer.plan.loss <= losses.min()
    assert answer.plan.loss == pytest.approx(losses.min(), abs=1e-5)
    at_size = sp.optimal(1e20, law=WU, cost="dense", unique_data=1.3e9, params="2B")
    fixed = theta.loss(S[:, 0], 2e9, 1e20 / 6 / 2e9 * (1 - S[:, 0]))
    assert at_size.plan.loss == pytest.approx(fixed.min(), abs=1e-6)


def test_givens_epochs_and_repeats_are_in_the_json() -> None:
    answer = json.loads(sp.optimal(1e20, law=WU, cost="dense", unique_data="1.3B").to_json())
    assert answer["given"]["unique_data"] == 1.3e9
    plan = answer["plan"]
    assert plan["unique_data"] == 1.3e9
    assert plan["epochs"] == pytest.approx(plan["data_seen"] / 1.3e9)
    used = answer["repetition"]
    assert (used["law"], used["borrowed"]) == (WU, False)
    R = used["R_D"]
    assert used["effective_data"] == pytest.approx(1.3e9 * (1 + R * (1 - np.exp(-(plan["epochs"] - 1) / R))))
    assert [other["law"] for other in answer["repetition_spread"]] == [DENSE]
    without = json.loads(sp.optimal(1e20, law=WU).to_json())
    assert [without["plan"][key] for key in ("unique_data", "epochs")] == [None, None]
    assert without["repetition"] is None


def test_unique_data_that_are_plenty_change_no_plan_and_repeat_nothing() -> None:
    for law in (WU, DENSE, "frantar2023-t5-c4"):
        plenty, plain = sp.optimal(1e21, law=law, unique_data=1e16), sp.optimal(1e21, law=law)
        assert plenty.plan.loss == pytest.approx(plain.plan.loss, abs=1e-9)
        assert plenty.plan.sparsity == pytest.approx(plain.plan.sparsity, abs=1e-4)
        assert plenty.plan.epochs == 1.0
        assert plenty.plan.unique_data == plenty.plan.data_seen
        assert plenty.repetition_spread == []
        assert "No data is repeated." in text(plenty)
        assert not {"repetition-borrowed", "repetition-undrawn"} & codes(plenty)


def test_a_prediction_counts_repeats_and_shows_the_other_published_rates() -> None:
    run: dict[str, Any] = {"params": 1e9, "data": 2e10, "sparsity": 0.0, "law": WU}
    repeated = sp.predict(**run, unique_data="5B")
    assert repeated.loss == pytest.approx(2.77500, abs=5e-6)
    assert repeated.epochs == 4.0
    assert [other.law for other in repeated.repetition_spread] == [DENSE]
    assert repeated.loss > repeated.repetition_spread[0].loss > sp.predict(**run).loss
    assert "4.0 epochs of 5.00B tokens count as 15.9B unique ones" in text(repeated)
    assert sp.predict(**run, unique_data="20B").loss == pytest.approx(sp.predict(**run).loss, abs=1e-12)


def test_a_law_without_draws_says_its_published_error_in_words_and_gives_no_bare_verdict() -> None:
    answer = sp.optimal(1e20, law=WU, cost="dense", unique_data="1.3B")
    assert answer.intervals is None
    assert "held-out-error" in codes(answer)
    assert "no-draws" not in codes(answer)
    said = text(answer)
    assert "it missed 11 held-out runs by 0.016 nats on average and 0.040 at worst" in said
    assert "The gap of 0.021 nats to dense is within the law's error" in said
    assert "Parameters are counted with embeddings." in said
    dense = sp.optimal(1e20, law=WU, cost="dense", pattern="n:4")
    assert dense.plan.sparsity == 0
    assert "What sparse models would lose by may be within the law's error" in text(dense)
    # Where zeros are free the gap is larger than the error: that is said without the sentence.
    free = sp.optimal(1e20, law=WU, unique_data="1.3B")
    assert free.comparison.loss_gain > 0.04
    assert "within the law's error" not in text(free)


def test_a_law_without_rates_borrows_them_and_says_so(t5_with_draws: Law) -> None:
    answer = sp.optimal(1e22, law=t5_with_draws, unique_data="10B")
    assert {"repetition-borrowed", "repetition-undrawn"} <= codes(answer)
    assert answer.repetition is not None
    assert (answer.repetition.law, answer.repetition.borrowed) == (WU, True)
    assert answer.intervals is not None
    assert answer.intervals.loss[0] < answer.plan.loss < answer.intervals.loss[1]
    assert "on tokens" in next(
        one.message
        for one in sp.optimal(1e22, law="frantar2023-vit-jft", unique_data="100M").warnings
        if one.code == "repetition-borrowed"
    )


def test_draws_of_the_rates_widen_the_interval_and_are_no_longer_missing() -> None:
    law = load_law(DENSE)
    names = ["E", "A", "B", "alpha", "beta"]
    random = np.random.default_rng(2)
    own = np.array([law.coefficients[name] for name in names]) * np.exp(0.001 * random.standard_normal((300, 5)))
    rates = np.array([5.3, 15.4]) * np.exp(0.3 * random.standard_normal((300, 2)))

    def planned(columns: list[str], table: np.ndarray) -> Answer:
        draws = Draws.pack(columns, table, method="synthetic")
        facts = {name: getattr(law, name) for name in law.__struct_fields__} | {"draws": draws}
        return sp.optimal(1e21, law=Law(**facts), unique_data="5B")

    fixed = planned(names, own)
    drawn = planned([*names, "repetition.R_N", "repetition.R_D"], np.hstack([own, rates]))
    assert "repetition-undrawn" in codes(fixed)
    assert "repetition-undrawn" not in codes(drawn)
    widths = [
        answer.intervals.data_seen[1] / answer.intervals.data_seen[0] for answer in (fixed, drawn) if answer.intervals
    ]
    assert widths[1] > 1.4 * widths[0]


def test_distances_in_unique_data_and_epochs_are_told_for_every_plan() -> None:
    answer = sp.optimal(1e22, law=WU, cost="dense", unique_data="100M")
    axes = {(distance.of, distance.axis) for distance in answer.extrapolation}
    assert {("plan", "epochs"), ("plan", "unique_data"), ("dense plan", "epochs")} <= axes
    epochs = next(one for one in answer.extrapolation if (one.of, one.axis) == ("plan", "epochs"))
    assert answer.plan.epochs is not None
    assert epochs.factor == pytest.approx(answer.plan.epochs / 16)
    unique = next(one for one in answer.extrapolation if (one.of, one.axis) == ("plan", "unique_data"))
    assert unique.factor == pytest.approx(13.0)
    assert "fewer unique tokens" in unique.message


def test_rates_that_disagree_on_whether_sparsity_pays_are_said_to() -> None:
    # At this budget the dense rates, which do not change with sparsity, leave the T5 law dense at dense cost.
    answer = sp.optimal(1e22, law="frantar2023-t5-c4", cost="dense", unique_data="10B")
    signs = {answer.plan.sparsity > 0, *(other.sparsity > 0 for other in answer.repetition_spread)}
    assert ("repetition-disagreement" in codes(answer)) == (len(signs) == 2)
    assert signs == {True, False}
    assert "The published rates of repetition disagree on whether sparsity pays." in text(answer)


def test_hours_of_a_device_and_patterns_are_planned_under_the_same_unique_data() -> None:
    law = load_law(WU)
    answer = sp.optimal(device_hours=200, cost="h100", law=law, unique_data="1.3B")
    assert answer.verdict is not None
    theta = limited(law, 1.3e9).limit(coefficients(law))
    for kind in answer.verdict:
        expected = float(theta.loss(kind.sparsity, kind.nonzero_params, kind.data_seen))
        assert kind.loss == pytest.approx(expected, abs=1e-9)


def test_unique_data_must_be_above_zero() -> None:
    with pytest.raises(QuantityError, match="`unique_data`"):
        sp.optimal(1e20, unique_data=0)

"""Questions that people ask of the page, the answers of `optimal` to them, and how both are compared."""

import re
from itertools import product
from typing import Any

import numpy as np
import pytest

import sparseplan as sp
from sparseplan.api.named import CostLike, LawLike
from sparseplan.cli.flags import in_flags
from sparseplan.report.plan_sentences import against_dense, how_sure, repeats, serving
from sparseplan.report.plan_verdict import verdict

PLANNED = {
    "sparsity": "S",
    "nonzero_params": "N",
    "dense_params": "M",
    "data_seen": "D",
    "loss": "loss",
    "train_flops": "trainFlops",
}
INTERVALS = {
    "sparsity": "sparsity",
    "nonzero_params": "nonzeroParams",
    "dense_params": "denseParams",
    "data_seen": "data",
    "loss": "loss",
    "plan_loss": "planLoss",
    "dense_loss": "denseLoss",
    "loss_gain": "lossGain",
    "compute_ratio_any_size": "computeRatio",
}
_SIZES: tuple[dict[str, float], ...] = ({}, {"params": 1e9}, {"dense_params": 3e8})
_BUDGETS = (1e21, 3e22)
Question = dict[str, Any]


def questions(laws: list[str], costs: list[str], patterns: list[str], *further: dict[str, Any]) -> list[Question]:
    """Every combination, each with one of the budgets and sizes and with each of the further givens in turn."""
    found = []
    for i, (law, cost, pattern) in enumerate(product(laws, costs, patterns)):
        for j, more in enumerate(further or ({},)):
            size = _SIZES[(i + j) % len(_SIZES)]
            found.append({"law": law, "cost": cost, "pattern": pattern, "flops": _BUDGETS[i % 2], **size, **more})
    return found


def asked(question: Question, laws: dict[str, LawLike], costs: dict[str, CostLike]) -> sp.Answer:
    """The answer of `optimal`, where names of laws and costs may stand for objects."""
    inference = question.get("inference")
    return sp.optimal(
        **question
        | {"law": laws.get(question["law"], question["law"]), "cost": costs.get(question["cost"], question["cost"])}
        | ({} if inference is None else {"inference": costs.get(inference, inference)})
    )


def assert_same_answer(ours: dict[str, Any], answer: sp.Answer) -> None:
    """Losses to rounding, what reaches them within 1e-5: both sides search for minima, which are flat around x."""
    for side, name in (("best", "plan"), ("dense", "dense")):
        for key, column in PLANNED.items():
            expected = getattr(getattr(answer, name), key)
            found = ours["planned"][side][column]
            near = 1e-9 if key == "loss" else 1e-5
            wanted = pytest.approx(expected, rel=near, abs=near) if np.isfinite(expected) else None
            assert found == wanted, (side, key)
    comparison = answer.comparison
    for found, expected in (
        (ours["lossGain"], comparison.loss_gain),
        (ours["anyRatio"], comparison.compute_ratio_any_size),
        (ours["ratio"] or None, comparison.compute_ratio),
        (ours["uncapped"], comparison.uncapped_sparsity),
    ):
        assert found == (None if expected is None or not np.isfinite(expected) else pytest.approx(expected, abs=1e-5))
    if answer.intervals is None:
        assert ours["intervals"] is None
        return
    for key, column in INTERVALS.items():
        bounds = getattr(answer.intervals, key)
        assert ours["intervals"][column] == pytest.approx(bounds, rel=1e-5, abs=1e-5), key
    # A draw in which two plans differ by a rounding may fall to either side.
    one_draw = 1.5 / answer.intervals.draws
    assert ours["intervals"]["pSparseBetter"] == pytest.approx(answer.intervals.p_sparse_better, abs=one_draw)
    assert ours["intervals"]["regret95"] == pytest.approx(answer.intervals.regret.p95, abs=1e-7)


def assert_same_words(ours: dict[str, Any], answer: sp.Answer) -> None:
    """The sentence word for word, and every warning that is about this plan."""
    assert ours["verdict"] == verdict(answer)
    assert ours["sentences"] == [*against_dense(answer), *serving(answer), *repeats(answer), *how_sure(answer)]
    theirs = {(one.code, _words(one.code, one.message)) for one in answer.warnings}
    found = {(one["code"], _words(one["code"], one["message"])) for one in ours["warnings"]}
    assert {one for one in found if one[0] not in _OTHERS} == {one for one in theirs if one[0] not in _OTHERS}
    assert {one for one in found if one[0] in _OTHERS} <= theirs


_OTHERS = {"hardware-extrapolation", "pattern-borrowed"}
"""Warnings that `optimal` also has of 2:4 on a device, which it plans beside the pattern that is asked for."""


def _words(code: str, message: str) -> str:
    """A message as the page has it: without the utilization behind hours, which the page has none of."""
    message = re.sub(r", and an assumed utilization of [^.]*", "", message) if code == "hardware-datasheet" else message
    return in_flags(message)

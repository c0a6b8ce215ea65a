"""Sizes that memory limits, without a real model: 16 bytes for each dense parameter."""

import numpy as np
import pytest

import sparseplan as sp
from sparseplan.errors import PlanError
from sparseplan.laws.law import coefficients

T5 = "frantar2023-t5-c4"
THETA = coefficients(sp.load_law(T5), "unstructured")
MOST = 4 * 80e9 / 16


def losses(S: np.ndarray, N: np.ndarray, D: np.ndarray) -> np.ndarray:
    return np.asarray(THETA.reducible(S, N, D) + THETA.floor)


def test_the_best_plan_is_that_of_a_search_over_sizes_that_fit() -> None:
    C = 1e24
    answer = sp.optimal(C, law=T5, max_memory="80GB", devices=4)
    S, share = np.meshgrid(np.linspace(0.0, 0.875, 1751), np.linspace(0.5, 1.0, 101), indexing="ij")
    N = share * MOST * (1 - S)
    found = losses(S, N, C / (6 * N * (1 - 0.625 * S) / (1 - S)))
    best = np.unravel_index(np.argmin(found), found.shape)
    assert answer.plan.dense_params == pytest.approx(MOST, rel=1e-9)
    assert share[best] == 1.0
    assert answer.plan.sparsity == pytest.approx(S[best], abs=6e-4)
    assert answer.plan.loss == pytest.approx(found[best], rel=1e-6)
    assert answer.dense.loss == pytest.approx(float(losses(np.zeros(1), np.array([MOST]), np.array([C / 6 / MOST]))[0]))


def test_a_limit_that_does_not_bind_changes_nothing() -> None:
    free, limited = sp.optimal(1e22, law=T5), sp.optimal(1e22, law=T5, max_memory="10TB")
    assert limited.plan.sparsity == pytest.approx(free.plan.sparsity, abs=1e-6)
    assert limited.plan.nonzero_params == pytest.approx(free.plan.nonzero_params, rel=1e-5)
    assert limited.dense.nonzero_params == pytest.approx(free.dense.nonzero_params, rel=1e-9)


def test_a_given_non_zero_size_leaves_the_sparsities_that_fit() -> None:
    answer = sp.optimal(1e24, law=T5, params="15B", max_memory="80GB", devices=4)
    assert answer.plan.sparsity <= 0.25 + 1e-9
    S = np.linspace(0.0, 0.25, 251)
    found = losses(S, np.full_like(S, 15e9), 1e24 / (6 * 15e9 * (1 - 0.625 * S) / (1 - S)))
    assert answer.plan.sparsity == pytest.approx(S[np.argmin(found)], abs=2e-3)


def test_data_and_memory_that_are_both_limited_leave_part_of_the_budget() -> None:
    answer = sp.optimal(1e24, law=T5, max_memory="80GB", devices=4, max_data="1T")
    assert answer.plan.data_seen == pytest.approx(1e12)
    assert answer.plan.dense_params <= MOST * (1 + 1e-9)
    assert answer.plan.train_flops < 1e24
    both = sp.optimal(1e24, law=T5, max_memory="80GB", devices=4, data="1T")
    assert both.plan.loss == pytest.approx(answer.plan.loss, rel=1e-6)
    ratio = sp.optimal(1e24, law=T5, max_memory="80GB", devices=4, tokens_per_param=20)
    assert ratio.plan.dense_params == pytest.approx(MOST, rel=1e-9)
    assert ratio.plan.data_seen == pytest.approx(20 * ratio.plan.nonzero_params)


def test_a_loss_and_the_budget_that_comes_out_ask_the_same_within_a_memory() -> None:
    wanted = sp.optimal(loss=1.25, law=T5, max_memory="80GB")
    assert wanted.plan.dense_params == pytest.approx(MOST / 4, rel=1e-9)
    back = sp.optimal(wanted.plan.train_flops, law=T5, max_memory="80GB")
    assert back.plan.loss == pytest.approx(1.25, rel=1e-6)
    free = sp.optimal(loss=1.25, law=T5)
    assert wanted.plan.train_flops > free.plan.train_flops


def test_what_does_not_fit_is_refused_with_the_devices_that_hold_it() -> None:
    with pytest.raises(PlanError, match=r"`max_memory`: expected at least 160\.0 GB .*`params`; 2 devices would hold"):
        sp.optimal(1e23, law=T5, params="10B", max_memory="80GB")
    with pytest.raises(PlanError, match=r"40\.0 GB per device.*`dense_params`; 5 devices would hold"):
        sp.optimal(1e23, law=T5, dense_params="10B", max_memory="32GB", devices=4)
    with pytest.raises(PlanError, match=r"no compute reaches 1\.1000 with the given `max_memory`"):
        sp.optimal(loss=1.1, law=T5, max_memory="1GB")


def test_the_answer_says_what_the_memory_leaves() -> None:
    answer = sp.optimal(1e24, law=T5, max_memory="80GB", devices=4)
    assert (answer.given.max_memory, answer.given.max_dense_params) == (80e9, MOST)
    text = " ".join(str(answer).split())
    assert "Memory: at most 20.0B dense parameters, whose weights, gradients and Adam take 80.0 GB per device" in text
    assert "A dense model within this memory needs" in text

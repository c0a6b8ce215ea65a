"""Plans for a dense model that exists."""

import json

import msgspec
import pytest

import sparseplan as sp
from sparseplan.errors import LawError, PlanError, QuantityError
from sparseplan.laws.law import Law, PretrainedStart
from sparseplan.plan.from_dense import Pruned
from sparseplan.sparsity.schedule import Schedule

T5 = "frantar2023-t5-c4"
M, T, C = 1e9, 2e11, 1e21


def asked(**changes: object) -> sp.FromDense:
    given: dict[str, object] = {"dense_params": M, "dense_data": T, "law": T5} | changes
    return sp.from_dense(changes.pop("flops", C), **{k: v for k, v in given.items() if k != "flops"})  # type: ignore[arg-type]


def row(answer: sp.FromDense, sparsity: float) -> Pruned:
    return next(one for one in answer.pruned if one.sparsity == sparsity)


def t5_loss(S: float, N: float, D: float) -> float:
    """The published law, by hand."""
    return float((16.8 * (1 - S) ** 0.722 + 45.0) * N**-0.245 + (6.90e8 / D) ** 0.203 + 0.651)


def started(law: Law, *, better: float) -> Law:
    """A law of pretrained starts from 2e11 tokens: the given one, with a data term that needs `better` times less."""
    numbers = law.coefficients | {"a_D": law.coefficients["a_D"] / better}
    return msgspec.structs.replace(
        law, name="started", coefficients=numbers, start=PretrainedStart(dense_data_seen=(2e11, 2e11)), draws=None
    )


def test_the_losses_are_those_of_a_run_that_saw_what_the_model_saw_and_what_the_budget_buys() -> None:
    answer = asked()
    assert answer.given.dense_train_flops == pytest.approx(6 * M * T)
    assert answer.given.dense_loss == pytest.approx(t5_loss(0, M, T))
    assert [one.sparsity for one in answer.pruned] == [0, 0.5, 0.75, 0.875]
    for one in answer.pruned:
        assert one.nonzero_params == pytest.approx(M * (1 - one.sparsity))
        # the paper's ramp, dense for a quarter and done at three quarters: 1 - 0.625 S of the dense cost
        assert one.data_seen == pytest.approx(C / (6 * M * (1 - 0.625 * one.sparsity)))
        assert one.loss == pytest.approx(t5_loss(one.sparsity, one.nonzero_params, T + one.data_seen))
        assert one.loss_uncounted == pytest.approx(t5_loss(one.sparsity, one.nonzero_params, one.data_seen))


@pytest.mark.parametrize("cost", ["sparse", "dense"])
@pytest.mark.parametrize("pattern", ["unstructured", "2:4"])
def test_training_from_scratch_is_what_optimal_answers_for_as_many_non_zero_parameters(cost: str, pattern: str) -> None:
    answer = asked(cost=cost, pattern=pattern)
    half, N = row(answer, 0.5), M / 2
    with_pattern = sp.optimal(C, params=N, law=T5, cost=cost, pattern=pattern)
    assert half.scratch_loss == pytest.approx(min(with_pattern.plan.loss, with_pattern.dense.loss))
    equal = sp.optimal(loss=half.loss, params=N, law=T5, cost=cost, pattern=pattern)
    least = min(one.train_flops for one in (equal.plan, equal.dense) if one.train_flops > 0)
    assert half.scratch_flops == pytest.approx(least, rel=1e-6)
    assert half.flops_ratio == pytest.approx(C / least, rel=1e-6)
    assert half.flops_ratio_with_dense == pytest.approx((C + 6 * M * T) / least, rel=1e-6)


def test_the_share_needed_is_where_pruning_does_as_well_as_from_scratch() -> None:
    answer = asked(flops=2e20, dense_data=2e10)
    for one in answer.pruned:
        assert one.share_needed is not None
        assert one.share_needed >= 0
        counted = one.data_seen + one.share_needed * 2e10
        assert t5_loss(one.sparsity, one.nonzero_params, counted) == pytest.approx(one.scratch_loss)
        assert one.scratch_loss <= one.loss_uncounted * (1 + 1e-12)
        # fewer FLOPs than from scratch is the same as needing less than all
        assert one.flops_ratio is not None
        assert (one.flops_ratio < 1) == (one.share_needed < 1)


def test_a_model_that_has_seen_much_is_worth_pruning_and_one_that_has_seen_next_to_nothing_is_a_fresh_start() -> None:
    much, little = (row(asked(flops=1e19, dense_data=seen), 0.5) for seen in (1e12, 1e3))
    assert much.flops_ratio is not None
    assert much.flops_ratio < 0.01
    assert little.loss == pytest.approx(little.loss_uncounted, abs=1e-6)
    assert little.flops_ratio is not None
    assert little.flops_ratio >= 1


def test_a_loss_that_no_training_from_scratch_reaches_has_no_price() -> None:
    scratch = sp.load_law(T5)
    start = started(scratch, better=1)
    lower = msgspec.structs.replace(start, coefficients=start.coefficients | {"c": 0.1})
    answer = asked(law=[lower, scratch])
    half = row(answer, 0.5)
    assert (half.scratch_flops, half.flops_ratio, half.flops_ratio_with_dense, half.share_counted) == (None,) * 4
    assert half.share_needed is not None
    assert "no budget" in str(answer)


def test_a_single_pattern_is_asked_for_whatever_the_cap_and_families_keep_below_it() -> None:
    assert [one.sparsity for one in asked(pattern="2:4", max_sparsity=0.1).pruned] == [0, 0.5]
    assert [one.sparsity for one in asked(pattern="n:4", max_sparsity=0.6).pruned] == [0, 0.25, 0.5]
    assert [one.sparsity for one in asked(max_sparsity=0.8).pruned] == [0, 0.5, 0.75]


def test_intervals_surround_the_answer_where_the_law_has_draws() -> None:
    answer = asked(law="frantar2023-t5-c4-refit", flops=1e20)
    half = row(answer, 0.5)
    assert half.loss_interval is not None
    assert half.loss_interval[0] < half.loss < half.loss_interval[1]
    assert half.share_interval is not None
    assert half.share_needed is not None
    assert half.share_interval[0] <= half.share_needed <= half.share_interval[1]


def test_a_law_of_pretrained_starts_says_the_loss_and_what_the_models_data_count_for() -> None:
    scratch = sp.load_law(T5)
    start = msgspec.structs.replace(started(scratch, better=1.5), schedule=Schedule(start=0.0, end=0.5))
    answer = asked(law=[start, scratch])
    assert (answer.law.name, answer.start_law and answer.start_law.name) == (T5, "started")
    half = row(answer, 0.5)
    # no dense phase, half of the run on a cubic ramp: 1 - (3/8 + 1/2) S of the dense cost
    D = C / (6 * M * (1 - 0.875 * 0.5))
    assert half.data_seen == pytest.approx(D)
    assert half.loss == pytest.approx(t5_loss(0.5, M / 2, 1.5 * D))
    assert half.share_counted == pytest.approx(0.5 * D / T)
    assert half.share_needed is not None
    assert half.share_counted is not None
    assert (half.loss <= half.scratch_loss) == (half.share_counted >= half.share_needed)
    dense = row(answer, 0.0)
    assert dense.share_counted is None
    assert dense.loss == pytest.approx(t5_loss(0, M, T + C / (6 * M)))
    assert "start-assumed" not in {one.code for one in answer.warnings}
    far = asked(law=[start, scratch], dense_data=1e12)
    assert "start-extrapolation" in {one.code for one in far.warnings}
    assert "trained on 200B tokens, not 1.00T" in next(
        w.message for w in far.warnings if w.code == "start-extrapolation"
    )


def test_what_is_assumed_is_said_first() -> None:
    answer = asked()
    assert answer.warnings[0].code == "start-assumed"
    shown = str(answer)
    assert "! the runs of frantar2023-t5-c4 started from scratch" in shown
    assert "loss: if all of its 200B tokens count." in shown
    assert json.loads(answer.to_json())["format"] == "sparseplan-from-dense/1"
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_a_conclusion_about_every_sparsity_holds_at_every_sparsity() -> None:
    said = "training from scratch would be cheaper"
    cheaper_from_scratch, not_everywhere = asked(), asked(flops=1e22)
    for answer in (cheaper_from_scratch, not_everywhere):
        ratios = [one.flops_ratio_with_dense for one in answer.pruned if one.sparsity > 0]
        assert (said in " ".join(str(answer).split())) == all(ratio is not None and ratio > 1 for ratio in ratios)


def test_questions_without_an_answer_are_refused_by_argument() -> None:
    scratch = sp.load_law(T5)
    start = started(scratch, better=2)
    for laws in ([T5, T5], [start], [start, start, scratch]):
        with pytest.raises(PlanError, match="expected a law of runs from scratch, and at most one more"):
            asked(law=laws)
    other = msgspec.structs.replace(start, data_unit="byte")
    with pytest.raises(PlanError, match="two laws of one data unit, found token and byte"):
        asked(law=[other, scratch])
    with pytest.raises(LawError, match="says nothing of sparse models"):
        asked(law="besiroglu2024-chinchilla")
    with pytest.raises(QuantityError, match="`dense_data`"):
        asked(dense_data="much")
